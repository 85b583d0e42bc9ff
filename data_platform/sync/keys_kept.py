"""The copies of the keystore, and rows that were sealed under the key of nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_platform.audit.event import Event
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.keystore.copies import Copied, Copy, copies, make, opens
from data_platform.privacy.seal import NOBODY, PREFIX
from data_platform.sync.platform import Platform
from data_platform.sync.reveal import sealed_columns
from data_platform.tables import TableId
from data_platform.warehouses.counted import count_rows

NO_FOLDER = (
    "The keystore of the environment {} has no `backups`. Name a folder under `keystore: {{backups: {{path: ...}}}}` in"
    " catalog/platform.yaml."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """The ``copies``, oldest first. ``opened`` are the keys that were opened of the newest, ``problem`` is why it does not open."""

    copies: tuple[Copy, ...]
    opened: int = 0
    problem: str | None = None


def copy(platform: Platform) -> Copied:
    """Copy the keystore by its rule, and record it. ConfigurationError without a rule, KeystoreUnreachable where it fails."""
    config = platform.environment.keystore
    keystore = platform.keystore()
    if config is None or config.backups is None:
        raise ConfigurationError(NO_FOLDER.format(platform.environment.name))
    made = make(keystore, config.backups, platform.catalog.root, platform.clock())
    record(platform, "copied", made.subjects)
    return made


def kept(platform: Platform) -> Kept:
    """What copies there are, and whether the newest opens under the master."""
    config = platform.environment.keystore
    rule = config.backups if config is not None else None
    found = tuple(copies(platform.catalog.root / rule.path)) if rule is not None else ()
    if not found:
        return Kept(())
    try:
        return Kept(found, opens(platform.keystore(), found[-1].path))
    except DataPlatformError as error:
        return Kept(found, problem=str(error))


def record(platform: Platform, what: str, keys: int) -> None:
    """Add to the audit trail what was done with so many ``keys``."""
    name = platform.environment.name
    platform.trail.record(Event("keystore", (name,), details={"what": what, "keys": keys}))


def of_nobody(platform: Platform) -> Mapping[TableId, int]:
    """Rows with a value under the key of nobody, since their subject column is NULL, for each raw table that seals and is there."""
    catalog = platform.catalog
    sealing = [table for table in map(catalog.table, catalog.table_ids()) if table.seals]
    counts: dict[TableId, int] = {}
    if not sealing or not platform.environment.warehouse.exists(catalog.root):
        return counts
    with platform.warehouse(read_only=True) as warehouse:
        known = {(one.schema, one.name): one for one in warehouse.describe()}
        quote = warehouse.dialect.quote
        for table in sealing:
            held = known.get((table.id.raw_schema, table.id.table))
            there = {name for name, _ in held.columns} if held is not None else set()
            needles = [
                f"{quote(name)} LIKE '%{PREFIX}{NOBODY}%'"
                for name in sealed_columns(platform, table)
                if name in there
            ]
            if needles:
                raw = table.id
                counts[raw] = count_rows(warehouse, raw.raw_schema, raw.table, " OR ".join(needles))
    return counts
