"""Checks whether raw tables lie in the warehouse by the `partition` and `cluster` that the catalog names."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from data_platform.catalog import Catalog
from data_platform.findings import Finding
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse, WarehouseConfig
from data_platform.warehouses.placement import Placed
from data_platform.words import plural

CHECK = "warehouse: partition and cluster"
SHOWN = 5


def look_at_placement(
    catalog: Catalog, config: WarehouseConfig, warehouse: Warehouse, loaded: Collection[TableId]
) -> list[Finding]:
    """Of the ``loaded`` tables that the catalog still has; nothing where an engine keeps rows in no such order."""
    if not config.traits.placed:
        return []
    known = set(catalog.table_ids()).intersection(loaded)
    wanted = {table: (catalog.table(table).partition, catalog.cluster_of(table)) for table in sorted(known)}
    found = cast("Placed", warehouse).misplaced(wanted)
    if not found:
        return [Finding(CHECK, "ok", "Every raw table lies as the catalog says.")]
    named = ", ".join(map(str, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
    return [
        Finding(
            CHECK,
            "warn",
            f"{plural(len(found), 'raw table')} of the warehouse lies by another partition or cluster than the catalog says: {named}.",
            "An existing table takes it over when it is read whole: `data-platform sync --refresh <table>`.",
        )
    ]
