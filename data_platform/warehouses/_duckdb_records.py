"""What a DuckDB warehouse knows of itself: which batches are loaded, what they touched, its columns.

Values stand in the statements as quoted literals. Binding a single one makes the
DuckDB module import pandas and pyarrow to look for their types: 2.5 CPU-seconds,
more than the rest of a sync that finds nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.fingerprint import literal
from data_platform.tables import Slice, TableId
from data_platform.warehouses import PLATFORM_SCHEMA, LoadableBatch, LoadedBatch

if TYPE_CHECKING:
    import duckdb

WRITING = threading.Lock()
"""Held by who writes. The file keeps other processes out, but not a second thread: both would find a batch not loaded
yet, and inserts alone never conflict, so that its new rows would stand there twice; updates of one row do conflict."""

_LOADED = f"{PLATFORM_SCHEMA}.loaded_batches"
_TOUCHED = f"{PLATFORM_SCHEMA}.touched_slices"
_READS = f"{PLATFORM_SCHEMA}.table_reads"
_EVALUATED = f"{PLATFORM_SCHEMA}.evaluated_rules"

CREATE = f"""
CREATE SCHEMA IF NOT EXISTS {PLATFORM_SCHEMA};
CREATE TABLE IF NOT EXISTS {_LOADED} (
    source VARCHAR, "table" VARCHAR, sequence BIGINT, batch_id VARCHAR, digest VARCHAR, loaded_at TIMESTAMPTZ,
    operation VARCHAR, rows_inserted BIGINT, rows_deleted BIGINT, snapshot_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS {_READS} (
    source VARCHAR, "table" VARCHAR, read_at TIMESTAMPTZ, reconciled_at TIMESTAMPTZ, lost_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS {_TOUCHED} (
    source VARCHAR, "table" VARCHAR, slice VARCHAR, sequence BIGINT, rows BIGINT, loaded_at TIMESTAMPTZ);
"""
_CREATE_EVALUATED = f"""
CREATE TABLE IF NOT EXISTS {_EVALUATED} (source VARCHAR, "table" VARCHAR, sequence BIGINT, evaluated VARCHAR);
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing, in a warehouse of an earlier version too."""
    connection.execute(CREATE)
    if "snapshot_at" not in columns(connection, PLATFORM_SCHEMA, "loaded_batches"):
        connection.execute(f"ALTER TABLE {_LOADED} ADD COLUMN snapshot_at TIMESTAMPTZ")


def columns(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, str]:
    """Names and types of a relation's columns, in order; empty when there is none."""
    return dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database()"
            f" AND schema_name = {literal(schema)} AND table_name = {literal(name)} ORDER BY column_index"
        ).fetchall()
    )


def newest(connection: duckdb.DuckDBPyConnection, table: TableId | None = None) -> list[LoadedBatch]:
    """The newest loaded batch of ``table``, or of every table."""
    return _batches(
        connection,
        f'{_where(table)} QUALIFY row_number() OVER (PARTITION BY source, "table" ORDER BY sequence DESC) = 1'
        ' ORDER BY source, "table"',
    )


def at(connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int) -> LoadedBatch | None:
    """The batch loaded as ``sequence``; None when that one was never loaded."""
    found = _batches(connection, f"{_where(table)} AND sequence = {int(sequence)}")
    return found[0] if found else None


def changed_since(connection: duckdb.DuckDBPyConnection, table: TableId) -> Mapping[Slice, int]:
    rows = _rows(connection, f"SELECT slice, max(sequence) FROM {_TOUCHED} {_where(table)} GROUP BY slice")
    return {Slice(slice_): sequence for slice_, sequence in rows}


def record(
    connection: duckdb.DuckDBPyConnection,
    batch: LoadableBatch,
    inserted: int,
    deleted: int,
    touched: str,
    *,
    lost: bool = False,
) -> None:
    """Write down a load, in its own transaction; ``touched`` names a table of (slice, touched), ``lost``
    says that keys went which the batch did not bring back."""
    table = f"{literal(batch.table.source)}, {literal(batch.table.table)}"
    sequence, loaded_at = int(batch.sequence), f"{literal(batch.committed_at)}::TIMESTAMPTZ"
    connection.execute(
        f'INSERT INTO {_LOADED} (source, "table", sequence, batch_id, digest, loaded_at, operation,'
        f" rows_inserted, rows_deleted, snapshot_at) VALUES ({table}, {sequence}, {literal(batch.batch_id)},"
        f" {literal(batch.digest)}, {loaded_at}, {literal(batch.operation)}, {int(inserted)}, {int(deleted)},"
        f" {literal(batch.snapshot.taken_at)}::TIMESTAMPTZ)"
    )
    if batch.kind == "data":
        whole = batch.load == "replace"
        _note(
            connection,
            batch.table,
            batch.snapshot.taken_at,
            read=batch.load != "slice",
            reconciled=whole,
            lost=lost,
        )
    connection.execute(
        f"INSERT INTO {_TOUCHED} SELECT {table}, slice, {sequence}, touched, {loaded_at} FROM {touched}"
    )


def record_read(
    connection: duckdb.DuckDBPyConnection, table: TableId, snapshot_at: str, *, reconciled: bool
) -> None:
    connection.execute("BEGIN TRANSACTION")
    try:
        connection.execute(CREATE)
        _note(connection, table, snapshot_at, read=True, reconciled=reconciled, lost=False)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _note(
    connection: duckdb.DuckDBPyConnection,
    table: TableId,
    snapshot_at: str,
    *,
    read: bool,
    reconciled: bool,
    lost: bool,
) -> None:
    """Move on what is known of ``table``, by the source's own clock: greatest() passes over NULLs."""
    at = f"{literal(snapshot_at)}::TIMESTAMPTZ"
    values = {"read_at": read, "reconciled_at": reconciled, "lost_at": lost}
    moved = ", ".join(f"{name} = greatest({name}, {at})" for name, known in values.items() if known)
    new = ", ".join(at if known else "NULL" for known in values.values())
    if moved:
        connection.execute(f"UPDATE {_READS} SET {moved} {_where(table)}")
        connection.execute(
            f"INSERT INTO {_READS} SELECT {literal(table.source)}, {literal(table.table)}, {new}"
            f" WHERE NOT EXISTS (SELECT 1 FROM {_READS} {_where(table)})"
        )


def record_rules(
    connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int, evaluated: str
) -> None:
    values = f"{literal(table.source)}, {literal(table.table)}, {int(sequence)}, {literal(evaluated)}"
    connection.execute(
        f"BEGIN TRANSACTION; {_CREATE_EVALUATED} DELETE FROM {_EVALUATED} {_where(table)};"
        f" INSERT INTO {_EVALUATED} VALUES ({values}); COMMIT"
    )


def recorded_rules(connection: duckdb.DuckDBPyConnection) -> dict[TableId, tuple[int, str]]:
    rows = _rows(connection, f'SELECT source, "table", sequence, evaluated FROM {_EVALUATED}')
    return {TableId(source, name): (sequence, text) for source, name, sequence, text in rows}


def _batches(connection: duckdb.DuckDBPyConnection, tail: str) -> list[LoadedBatch]:
    rows = _rows(
        connection,
        f'SELECT source, "table", sequence, batch_id, digest, epoch_us(loaded_at) FROM {_LOADED} {tail}',
    )
    return [
        LoadedBatch(TableId(source, name), sequence, batch_id, digest, _iso(microseconds))
        for source, name, sequence, batch_id, digest, microseconds in rows
    ]


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the platform's own tables, which a new warehouse does not have yet."""
    import duckdb

    try:
        return connection.execute(sql).fetchall()
    except duckdb.CatalogException:
        return []


def _where(table: TableId | None) -> str:
    if table is None:
        return ""
    return f'WHERE source = {literal(table.source)} AND "table" = {literal(table.table)}'


def _iso(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
