"""The statements that apply one batch to a raw table, as pure text in DuckDB's dialect.

Order, transactions and refusals are ``load.py``'s; how a slice is cut is
``duckdb_sql.py``'s. Staging tables are temporary and hold only keys and row
numbers, so that the memory a load needs does not grow with the width of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_platform.duckdb_sql import DIALECT, duckdb_day, parquet_files, slice_of_day
from data_platform.sql import literal, quoted
from data_platform.tables import (
    BATCH_ID,
    LOADED_AT,
    NULL_SLICE,
    WHOLE_TABLE,
    Column,
    Layout,
    Slice,
    TableId,
)
from data_platform.warehouses import Kept
from data_platform.warehouses.batch import days, named

KEYS, HELD, GONE = "_batch_keys", "_batch_held", "_batch_gone"
"""The temporary tables: keys of the batch; those the target holds; target rows to delete."""
MARK = "gone" + "_" * 60
"""Of a batch's row, whether its key is deleted: no column that a catalog can name is as long."""
GROUPS = "_batch_groups"
"""One more, of a batch that replaces rows together: what the rows of each group have in common."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The pieces every statement is made of. ``loaded_at`` is an ISO instant; ``columns`` are the raw table's;
    ``parts`` are Parquet files that hold these, and the column ``deleted`` where there is one."""

    table: TableId
    columns: tuple[Column, ...]
    layout: Layout
    parts: tuple[Path, ...]
    batch_id: str
    loaded_at: str
    deleted: str | None = None
    replaces: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        return self.layout.key

    @property
    def partition(self) -> str | None:
        return self.layout.partition

    @property
    def target(self) -> str:
        return f"{quoted(self.table.raw_schema)}.{quoted(self.table.table)}"

    @property
    def replacement(self) -> str:
        return f"{quoted(self.table.raw_schema)}.{quoted('_new_' + self.table.table)}"

    def day(self) -> str:
        """A row's DATE over the batch's or the target's own columns; NULL without a partition."""
        if self.partition is None:
            return "NULL::DATE"
        return duckdb_day(self._column(self.partition), self.layout.timezone)

    def slice_name(self, day: str) -> str:
        if self.partition is None:
            return literal(WHOLE_TABLE)
        return f"coalesce({slice_of_day(day)}, {literal(NULL_SLICE)})"

    def keys(self) -> str:
        """The key columns as ``k0, k1, ...``, so that no name of theirs can clash."""
        return ", ".join(
            f"{quoted(name)}::{self._column(name).type} AS k{n}" for n, name in enumerate(self.key)
        )

    def groups(self) -> str:
        """The columns of ``replaces`` as ``g0, g1, ...``."""
        return ", ".join(
            f"{quoted(name)}::{self._column(name).type} AS g{n}" for n, name in enumerate(self.replaces)
        )

    def same_group(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.g{n} = {right}.g{n}" for n in range(len(self.replaces)))

    def same_key(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.k{n} = {right}.k{n}" for n in range(len(self.key)))

    def rows(self) -> str:
        """The batch's rows with exactly the declared types, as a FROM item; without those of deleted keys."""
        if not self.parts:
            nothing = ", ".join(f"NULL::{c.type} AS {quoted(c.name)}" for c in self.columns)
            return f"(SELECT {nothing} WHERE false)"
        typed = ", ".join(f"{quoted(c.name)}::{c.type} AS {quoted(c.name)}" for c in self.columns)
        staying = "" if self.deleted is None else f" WHERE {quoted(self.deleted)} IS NOT TRUE"
        return f"(SELECT {typed} FROM {parquet_files(self.parts)}{staying})"

    def marked_rows(self) -> str:
        """As ``rows``, but all of them, each saying as ``MARK`` whether its key is deleted."""
        if self.deleted is None or not self.parts:
            return f"(SELECT *, false AS {MARK} FROM {self.rows()})"
        typed = ", ".join(f"{quoted(c.name)}::{c.type} AS {quoted(c.name)}" for c in self.columns)
        gone = f"{quoted(self.deleted)} IS TRUE AS {MARK}"
        return f"(SELECT {typed}, {gone} FROM {parquet_files(self.parts)})"

    def _column(self, name: str) -> Column:
        return named(self.columns, name, self.batch_id, self.table)


def create_empty(batch: Batch) -> str:
    columns = [f"{quoted(column.name)} {column.type}" for column in batch.columns]
    columns += [f"{quoted(BATCH_ID)} VARCHAR", f"{quoted(LOADED_AT)} TIMESTAMPTZ"]
    return f"CREATE TABLE IF NOT EXISTS {batch.target} ({', '.join(columns)})"


def add_column(batch: Batch, column: Column) -> str:
    return f"ALTER TABLE {batch.target} ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column.type}"


def widen_column(batch: Batch, column: Column) -> str:
    """Every value stays what it is: the type holds all of the one before."""
    return f"ALTER TABLE {batch.target} ALTER COLUMN {quoted(column.name)} SET DATA TYPE {column.type}"


def create_table(batch: Batch, name: str) -> str:
    """A new table of the batch's rows; it answers with their number."""
    return f"CREATE TABLE {name} AS SELECT *, {_stamp(batch)} FROM {batch.rows()}"


def swap_in(batch: Batch) -> list[str]:
    """The replacement in the place of the table: until the commit readers see the old."""
    return [
        f"DROP TABLE IF EXISTS {batch.target}",
        f"ALTER TABLE {batch.replacement} RENAME TO {quoted(batch.table.table)}",
    ]


def stage_groups(batch: Batch) -> str:
    return f"CREATE OR REPLACE TEMP TABLE {GROUPS} AS SELECT DISTINCT {batch.groups()} FROM {batch.marked_rows()}"


def count_groupless(batch: Batch) -> str:
    """How many rows of the batch do not say what they replace."""
    null = " OR ".join(f"{quoted(name)} IS NULL" for name in batch.replaces)
    return f"SELECT count(*) FROM {batch.marked_rows()} WHERE {null}"


def stage_keys(batch: Batch) -> str:
    if batch.replaces:  # a deleted row says its group alone
        return f"CREATE OR REPLACE TEMP TABLE {KEYS} AS SELECT {batch.keys()} FROM {batch.rows()}"
    rows, gone = (batch.rows(), "") if batch.deleted is None else (batch.marked_rows(), f", {MARK} AS gone")
    return f"CREATE OR REPLACE TEMP TABLE {KEYS} AS SELECT {batch.keys()}{gone} FROM {rows}"


def count_deleted(batch: Batch) -> str:
    return f"SELECT count(*) FROM {batch.marked_rows()} WHERE {MARK}"


def count_keys(batch: Batch, relation: str = KEYS) -> str:
    """One row: keys, keys with a NULL in them, distinct keys of ``relation`` (k0, k1, ...)."""
    names = [f"k{n}" for n in range(len(batch.key))]
    null = " OR ".join(f"{name} IS NULL" for name in names)
    return (
        f"SELECT (SELECT count(*) FROM {relation}),"
        f" (SELECT count(*) FROM {relation} WHERE {null}),"
        f" (SELECT count(*) FROM (SELECT 1 FROM {relation} GROUP BY {', '.join(names)}))"
    )


def collect_gone(batch: Batch, slices: Sequence[Slice] = ()) -> str:
    """Stage the target rows that a merge (no ``slices``) or a slice load deletes: row number ``r``,
    day ``d``, and whether the batch brings the key ``back``. One join finds both the rows to
    delete and the slices they leave: deleting by row number then costs a third of a second join."""
    held = (
        f"SELECT rowid AS r, {batch.day()} AS d{', ' + batch.keys() if batch.key else ''} FROM {batch.target}"
    )
    create = f"CREATE OR REPLACE TEMP TABLE {GONE} AS"
    stays = "" if batch.deleted is None else " AND NOT k.gone"
    if not slices:
        return f"{create} SELECT t.r, t.d, true{stays} AS back FROM ({held}) t JOIN {KEYS} k ON {batch.same_key('t', 'k')}"
    asked = _in_slices("t.d", slices)
    if not batch.key:
        return f"{create} SELECT t.r, t.d, false AS back FROM ({held}) t WHERE {asked}"
    return (
        f"{create} SELECT t.r, t.d, k.k0 IS NOT NULL{stays} AS back FROM ({held}) t"
        f" LEFT JOIN {KEYS} k ON {batch.same_key('t', 'k')} WHERE {asked} OR k.k0 IS NOT NULL"
    )


def collect_groups(batch: Batch, slices: Sequence[Slice] = ()) -> str:
    """As ``collect_gone``, for a batch that replaces rows together: those of its groups, and its keys."""
    keys = f", {batch.keys()}" if batch.key else ""
    held = f"SELECT rowid AS r, {batch.day()} AS d, {batch.groups()}{keys} FROM {batch.target}"
    back, by_key = "false", ""
    goes = ["g.g0 IS NOT NULL", *([_in_slices("t.d", slices)] if slices else [])]
    if batch.key:
        back, by_key = "k.k0 IS NOT NULL", f" LEFT JOIN {KEYS} k ON {batch.same_key('t', 'k')}"
        goes.append(back)
    return (
        f"CREATE OR REPLACE TEMP TABLE {GONE} AS SELECT t.r, t.d, {back} AS back FROM ({held}) t"
        f" LEFT JOIN {GROUPS} g ON {batch.same_group('t', 'g')}{by_key} WHERE {' OR '.join(goes)}"
    )


def collect_redacted(batch: Batch, kept: Sequence[Kept], held: Mapping[str, str]) -> str:
    """As ``collect_gone``, for a redaction: rows of the target, which has the columns ``held``, that came with one of the batches ``kept`` and
    are no longer among what is left of it."""
    gone = []
    for one in kept:
        names = [name for name in one.told_apart if name in held]
        same = " AND ".join(f"p.{quoted(name)} IS NOT DISTINCT FROM t.{quoted(name)}" for name in names)
        left = (
            f" AND NOT EXISTS (SELECT 1 FROM {parquet_files(one.parts)} p WHERE {same})" if one.parts else ""
        )
        gone.append(
            f"SELECT t.rowid AS r, {batch.day()} AS d, false AS back FROM {batch.target} t"
            f" WHERE t.{quoted(BATCH_ID)} = {literal(one.batch_id)}{left}"
        )
    return f"CREATE OR REPLACE TEMP TABLE {GONE} AS {' UNION ALL '.join(gone)}"


def touched_by_gone(batch: Batch) -> str:
    """``slice``, ``touched``: per slice, the rows of ``GONE``."""
    return f"SELECT {batch.slice_name('d')} AS slice, count(*) AS touched FROM {GONE} GROUP BY d"


def delete_gone(batch: Batch) -> str:
    return f"DELETE FROM {batch.target} AS t USING {GONE} AS g WHERE t.rowid = g.r"


def stage_held(batch: Batch) -> str:
    """Stage the batch's keys that the target holds already: an append leaves those alone."""
    return (
        f"CREATE OR REPLACE TEMP TABLE {HELD} AS SELECT t.* FROM (SELECT {batch.keys()} FROM {batch.target}) t"
        f" SEMI JOIN {KEYS} k ON {batch.same_key('t', 'k')}"
    )


def retyped(batch: Batch, existing: Mapping[str, str]) -> bool:
    """Whether a key column is not, or not of its type, among the ``existing`` columns."""
    types = {column.name: column.type for column in batch.columns}
    return any(
        name not in existing or not DIALECT.same_type(existing[name], types[name]) for name in batch.key
    )


def keys_not_in_batch(batch: Batch) -> str:
    """Rows of the target whose key the batch does not bring."""
    return (
        f"SELECT 1 FROM (SELECT {batch.keys()} FROM {batch.target}) t"
        f" ANTI JOIN (SELECT {batch.keys()} FROM {batch.rows()}) k ON {batch.same_key('t', 'k')}"
    )


def absent_rows(batch: Batch) -> str:
    """The batch's rows whose key the target does not hold, as a FROM item."""
    held = " AND ".join(f"h.k{n} = b.{quoted(name)}" for n, name in enumerate(batch.key))
    return f"(SELECT b.* FROM {batch.rows()} b ANTI JOIN {HELD} h ON {held})"


def insert(batch: Batch, rows: str) -> str:
    names = [quoted(column.name) for column in batch.columns]
    into = ", ".join([*names, quoted(BATCH_ID), quoted(LOADED_AT)])
    return f"INSERT INTO {batch.target} ({into}) SELECT {', '.join(names)}, {_stamp(batch)} FROM {rows}"


def touched(batch: Batch, came: str, went: str | None) -> str:
    """``slice``, ``touched``: per slice, the greater of the rows that came and the rows that went. ``came`` and
    ``went`` are FROM items with the table's columns, ``went`` may be ``GONE`` itself."""
    if went is None and batch.partition is None:  # nothing to group: half the time where rows are few
        return f"SELECT {batch.slice_name('')} AS slice, count(*) AS touched FROM {came} HAVING count(*) > 0"
    counts = [f"SELECT {batch.day()} AS d, count(*) AS came, 0 AS went FROM {came} GROUP BY 1"]
    if went is None:
        return f"SELECT {batch.slice_name('d')} AS slice, came AS touched FROM ({counts[0]})"
    day = "d" if went == GONE else batch.day()
    counts.append(f"SELECT {day} AS d, 0 AS came, count(*) AS went FROM {went} GROUP BY 1")
    return (
        f"SELECT {batch.slice_name('d')} AS slice, greatest(sum(came), sum(went))::BIGINT AS touched"
        f" FROM ({' UNION ALL '.join(counts)}) GROUP BY d"
    )


def _stamp(batch: Batch) -> str:
    return (
        f"{literal(batch.batch_id)}::VARCHAR AS {quoted(BATCH_ID)},"
        f" {literal(batch.loaded_at)}::TIMESTAMPTZ AS {quoted(LOADED_AT)}"
    )


def _in_slices(day: str, slices: Sequence[Slice]) -> str:
    """Whether the DATE ``day`` lies in ``slices``; never NULL."""
    if WHOLE_TABLE in slices:
        return "true"
    dates = [f"DATE '{slice_.replace(' BC', ' (BC)')}'" for slice_ in days(slices)]
    tests = [f"{day} IS NULL"] if NULL_SLICE in slices else []
    tests += [f"coalesce({day} IN ({', '.join(dates)}), false)"] if dates else []
    return f"({' OR '.join(tests)})" if tests else "false"
