"""Every class of backup there is: when it runs, how long it is kept, what it takes, what there is of it.

A class is one line of ``CLASSES``. `backup plan` and `backup list` show all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from math import ceil
from statistics import fmean
from typing import Protocol

from data_platform.backups.archive import Archive
from data_platform.backups.config import COLD, ArchiveSettings
from data_platform.backups.database.retention import succeeded_at
from data_platform.backups.manifest import made_at
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE, Shelf
from data_platform.catalog.cron import upcoming
from data_platform.errors import DataPlatformError
from data_platform.sync.backup import archives, everywhere, keep_days, settings
from data_platform.sync.database_backup import backed_up, block, external, listed, own_repository
from data_platform.sync.platform import Platform

LAST = 3
"""How many of the last backups an estimate is made from."""
COUNTED_AT_MOST = 100_000


@dataclass(frozen=True)
class Planned:
    """One thing that runs by a schedule. ``kept_days`` is None where nothing is kept; ``bytes`` is what the last ones took in
    one archive, None where there is none yet or where nothing is kept."""

    name: str
    act: str
    schedule: str
    stores: tuple[str, ...]
    kept_days: int | None = None
    bytes: int | None = None
    note: str = ""
    """What does not hold for it, though it does for the others."""

    def next(self, now: datetime) -> datetime:
        return next(upcoming(self.schedule, now))

    def kept_until(self, now: datetime) -> datetime | None:
        """Until when the next one is kept."""
        return None if self.kept_days is None else self.next(now) + timedelta(days=self.kept_days)

    def count(self, now: datetime) -> int:
        """How many are kept in each archive, once the first is old enough to go."""
        until = self.kept_until(now)
        if until is None:
            return 0
        times = takewhile(lambda at: at < until, upcoming(self.schedule, now))
        return sum(1 for _, _ in zip(times, range(COUNTED_AT_MOST), strict=False))

    def bytes_in_all(self, now: datetime) -> int | None:
        """What all of them take in all archives by then, if they stay as large."""
        return None if self.bytes is None else self.bytes * self.count(now) * len(self.stores)


@dataclass(frozen=True)
class Held:
    """A backup that is there. ``stored`` are the archives that hold it; ``bytes`` is None if its manifest cannot be read. ``kept_until``
    is when its rule removes it, as far as that is known now; None where no rule does."""

    name: str
    id: str
    made_at: datetime
    stored: tuple[str, ...]
    bytes: int | None = None
    kept_until: datetime | None = None


class BackupClass(Protocol):
    """``name`` is what the class is called in `backup plan` and `backup list`."""

    @property
    def name(self) -> str: ...

    def plan(self, platform: Platform) -> list[Planned]:
        """What runs; empty where the environment does not make backups of this class."""

    def held(self, platform: Platform, copy: str | None) -> list[Held]:
        """What there is, in the archive ``copy`` or in all of them."""


@dataclass(frozen=True)
class Shelved:
    """A class whose backups lie on a shelf of each archive."""

    shelf: Shelf

    @property
    def name(self) -> str:
        return self.shelf.name

    def plan(self, platform: Platform) -> list[Planned]:
        config = settings(platform)
        times = config.archive if self.shelf is ARCHIVE else config
        if times is None:
            return []
        stores = archives(platform, self.shelf)
        names = tuple(one.name for one in stores)
        kept = keep_days(config, self.shelf)
        usual = usual_bytes(stores)
        rows = [
            Planned(self.name, "backup", times.schedule, names, kept, usual),
            Planned(self.name, "drill", times.drill_schedule, names),
        ]
        if self.shelf is WAREHOUSE:
            rows.append(Planned("landing store", "copy", config.landing_schedule, names))
        if isinstance(times, ArchiveSettings) and times.cold is not None:
            rows.append(Planned(self.name, "cold copy", times.cold.schedule, (COLD,), kept, usual))
        return rows

    def held(self, platform: Platform, copy: str | None) -> list[Held]:
        kept = timedelta(days=keep_days(settings(platform), self.shelf))
        stores = [one for one in everywhere(platform, self.shelf) if copy in (None, one.name)]
        found = {one.name: set(one.ids()) for one in stores}
        sizes: dict[str, int | None] = {}
        for one in stores:
            new = sorted(found[one.name] - {id_ for id_, size in sizes.items() if size is not None})
            sizes |= zip(new, one.reader.together([partial(_bytes, one, id_) for id_ in new]), strict=True)
        return [
            Held(
                self.name,
                id_,
                made_at(id_),
                tuple(name for name, ids in found.items() if id_ in ids),
                sizes[id_],
                made_at(id_) + kept,
            )
            for id_ in sorted(sizes, reverse=True)
        ]


class Databases:
    """The sources' own databases: a row for each source that says how its database is backed up."""

    name = "database"

    def plan(self, platform: Platform) -> list[Planned]:
        rows = []
        stores = tuple(one.name for one in archives(platform))
        for source in backed_up(platform):
            name, (_, config) = f"{self.name} {source}", block(platform, source)
            try:
                sizes = [one.backup.bytes for one in listed(platform, source)[:LAST]]
            except DataPlatformError:
                sizes = []
            usual = round(fmean(sizes)) if sizes else None
            outside = external(platform, source)
            where = stores if outside is None else (outside.title,)
            note = own_repository(platform, source)
            rows.append(Planned(name, "backup", config.cron, where, ceil(config.keep_days), usual, note))
            rows.append(Planned(name, "drill", config.drill_schedule, where))
        if rows:
            whole = settings(platform).everything
            rows.append(Planned("everything", "drill", whole.drill_schedule, stores))
        return rows

    def held(self, platform: Platform, copy: str | None) -> list[Held]:
        only = [one for one in archives(platform) if copy in (None, one.name)]
        rows = []
        for source in backed_up(platform):
            _, config = block(platform, source)
            newest_first = listed(platform, source, only)
            backups, planned = (
                [one.backup for one in newest_first],
                next(upcoming(config.cron, platform.clock())),
            )
            for one in newest_first:
                until = succeeded_at(one.backup, backups, planned) + timedelta(days=config.keep_days)
                name = f"{self.name} {source}"
                rows.append(
                    Held(name, one.backup.id, one.backup.ended_at, one.stored, one.backup.bytes, until)
                )
        return rows


class Upkeep:
    """What runs daily over all classes: it makes no backup."""

    name = "all classes"

    def plan(self, platform: Platform) -> list[Planned]:
        config = settings(platform)
        stores = tuple(one.name for one in archives(platform))
        rows = [Planned(self.name, "copies counted", config.copies_schedule, stores)]
        if (tiers := config.tiers) is not None:
            act = "cheaper storage classes" if tiers.apply else "cheaper storage classes (only listed)"
            tiered = tuple(name for name in stores if config.stores[name].tiered)
            landing = ("landing",) if platform.environment.landing.tiered else ()
            rows.append(Planned(self.name, act, tiers.schedule, (*landing, *tiered)))
        return rows

    def held(self, platform: Platform, copy: str | None) -> list[Held]:
        return []


CLASSES: tuple[BackupClass, ...] = (Shelved(WAREHOUSE), Shelved(ARCHIVE), Databases(), Upkeep())
"""A line a class."""


def plan(platform: Platform) -> list[Planned]:
    return [row for one in CLASSES for row in one.plan(platform)]


def held(platform: Platform, copy: str | None = None) -> list[Held]:
    """The newest first, class by class."""
    return [row for one in CLASSES for row in one.held(platform, copy)]


def _bytes(one: Archive, id_: str) -> int | None:
    try:
        return one.manifest(id_).bytes
    except DataPlatformError:
        return None


def usual_bytes(stores: Iterable[Archive]) -> int | None:
    """The mean size of the last backups of the first archive that can be read and has any."""
    for one in stores:
        try:
            sizes = [one.manifest(id_).bytes for id_ in one.ids()[-LAST:]]
        except DataPlatformError:
            continue
        if sizes:
            return round(fmean(sizes))
    return None
