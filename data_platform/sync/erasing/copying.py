"""What was decided about people and rows, in every archive and back: a landing store that is restored without these logs would let in
whoever was erased. Sealed objects lie beside a log, in its folder ``keys``."""

from __future__ import annotations

from data_platform.backups.mirror import Place
from data_platform.chained import copies
from data_platform.chained.log import Log
from data_platform.errors import BackupDamaged
from data_platform.privacy.consent.answers import LOG as CONSENTS
from data_platform.privacy.erasure.requests import LOG as ERASURES
from data_platform.privacy.retention.requests import LOG as RETENTION
from data_platform.stores import Store
from data_platform.sync.platform import Platform

LOGS = (ERASURES, RETENTION, CONSENTS)


def copy_decisions(platform: Platform, place: Place) -> int:
    """Add to ``place`` what it lacks; how many objects that was. LedgerBroken where the landing store has lost entries that are there."""
    done = 0
    for name in LOGS:
        done += copies.copy(Log(platform.store, name, platform.signer, platform.clock), place.store)
        done += _sealed(name, platform.store, place.store, place.reader)  # after the entries that name them
    return done


def decisions_back(platform: Platform, place: Place, store: Store) -> int:
    """Put what ``place`` has into the landing store ``store``; how many objects that was. BackupDamaged, LedgerBroken where it was
    altered there."""
    done = 0
    for name in LOGS:
        if Log(place.reader, name, platform.signer, platform.clock).last():
            done += _sealed(name, place.reader, store, store)
            log = Log(store, name, platform.signer, platform.clock)
            done += len(copies.restore(log, place.reader))
    return done


def _sealed(log: str, source: Store, target: Store, reader: Store) -> int:
    folder = f"_{log}/keys"
    missing = sorted(set(source.list(folder)) - set(reader.list(folder)))
    for key in missing:
        try:
            data = source.read(key)
        except KeyError:  # it was forgotten meanwhile
            continue
        target.put_new(key, data)
        if reader.read(key) != data:
            raise BackupDamaged(f"{key} in {target.url} holds other bytes than were put there. Try again.")
    return len(missing)
