"""Row counts, version sums and checksums of a raw table by slice, for comparisons with the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.duckdb_sql import duckdb_day, duckdb_token, parquet_files, slice_of_day
from data_platform.errors import WarehouseError
from data_platform.sql import literal, quoted
from data_platform.tables import (
    CHECKSUM_MODULUS,
    NULL_SLICE,
    VERSIONS_MODULUS,
    WHOLE_TABLE,
    Column,
    Fingerprint,
    Layout,
    Slice,
    TableId,
    Tally,
)
from data_platform.warehouses.duckdb import records

if TYPE_CHECKING:
    import duckdb


def fingerprints(
    connection: duckdb.DuckDBPyConnection,
    table: TableId,
    layout: Layout,
) -> Mapping[Slice, Fingerprint]:
    columns = _columns(connection, table, [*layout.key, *([layout.partition] if layout.partition else [])])
    if not columns:
        return {}
    token = duckdb_token([Column(name, columns[name], "") for name in layout.key], _version(layout, columns))
    return {
        slice_: Fingerprint(rows, total % CHECKSUM_MODULUS)
        for slice_, rows, total in _by_slice(connection, table, columns, token, layout)
    }


def tallies(connection: duckdb.DuckDBPyConnection, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
    columns = _columns(connection, table, [layout.partition] if layout.partition else [])
    known = _version(layout, columns)
    version = quoted(known.name) if known else "0"
    return {
        slice_: Tally(rows, total % VERSIONS_MODULUS)
        for slice_, rows, total in _by_slice(connection, table, columns, version, layout)
    }


def altered(
    connection: duckdb.DuckDBPyConnection,
    table: TableId,
    layout: Layout,
    columns: Sequence[Column],
    parts: Sequence[Path],
    slices: Sequence[Slice],
) -> Mapping[Slice, int]:
    """``Warehouse.altered``: hashes of whole rows are summed per slice on both sides. Rows are joined
    only in slices whose sums differ."""
    held = _columns(connection, table, [*layout.key, *([layout.partition] if layout.partition else [])])
    if any(c.name not in held for c in columns):
        return dict.fromkeys(slices, 0)  # a column is new: nothing here holds it yet
    kinds = {c.name: held[c.name] for c in columns}
    values = ", ".join(f"CAST({quoted(name)} AS {kind})" for name, kind in kinds.items())
    slice_ = _slice(held, layout)
    ours = f"SELECT *, {slice_} AS _slice, hash({values}) AS _hash FROM {_target(table)}"
    landed = f"SELECT *, {slice_} AS _slice, hash({values}) AS _hash FROM {parquet_files(parts)}"
    if not parts:
        landed = f"SELECT * FROM ({ours}) LIMIT 0"
    wanted = ", ".join(literal(s) for s in slices)
    sums = "SELECT _slice, count(*) AS n, sum(_hash) AS h FROM ({}) WHERE _slice IN ({}) GROUP BY _slice"
    differing = [
        row[0]
        for row in connection.execute(
            f"SELECT coalesce(w._slice, p._slice) FROM ({sums.format(ours, wanted)}) w"
            f" FULL JOIN ({sums.format(landed, wanted)}) p ON w._slice = p._slice"
            " WHERE (w.n, w.h) IS DISTINCT FROM (p.n, p.h) ORDER BY 1"
        ).fetchall()
    ]
    version = _version(layout, kinds)
    if not differing or not layout.key or version is None:
        return {Slice(name): 0 for name in differing}
    same = " AND ".join(f"w.{quoted(c)} = p.{quoted(c)}" for c in [*layout.key, version.name])
    found = connection.execute(
        f"SELECT p._slice, count(*) FROM ({ours}) w JOIN ({landed}) p ON {same} WHERE w._hash <> p._hash"
        f" AND p._slice IN ({', '.join(literal(s) for s in differing)}) GROUP BY 1"
    ).fetchall()
    return {Slice(name): 0 for name in differing} | {Slice(name): rows for name, rows in found}


def _columns(connection: duckdb.DuckDBPyConnection, table: TableId, needed: Sequence[str]) -> dict[str, str]:
    """The raw table's columns; empty where there is no table. ``WarehouseError`` for one that is not there."""
    columns = records.columns(connection, table.raw_schema, table.table)
    missing = [name for name in needed if name not in columns] if columns else []
    if missing:
        raise WarehouseError(
            f"The raw table {table.raw_name} has no column {', '.join(missing)}, which the catalog names as"
            f" key or partition of {table}. Run `sync --refresh {table}`."
        )
    return columns


def _by_slice(
    connection: duckdb.DuckDBPyConnection,
    table: TableId,
    columns: Mapping[str, str],
    value: str,
    layout: Layout,
) -> list[tuple[Slice, int, int]]:
    """(slice, rows, sum of ``value``); a day is named once a group, not once a row."""
    if not columns:
        return []
    day = _day(columns, layout) or "NULL::DATE"
    rows = connection.execute(
        f"SELECT {slice_of_day('d')}, n, s"
        f" FROM (SELECT {day} AS d, count(*) AS n, sum({value}) AS s FROM {_target(table)} GROUP BY 1)"
    ).fetchall()
    other = NULL_SLICE if layout.partition else WHOLE_TABLE
    return [(Slice(name or other), n, int(total or 0)) for name, n, total in rows]


def _slice(columns: Mapping[str, str], layout: Layout) -> str:
    day = _day(columns, layout)
    return f"coalesce({slice_of_day(day)}, {literal(NULL_SLICE)})" if day else literal(WHOLE_TABLE)


def _day(columns: Mapping[str, str], layout: Layout) -> str | None:
    """A row's DATE; None in a table without a partition."""
    name = layout.partition
    return duckdb_day(Column(name, columns[name], ""), layout.timezone) if name else None


def _version(layout: Layout, columns: Mapping[str, str]) -> Column | None:
    """The column of a row's version, where the table has one."""
    name = layout.version
    return Column(name, columns[name], "") if name is not None and name in columns else None


def _target(table: TableId) -> str:
    return f"{quoted(table.raw_schema)}.{quoted(table.table)}"
