"""What each column holds of a person, in the warehouse: `governance.columns`, for people and for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from data_platform.governance.classes import ClassedColumn, Classes
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import GOVERNANCE_SCHEMA, JournalTable, Row, Value, keep, read

COLUMNS = JournalTable(
    "columns",
    {
        "schema_name": "text", "table_name": "text", "column_name": "text", "class": "text", "treatment": "text",
        "source_columns": "text", "said_by": "text", "recorded_at": "timestamp",
    },
    schema=GOVERNANCE_SCHEMA,
)  # fmt: skip
"""``column_name`` is a path for a value within JSON documents. ``source_columns`` are joined by a comma. ``said_by``: ``catalog``, a
model's ``model``, or ``lineage``."""


def keep_columns(warehouse: Warehouse, found: Classes, now: datetime) -> int:
    """Replace what `governance.columns` says by ``found``; how many rows were written. None where it says the same already."""
    rows = [_row(one, now) for one in found.columns]
    held = read(warehouse, COLUMNS)
    if _facts(held) == _facts(rows):
        return 0
    schemas = sorted({str(row["schema_name"]) for row in [*held, *rows]})
    keep(warehouse, COLUMNS, rows, replacing={"schema_name": schemas})
    return len(rows)


def _row(one: ClassedColumn, now: datetime) -> Row:
    return {
        "schema_name": one.schema,
        "table_name": one.table,
        "column_name": one.label,
        "class": one.class_,
        "treatment": one.treatment,
        "source_columns": ", ".join(one.sources),
        "said_by": "catalog" if one.treatment else "model" if one.declared else "lineage",
        "recorded_at": now,
    }


def _facts(rows: list[dict[str, Value]] | list[Row]) -> list[tuple[str, ...]]:
    def text(row: Mapping[str, Value]) -> tuple[str, ...]:
        return tuple(str(row[name] or "") for name in COLUMNS.columns if name != "recorded_at")

    return sorted(map(text, rows))
