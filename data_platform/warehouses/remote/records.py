"""The records that a warehouse behind a connection keeps about itself. Rows are only added.

Loads of different tables write them at the same time, and an UPDATE of a common table makes one wait for the other, or
fail. Where a reader expects one row a table, there is a view of that name over what was added.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from data_platform.tables import Column, Slice, TableId
from data_platform.warehouses import PLATFORM_SCHEMA, LoadableBatch, LoadedBatch, LoadResult, Look
from data_platform.warehouses.journal import JournalTable
from data_platform.warehouses.remote.engine import RelationMissing, Session, Transaction
from data_platform.warehouses.remote.grammar import Grammar, Placement

LOADED, TOUCHED, READS, READ_LOG = "loaded_batches", "touched_slices", "table_reads", "table_read_log"
EVALUATED, EVALUATED_LOG = "evaluated_rules", "evaluated_rules_log"
TURNS = "exchanges"
"""Attempts to put a table in the place of a raw table, see ``turns.py``. Engines whose DDL is transactional have none."""

_TABLE = {"source": "VARCHAR", "table": "VARCHAR"}
INSTANTS = {"read_at": "TIMESTAMPTZ", "reconciled_at": "TIMESTAMPTZ", "lost_at": "TIMESTAMPTZ"}
TABLES: Mapping[str, Mapping[str, str]] = {
    LOADED: _TABLE
    | {"sequence": "BIGINT", "batch_id": "VARCHAR", "digest": "VARCHAR", "loaded_at": "TIMESTAMPTZ"}
    | {"operation": "VARCHAR", "rows_inserted": "BIGINT", "rows_deleted": "BIGINT"}
    | {"snapshot_at": "TIMESTAMPTZ"}
    | INSTANTS,
    TOUCHED: _TABLE
    | {"slice": "VARCHAR", "sequence": "BIGINT", "rows": "BIGINT", "loaded_at": "TIMESTAMPTZ"}
    | {"came": "BIGINT", "went": "BIGINT", "vacated": "BIGINT"},
    READ_LOG: _TABLE | INSTANTS,
    EVALUATED_LOG: _TABLE
    | {"sequence": "BIGINT", "evaluated": "VARCHAR", "evaluated_at": "TIMESTAMPTZ", "piece": "BIGINT"},
}
"""The tables and the landed types of their columns."""
_TURN = _TABLE | {"sequence": "BIGINT", "attempt": "VARCHAR", "turn": "BIGINT"}

PIECE = 16_000
"""Characters of a text that is kept in pieces: no engine has a smaller limit, 65,535 bytes being the least."""


class Found(NamedTuple):
    """Of the loaded batches of a table: the newest, and the one of a sequence."""

    newest: LoadedBatch | None
    asked: LoadedBatch | None


def prepare(session: Session, grammar: Grammar) -> None:
    """Make the platform's own tables and views where they are not there yet."""
    last = EVALUATED if grammar.transactional_ddl else TURNS
    if session.columns(PLATFORM_SCHEMA, last):
        return
    made = [
        grammar.create_schema(PLATFORM_SCHEMA),
        *(_created(grammar, name, kinds) for name, kinds in TABLES.items()),
        grammar.create_view(PLATFORM_SCHEMA, READS, _reads_view(grammar)),
        grammar.create_view(PLATFORM_SCHEMA, EVALUATED, _evaluated_view(grammar)),
    ]
    if last == TURNS:
        made.append(_created(grammar, TURNS, _TURN))
    session.define(made)


def _created(grammar: Grammar, name: str, kinds: Mapping[str, str]) -> str:
    columns = [Column(column, kind, "") for column, kind in kinds.items()]
    return grammar.create_table(PLATFORM_SCHEMA, name, columns, Placement())


def make_journal(session: Session, grammar: Grammar, table: JournalTable) -> None:
    """Make the journal's table, or give it the columns that it lacks."""
    held = session.columns(table.schema, table.name)
    if not held:
        made = grammar.create_table(table.schema, table.name, table.landed, Placement())
        session.define([grammar.create_schema(table.schema), made])
    elif missing := table.missing(held):
        session.define([grammar.add_column(table.schema, table.name, one) for one in missing])


def find(session: Session, grammar: Grammar, table: TableId, sequence: int) -> Found:
    """One question, however many batches there are."""
    number, where = grammar.quote("sequence"), _where(grammar, table)
    newest = f"SELECT max({number}) FROM {relation(grammar, LOADED)}{where}"
    found = _batches(session, grammar, f"{where} AND ({number} = {int(sequence)} OR {number} = ({newest}))")
    by_sequence = {one.sequence: one for one in found}
    return Found(by_sequence[max(by_sequence)] if by_sequence else None, by_sequence.get(sequence))


def newest(session: Session, grammar: Grammar, table: TableId | None = None) -> list[LoadedBatch]:
    """The newest loaded batch of ``table``, or of every table."""
    number, log = grammar.quote("sequence"), relation(grammar, LOADED)
    if table is not None:
        where = _where(grammar, table)
        return _batches(session, grammar, f"{where} AND {number} = (SELECT max({number}) FROM {log}{where})")[
            :1
        ]
    source, name = grammar.quote("source"), grammar.quote("table")
    greatest = f"SELECT {source} AS s, {name} AS n, max({number}) AS m FROM {log} GROUP BY 1, 2"
    met = f"EXISTS (SELECT 1 FROM ({greatest}) g WHERE g.s = b.{source} AND g.n = b.{name} AND g.m = b.{number})"
    found = {one.table: one for one in _batches(session, grammar, f" WHERE {met}")}
    return [found[one] for one in sorted(found)]


def changed_since(session: Session, grammar: Grammar, table: TableId) -> Mapping[Slice, int]:
    slice_, number = grammar.quote("slice"), grammar.quote("sequence")
    rows = _rows(
        session,
        f"SELECT {slice_}, max({number}) FROM {relation(grammar, TOUCHED)}{_where(grammar, table)} GROUP BY 1",
    )
    return {Slice(name): int(sequence) for name, sequence in rows}


def reached(grammar: Grammar, table: TableId, sequence: int) -> str:
    """Whether the newest batch is still the one of ``sequence`` (0: none), as a question."""
    number = grammar.quote("sequence")
    return f"SELECT coalesce(max({number}), 0) = {int(sequence)} FROM {relation(grammar, LOADED)}{_where(grammar, table)}"


def guard(grammar: Grammar, table: TableId, sequence: int, attempt: str | None = None) -> str:
    """As ``reached``, and whether nobody has taken a turn since, or ``attempt`` the latest."""
    if grammar.transactional_ddl:
        return reached(grammar, table, sequence)
    turn, log = grammar.quote("turn"), relation(grammar, TURNS)
    where = f"{_where(grammar, table)} AND {grammar.quote('sequence')} > {int(sequence)}"
    test = f"count(*) = 0 FROM {log}{where}"
    if attempt is not None:
        latest = f"SELECT max({turn}) FROM {log}{_where(grammar, table)}"
        mine = f"{grammar.quote('attempt')} = {grammar.literal(attempt)} AND {turn} = ({latest})"
        test = f"count(*) > 0 FROM {log}{where} AND {mine}"
    return f"SELECT ({reached(grammar, table, sequence)}) AND (SELECT {test})"


def turns(session: Session, grammar: Grammar, table: TableId, sequence: int) -> list[str]:
    """The attempts that took a turn after the batch of ``sequence`` was loaded, in order."""
    attempt, turn = grammar.quote("attempt"), grammar.quote("turn")
    newer = f"{_where(grammar, table)} AND {grammar.quote('sequence')} > {int(sequence)}"
    found = _rows(session, f"SELECT {turn}, {attempt} FROM {relation(grammar, TURNS)}{newer}")
    return [name for _, name in sorted(found)]


def insert_turn(grammar: Grammar, table: TableId, sequence: int, attempt: str) -> str:
    """Takes a turn to load the batch after the one of ``sequence``; under the lock of the table."""
    names = ", ".join(map(grammar.quote, _TURN))
    return (
        f"INSERT INTO {relation(grammar, TURNS)} ({names}) SELECT {_of(grammar, table)}, {int(sequence) + 1},"
        f" {grammar.literal(attempt)}, coalesce(max({grammar.quote('turn')}), 0) + 1"
        f" FROM {relation(grammar, TURNS)}{_where(grammar, table)}"
    )


def untouched(grammar: Grammar, batch: LoadableBatch, guarded: str) -> str:
    """As the guard, and whether the slices that the batch touches are not written down yet: two loads may both have seen none."""
    return (
        f"SELECT ({guarded}) AND"
        f" (SELECT count(*) = 0 FROM {relation(grammar, TOUCHED)}{_touched_by(grammar, batch)})"
    )


def insert_touched(grammar: Grammar, batch: LoadableBatch, touched: str) -> str:
    """Writes down the slices that a load touches; ``touched`` is a query of (slice, came, went, vacated)."""
    names = ", ".join(map(grammar.quote, TABLES[TOUCHED]))
    rows = grammar.greater("c.came", "c.went")
    return (
        f"INSERT INTO {relation(grammar, TOUCHED)} ({names}) SELECT {_of(grammar, batch.table)}, c.slice,"
        f" {int(batch.sequence)}, {rows}, {grammar.instant(batch.committed_at)}, c.came, c.went, c.vacated"
        f" FROM ({touched}) c"
    )


def insert_loaded(grammar: Grammar, batch: LoadableBatch) -> str:
    """Writes down the batch itself, with the sums of what it touched, later in the same transaction."""
    nothing = grammar.cast("NULL", "TIMESTAMPTZ")
    taken_at = grammar.instant(batch.snapshot.taken_at)
    data = batch.kind == "data"
    reconciled = data and (batch.load == "replace" or batch.deleted is not None)
    came, went, vacated = (f"coalesce(sum({grammar.quote(name)}), 0)" for name in ("came", "went", "vacated"))
    names = ", ".join(map(grammar.quote, TABLES[LOADED]))
    return (
        f"INSERT INTO {relation(grammar, LOADED)} ({names}) SELECT {_of(grammar, batch.table)}, {int(batch.sequence)},"
        f" {grammar.literal(batch.batch_id)}, {grammar.literal(batch.digest)},"
        f" {grammar.instant(batch.committed_at)}, {grammar.literal(batch.operation)}, {came}, {went}, {taken_at},"
        f" {taken_at if data and batch.load != 'slice' else nothing}, {taken_at if reconciled else nothing},"
        f" CASE WHEN {vacated} > 0 THEN {taken_at} ELSE {nothing} END"
        f" FROM {relation(grammar, TOUCHED)}{_touched_by(grammar, batch)}"
    )


def is_touched(session: Session, grammar: Grammar, batch: LoadableBatch) -> bool:
    """Whether the slices that the batch touches are written down already."""
    question = f"SELECT count(*) FROM {relation(grammar, TOUCHED)}{_touched_by(grammar, batch)}"
    return bool(_rows(session, question)[0][0])


def result(session: Session, grammar: Grammar, batch: LoadableBatch) -> LoadResult:
    """What the load of the batch did, which is loaded."""
    columns = ", ".join(map(grammar.quote, ("slice", "rows", "came", "went", "vacated")))
    found = _rows(session, f"SELECT {columns} FROM {relation(grammar, TOUCHED)}{_touched_by(grammar, batch)}")
    return LoadResult(
        batch.sequence,
        rows_deleted=sum(int(went) for _, _, _, went, _ in found),
        rows_inserted=sum(int(came) for _, _, came, _, _ in found),
        touched={Slice(slice_): int(rows) for slice_, rows, *_ in sorted(found)},
        vacated=0 if batch.load == "replace" else sum(int(vacated) for *_, vacated in found),
    )


def look_at(grammar: Grammar, looks: Sequence[Look]) -> Transaction:
    """One statement, however many tables were looked at."""
    nothing = grammar.cast("NULL", "TIMESTAMPTZ")
    rows = [
        f"SELECT {_of(grammar, look.table)}, {grammar.instant(look.at)},"
        f" {grammar.instant(look.at) if look.reconciled else nothing}, {nothing}"
        for look in looks
    ]
    return _added(grammar, READ_LOG, " UNION ALL ".join(rows))


def reads(session: Session, grammar: Grammar) -> dict[TableId, str]:
    """When each table was read last, by the source's clock (ISO, UTC)."""
    source, name, read_at = (grammar.quote(column) for column in ("source", "table", "read_at"))
    found = _rows(
        session,
        f"SELECT {source}, {name}, {grammar.micros(read_at)} FROM {relation(grammar, READS)}"
        f" WHERE {read_at} IS NOT NULL",
    )
    return {TableId(source, name): iso(micros) for source, name, micros in found}


def evaluated(grammar: Grammar, table: TableId, sequence: int, text: str, at: datetime) -> Transaction:
    """What the rules found, in pieces: it quotes rows, so it may be long."""
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]
    rows = [
        f"SELECT {_of(grammar, table)}, {int(sequence)}, {grammar.literal(piece)}, {grammar.instant(at.isoformat())},"
        f" {number}"
        for number, piece in enumerate(pieces)
    ]
    return _added(grammar, EVALUATED_LOG, " UNION ALL ".join(rows))


def recorded_rules(session: Session, grammar: Grammar) -> dict[TableId, tuple[int, str]]:
    columns = ", ".join(map(grammar.quote, ("piece", "source", "table", "sequence", "evaluated")))
    found = _rows(session, f"SELECT {columns} FROM {relation(grammar, EVALUATED)}")
    texts: dict[TableId, tuple[int, str]] = {}
    for _, source, name, sequence, text in sorted(found):
        before = texts.get(TableId(source, name), (0, ""))[1]
        texts[TableId(source, name)] = (int(sequence), before + text)
    return texts


def iso(micros: int) -> str:
    seconds, rest = divmod(int(micros), 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()


def _added(grammar: Grammar, log: str, query: str) -> Transaction:
    names = ", ".join(map(grammar.quote, TABLES[log]))
    insert = f"INSERT INTO {relation(grammar, log)} ({names}) {query}"
    return Transaction(f"{log}_{uuid.uuid4().hex}", (), "", (insert,))


def _reads_view(grammar: Grammar) -> str:
    names = ", ".join(map(grammar.quote, (*_TABLE, *INSTANTS)))
    latest = ", ".join(f"max({grammar.quote(name)}) AS {grammar.quote(name)}" for name in INSTANTS)
    both = f"SELECT {names} FROM {relation(grammar, LOADED)} UNION ALL SELECT {names} FROM {relation(grammar, READ_LOG)}"
    table = ", ".join(map(grammar.quote, _TABLE))
    return f"SELECT {table}, {latest} FROM ({both}) b GROUP BY {table}"


def _evaluated_view(grammar: Grammar) -> str:
    table, number = ", ".join(map(grammar.quote, _TABLE)), grammar.quote("sequence")
    names = ", ".join(map(grammar.quote, (*_TABLE, "sequence", "evaluated", "piece")))
    newest = (
        f"rank() OVER (PARTITION BY {table} ORDER BY {grammar.quote('evaluated_at')} DESC, {number} DESC)"
    )
    return f"SELECT {names} FROM (SELECT {names}, {newest} AS n FROM {relation(grammar, EVALUATED_LOG)}) e WHERE n = 1"


def _batches(session: Session, grammar: Grammar, where: str) -> list[LoadedBatch]:
    names = ", ".join(map(grammar.quote, ("source", "table", "sequence", "batch_id", "digest")))
    at = grammar.micros(grammar.quote("loaded_at"))
    rows = _rows(session, f"SELECT {names}, {at} FROM {relation(grammar, LOADED)} AS b{where}")
    return [
        LoadedBatch(TableId(source, name), int(sequence), batch_id, digest, iso(micros))
        for source, name, sequence, batch_id, digest, micros in rows
    ]


def _rows(session: Session, question: str) -> list[tuple[Any, ...]]:
    """Rows of the platform's own tables, which a new warehouse does not have yet."""
    try:
        return session.ask(question).rows
    except RelationMissing:
        return []


def relation(grammar: Grammar, name: str) -> str:
    """One of the platform's own tables, as statements name it."""
    return grammar.relation(PLATFORM_SCHEMA, name)


def _of(grammar: Grammar, table: TableId) -> str:
    return f"{grammar.literal(table.source)}, {grammar.literal(table.table)}"


def _where(grammar: Grammar, table: TableId) -> str:
    source, name = (grammar.quote(column) for column in _TABLE)
    return f" WHERE {source} = {grammar.literal(table.source)} AND {name} = {grammar.literal(table.table)}"


def _touched_by(grammar: Grammar, batch: LoadableBatch) -> str:
    return f"{_where(grammar, batch.table)} AND {grammar.quote('sequence')} = {int(batch.sequence)}"
