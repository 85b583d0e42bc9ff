"""Counts and verifies the copies of everything: from manifests, and by reading a seeded sample again.

A class of what is copied is one line of ``CLASSES``. What is read does not grow with what there is: every object was read
back when it was written, so each look reads as many objects again as the last, others each time.
"""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from data_platform.backups.archive import Archive
from data_platform.backups.copies import Copy, Counted, Place, Report
from data_platform.backups.inbox import uncopied
from data_platform.backups.manifest import LedgerHead
from data_platform.backups.mirror import copied_up_to, objects_of, place_in
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE, Shelf
from data_platform.backups.thaw import frozen
from data_platform.errors import DataPlatformError
from data_platform.landing import replaced
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.stored_parts import damage_of
from data_platform.stores import StoreConfig
from data_platform.stores.encrypted import EncryptedStore
from data_platform.sync.backup import everywhere, settings
from data_platform.sync.copied_databases import SAMPLE, Databases, Wal
from data_platform.sync.healing import REPORTED_FOR, healed_since
from data_platform.sync.platform import Platform
from data_platform.tables import TableId

WAITS_AT_MOST = timedelta(hours=3)
"""How long a delivery may wait before each archive must hold it: `backup/landing` runs each hour."""


class Copied(Protocol):
    """``name`` is what the class is called. It is in the stores that may hold backups of ``shelf``."""

    @property
    def shelf(self) -> Shelf: ...

    @property
    def name(self) -> str: ...

    def original(self, platform: Platform) -> Place:
        """Where it is that copies are made of."""

    def made(self, platform: Platform) -> bool:
        """Whether the environment copies this class at all."""

    def look(self, platform: Platform, one: Archive, chance: random.Random) -> Copy:
        """The copy in one archive."""


class Shelved:
    """Backups of the warehouse, and archives: the newest by the sizes of its objects, any of them by a sample."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.name = shelf.name

    def original(self, platform: Platform) -> Place:
        warehouse = platform.environment.warehouse
        if warehouse.traits.in_files:
            return Place("the warehouse", disk(platform.catalog.root), here=True)
        return Place("the warehouse", (warehouse.kind,))

    def made(self, platform: Platform) -> bool:
        return self.shelf is not ARCHIVE or settings(platform).archive is not None

    def look(self, platform: Platform, one: Archive, chance: random.Random) -> Copy:
        one = one.on(self.shelf)
        ids = one.ids()
        problems = [f"{key} was hidden by somebody" for key in one.covered(self.shelf.manifests)]
        if not ids:
            return Copy(one.name, False, "none yet", problems=tuple(problems))
        newest = one.manifest(ids[-1])
        problems += one.damage(newest, deep=False)
        drawn = newest if chance.random() < 0.5 else one.manifest(chance.choice(ids))
        left = frozen(one, drawn)
        cold = {placed.key for placed in left.objects} if left else set()
        objects = [object_ for object_ in drawn.objects() if object_.key not in cold]
        sample = chance.sample(objects, min(SAMPLE, len(objects)))
        for object_ in sample:
            try:
                one.check(object_, drawn.owner_of(object_.key))
                if isinstance(one.reader, EncryptedStore) and not one.reader.is_encrypted(object_.key):
                    problems.append(
                        f"{object_.key} is not encrypted: it was put before encryption was switched on"
                    )
            except DataPlatformError as error:
                problems.append(str(error))
        holds = f"{len(ids)}, the newest {newest.id}"
        if cold:
            holds += f", {len(cold)} objects frozen, last read on {one.verified_at(drawn.id):%Y-%m-%d}"
        return Copy(
            one.name,
            True,
            holds,
            len(list(newest.objects())),
            len(sample),
            sum(object_.bytes for object_ in sample),
            one.locked_until(newest.id),
            tuple(dict.fromkeys(problems)),
        )


class Landed:
    """The landing store: its ledger, or the parts. An archive holds what its newest backup says."""

    shelf = WAREHOUSE

    def __init__(self, name: str, *, parts: bool) -> None:
        self.name = name
        self._parts = parts

    def original(self, platform: Platform) -> Place:
        return place_of(platform, "the landing store", platform.environment.landing)

    def made(self, platform: Platform) -> bool:
        return settings(platform).landing or not self._parts

    def look(self, platform: Platform, one: Archive, chance: random.Random) -> Copy:
        ids = one.ids()
        if not ids:
            return Copy(one.name, False, "none yet")
        heads = [head for head in one.manifest(ids[-1]).ledger if head.sequence]
        place = place_in(one)
        mirrored = Ledger(place.reader, platform.environ)
        problems = []
        for head in heads:
            problems += self._behind(one, mirrored, head)
        batches = sum(head.sequence for head in heads)
        seen: list[tuple[int, datetime | None]] = []
        for head in chance.choices(heads, [head.sequence for head in heads], k=SAMPLE) if heads else ():
            try:
                seen += self._read(one, mirrored, head, chance, problems)
            except DataPlatformError as error:
                problems.append(str(error))
        ends = [until for _, until in seen if until is not None]
        holds = f"{batches} batches of {len(heads)} tables"
        if self._parts:
            waiting, lines = uncopied(platform.store, one, platform.clock() - WAITS_AT_MOST, chance)
            problems += lines
            holds += f", {waiting} deliveries' objects wait" if waiting else ""
        return Copy(
            one.name,
            True,
            holds,
            batches,
            len(seen),
            sum(size for size, _ in seen),
            max(ends, default=None),
            tuple(dict.fromkeys(problems)),
        )

    def _read(
        self, one: Archive, mirrored: Ledger, head: LedgerHead, chance: random.Random, problems: list[str]
    ) -> list[tuple[int, datetime | None]]:
        """Read a batch again: its manifest, and one of its parts. For each, its bytes and the end of its lock."""
        table = TableId.parse(head.table)
        sequence = chance.randint(1, head.sequence)
        manifest = mirrored.read(table, sequence)
        found = [(manifest_key(table, sequence), len(mirrored.store.read(manifest_key(table, sequence))))]
        if self._parts and sequence >= replaced.kept_from(mirrored.store, table, one.signer):
            parts = objects_of(manifest, mirrored.rewrites(table))
            for part in chance.sample(parts, min(1, len(parts))):
                damage = damage_of(mirrored.store, manifest, part)
                problems += [damage] if damage else []
                found.append((part.key, part.bytes))
        locks = mirrored.store.locks
        return [(size, locks.until(key) if locks else None) for key, size in found]

    def _behind(self, one: Archive, mirrored: Ledger, head: LedgerHead) -> list[str]:
        table = TableId.parse(head.table)
        reached = copied_up_to(one, place_in(one), table) if self._parts else mirrored.last(table)
        if reached < head.sequence:
            return [f"it holds {table} up to batch {reached} of {head.sequence}"]
        if not self._parts and mirrored.read(table, head.sequence).digest != head.digest:
            return [f"batch {head.sequence} of {table} is not the one that was backed up"]
        return []


CLASSES: tuple[Copied, ...] = (
    Shelved(WAREHOUSE),
    Landed("ledger", parts=False),
    Landed("landing", parts=True),
    Shelved(ARCHIVE),
    Databases(),
    Wal(),
)
"""A line a class."""


def count_copies(platform: Platform, seed: int) -> Report:
    """Look at every class in every archive. What cannot be read is a problem of that archive, and of no other."""
    began = time.monotonic()
    stores = {shelf: everywhere(platform, shelf) for shelf in (WAREHOUSE, ARCHIVE)}
    classes = tuple(
        Counted(
            one.name,
            one.original(platform),
            tuple(_look(one, platform, archive, seed) for archive in stores[one.shelf]),
        )
        for one in CLASSES
        if one.made(platform)
    )
    healed = healed_since(platform, platform.clock() - REPORTED_FOR)
    return Report(places(platform), classes, seed, time.monotonic() - began, healed)


def places(platform: Platform) -> dict[str, Place]:
    """By name, where the archives are."""
    return {name: place_of(platform, name, kind) for name, kind in settings(platform).stores.items()}


def place_of(platform: Platform, name: str, kind: StoreConfig) -> Place:
    said = name in settings(platform).offsite
    if folders := kind.files(platform.catalog.root):
        return Place(name, disk(folders[0]), True, said)
    return Place(name, kind.place()[:2], False, said)


def disk(path: Path) -> tuple[str, ...]:
    """The disk, or the mounted file system, that ``path`` is on or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return ("disk", str(path.stat().st_dev))


def _look(one: Copied, platform: Platform, archive: Archive, seed: int) -> Copy:
    chance = random.Random(f"{seed}/{one.name}/{archive.name}")
    try:
        return one.look(platform, archive, chance)
    except DataPlatformError as error:
        return Copy(archive.name, False, "unknown", problems=(str(error),))
