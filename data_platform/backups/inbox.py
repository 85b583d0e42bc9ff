"""Copies of the deliveries that wait in the landing store's inboxes, under ``ledger/_inbox/`` in an archive.

A sender delivers once, so nothing but the landing store and these copies holds what no table has taken yet. A copy is removed
only when the ledgers in the same archive prove that every table has taken it. That an object is gone from the landing
store proves nothing: the store itself may be lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import PREFIX, Place, place_in
from data_platform.errors import BackupDamaged, LedgerBroken, ObjectLocked
from data_platform.landing import hint
from data_platform.landing.chain import Chain
from data_platform.landing.inbox import FOLDER, check, place_of
from data_platform.landing.ledger import Ledger
from data_platform.landing.taken import Taken
from data_platform.sources.inbox.delivery import Place as At
from data_platform.stores import Store
from data_platform.tables import TableId

TAKEN = f"{FOLDER}/taken.json"
"""A hint in the archive: copies that every table has taken and that are locked, with the end of each lock."""


@dataclass(frozen=True)
class CopiedInbox:
    """``waiting`` are the keys in the landing store, ``before`` those that the archive held when it was looked at; ``objects``
    were copied now, and ``bytes`` of them. ``damaged`` are lines about objects that no receiver wrote."""

    waiting: frozenset[str]
    before: frozenset[str]
    objects: int = 0
    bytes: int = 0
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class BroughtBack:
    """The keys that were put into a landing store, and lines about copies that are not as a receiver wrote them."""

    objects: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def copy_waiting(store: Store, archive: Archive) -> CopiedInbox:
    """Copy what waits in the landing store ``store`` and the archive lacks. Each object is read back. Do this before the ledgers are
    mirrored: what a table takes meanwhile is then in both, and not in neither."""
    place = place_in(archive)
    before = deliveries_in(
        place.reader
    )  # first: what another run copies from now on is not looked at by `settle`
    waiting = deliveries_in(store)
    new = sorted(waiting - before)
    busiest = max(store, place.store, key=lambda one: one.requests_at_once)
    copied = busiest.together([partial(_copy, store, place, key, archive) for key in new])
    sizes = [one for one in copied if isinstance(one, int)]
    damaged = tuple(one for one in copied if isinstance(one, str))
    return CopiedInbox(waiting, before, len(sizes), sum(sizes), damaged)


def settle(copied: CopiedInbox, archive: Archive, ledger: Ledger, tables: Sequence[TableId]) -> list[str]:
    """Remove the copies of what every table has taken, by the ledgers that the archive holds. Gives a line for each source whose
    deliveries are gone from the landing store although no ledger has them."""
    place = place_in(archive)
    now = datetime.now(UTC)
    known = {key: until for key, until in _locked(archive, place).items() if until > now}
    gone = copied.before - copied.waiting - known.keys()
    lost: dict[str, int] = {}
    found = dict(known)
    mirrored = Ledger(place.reader, ledger.environ, ledger.signer)
    for source, key, is_taken in _judged(gone, mirrored, tables):
        if not is_taken:
            lost[source] = lost.get(source, 0) + 1
            continue
        try:
            place.store.delete(key)
        except ObjectLocked:
            until = place.reader.locks.until(key) if place.reader.locks else None
            found[key] = until or now
    if found != _locked(archive, place):
        fields = {"locked": {key: until.isoformat() for key, until in sorted(found.items())}}
        hint.write(place.store, TAKEN, fields, archive.signer)
    return [
        f"{number} object(s) of deliveries to {source} are gone from the landing store, and no table had taken them."
        for source, number in sorted(lost.items())
    ]


def bring_back(
    archive: Archive, ledger: Chain, store: Store, tables: Sequence[TableId], until: datetime | None = None
) -> BroughtBack:
    """Put into the landing store ``store`` what its own ``ledger`` has not taken and it lacks, of deliveries up to ``until``.
    Nothing is taken from the archive that no receiver wrote."""
    place = place_in(archive)
    end = None if until is None else until.timestamp() * 1000
    lacking = deliveries_in(place.reader) - deliveries_in(store)
    wanted = [
        key
        for _, key, is_taken in _judged(lacking, ledger, tables)
        if not is_taken and (end is None or _at(key).number <= end)
    ]
    back, damaged = [], []
    for key in wanted:
        try:
            data = place.reader.read(key)
            check(key, data, ledger.signer)
        except KeyError:
            continue  # a run that copies was faster: it has been taken
        except LedgerBroken as error:
            damaged.append(f"{archive.name}: {error}")
            continue
        if not store.put_new(key, data) and store.read(key) != data:
            raise LedgerBroken(f"{key} in {store.url} was written by another process meanwhile. Run again.")
        back.append(key)
    return BroughtBack(tuple(back), tuple(damaged))


def uncopied(
    store: Store, archive: Archive, before: datetime, chance: random.Random
) -> tuple[int, list[str]]:
    """How many objects wait in the landing store ``store``, and lines about what the archive lacks of them although they came
    ``before``, or holds otherwise: one of them, drawn by ``chance``, is read again."""
    place = place_in(archive)
    waiting = sorted(deliveries_in(store))
    there = deliveries_in(place.reader) if waiting else frozenset()
    lacking = [key for key in waiting if key not in there and _at(key).number < before.timestamp() * 1000]
    lines = (
        [f"it lacks {len(lacking)} objects of deliveries that wait, such as {lacking[0]}"] if lacking else []
    )
    if both := [key for key in waiting if key in there]:
        key = chance.choice(both)
        with suppress(KeyError):  # a table took it meanwhile
            if place.reader.read(key) != store.read(key):
                lines.append(f"{PREFIX}/{key} is not what waits in the landing store")
    return len(waiting), lines


def going(archive: Archive, place: Place) -> frozenset[str]:
    """Keys of copies that every table has taken, and that are deleted once they are not locked any more."""
    return frozenset(_locked(archive, place))


def deliveries_in(store: Store) -> frozenset[str]:
    """The keys of all objects of deliveries."""
    return frozenset(key for key in store.list(FOLDER) if place_of(key) is not None)


def _copy(store: Store, place: Place, key: str, archive: Archive) -> int | str | None:
    """Its bytes, what is wrong with it, or None if a table took it meanwhile."""
    try:
        data = store.read(key)
        check(key, data, archive.signer)
    except KeyError:
        return None
    except LedgerBroken as error:
        return str(error)
    place.store.put_new(key, data)
    if place.reader.read(key) != data:
        raise BackupDamaged(
            f"{key} in {archive} does not read back as it was written: another landing store was backed up there before."
            " Give each environment a backup store of its own."
        )
    return len(data)


def _judged(keys: Iterable[str], ledger: Chain, tables: Sequence[TableId]) -> Iterable[tuple[str, str, bool]]:
    """Source, key and whether every table has taken it, for each of ``keys``; none for a source that has no tables."""
    by_source: dict[str, list[str]] = {}
    for key in sorted(keys):
        if (found := place_of(key)) is not None:
            by_source.setdefault(found[0], []).append(key)
    for source, own in by_source.items():
        readers = [table for table in tables if table.source == source]
        if not readers:
            continue
        taken = Taken(ledger, readers, min(_at(key).number for key in own))
        yield from ((source, key, taken.holds(_at(key))) for key in own)


def _at(key: str) -> At:
    found = place_of(key)
    assert found is not None
    return found[1]


def _locked(archive: Archive, place: Place) -> Mapping[str, datetime]:
    raw = hint.read(place.reader, TAKEN, archive.signer).get("locked")
    known = raw if isinstance(raw, dict) else {}
    return {key: datetime.fromisoformat(until) for key, until in known.items()}
