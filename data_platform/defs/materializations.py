"""The metadata, tags and preview of a batch in the graph. Reads, never writes.

The preview shows landed values: personal columns are masked before anything lands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
)

from data_platform.catalog import Table
from data_platform.defs import shown
from data_platform.defs.classes import described_as
from data_platform.defs.names import CLASS_TAG, SEQUENCE_TAG, TREATMENT_TAG
from data_platform.landing.manifest import Manifest
from data_platform.privacy.classes import Classed, classed_columns, joined
from data_platform.tables import BATCH_ID, NOT_PERSONAL, Position, TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.counted import count_rows
from data_platform.warehouses.dialect import relation

PREVIEW_ROWS = 5
SLICES_SHOWN = 20


def batch_metadata(manifest: Manifest, table: Table) -> dict[str, Any]:
    """The visible facts about a batch: its size, its range and its number."""
    latest = {str(slice_): rows for slice_, rows in sorted(manifest.touched.items())[-SLICES_SHOWN:]}
    classed = classed_columns(table.personal, [column.name for column in manifest.columns])
    metadata: dict[str, Any] = {
        "operation": manifest.operation,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "batch_id": manifest.batch_id,
        "snapshot_taken_at": manifest.snapshot.taken_at,
        "watermark_before": position_text(manifest.position_before),
        "watermark_after": position_text(manifest.position_after),
        "slices_touched": len(manifest.touched),
        "latest_slices": dg.MetadataValue.json(latest),
        "dagster/table_name": manifest.table.raw_name,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=column.name,
                    type=column.type,
                    description=shown.description(
                        described_as(_column_description(column.name, column.source_type, table), tags)
                    ),
                    constraints=dg.TableColumnConstraints(nullable=column.nullable),
                    tags=tags,
                )
                for column in manifest.columns
                for tags in [_column_tags(column.name, table, classed)]
            ]
        ),
    }
    if manifest.notes:
        metadata["notes"] = shown.lines("note", manifest.notes)
    return metadata


def batch_tags(manifest: Manifest) -> dict[str, str]:
    return {SEQUENCE_TAG: str(manifest.sequence)}


def version_tags(manifest: Manifest) -> dict[str, str]:
    """The data version, for materializations that are not outputs of an op. Downstream assets run if
    the version of a table changes, not if the table was only checked."""
    return {DATA_VERSION_TAG: manifest.batch_id, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}


def position_text(position: Position | None) -> str:
    return "none" if position is None else position.text


def table_metadata(warehouse: Warehouse, table: TableId, batch_id: str | None) -> dict[str, Any]:
    """The current row count of the raw table, and a few rows of the batch (of the table if the batch has none left)."""
    dialect = warehouse.dialect
    name = relation(dialect, table.raw_schema, table.table)
    rows = count_rows(warehouse, table.raw_schema, table.table)
    sql = f"SELECT * FROM {name}"
    # as a literal: a parameter makes the engine's module import pandas, for 0.6 CPU-s and its memory
    wanted = f"{dialect.quote(BATCH_ID)} = {dialect.literal(batch_id)}" if batch_id is not None else "1 = 0"
    sample = warehouse.query(f"{sql} WHERE {wanted} LIMIT {PREVIEW_ROWS}", limit=PREVIEW_ROWS)
    if not sample.rows:
        sample = warehouse.query(f"{sql} LIMIT {PREVIEW_ROWS}", limit=PREVIEW_ROWS)
    return {
        "dagster/row_count": rows,
        "preview": shown.table(sample.columns, sample.rows),
    }


def _column_tags(name: str, table: Table, classed: Mapping[str, Classed]) -> dict[str, str]:
    """The class of the column, and its treatment."""
    found = joined(classed.get(name, {}).values())
    tags = {CLASS_TAG: found} if found else {}
    return tags | ({TREATMENT_TAG: table.personal[name]} if name in table.personal else {})


def _column_description(name: str, source_type: str, table: Table) -> str:
    treatment = table.personal.get(name)
    origin = f"At the source: {source_type}"
    if treatment == NOT_PERSONAL:
        origin += "; not personal, though its name looks so"
    elif treatment and treatment != "keep":
        origin += f"; personal: {treatment}"
    described = table.columns.get(name, "").strip()
    if described and described[-1] not in ".!?":
        described += "."
    return f"{described} {origin}.".strip()
