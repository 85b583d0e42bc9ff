"""Columns that are found in the rows themselves, held to those that landed before. Pure.

A field that no row of a step has, or whose values would do with a narrower type this time, is no change of the
table. So a batch has every column that landed, and loads never meet one without.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from data_platform.column_types import holds
from data_platform.sources.reading import ClearColumn, Described
from data_platform.sync.shape import source_type_of, treatment
from data_platform.tables import RULE_PREFIX, Column

_BASES = {
    "BOOLEAN": "bool",
    "SMALLINT": "int2",
    "INTEGER": "int4",
    "BIGINT": "int8",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "UUID": "uuid",
    "BLOB": "bytea",
}
"""By which a name is judged to be personal; documents were judged by what is in them when they landed."""


def with_landed(now: Described, landed: Sequence[Column], only: Collection[str]) -> Described:
    """``now`` with the ``landed`` columns first, in their order: those that it lacks as NULLs, but for what the
    catalog leaves out by ``only``, and those with a narrower type as the type that landed."""
    if not now.from_rows:
        return now
    found = {column.name: column for column in now.columns}
    own = {column.name for column in now.own}
    columns = []
    for column in landed:
        if column.name in found:
            columns.append(_as_landed(found.pop(column.name), column))
        elif _is_the_sources(column.name, only) and column.name not in own:
            columns.append(_absent(column))
    columns += found.values()
    names = dict.fromkeys([*now.column_names, *(column.name for column in columns)])
    return replace(now, columns=tuple(columns), column_names=tuple(names))


def _is_the_sources(name: str, only: Collection[str]) -> bool:
    return not name.startswith(RULE_PREFIX) and (not only or name in only)


def _as_landed(clear: ClearColumn, landed: Column) -> ClearColumn:
    if treatment(landed) or not holds(landed.type, clear.type):
        return clear
    value = clear.value if clear.type == landed.type else f"CAST({clear.value} AS {landed.type})"
    return clear._replace(type=landed.type, source_type=landed.source_type, value=value)


def _absent(landed: Column) -> ClearColumn:
    base = "numeric" if landed.type.startswith("DECIMAL") else _BASES.get(landed.type, "text")
    return ClearColumn(
        landed.name,
        landed.type,
        source_type_of(landed),
        True,
        f"NULL::{landed.type}",
        "NULL::VARCHAR",
        base,
    )
