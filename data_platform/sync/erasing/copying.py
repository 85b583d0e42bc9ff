"""The log of erasures and the sealed keys beside it, in every archive and back: a landing store that is restored without them would let in
whoever was erased."""

from __future__ import annotations

from data_platform.backups.mirror import Place
from data_platform.chained import copies
from data_platform.chained.log import Log
from data_platform.errors import BackupDamaged
from data_platform.privacy.erasure.requests import LOG
from data_platform.stores import Store
from data_platform.sync.platform import Platform

KEYS = f"_{LOG}/keys"


def copy_erasures(platform: Platform, place: Place) -> int:
    """Add to ``place`` what it lacks; how many objects that was. LedgerBroken where the landing store has lost entries that are there."""
    log = Log(platform.store, LOG, platform.signer, platform.clock)
    blocks = copies.copy(log, place.store)
    return blocks + _keys(platform.store, place.store, place.reader)  # after the entries that name them


def erasures_back(platform: Platform, place: Place, store: Store) -> int:
    """Put what ``place`` has into the landing store ``store``; how many objects that was. BackupDamaged, LedgerBroken where it was
    altered there."""
    other = Log(place.reader, LOG, platform.signer, platform.clock)
    if not other.last():
        return 0
    done = _keys(place.reader, store, store)
    return done + len(copies.restore(Log(store, LOG, platform.signer, platform.clock), place.reader))


def _keys(source: Store, target: Store, reader: Store) -> int:
    missing = sorted(set(source.list(KEYS)) - set(reader.list(KEYS)))
    for key in missing:
        data = source.read(key)
        target.put_new(key, data)
        if reader.read(key) != data:
            raise BackupDamaged(f"{key} in {target.url} holds other bytes than were put there. Try again.")
    return len(missing)
