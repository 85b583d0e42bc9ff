"""Copies of a source's database: its backups with what each is built on, and its WAL without a gap."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime

from data_platform.backups.archive import Archive
from data_platform.backups.copies import Copy, Place
from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.wal import WalArchive, wal_archives
from data_platform.backups.shelf import WAREHOUSE
from data_platform.errors import DataPlatformError
from data_platform.sync import wal
from data_platform.sync.database_backup import external
from data_platform.sync.platform import Platform

SAMPLE = 12
"""Objects that are read again, of each class in each archive."""


class Databases:
    """The newest backup of each source by the sizes of its chain's objects, any of them by a sample."""

    name = "database"
    shelf = WAREHOUSE

    def original(self, platform: Platform) -> Place:
        return Place("the source's server", ("server",))

    def made(self, platform: Platform) -> bool:
        return bool(list(_sources(platform)))

    def look(self, platform: Platform, one: Archive, chance: random.Random) -> Copy:
        problems, newest, read, size, objects = list[str](), list[str](), 0, 0, 0
        ends = list[datetime]()
        missing = False
        for source in _sources(platform):
            if (elsewhere := external(platform, source)) is not None:
                newest.append(f"{source} only in {elsewhere.place}")
                missing = True
                continue
            there = Repository(one, source)
            ids = there.ids()
            if not ids:
                missing = True
                continue
            last = there.backup(ids[-1])
            newest.append(f"{source} {last.id}")
            for link in there.chain(last):
                problems += there.damage(link, deep=False)
                objects += len(link.objects)
            drawn = last if chance.random() < 0.5 else there.backup(chance.choice(ids))
            for object_ in chance.sample(drawn.objects, min(SAMPLE, len(drawn.objects))):
                read, size = read + 1, size + object_.bytes
                try:
                    one.check(object_, there.owner(drawn))
                except DataPlatformError as error:
                    problems.append(str(error))
                if one.reader.locks and (until := one.reader.locks.until(object_.key)):
                    ends.append(until)
        return Copy(
            *(one.name, bool(newest) and not missing, ", ".join(newest) or "none yet", objects, read, size),
            *(max(ends, default=None), tuple(dict.fromkeys(problems))),
        )


class Wal:
    """The WAL of each source: no gap after its newest good backup, and a sample of segments."""

    name = "wal"
    shelf = WAREHOUSE

    def original(self, platform: Platform) -> Place:
        return Place("the source's server", ("server",))

    def made(self, platform: Platform) -> bool:
        return bool(wal.received(platform))

    def look(self, platform: Platform, one: Archive, chance: random.Random) -> Copy:
        problems, holds, read, size, count = list[str](), list[str](), 0, 0, 0
        ends = list[datetime]()
        missing = False
        for source in wal.received(platform):
            found = [(kept, segment) for kept in wal_archives(one, source) for segment in _segments(kept)]
            missing |= not found
            count += len(found)
            holds += [f"{source} {len(found)} segments"] if found else []
            problems += _gaps(one, source)
            for kept, segment in chance.sample(found, min(SAMPLE, len(found))):
                try:
                    record = kept.record(segment)
                    with kept.plain(record):
                        read, size = read + 1, size + record.object.bytes
                    if one.reader.locks and (until := one.reader.locks.until(record.object.key)):
                        ends.append(until)
                except DataPlatformError as error:
                    problems.append(str(error))
        return Copy(
            *(one.name, bool(holds) and not missing, ", ".join(holds) or "none yet", count, read, size),
            *(max(ends, default=None), tuple(dict.fromkeys(problems))),
        )


def _sources(platform: Platform) -> Iterator[str]:
    for source in platform.catalog.sources.values():
        if source.backups and source.backups.database:
            yield source.name


def _segments(kept: WalArchive) -> Iterator[Segment]:
    for timeline in kept.timelines():
        stored = kept.stored(timeline)
        yield from (Segment(timeline, number, stored.size) for number in sorted(stored.whole))


def _gaps(one: Archive, source: str) -> list[str]:
    newest = Repository(one, source).newest_good()
    if newest is None or newest.start is None:
        return []
    found = WalArchive(one, source, newest.system).coverage(newest.timeline, newest.start)
    return [f"WAL of {source} after the backup {newest.id} lacks {found.gap}"] if found.gap else []
