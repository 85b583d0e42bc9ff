"""A row's slice as DuckDB SQL, as one expression."""

from __future__ import annotations

from data_platform.duckdb_sql import duckdb_day, slice_of_day
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Column


def duckdb_slice(partition: Column | None, timezone: str) -> str:
    """The slice of a row as VARCHAR: its day, ``null``, or ``all`` in a table without partition."""
    if partition is None:
        return f"'{WHOLE_TABLE}'"
    return f"coalesce({slice_of_day(duckdb_day(partition, timezone))}, '{NULL_SLICE}')"
