"""What a lake keeps about itself, by INSERT alone.

Two transactions that insert into one table both commit; two that update it do not. So that tables load side by side,
nothing here is updated: of what a table has one row of, the rows are a log, and a view of the documented name tells the
newest. ``compact`` shortens the logs. What grows with each load is as in a DuckDB file.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from data_platform.sql import literal
from data_platform.tables import Slice, TableId
from data_platform.warehouses import PLATFORM_SCHEMA, LoadableBatch, LoadedBatch, Look
from data_platform.warehouses.duckdb import records as in_a_file
from data_platform.warehouses.duckdb.connect import run_one
from data_platform.warehouses.duckdb.records import LOADED_COLUMNS, TOUCHED_COLUMNS, batches, where

if TYPE_CHECKING:
    import duckdb

_LOADED = f"{PLATFORM_SCHEMA}.loaded_batches"
_NEWEST = f"{PLATFORM_SCHEMA}.loaded_tables"
_READS, _READ_LOG = f"{PLATFORM_SCHEMA}.table_reads", f"{PLATFORM_SCHEMA}.table_read_log"
_EVALUATED, _EVALUATED_LOG = f"{PLATFORM_SCHEMA}.evaluated_rules", f"{PLATFORM_SCHEMA}.evaluated_rule_log"
_TABLE = 'source, "table"'
_LATEST_READS = f"SELECT {_TABLE}, max(read_at) AS read_at, max(reconciled_at) AS reconciled_at, max(lost_at) AS lost_at FROM {_READ_LOG} GROUP BY {_TABLE}"
_LATEST_EVALUATED = (
    f"SELECT {_TABLE}, sequence, evaluated, evaluated_at FROM {_EVALUATED_LOG}"
    f" QUALIFY row_number() OVER (PARTITION BY {_TABLE} ORDER BY evaluated_at DESC, sequence DESC) = 1"
)

CREATE = (
    f"CREATE SCHEMA IF NOT EXISTS {PLATFORM_SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {_LOADED} ({LOADED_COLUMNS})",
    f"CREATE TABLE IF NOT EXISTS {PLATFORM_SCHEMA}.touched_slices ({TOUCHED_COLUMNS})",
    f"CREATE TABLE IF NOT EXISTS {_READ_LOG}"
    ' (source VARCHAR, "table" VARCHAR, read_at TIMESTAMPTZ, reconciled_at TIMESTAMPTZ, lost_at TIMESTAMPTZ)',
    f"CREATE TABLE IF NOT EXISTS {_EVALUATED_LOG}"
    ' (source VARCHAR, "table" VARCHAR, sequence BIGINT, evaluated VARCHAR, evaluated_at TIMESTAMPTZ)',
    f"CREATE OR REPLACE VIEW {_NEWEST} AS SELECT {_TABLE}, max(sequence) AS sequence,"
    " arg_max(batch_id, sequence) AS batch_id, arg_max(digest, sequence) AS digest,"
    f" arg_max(loaded_at, sequence) AS loaded_at, count(*) AS batches FROM {_LOADED} GROUP BY {_TABLE}",
    f"CREATE OR REPLACE VIEW {_READS} AS {_LATEST_READS}",
    f"CREATE OR REPLACE VIEW {_EVALUATED} AS {_LATEST_EVALUATED}",
)
"""The view that is made last tells that all are there."""

at, changed_since = in_a_file.at, in_a_file.changed_since
columns, reads, recorded_rules = in_a_file.columns, in_a_file.reads, in_a_file.recorded_rules


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing, in one transaction."""
    try:
        connection.execute(f"SELECT 1 FROM {_EVALUATED} LIMIT 0")
        return
    except _missing():
        pass
    connection.execute("BEGIN")
    try:
        for statement in CREATE:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise


def _missing() -> type[Exception]:
    import duckdb

    return duckdb.CatalogException


def newest(
    connection: duckdb.DuckDBPyConnection, table: TableId | None = None, *, known: bool = True
) -> list[LoadedBatch]:
    """The newest loaded batch of ``table``, or of every table."""
    return batches(connection, _NEWEST, f"{where(table)} ORDER BY {_TABLE}")


def record_touched(
    connection: duckdb.DuckDBPyConnection, batch: LoadableBatch, touched: str
) -> dict[Slice, int]:
    """Write down the slices a load touches, in its own transaction, and say which. A lake has no RETURNING."""
    run_one(connection, f"CREATE OR REPLACE TEMP TABLE _touched AS {touched}")
    found = connection.execute("SELECT slice, touched FROM temp._touched").fetchall()
    table, sequence, loaded_at = in_a_file.identity(batch)
    values = [
        f"({table}, {literal(slice_)}, {sequence}, {int(count)}, {loaded_at})" for slice_, count in found
    ]
    if values:
        connection.execute(f"INSERT INTO {PLATFORM_SCHEMA}.touched_slices VALUES {', '.join(values)}")
    return {Slice(slice_): count for slice_, count in sorted(found)}


def touched(connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int) -> dict[Slice, int]:
    """What ``record_touched`` wrote down of a load."""
    rows = connection.execute(
        f"SELECT slice, rows FROM {PLATFORM_SCHEMA}.touched_slices {where(table)} AND sequence = {int(sequence)}"
    ).fetchall()
    return {Slice(slice_): count for slice_, count in sorted(rows)}


def record(
    connection: duckdb.DuckDBPyConnection,
    batch: LoadableBatch,
    inserted: int,
    deleted: int,
    *,
    lost: bool = False,
) -> None:
    """Write down a load, in its own transaction; ``lost`` says that keys went which the batch did not bring back."""
    in_a_file.record_batch(connection, batch, inserted, deleted)
    if batch.kind == "data":
        reconciled = batch.load == "replace" or batch.deleted is not None
        look = Look(batch.table, batch.snapshot.taken_at, reconciled)
        _note(connection, [look], read=batch.load != "slice", lost=lost)


def record_reads(connection: duckdb.DuckDBPyConnection, looks: Sequence[Look]) -> None:
    _note(connection, looks, read=True, lost=False)


def _note(connection: duckdb.DuckDBPyConnection, looks: Sequence[Look], *, read: bool, lost: bool) -> None:
    rows = ", ".join(
        f"({in_a_file.look_row(look, read=read, lost=lost)})"
        for look in looks
        if read or look.reconciled or lost
    )
    if rows:
        connection.execute(f"INSERT INTO {_READ_LOG} VALUES {rows}")


def record_rules(
    connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int, evaluated: str
) -> None:
    connection.execute(
        f"INSERT INTO {_EVALUATED_LOG} VALUES ({literal(table.source)}, {literal(table.table)}, {int(sequence)},"
        f" {literal(evaluated)}, now())"
    )


def compact(connection: duckdb.DuckDBPyConnection) -> int:
    """Leave of each log what its view tells, in a transaction each; the rows that went. What is added meanwhile stays."""
    gone = 0
    for log, latest in ((_READ_LOG, _LATEST_READS), (_EVALUATED_LOG, _LATEST_EVALUATED)):
        connection.execute("BEGIN")
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE _latest AS {latest}")
            before, after = connection.execute(
                f"SELECT (SELECT count(*) FROM {log}), (SELECT count(*) FROM temp._latest)"
            ).fetchall()[0]
            if before > after:
                connection.execute(f"DELETE FROM {log}")
                connection.execute(f"INSERT INTO {log} SELECT * FROM temp._latest")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        gone += before - after
    return gone
