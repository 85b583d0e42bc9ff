"""Row counts, version sums and checksums of a raw table by slice, for comparisons with the source."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_platform.errors import WarehouseError
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
from data_platform.warehouses.remote.engine import Session, Staging
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.parts import sendable


def fingerprints(
    session: Session, grammar: Grammar, table: TableId, layout: Layout
) -> Mapping[Slice, Fingerprint]:
    held = _columns(session, grammar, table, _named(layout))
    if not held:
        return {}
    version = [layout.version] if layout.version in held else []
    pieces = [grammar.key_text(grammar.quote(name), held[name]) for name in (*layout.key, *version)]
    if not layout.key:
        pieces.insert(0, "''")
    token = grammar.token(pieces if version else [*pieces, "''"])
    return {
        slice_: Fingerprint(rows, total % CHECKSUM_MODULUS)
        for slice_, rows, total in _by_slice(session, grammar, table, held, token, layout)
    }


def tallies(session: Session, grammar: Grammar, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
    held = _columns(session, grammar, table, _named(replace(layout, key=())))
    version = grammar.quote(layout.version) if layout.version in held and layout.version else "0"
    return {
        slice_: Tally(rows, total % VERSIONS_MODULUS)
        for slice_, rows, total in _by_slice(session, grammar, table, held, version, layout)
    }


def altered(
    session: Session,
    grammar: Grammar,
    table: TableId,
    layout: Layout,
    columns: Sequence[Column],
    parts: Sequence[Path],
    slices: Sequence[Slice],
) -> Mapping[Slice, int]:
    """``Warehouse.altered``: the parts are staged, and sums of a token of whole rows are compared by slice. Rows are joined only in
    slices whose sums differ."""
    known = [column.name for column in columns]
    held = held_columns(session, grammar, table, [*_named(layout), *known])
    _columns(session, grammar, table, _named(layout))
    if any(column.name not in held for column in columns):
        return dict.fromkeys(slices, 0)  # a column is new: nothing here holds it yet
    loadable = {column.name: grammar.loadable(column) for column in columns}
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{table.source}_{table.table}")[:80]
    with sendable(f"The comparison of {table}", columns, loadable, parts, ()) as sent:
        staging = Staging(
            f"{name}_compared_{uuid.uuid4().hex[:12]}",
            tuple((column.name, loadable[column.name].staged) for column in columns),
            sent.paths,
            (),
            -1,
        )
        with session.staged(staging) as stage:
            values = []
            for column in columns:
                value = loadable[column.name].value.replace("{}", grammar.quote(column.name))
                if not grammar.same_type(held[column.name], column.type):
                    value = f"CAST({value} AS {held[column.name]})"
                values.append(f"{value} AS {grammar.quote(column.name)}")
            landed = f"(SELECT {', '.join(values)} FROM {stage})"
            return _Sides(session, grammar, table, layout, held, columns, landed).differing(slices)


class _Sides:
    """The raw table and the staged rows, in one shape: ``s`` (slice), ``h`` (a token of the whole row), key and version."""

    def __init__(
        self,
        session: Session,
        grammar: Grammar,
        table: TableId,
        layout: Layout,
        held: Mapping[str, str],
        columns: Sequence[Column],
        landed: str,
    ) -> None:
        self.session, self.grammar = session, grammar
        names = [column.name for column in columns]
        version = [layout.version] if layout.version in names and layout.version else []
        self.same = [*layout.key, *version] if layout.key and version else []
        pieces = [_piece(grammar, grammar.whole_text(grammar.quote(name), held[name])) for name in names]
        shown = ", ".join(
            f"{grammar.keyed(grammar.quote(name), held[name])} AS c{n}" for n, name in enumerate(self.same)
        )
        selected = f"SELECT {_slice(grammar, held, layout)} AS s, {grammar.token(pieces)} AS h" + (
            f", {shown}" if shown else ""
        )
        raw = grammar.relation(table.raw_schema, table.table)
        self.ours = f"({selected} FROM {raw} AS t WHERE {grammar.all_rows('t', layout.partition)})"
        self.theirs = f"({selected} FROM {landed} l)"

    def differing(self, slices: Sequence[Slice]) -> dict[Slice, int]:
        sums = " UNION ALL ".join(
            f"SELECT {side} AS side, s, count(*) AS n, {self.grammar.total('h')} AS h FROM {rows} r"
            f" WHERE s IN ({self._names(slices)}) GROUP BY s"
            for side, rows in enumerate((self.ours, self.theirs))
        )
        sides: tuple[dict[str, tuple[int, int]], ...] = ({}, {})
        for side, slice_, rows, total in self.session.ask(sums).rows:
            sides[int(side)][slice_] = (int(rows), int(total))
        differing = [name for name in slices if sides[0].get(name) != sides[1].get(name)]
        found = dict.fromkeys(differing, 0)
        if not differing or not self.same:
            return found
        met = " AND ".join(f"w.c{n} = p.c{n}" for n in range(len(self.same)))
        rows_altered = self.session.ask(
            f"SELECT p.s, count(*) FROM {self.ours} w JOIN {self.theirs} p ON {met}"
            f" WHERE w.h <> p.h AND p.s IN ({self._names(differing)}) GROUP BY p.s"
        ).rows
        return found | {Slice(name): int(rows) for name, rows in rows_altered}

    def _names(self, slices: Sequence[Slice]) -> str:
        return ", ".join(map(self.grammar.literal, slices))


def _piece(grammar: Grammar, text: str) -> str:
    """A value's text that tells where it ends and whether it is NULL."""
    length = grammar.cast(f"length({text})", "VARCHAR")
    return f"coalesce({length} || ':' || {text}, '~')"


def held_columns(session: Session, grammar: Grammar, table: TableId, known: Sequence[str]) -> dict[str, str]:
    """The raw table's columns and types; those ``known`` in their own spelling, where the engine folds names."""
    spelled = {grammar.folded(name): name for name in known}
    return {
        spelled.get(name, name): kind for name, kind in session.columns(table.raw_schema, table.table).items()
    }


def _named(layout: Layout) -> list[str]:
    """The columns that must be there; the version's may be."""
    return [*layout.key, *([layout.partition] if layout.partition else [])]


def _columns(session: Session, grammar: Grammar, table: TableId, needed: Sequence[str]) -> dict[str, str]:
    """The raw table's columns; empty where there is no table. ``WarehouseError`` for one that is not there."""
    columns = held_columns(session, grammar, table, needed)
    missing = [name for name in needed if name not in columns] if columns else []
    if missing:
        raise WarehouseError(
            f"The raw table {table.raw_name} has no column {', '.join(missing)}, which the catalog names as"
            f" key or partition of {table}. Run `sync --refresh {table}`."
        )
    return columns


def _by_slice(
    session: Session,
    grammar: Grammar,
    table: TableId,
    held: Mapping[str, str],
    value: str,
    layout: Layout,
) -> list[tuple[Slice, int, int]]:
    """(slice, rows, sum of ``value``); a day is named once a group, not once a row."""
    if not held:
        return []
    raw = grammar.relation(table.raw_schema, table.table)
    rows = session.ask(
        f"SELECT {grammar.slice_of('d')}, n, s FROM (SELECT {_day(grammar, held, layout)} AS d, count(*) AS n,"
        f" {grammar.total(value)} AS s FROM {raw} AS t WHERE {grammar.all_rows('t', layout.partition)} GROUP BY 1) g"
    ).rows
    other = NULL_SLICE if layout.partition else WHOLE_TABLE
    return [(Slice(name or other), int(n), int(total or 0)) for name, n, total in rows]


def _day(grammar: Grammar, held: Mapping[str, str], layout: Layout) -> str:
    name = layout.partition
    if name is None:
        return grammar.cast("NULL", "DATE")
    return grammar.day(grammar.quote(name), held[name], layout.timezone)


def _slice(grammar: Grammar, held: Mapping[str, str], layout: Layout) -> str:
    if layout.partition is None:
        return grammar.literal(WHOLE_TABLE)
    return f"coalesce({grammar.slice_of(_day(grammar, held, layout))}, {grammar.literal(NULL_SLICE)})"
