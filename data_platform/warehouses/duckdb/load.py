"""Loads one batch into a DuckDB warehouse or a lake that DuckDB writes, exactly once, in the right order.

``warehouses/batch.py`` decides which batches are refused; ``merge.py`` makes the statements; ``Ways`` are what differs
between a file and a lake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data_platform.duckdb_sql import DIALECT, duckdb_day
from data_platform.errors import UnsupportedType
from data_platform.sql import quoted
from data_platform.tables import Column, Slice, TableId
from data_platform.warehouses import Kept, LoadableBatch, LoadedBatch, LoadResult
from data_platform.warehouses.batch import (
    WITHOUT_ROWS,
    check,
    check_groups,
    check_keys,
    check_rows,
    follows,
    raw_columns,
    reshaping,
)
from data_platform.warehouses.duckdb import merge, records
from data_platform.warehouses.duckdb.connect import run_one

if TYPE_CHECKING:
    import duckdb


_DROP_STAGED = "; ".join(f"DROP TABLE IF EXISTS temp.{name}" for name in (merge.KEYS, merge.HELD, merge.GONE))
_DROP_GROUPS = f"DROP TABLE IF EXISTS temp.{merge.GROUPS}"


class Records(Protocol):
    """The module that keeps what is loaded, for a load."""

    def newest(
        self, connection: duckdb.DuckDBPyConnection, table: TableId | None = None, *, known: bool
    ) -> list[LoadedBatch]: ...

    def at(
        self, connection: duckdb.DuckDBPyConnection, table: TableId, sequence: int
    ) -> LoadedBatch | None: ...

    def record(
        self,
        connection: duckdb.DuckDBPyConnection,
        batch: LoadableBatch,
        inserted: int,
        deleted: int,
        *,
        lost: bool = False,
    ) -> None: ...

    def record_touched(
        self, connection: duckdb.DuckDBPyConnection, batch: LoadableBatch, touched: str
    ) -> dict[Slice, int]: ...


@dataclass(frozen=True, slots=True)
class Ways:
    """``columns`` are a batch's as the raw table has them; ``widen`` makes the statements that give columns other
    types; ``commit`` ends the transaction, or raises when it did not take place."""

    records: Records
    columns: Callable[[LoadableBatch], tuple[Column, ...]]
    widen: Callable[[merge.Batch, Sequence[Column]], Sequence[str]]
    commit: Callable[[duckdb.DuckDBPyConnection], object]


IN_A_FILE = Ways(
    records,
    raw_columns,
    lambda batch, columns: [merge.widen_column(batch, column) for column in columns],
    lambda connection: connection.execute("COMMIT"),
)


def load(
    connection: duckdb.DuckDBPyConnection,
    manifest: LoadableBatch,
    parts: Sequence[Path],
    kept: Sequence[Kept] = (),
) -> LoadResult:
    """``Warehouse.load`` over an open connection whose records are prepared; DuckDB's own errors pass through."""
    with records.WRITING:
        return load_by(IN_A_FILE, connection, manifest, parts, kept)


def load_by(
    ways: Ways,
    connection: duckdb.DuckDBPyConnection,
    manifest: LoadableBatch,
    parts: Sequence[Path],
    kept: Sequence[Kept] = (),
) -> LoadResult:
    """``load``, while nobody else loads a batch of the table."""
    newest = next(iter(ways.records.newest(connection, manifest.table, known=True)), None)
    if not follows(manifest, newest, lambda sequence: ways.records.at(connection, manifest.table, sequence)):
        return LoadResult(manifest.sequence, 0, 0, {}, 0)
    if manifest.kind in WITHOUT_ROWS:
        return _without_rows(ways, connection, manifest, kept)
    check(manifest)
    batch = merge.Batch(
        manifest.table,
        ways.columns(manifest),
        manifest.layout,
        tuple(parts),
        manifest.batch_id,
        manifest.committed_at,
        manifest.deleted,
        manifest.replaces,
    )
    existing, widened = _prepare(connection, manifest, batch)
    checks_key = bool(batch.key) and not (manifest.load == "replace" and manifest.key_enforced)
    connection.execute("BEGIN")
    try:
        for statement in ways.widen(batch, widened) if widened else ():
            run_one(connection, statement)
        if checks_key:
            _check_keys(connection, manifest, batch)
        result = _apply(ways, connection, manifest, batch, existing)
        ways.commit(connection)
    except BaseException:
        with suppress(Exception):  # the transaction may have ended with the error
            connection.execute("ROLLBACK")
        raise
    finally:
        if existing or checks_key or manifest.load != "replace":
            with suppress(Exception):
                connection.execute(_DROP_STAGED)
                if batch.replaces:
                    connection.execute(_DROP_GROUPS)
    return result


def _without_rows(
    ways: Ways, connection: duckdb.DuckDBPyConnection, manifest: LoadableBatch, kept: Sequence[Kept]
) -> LoadResult:
    """A batch without rows is written down as loaded, so that the next batch follows it. Rows that a redaction took out of the
    batches ``kept`` go."""
    held = records.columns(connection, manifest.table.raw_schema, manifest.table.table) if kept else {}
    connection.execute("BEGIN")
    try:
        touched: dict[Slice, int] = {}
        if held:
            batch = merge.Batch(
                manifest.table,
                ways.columns(manifest),
                manifest.layout,
                (),
                manifest.batch_id,
                manifest.committed_at,
            )
            run_one(connection, merge.collect_redacted(batch, kept, held))
            touched = ways.records.record_touched(connection, manifest, merge.touched_by_gone(batch))
            run_one(connection, merge.delete_gone(batch))
        deleted = sum(touched.values())
        ways.records.record(connection, manifest, 0, deleted)
        ways.commit(connection)
    except BaseException:
        with suppress(Exception):  # the transaction may have ended with the error
            connection.execute("ROLLBACK")
        raise
    finally:
        if held:
            with suppress(Exception):
                connection.execute(_DROP_STAGED)
    return LoadResult(manifest.sequence, deleted, 0, touched, deleted)


def _prepare(
    connection: duckdb.DuckDBPyConnection, manifest: LoadableBatch, batch: merge.Batch
) -> tuple[dict[str, str], list[Column]]:
    """Everything additive and idempotent, outside the transaction: schemas, tables, columns. The columns, names and
    types, that the table had before, none where there was no table; and those to widen. Nobody else changes it
    meanwhile."""
    replacing = manifest.load == "replace"
    existing = records.columns(connection, batch.table.raw_schema, batch.table.table)
    new, widened = reshaping(batch.table, {} if replacing else existing, batch.columns, DIALECT)
    if not existing:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(batch.table.raw_schema)}")
    if not replacing and not existing:
        run_one(connection, merge.create_empty(batch))
    elif not replacing:
        for column in new:
            run_one(connection, merge.add_column(batch, column))
    return existing, widened


def _apply(
    ways: Ways,
    connection: duckdb.DuckDBPyConnection,
    manifest: LoadableBatch,
    batch: merge.Batch,
    existing: Mapping[str, str],
) -> LoadResult:
    def run(statement: str) -> int:
        """Execute; the count a DELETE, INSERT, CREATE TABLE AS or ``SELECT count(*)`` answers with, else 0."""
        row = run_one(connection, statement).fetchone()
        return int(row[0]) if row and isinstance(row[0], int) else 0

    def note(touched: str) -> dict[Slice, int]:
        return ways.records.record_touched(connection, manifest, touched)

    deleted = vacated = 0
    lost = False
    if batch.replaces:
        check_groups(manifest, run(merge.count_groupless(batch)))
    if manifest.load == "replace":
        if existing:
            deleted = run(f"SELECT count(*) FROM {batch.target}")
            old = _old_day(batch, existing)
            run(f"CREATE OR REPLACE TEMP TABLE {merge.GONE} AS SELECT {old} AS d FROM {batch.target}")
            lost = deleted > 0 and _lost(connection, batch, existing)
            run(f"DROP TABLE IF EXISTS {batch.replacement}")
        inserted = run(merge.create_table(batch, batch.replacement if existing else batch.target))
        for statement in merge.swap_in(batch) if existing else ():
            run(statement)
        touched = note(merge.touched(batch, batch.target, merge.GONE if existing else None))
    elif manifest.load == "append":
        run(merge.stage_held(batch))
        touched = note(merge.touched(batch, merge.absent_rows(batch), None))
        inserted = run(merge.insert(batch, merge.absent_rows(batch)))
    else:
        slices = manifest.slices if manifest.load == "slice" else ()
        if batch.replaces:
            run(merge.stage_groups(batch))
            run(merge.collect_groups(batch, slices))
        else:
            run(merge.collect_gone(batch, slices))
        vacated = run(f"SELECT count(*) FROM {merge.GONE} WHERE NOT back")
        lost = vacated > 0
        touched = note(merge.touched(batch, batch.rows(), merge.GONE))
        deleted = run(merge.delete_gone(batch))
        inserted = run(merge.insert(batch, batch.rows()))
    gone = run(merge.count_deleted(batch)) if batch.deleted is not None else 0
    check_rows(manifest, inserted + gone)
    ways.records.record(connection, manifest, inserted, deleted, lost=lost)
    return LoadResult(manifest.sequence, deleted, inserted, touched, vacated)


def _lost(connection: duckdb.DuckDBPyConnection, batch: merge.Batch, existing: Mapping[str, str]) -> bool:
    """Whether the table about to be replaced holds a key that the batch does not; without a key of the
    same types on both sides, that cannot be ruled out."""
    if not batch.key or merge.retyped(batch, existing):
        return True
    row = connection.execute(f"SELECT EXISTS ({merge.keys_not_in_batch(batch)})").fetchone()
    return bool(row and row[0])


def _old_day(batch: merge.Batch, existing: Mapping[str, str]) -> str:
    """The day of a row of the table about to be replaced, as SQL."""
    if batch.partition is not None and batch.partition in existing:
        with suppress(UnsupportedType):  # it was no day then: its rows leave the slice `null`
            return duckdb_day(Column(batch.partition, existing[batch.partition], ""), batch.layout.timezone)
    return "NULL::DATE"


def _check_keys(connection: duckdb.DuckDBPyConnection, manifest: LoadableBatch, batch: merge.Batch) -> None:
    """Stage the batch's keys; ``DuplicateKey`` when they are not unique or not all there."""
    run_one(connection, merge.stage_keys(batch))
    total, null, distinct = run_one(connection, merge.count_keys(batch)).fetchall()[0]
    check_keys(manifest, total, null, distinct)
