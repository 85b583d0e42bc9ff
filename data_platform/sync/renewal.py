"""Which locked objects of each archive are still needed, and until when: their locks are extended (``backups.renewal``)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from data_platform.backups import inbox
from data_platform.backups.archive import Archive
from data_platform.backups.config import COLD
from data_platform.backups.database.manifest import objects_of
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.retention import expired as expired_databases
from data_platform.backups.database.wal.keys import of_source
from data_platform.backups.database.wal.retention import removable
from data_platform.backups.manifest import made_at
from data_platform.backups.mirror import PREFIX, going, place_in
from data_platform.backups.reencrypt import waiting
from data_platform.backups.renewal import Needed, Renewal, renew
from data_platform.backups.retention import expired
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE, Shelf
from data_platform.errors import DataPlatformError
from data_platform.landing.inbox import place_of
from data_platform.sync.backup import everywhere, is_good, keep_days, settings
from data_platform.sync.database_backup import backed_up, block, needed_wal
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


def renew_locks(platform: Platform, now: datetime | None = None) -> list[Renewal]:
    """Hold a round in every archive where one is due. An archive that cannot be looked at is in the result, with its problem."""
    found = []
    for one in everywhere(platform, ARCHIVE):
        try:
            held = renew(one, partial(_needed, platform, one), now)
        except DataPlatformError as error:
            held = Renewal(one.name, problem=str(error))
        if held is not None:
            found.append(held)
    return found


def _needed(platform: Platform, one: Archive) -> Iterator[Needed]:
    """What the archive holds and no rule lets go of."""
    held = waiting(one)  # these must be free once, so that they can be encrypted again
    yield from (needed for needed in _kept(platform, one) if needed.key not in held)


def _kept(platform: Platform, one: Archive) -> Iterator[Needed]:
    days = one.store.locks.days if one.store.locks else 0
    yield from _of_shelf(platform, one.on(ARCHIVE), ARCHIVE)
    if one.name == COLD:
        return
    yield from _of_shelf(platform, one.on(WAREHOUSE), WAREHOUSE)
    yield from _of_ledger(one)
    for source in backed_up(platform):
        yield from _of_database(platform, one, source, days)


def _of_shelf(platform: Platform, one: Archive, shelf: Shelf) -> Iterator[Needed]:
    days = keep_days(settings(platform), shelf)
    ids = one.ids()
    gone = set(expired(ids, platform.clock(), days, partial(is_good, one)))
    for id_ in ids:
        if id_ in gone:
            continue
        until = None if id_ == ids[-1] else made_at(id_) + timedelta(days=days)
        for key in (shelf.manifest_key(id_), *one.reader.list(shelf.key(id_, "").rstrip("/"))):
            yield Needed(key, until)


def _of_ledger(one: Archive) -> Iterator[Needed]:
    place = place_in(one)
    gone = set(inbox.going(one, place))
    keys = place.reader.list("")
    tables = {table for key in keys if (table := _table_of(key)) is not None}
    for table in tables:
        gone |= set(going(one, place, table))
    for key in keys:
        if key not in gone and (_table_of(key) is not None or place_of(key) is not None):
            yield Needed(f"{PREFIX}/{key}")


def _table_of(key: str) -> TableId | None:
    """The table whose manifest or part ``key`` is; None for a hint and for what is no table's."""
    match key.split("/"):
        case [source, table, "manifests" | "batches", *_]:
            return TableId(source, table)
    return None


def _of_database(platform: Platform, one: Archive, source: str, days: int) -> Iterator[Needed]:
    """Nothing where a lock lasts longer than any backup of the database is needed."""
    _, config = block(platform, source)
    if days >= config.keep_days + 2 * config.full_every_hours / 24:
        return
    there = Repository(one, source)
    readable = there.readable()
    gone = expired_databases(readable, platform.clock(), config.keep_days, there.is_good)
    kept = [backup for backup in readable if backup.id not in gone]
    for backup in kept:
        yield Needed(there.manifest_key(backup.id))
        yield from map(Needed, one.reader.list(objects_of(source, backup.id)))
    free = {key for segment in removable(one, source, needed_wal(kept)) for key in segment.keys}
    yield from (Needed(key) for key in one.reader.list(of_source(source)) if key not in free)
