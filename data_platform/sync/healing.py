"""Heals the landing store from the archives, and keeps a record of what was put back, which is reported."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.backups.heal import Healed, heal
from data_platform.backups.inbox import bring_back
from data_platform.backups.manifest import backup_id, is_id, made_at
from data_platform.errors import DataPlatformError
from data_platform.landing import hint
from data_platform.landing.tail import Mark
from data_platform.sync import backup
from data_platform.sync.platform import Platform
from data_platform.tables import TableId

FOLDER = "_healed"
NAMED_MAX = 20
REPORTED_FOR = timedelta(days=7)
"""How long what was put back is reported."""


@dataclass(frozen=True)
class Healing:
    """A time when objects of ``table``, or of an inbox, were put back: how many, and the names of some."""

    at: datetime
    table: str
    objects: int
    named: tuple[str, ...]


def heal_table(
    platform: Platform, table: TableId, damaged: Iterable[int], loaded: Mark | None = None
) -> Healed:
    """Put back what the landing store lost of ``table`` (``backups.heal``), and record it. ConfigurationError
    without backups."""
    found = heal(platform.ledger, backup.archives(platform), table, damaged, loaded)
    _record(platform, str(table), found)
    return found


def heal_inboxes(platform: Platform, sources: Collection[str]) -> Healed:
    """Put back the deliveries to ``sources`` that the landing store lost before a table took them, and record it. Do it once the
    ledgers are whole: they say what was taken."""
    tables = [table for table in platform.catalog.table_ids() if table.source in sources]
    found: list[tuple[str, str]] = []
    failed: list[str] = []
    for archive in backup.archives(platform):
        try:
            back = bring_back(archive, platform.ledger, platform.store, tables)
            found += [(key, archive.name) for key in back.objects]
            failed += back.damaged
        except DataPlatformError as error:
            failed.append(f"{archive.name}: {error}")
    healed = Healed(tuple(found), failed=tuple(failed))
    _record(platform, "an inbox", healed)
    return healed


def _record(platform: Platform, what: str, found: Healed) -> None:
    if not found.objects:
        return
    id_ = backup_id(platform.clock(), uuid.uuid4().hex)
    fields = {
        "table": what,
        "objects": len(found.objects),
        "named": [f"{key} (from {archive})" for key, archive in found.objects[:NAMED_MAX]],
    }
    hint.write(platform.store, f"{FOLDER}/{id_}.json", fields, platform.signer)


def newest_healing(platform: Platform) -> str | None:
    """A name that grows with each time something was put back; one listing."""
    return max(platform.store.list(FOLDER), default=None)


def healed_since(platform: Platform, since: datetime) -> tuple[str, ...]:
    """A line for each object that was put back at or after ``since``; no more than some of each time."""
    return tuple(
        f"{name} of {one.table}, on {one.at:%Y-%m-%d %H:%M} UTC"
        for one in healings(platform, since)
        for name in one.named
    )


def healings(platform: Platform, since: datetime) -> list[Healing]:
    """What was put back at or after ``since``, oldest first."""
    found = []
    for key in platform.store.list(FOLDER):
        id_ = key.rsplit("/", 1)[-1].removesuffix(".json")
        if is_id(id_) and made_at(id_) >= since and (raw := hint.read(platform.store, key, platform.signer)):
            found.append(Healing(made_at(id_), raw["table"], raw["objects"], tuple(raw["named"])))
    return found
