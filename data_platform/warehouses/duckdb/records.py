"""The records that a DuckDB warehouse keeps about itself: loaded batches, touched slices, columns.

``loaded_batches`` grows with each load. The newest batch of each table, which every load and every check needs, is also
in ``loaded_tables``, one row for each table, written in the same transaction. An earlier version of this program
only writes the former: the numbers of batches then differ, and the latter is rebuilt.

Values are in the statements as quoted literals. Binding a single one makes the
DuckDB module import pandas and pyarrow to look for their types: 2.5 CPU-seconds,
more than the rest of a sync that finds nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.sql import literal, quoted
from data_platform.tables import Slice, TableId
from data_platform.warehouses import PLATFORM_SCHEMA, LoadableBatch, LoadedBatch, Look
from data_platform.warehouses.duckdb.connect import run_one

if TYPE_CHECKING:
    import duckdb

WRITING = threading.Lock()
"""A writer holds it. DuckDB's file lock excludes other processes but not threads of this one. Two threads could both
see a batch as not loaded and insert its rows twice, because inserts do not conflict. Updates of one row do."""

_LOADED = f"{PLATFORM_SCHEMA}.loaded_batches"
_NEWEST = f"{PLATFORM_SCHEMA}.loaded_tables"
_TOUCHED = f"{PLATFORM_SCHEMA}.touched_slices"
_READS = f"{PLATFORM_SCHEMA}.table_reads"
_INSTANTS = ("read_at", "reconciled_at", "lost_at")
_EVALUATED = f"{PLATFORM_SCHEMA}.evaluated_rules"

LOADED_COLUMNS = """
    source VARCHAR, "table" VARCHAR, sequence BIGINT, batch_id VARCHAR, digest VARCHAR, loaded_at TIMESTAMPTZ,
    operation VARCHAR, rows_inserted BIGINT, rows_deleted BIGINT, snapshot_at TIMESTAMPTZ"""
TOUCHED_COLUMNS = (
    'source VARCHAR, "table" VARCHAR, slice VARCHAR, sequence BIGINT, rows BIGINT, loaded_at TIMESTAMPTZ'
)
CREATE = f"""
CREATE SCHEMA IF NOT EXISTS {PLATFORM_SCHEMA};
CREATE TABLE IF NOT EXISTS {_LOADED} ({LOADED_COLUMNS});
CREATE TABLE IF NOT EXISTS {_NEWEST} (
    source VARCHAR, "table" VARCHAR, sequence BIGINT, batch_id VARCHAR, digest VARCHAR, loaded_at TIMESTAMPTZ,
    batches BIGINT);
CREATE TABLE IF NOT EXISTS {_READS} (
    source VARCHAR, "table" VARCHAR, read_at TIMESTAMPTZ, reconciled_at TIMESTAMPTZ, lost_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS {_TOUCHED} ({TOUCHED_COLUMNS});
"""
CREATE_EVALUATED = f"""
CREATE TABLE IF NOT EXISTS {_EVALUATED} (source VARCHAR, "table" VARCHAR, sequence BIGINT, evaluated VARCHAR);
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing, in a warehouse of an earlier version too."""
    connection.execute(CREATE)
    if "snapshot_at" not in columns(connection, PLATFORM_SCHEMA, "loaded_batches"):
        connection.execute(f"ALTER TABLE {_LOADED} ADD COLUMN snapshot_at TIMESTAMPTZ")
    if not newest_is_known(connection):
        connection.execute(
            f'BEGIN TRANSACTION; DELETE FROM {_NEWEST}; INSERT INTO {_NEWEST} SELECT source, "table", max(sequence),'
            " arg_max(batch_id, sequence), arg_max(digest, sequence), arg_max(loaded_at, sequence), count(*)"
            f" FROM {_LOADED} GROUP BY ALL; COMMIT"
        )


def columns(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, str]:
    """Names and types of a relation's columns, in order; empty when there is none. Asked of that relation alone:
    ``duckdb_columns()`` goes through those of all tables."""
    described = _rows(connection, f"DESCRIBE {quoted(schema)}.{quoted(name)}")
    return {row[0]: row[1] for row in described}


def newest_is_known(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether ``loaded_tables`` speaks of all that ``loaded_batches`` holds; its rows are counted, not read."""
    found = _rows(
        connection,
        f"SELECT (SELECT count(*) FROM {_LOADED}) = (SELECT coalesce(sum(batches), 0) FROM {_NEWEST})",
    )
    return bool(found and found[0][0])


def newest(
    connection: duckdb.DuckDBPyConnection, table: TableId | None = None, *, known: bool
) -> list[LoadedBatch]:
    """The newest loaded batch of ``table``, or of every table; ``known`` is what ``newest_is_known`` said."""
    if known:
        return batches(connection, _NEWEST, f'{where(table)} ORDER BY source, "table"')
    return batches(
        connection,
        _LOADED,
        f'{where(table)} QUALIFY row_number() OVER (PARTITION BY source, "table" ORDER BY sequence DESC) = 1'
        ' ORDER BY source, "table"',
    )


def at(connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int) -> LoadedBatch | None:
    """The batch loaded as ``sequence``; None when that one was never loaded."""
    found = batches(connection, _LOADED, f"{where(table)} AND sequence = {int(sequence)}")
    return found[0] if found else None


def changed_since(connection: duckdb.DuckDBPyConnection, table: TableId) -> Mapping[Slice, int]:
    rows = _rows(connection, f"SELECT slice, max(sequence) FROM {_TOUCHED} {where(table)} GROUP BY slice")
    return {Slice(slice_): sequence for slice_, sequence in rows}


def record(
    connection: duckdb.DuckDBPyConnection,
    batch: LoadableBatch,
    inserted: int,
    deleted: int,
    *,
    lost: bool = False,
) -> None:
    """Write down a load, in its own transaction; ``lost`` says that keys went which the batch did not bring back."""
    record_batch(connection, batch, inserted, deleted)
    table, sequence, loaded_at = identity(batch)
    newest = f"{sequence}, {literal(batch.batch_id)}, {literal(batch.digest)}, {loaded_at}"
    insert = f"INSERT INTO {_NEWEST} VALUES ({table}, {newest}, 1)"
    if sequence == 1:  # is loaded only where no batch is: there is no row of the table yet
        connection.execute(insert)
    else:
        _update_or_insert(
            connection,
            f"UPDATE {_NEWEST} SET sequence = {sequence}, batch_id = {literal(batch.batch_id)},"
            f" digest = {literal(batch.digest)}, loaded_at = {loaded_at}, batches = batches + 1 {where(batch.table)}",
            insert,
        )
    if batch.kind == "data":
        reconciled = batch.load == "replace" or batch.deleted is not None
        look = Look(batch.table, batch.snapshot.taken_at, reconciled)
        _note(connection, [look], read=batch.load != "slice", lost=lost)


def record_batch(
    connection: duckdb.DuckDBPyConnection, batch: LoadableBatch, inserted: int, deleted: int
) -> None:
    table, sequence, loaded_at = identity(batch)
    connection.execute(
        f'INSERT INTO {_LOADED} (source, "table", sequence, batch_id, digest, loaded_at, operation,'
        f" rows_inserted, rows_deleted, snapshot_at) VALUES ({table}, {sequence}, {literal(batch.batch_id)},"
        f" {literal(batch.digest)}, {loaded_at}, {literal(batch.operation)}, {int(inserted)}, {int(deleted)},"
        f" {literal(batch.snapshot.taken_at)}::TIMESTAMPTZ)"
    )


def record_touched(
    connection: duckdb.DuckDBPyConnection, batch: LoadableBatch, touched: str
) -> dict[Slice, int]:
    """Write down the slices a load touches, in its own transaction, and say which; ``touched`` is a query of
    (slice, touched). One statement for both: small tables take longer to be planned than to be counted."""
    table, sequence, loaded_at = identity(batch)
    rows = run_one(
        connection,
        f"INSERT INTO {_TOUCHED} SELECT {table}, slice, {sequence}, touched, {loaded_at} FROM ({touched})"
        " RETURNING slice, rows",
    ).fetchall()
    return {Slice(slice_): count for slice_, count in sorted(rows)}


def identity(batch: LoadableBatch) -> tuple[str, int, str]:
    """A batch's source and table, its sequence and when it was loaded, as SQL."""
    table = f"{literal(batch.table.source)}, {literal(batch.table.table)}"
    return table, int(batch.sequence), f"{literal(batch.committed_at)}::TIMESTAMPTZ"


def record_reads(connection: duckdb.DuckDBPyConnection, looks: Sequence[Look]) -> None:
    """One transaction and one statement, however many tables were looked at."""
    connection.execute(CREATE)
    _note(connection, looks, read=True, lost=False)


def reads(connection: duckdb.DuckDBPyConnection) -> dict[TableId, str]:
    """When each table was read last, by the source's clock (ISO, UTC)."""
    rows = _rows(
        connection, f'SELECT source, "table", epoch_us(read_at) FROM {_READS} WHERE read_at IS NOT NULL'
    )
    return {TableId(source, name): _iso(microseconds) for source, name, microseconds in rows}


def _note(connection: duckdb.DuckDBPyConnection, looks: Sequence[Look], *, read: bool, lost: bool) -> None:
    """Move on what is known of the tables, by the source's own clock: greatest() passes over NULLs."""
    known = [look for look in looks if read or look.reconciled or lost]
    rows = [look_row(look, read=read, lost=lost) for look in known]
    if len(rows) == 1:
        instants = zip(_INSTANTS, (read, known[0].reconciled, lost), strict=True)
        moved = ", ".join(f"{n} = greatest({n}, {_at(known[0], seen)})" for n, seen in instants if seen)
        _update_or_insert(
            connection,
            f"UPDATE {_READS} SET {moved} {where(known[0].table)}",
            f"INSERT INTO {_READS} VALUES ({rows[0]})",
        )
    elif rows:
        values = ", ".join(f"({row})" for row in rows)
        moved = ", ".join(f"{n} = greatest(r.{n}, v.{n})" for n in _INSTANTS)
        connection.execute(
            f'MERGE INTO {_READS} AS r USING (VALUES {values}) v(source, "table", {", ".join(_INSTANTS)})'
            f' ON r.source = v.source AND r."table" = v."table" WHEN MATCHED THEN UPDATE SET {moved}'
            f' WHEN NOT MATCHED THEN INSERT VALUES (v.source, v."table", {", ".join(f"v.{n}" for n in _INSTANTS)})'
        )


def look_row(look: Look, *, read: bool, lost: bool) -> str:
    """The values of a row of ``table_reads``, as SQL."""
    return (
        f"{literal(look.table.source)}, {literal(look.table.table)}, {_at(look, read)}, {_at(look, look.reconciled)},"
        f" {_at(look, lost)}"
    )


def _update_or_insert(connection: duckdb.DuckDBPyConnection, update: str, insert: str) -> None:
    """The row of one table: half of what MERGE takes to be planned."""
    row = connection.execute(update).fetchone()
    if row is None or not row[0]:
        connection.execute(insert)


def _at(look: Look, known: bool) -> str:
    return f"{literal(look.at)}::TIMESTAMPTZ" if known else "NULL::TIMESTAMPTZ"


def record_rules(
    connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int, evaluated: str
) -> None:
    values = f"{literal(table.source)}, {literal(table.table)}, {int(sequence)}, {literal(evaluated)}"
    _update_or_insert(
        connection,
        f"UPDATE {_EVALUATED} SET sequence = {int(sequence)}, evaluated = {literal(evaluated)} {where(table)}",
        f"INSERT INTO {_EVALUATED} VALUES ({values})",
    )


def recorded_rules(connection: duckdb.DuckDBPyConnection) -> dict[TableId, tuple[int, str]]:
    rows = _rows(connection, f'SELECT source, "table", sequence, evaluated FROM {_EVALUATED}')
    return {TableId(source, name): (sequence, text) for source, name, sequence, text in rows}


def batches(connection: duckdb.DuckDBPyConnection, relation: str, tail: str) -> list[LoadedBatch]:
    rows = _rows(
        connection,
        f'SELECT source, "table", sequence, batch_id, digest, epoch_us(loaded_at) FROM {relation} {tail}',
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


def where(table: TableId | None) -> str:
    if table is None:
        return ""
    return f'WHERE source = {literal(table.source)} AND "table" = {literal(table.table)}'


def _iso(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
