"""The source tables as external assets: in the graph for their lineage, never run."""

from __future__ import annotations

import dagster as dg

from data_platform.catalog import Catalog, Source, Table
from data_platform.defs import shown
from data_platform.defs.names import TABLE_READS, TOUCHED_SLICES, raw_key, source_group, source_key
from data_platform.sources.kind import Kind
from data_platform.warehouses import PLATFORM_SCHEMA, WarehouseConfig

DELETES = {
    "refresh": "detected when the whole table is read",
    "slices": "detected when the source is compared with the warehouse",
    "events": "read together with the changes",
}
DAYS = {True: "can be read separately", False: "cannot be read separately"}
PROOF = {"counted": "the source counts its rows", "none": "the source offers none"}


def source_assets(source: Source) -> dg.AssetsDefinition:
    """One definition for all tables: one per table would cost every job the time of another asset."""
    kind = source.of_kind
    return dg.AssetsDefinition(specs=[_spec(source, kind, table) for table in source.tables.values()])


def _spec(source: Source, kind: Kind, table: Table) -> dg.AssetSpec:
    place = table.settings.place
    metadata = {"kind": kind.title, "deletes": DELETES[table.can.deletes], "days": DAYS[table.can.slices]}
    metadata["proof"] = PROOF[table.can.proof]
    metadata["dagster/table_name" if table.settings.in_sql else "place"] = place
    return dg.AssetSpec(
        source_key(table.id),
        description=shown.description(table.description or f"{place} of {kind.title}"),
        group_name=source_group(source.name),
        owners=owners(table.owner),
        kinds={source.kind},
        metadata=metadata,
    )


def owners(owner: str | None) -> list[str]:
    """Dagster takes e-mail addresses and ``team:name``."""
    return [owner] if owner else []


def platform_specs(catalog: Catalog, warehouse: WarehouseConfig) -> list[dg.AssetSpec]:
    """The records that each load writes about itself, which models read."""
    return [
        dg.AssetSpec(
            TOUCHED_SLICES,
            # a load of a table without days says nothing that an incremental model could ask for
            deps=[raw_key(table) for table in catalog.table_ids() if catalog.table(table).partition],
            description="One row for each load and each slice of a raw table in which it added, changed or removed rows."
            " Written in the transaction of the load.",
            group_name="platform",
            kinds={warehouse.kind},
            metadata={"dagster/table_name": f"{PLATFORM_SCHEMA}.touched_slices"},
        ),
        dg.AssetSpec(
            TABLE_READS,
            description="One row for each table, with the instant up to which it was read at its source.",
            group_name="platform",
            kinds={warehouse.kind},
            metadata={"dagster/table_name": f"{PLATFORM_SCHEMA}.table_reads"},
        ),
    ]
