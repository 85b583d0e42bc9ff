"""The statements that apply one staged batch to a raw table, as pure text in the words of a ``Grammar``.

Rows are told apart by their key, their group or their slice: an engine behind a connection has no row numbers. What goes
and what comes is counted before anything is deleted, into ``touched_slices``; the record of the batch sums those rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_platform.errors import UnsupportedType
from data_platform.tables import BATCH_ID, LOADED_AT, NULL_SLICE, WHOLE_TABLE, Column, Layout, Slice, TableId
from data_platform.warehouses.batch import days, named
from data_platform.warehouses.remote.grammar import Grammar, Loadable

OWN = (Column(BATCH_ID, "VARCHAR", ""), Column(LOADED_AT, "TIMESTAMPTZ", ""))
"""The columns that every raw table has besides those of the source."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The pieces every statement is made of. ``columns`` are the raw table's of this batch, ``existing`` the engine's types
    of those it had before (none: there was no table), ``stage`` is what follows FROM, ``loadable`` tells of each
    staged column how it is read."""

    grammar: Grammar
    table: TableId
    columns: tuple[Column, ...]
    layout: Layout
    existing: Mapping[str, str]
    stage: str
    loadable: Mapping[str, Loadable]
    batch_id: str
    loaded_at: str
    deleted: str | None = None
    replaces: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.grammar.relation(self.table.raw_schema, self.table.table)

    @property
    def key(self) -> tuple[str, ...]:
        return self.layout.key

    def staged(self, name: str) -> str:
        """A column of the stage as the raw table's value."""
        return self.loadable[name].value.replace("{}", self.grammar.quote(name))

    def marked(self) -> str:
        """Whether a row of the stage says that its key, or its group, is deleted; never NULL."""
        if self.deleted is None:
            return "false"
        return f"coalesce({self.grammar.quote(self.deleted)}, false)"

    def staying(self) -> str:
        """The condition of the stage's rows that are inserted."""
        return "" if self.deleted is None else f" WHERE NOT {self.marked()}"

    def rows(self) -> str:
        """The rows to insert, as a FROM item without an alias."""
        values = ", ".join(
            f"{self.staged(column.name)} AS {self.grammar.quote(column.name)}" for column in self.columns
        )
        return f"(SELECT {values} FROM {self.stage}{self.staying()})"

    def keys(self) -> str:
        """The keys the batch speaks of as ``k0, k1, ...`` and ``gone``, as a FROM item. Of a batch that replaces groups, a deleted row says
        its group alone."""
        where = self.staying() if self.replaces else ""
        marked = "false" if self.replaces else self.marked()
        return f"(SELECT {self._staged_as('k', self.key)}, {marked} AS gone FROM {self.stage}{where})"

    def groups(self) -> str:
        """What rows of the batch replace together, each once, as ``g0, g1, ...``."""
        return f"(SELECT DISTINCT {self._staged_as('g', self.replaces)} FROM {self.stage})"

    def held_keys(self, row: str) -> str:
        return ", ".join(f"{self._held(row, name)} AS k{n}" for n, name in enumerate(self.key))

    def same_key(self, batch_side: str, row: str) -> str:
        return self._same(batch_side, "k", row, self.key)

    def same_group(self, batch_side: str, row: str) -> str:
        return self._same(batch_side, "g", row, self.replaces)

    def day(self, row: str = "", *, old: bool = False) -> str:
        """The DATE of a row: of the stage's rows as ``rows`` gives them, or of the raw table called ``row``. ``old``: the table
        is about to be replaced, and what its column holds may be no day."""
        name = self.layout.partition
        nothing = self.grammar.cast("NULL", "DATE")
        if name is None:
            return nothing
        column = named(self.columns, name, self.batch_id, self.table)
        sql = f"{row}.{self.grammar.quote(name)}" if row else self.grammar.quote(name)
        if not old:
            return self.grammar.day(
                sql, self.held(column) if row else self.made(column), self.layout.timezone
            )
        if name not in self.existing:
            return nothing
        try:
            return self.grammar.day(sql, self.existing[name], self.layout.timezone)
        except UnsupportedType:  # it was no day then: its rows leave the slice `null`
            return nothing

    def slice_name(self, day: str) -> str:
        if self.layout.partition is None:
            return self.grammar.literal(WHOLE_TABLE)
        return f"coalesce({self.grammar.slice_of(day)}, {self.grammar.literal(NULL_SLICE)})"

    def made(self, column: Column) -> str:
        return self.grammar.type(column.type)

    def held(self, column: Column) -> str:
        return self.existing.get(column.name) or self.made(column)

    def retyped(self) -> bool:
        """Whether a key column is not, or not of its type, in the table that was there before."""
        columns = [named(self.columns, name, self.batch_id, self.table) for name in self.key]
        return any(
            column.name not in self.existing
            or not self.grammar.same_type(self.existing[column.name], column.type)
            for column in columns
        )

    def all_rows(self, row: str = "t") -> str:
        return self.grammar.all_rows(row, self.layout.partition)

    def _staged_as(self, letter: str, names: Sequence[str]) -> str:
        columns = [named(self.columns, name, self.batch_id, self.table) for name in names]
        return ", ".join(
            f"{self.grammar.keyed(self.staged(column.name), self.made(column))} AS {letter}{n}"
            for n, column in enumerate(columns)
        )

    def _held(self, row: str, name: str) -> str:
        column = named(self.columns, name, self.batch_id, self.table)
        return self.grammar.keyed(f"{row}.{self.grammar.quote(name)}", self.held(column))

    def held_key(self, row: str, name: str) -> str:
        return self._held(row, name)

    def _same(self, batch_side: str, letter: str, row: str, names: Sequence[str]) -> str:
        return " AND ".join(
            f"{batch_side}.{letter}{n} = {self._held(row, name)}" for n, name in enumerate(names)
        )


def check_stage(batch: Batch) -> str:
    """One row: rows of the stage, rows whose key counts, those of them with a NULL in it, distinct keys, rows that do not say
    their group, rows that are marked deleted."""
    quote = batch.grammar.quote
    count = batch.grammar.count_where
    counted = f"NOT {batch.marked()}" if batch.replaces else "true"
    null_key = " OR ".join(f"{quote(name)} IS NULL" for name in batch.key) or "false"
    null_group = " OR ".join(f"{quote(name)} IS NULL" for name in batch.replaces) or "false"
    distinct = "0"
    if batch.key:
        keys = ", ".join(f"k{n}" for n in range(len(batch.key)))
        whole = " AND ".join(f"k{n} IS NOT NULL" for n in range(len(batch.key)))
        distinct = f"(SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {batch.keys()} k WHERE {whole}) d)"
    return (
        f"SELECT count(*), {count(counted)}, {count(f'({counted}) AND ({null_key})')}, {distinct},"
        f" {count(null_group)}, {count(batch.marked())} FROM {batch.stage}"
    )


def went_merged(batch: Batch, slices: Sequence[Slice]) -> str:
    """The rows of the table that a merge or a slice takes out, by day: ``d``, ``went``, ``vacated`` (not brought back)."""
    if batch.key and not batch.replaces and not slices:
        vacated = "CASE WHEN k.gone THEN 1 ELSE 0 END"
        return _went(batch, vacated, f"JOIN {batch.keys()} k ON {batch.same_key('k', 't')}", batch.all_rows())
    joined, goes, back = "", [], "false"
    if slices:
        goes.append(in_slices(batch, batch.day("t"), slices))
    if batch.replaces:
        joined += f" LEFT JOIN {batch.groups()} g ON {batch.same_group('g', 't')}"
        goes.append("g.g0 IS NOT NULL")
    if batch.key:
        joined += f" LEFT JOIN {batch.keys()} k ON {batch.same_key('k', 't')}"
        goes.append("k.k0 IS NOT NULL")
        back = "k.k0 IS NOT NULL AND NOT k.gone"
    return _went(
        batch,
        f"CASE WHEN {back} THEN 0 ELSE 1 END",
        joined,
        f"({' OR '.join(goes)}) AND {batch.all_rows()}",
    )


def went_replaced(batch: Batch) -> str:
    """As ``went_merged``, of a table that is replaced: all of its rows; ``vacated`` are those whose key does not come again, which
    without a key of the same types on both sides cannot be ruled out of any."""
    if not batch.key or batch.retyped():
        return _went(batch, "1", "", batch.all_rows(), old=True)
    joined = f"LEFT JOIN {batch.keys()} k ON {batch.same_key('k', 't')}"
    return _went(
        batch, "CASE WHEN k.k0 IS NULL OR k.gone THEN 1 ELSE 0 END", joined, batch.all_rows(), old=True
    )


def _went(batch: Batch, vacated: str, joined: str, where: str, *, old: bool = False) -> str:
    return (
        f"SELECT {batch.day('t', old=old)} AS d, 0 AS came, count(*) AS went, sum({vacated}) AS vacated"
        f" FROM {batch.target} AS t {joined} WHERE {where} GROUP BY 1"
    )


def absent_rows(batch: Batch) -> str:
    """The batch's rows whose key the table does not hold, as a FROM item without an alias."""
    quote = batch.grammar.quote
    values = ", ".join(f"b.{quote(column.name)} AS {quote(column.name)}" for column in batch.columns)
    columns = [named(batch.columns, name, batch.batch_id, batch.table) for name in batch.key]
    same = " AND ".join(
        f"{batch.grammar.keyed(f'b.{quote(c.name)}', batch.made(c))} ="
        f" {batch.grammar.keyed(f't.{quote(c.name)}', batch.held(c))}"
        for c in columns
    )
    held = f"SELECT 1 FROM {batch.target} AS t WHERE {same} AND {batch.all_rows()}"
    return f"(SELECT {values} FROM {batch.rows()} b WHERE NOT EXISTS ({held}))"


def touched(batch: Batch, rows: str, went: str | None) -> str:
    """``slice``, ``came``, ``went``, ``vacated`` of every slice in which there is something of it, as a query. ``rows`` is a FROM item,
    ``went`` one of the queries above."""
    came = f"SELECT {batch.day()} AS d, count(*) AS came, 0 AS went, 0 AS vacated FROM {rows} r GROUP BY 1"
    by_day = came if went is None else f"{came} UNION ALL {went}"
    return (
        f"SELECT {batch.slice_name('d')} AS slice, sum(came) AS came, sum(went) AS went, sum(vacated) AS vacated"
        f" FROM ({by_day}) u GROUP BY d HAVING sum(came) > 0 OR sum(went) > 0"
    )


def delete(batch: Batch, slices: Sequence[Slice]) -> list[str]:
    """Takes out the rows that ``went_merged`` counts: one statement, but for slices of a table without a key whose rows are
    replaced together."""
    made, row = [], batch.grammar.deleted_row(batch.table)
    if batch.key:
        sets = [f"SELECT {', '.join(f'k{n}' for n in range(len(batch.key)))} FROM {batch.keys()} b"]
        held = f"SELECT {batch.held_keys('r')} FROM {batch.target} AS r"
        if slices:
            sets.append(f"{held} WHERE {in_slices(batch, batch.day('r'), slices)} AND {batch.all_rows('r')}")
        if batch.replaces:
            met = batch.same_group("g", "r")
            sets.append(f"{held} JOIN {batch.groups()} g ON {met} WHERE {batch.all_rows('r')}")
        made.append(_exists(" UNION ALL ".join(sets), batch.same_key("s", row)))
    else:
        if slices:
            made.append(in_slices(batch, batch.day(row), slices))
        if batch.replaces:
            made.append(_exists(f"SELECT * FROM {batch.groups()} b", batch.same_group("s", row)))
    return [batch.grammar.delete(batch.table, f"{condition} AND {batch.all_rows(row)}") for condition in made]


def touched_redacted(batches: Sequence[Batch]) -> str:
    """As ``touched``, of a redaction: what ``delete_redacted`` takes out for each of ``batches``."""
    went = " UNION ALL ".join(_went(batch, "1", "", _redacted(batch, "t")) for batch in batches)
    return (
        f"SELECT {batches[0].slice_name('d')} AS slice, sum(came) AS came, sum(went) AS went, sum(vacated) AS vacated"
        f" FROM ({went}) u GROUP BY d HAVING sum(went) > 0"
    )


def delete_redacted(batch: Batch) -> str:
    """Takes out the rows that came with a batch and are no longer among what is left of it, which is staged."""
    return batch.grammar.delete(batch.table, _redacted(batch, batch.grammar.deleted_row(batch.table)))


def _redacted(batch: Batch, row: str) -> str:
    came = f"{row}.{batch.grammar.quote(BATCH_ID)} = {batch.grammar.literal(batch.batch_id)}"
    pairs = [(f"s.k{n}", batch.held_key(row, name)) for n, name in enumerate(batch.key)]
    same = " AND ".join(f"({one} = {other} OR ({one} IS NULL AND {other} IS NULL))" for one, other in pairs)
    return f"{came} AND NOT {_exists(f'SELECT * FROM {batch.keys()} b', same)} AND {batch.all_rows(row)}"


def _exists(query: str, same: str) -> str:
    return f"EXISTS (SELECT 1 FROM ({query}) s WHERE {same})"


def insert(batch: Batch, rows: str) -> str:
    names = [batch.grammar.quote(column.name) for column in batch.columns]
    into = ", ".join([*names, *(batch.grammar.quote(column.name) for column in OWN)])
    return f"INSERT INTO {batch.target} ({into}) SELECT {', '.join(names)}, {_stamp(batch)} FROM {rows} r"


def whole(batch: Batch) -> str:
    """The batch as a SELECT of the columns of a table made for it, each of its type."""
    quote = batch.grammar.quote
    typed = ", ".join(
        f"{batch.grammar.cast(quote(column.name), column.type)} AS {quote(column.name)}"
        for column in batch.columns
    )
    return f"SELECT {typed}, {_stamp(batch)} FROM {batch.rows()} r"


def _stamp(batch: Batch) -> str:
    grammar = batch.grammar
    id_, at = OWN
    return (
        f"{grammar.cast(grammar.literal(batch.batch_id), id_.type)} AS {grammar.quote(id_.name)},"
        f" {grammar.instant(batch.loaded_at)} AS {grammar.quote(at.name)}"
    )


def in_slices(batch: Batch, day: str, slices: Sequence[Slice]) -> str:
    """Whether the DATE ``day`` lies in ``slices``; never NULL."""
    if WHOLE_TABLE in slices:
        return "true"
    dates = [date for slice_ in days(slices) if (date := batch.grammar.day_of(Slice(slice_))) is not None]
    tests = [f"{day} IS NULL"] if NULL_SLICE in slices else []
    tests += [f"coalesce({day} IN ({', '.join(dates)}), false)"] if dates else []
    return f"({' OR '.join(tests)})" if tests else "false"
