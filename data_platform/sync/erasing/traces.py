"""What rows leave behind when they were deleted: samples of checks, a file's free space, the publication, copies of what landed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import mirror, place_in
from data_platform.quality.failures import TABLE as FAILURES
from data_platform.sync import publish as publishing
from data_platform.sync.backup import archives
from data_platform.sync.erasing.copying import copy_decisions
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import keep, read

Said = dict[str, Any]


def forget_samples(warehouse: Warehouse) -> int:
    """Delete the rows that checks showed as failing, and return how many they were. The next evaluation finds those that still fail."""
    rows = read(warehouse, FAILURES)
    if rows:
        keep(
            warehouse,
            FAILURES,
            [],
            replacing={"table_name": sorted({str(row["table_name"]) for row in rows})},
        )
    return len(rows)


def write_again(platform: Platform) -> Said:
    """Make deleted rows of the warehouse unreadable, and the publication of what is left."""
    said: Said = {"warehouse": platform.environment.warehouse.forget(platform.catalog.root)}
    if platform.environment.publish is not None and publishing.is_there(platform):
        publishing.place(platform).unlink()  # what it holds of the last one would be copied over
        publishing.publish(platform)
        said["publication"] = "was made anew"
    return said


def to_copies(platform: Platform, tables: Sequence[TableId]) -> Said:
    """The landing store's copies lose the parts that were replaced, and get what was decided about people and rows."""
    said: Said = {}
    for archive in archives_of(platform):
        done = mirror(platform.ledger, archive, tables)
        copy_decisions(platform, place_in(archive))
        said[archive.name] = {"parts": done.parts}
    return said


def archives_of(platform: Platform) -> Sequence[Archive]:
    return archives(platform) if platform.environment.backups is not None else ()
