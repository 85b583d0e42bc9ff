"""A look at a source without reading it: which tables moved, which slices differ.

Compares the source with the manifests only; it never opens the warehouse, so a
sensor can run it beside anything. Nor is it in anybody's way at the source: tables
are looked at in short transactions that wait for no lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from data_platform.catalog import Table
from data_platform.duckdb_sql import content_rows
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.looks import Looks
from data_platform.landing.state import TableState
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.fingerprint import measure
from data_platform.sources.postgres.identity import identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.position import watermark
from data_platform.sources.postgres.session import LOOK_SECONDS, SourceSession
from data_platform.sources.postgres.types import from_clause, quote
from data_platform.sync.decide import Decision, decide_changes
from data_platform.sync.load import remember_failure
from data_platform.sync.platform import Platform
from data_platform.sync.projection import check_columns, checksum_key
from data_platform.sync.work import is_small
from data_platform.tables import Fingerprint, Slice, TableId

NO_ROWS = Fingerprint(0, 0)


@dataclass(frozen=True, slots=True)
class TableProbe:
    """``moved``: True when a changes read would find something, None when that cannot be told
    without reading (a view): such a table is to be read at ``due``. ``differing`` slices hold something else than when
    they were last measured, though no changed row explains it: a delete, a silent change. An
    ``error`` is the table's own unless it is ``source_wide``."""

    table: TableId
    moved: bool | None
    differing: tuple[Slice, ...] = ()
    error: DataPlatformError | None = None
    head_sequence: int = 0
    due: datetime | None = None
    source_wide: bool = False


def probe(
    platform: Platform, source: str, tables: Sequence[str] | None = None, *, measure_slices: bool = False
) -> list[TableProbe]:
    """One probe a table. ``measure_slices`` also counts and checksums the tables that did not move.

    A table's trouble is in its ``error``; an unreachable source is every table's.
    """
    known = platform.catalog.source(source)
    chosen = [platform.catalog.table(TableId(source, t)) for t in (tables or known.tables)]
    states: dict[str, TableState] = {}
    found: list[TableProbe] = []
    for table in chosen:
        try:
            states[table.id.table] = _state(platform.ledger, table.id, measure_slices)
        except DataPlatformError as error:
            found.append(TableProbe(table.id, None, error=error))
    readable = [t for t in chosen if t.id.table in states]
    recall = platform.ledger.looks()
    try:
        where = target(connection_of(known.connection), platform.environ, source=source)
        with SourceSession(where) as session:
            session.observe(activity=any(settings_of(t).cursor_clock == "database" for t in readable))
            looks = _look(session, readable, states, measure_slices)
            for table in readable:
                seen = looks[table.id.table]
                if isinstance(seen, DataPlatformError):
                    seen = TableProbe(
                        table.id, None, error=seen, head_sequence=_sequence(states[table.id.table])
                    )
                elif seen.moved is None:
                    seen = replace(seen, due=_due(table, states[table.id.table], recall))
                found.append(seen)
    except DataPlatformError as error:
        told = {p.table for p in found}
        found += [TableProbe(t.id, None, error=error, source_wide=True) for t in readable if t.id not in told]
    for seen in found:
        if seen.error is not None and not seen.source_wide:
            remember_failure(platform, seen.table, seen.error)
    return found


def _state(ledger: Ledger, table: TableId, measure_slices: bool) -> TableState:
    """Where nothing is measured, the head alone tells: one object is read, whatever the fingerprints before it are."""
    if measure_slices:
        return ledger.state(table)
    head = ledger.head(table)
    return TableState(head, head.position_after, head.columns) if head else TableState()


def _look(
    session: SourceSession, tables: Sequence[Table], states: Mapping[str, TableState], measure_slices: bool
) -> Mapping[str, TableProbe | DataPlatformError]:
    """What each table is found to be. Most are small and quiet and are asked together, the others one by one."""
    by_name = {t.id.table: t for t in tables}
    wanted = [(t.id.table, *settings_of(t).relation) for t in tables]

    def simple(name: str, relation: Relation) -> str | None:
        with suppress(DataPlatformError):  # told when it is looked at by itself
            decision = _decide(session, by_name[name], states[name], relation)
            known = states[name].head
            same = known is None or identity(by_name[name].id, known.identity) in (None, relation.identity)
            if same and decision.path not in ("whole", "cursor") and is_small(relation):
                return _question(relation, decision)
        return None

    looks: dict[str, TableProbe | DataPlatformError] = {}
    if not measure_slices:
        for name, rows in session.glance(wanted, simple).items():
            looks[name] = TableProbe(by_name[name].id, bool(rows), head_sequence=_sequence(states[name]))
    looks |= session.look(
        [w for w in wanted if w[0] not in looks],
        lambda name, relation: _probe_table(session, by_name[name], states[name], relation, measure_slices),
        seconds=LOOK_SECONDS,
    )
    return looks


def _decide(session: SourceSession, table: Table, state: TableState, relation: Relation) -> Decision:
    check_columns(table, relation)
    assert session.snapshot is not None
    strategy = table.strategy
    if strategy == "replace" and relation.has_xmin:
        strategy = "merge"  # it is read whole, and its row versions tell when
    return decide_changes(
        relation=relation,
        strategy=strategy,
        cursor=table.cursor,
        cursor_clock=settings_of(table).cursor_clock,
        server=session.server,
        snapshot=session.snapshot,
        before=watermark(table.id, state.position),
        previous_snapshot=state.head.snapshot if state.head else None,
        observation=session.observation,
        refresh=False,
        verify=False,
    )


def _question(relation: Relation, decision: Decision) -> str:
    return f"select 1 from {from_clause(relation)} where {decision.predicate} limit 1"


def _probe_table(
    session: SourceSession, table: Table, state: TableState, relation: Relation, measure_slices: bool
) -> TableProbe:
    sequence = _sequence(state)
    decision = _decide(session, table, state, relation)
    known = identity(table.id, state.head.identity) if state.head else None
    if known is not None and known != relation.identity:  # made anew, truncated, altered
        return TableProbe(table.id, True, head_sequence=sequence)
    what = f"Looking for changes in {relation.schema}.{relation.name}"
    source = from_clause(relation)
    if decision.path == "whole":
        moved = None if state.head and decision.blind else True
        if moved is None and table.cursor and table.strategy != "replace":  # none was known so far
            first = f"select 1 from {source} where {quote(table.cursor)} is not null limit 1"
            moved = True if session.execute(first, what=what) else None
        return TableProbe(table.id, moved, head_sequence=sequence)
    if decision.path == "cursor":
        moved = _moved_by_cursor(session, relation, table, decision, state, what)
        return TableProbe(table.id, moved, head_sequence=sequence)
    if session.execute(_question(relation, decision), what=what):
        return TableProbe(table.id, True, head_sequence=sequence)
    differing: tuple[Slice, ...] = ()
    if measure_slices and state.measured:
        key = checksum_key(table, relation)
        now = measure(session.under_snapshot(what), relation, key, table.partition, table.timezone)
        differing = tuple(
            sorted(
                slice_
                for slice_, measured in state.measured.items()
                if now.get(slice_, NO_ROWS) != measured.fingerprint
            )
        )
    return TableProbe(table.id, False, differing, head_sequence=sequence)


def _sequence(state: TableState) -> int:
    return state.head.sequence if state.head else 0


def _moved_by_cursor(
    session: SourceSession,
    relation: Relation,
    table: Table,
    decision: Decision,
    state: TableState,
    what: str,
) -> bool | None:
    """True for rows beyond the last cursor, or another number of rows from it on. As many as landed may
    still be other rows: only reading them tells."""
    if state.head is None or state.head.boundary is None:
        return True
    column, cursor = relation.column(table.cursor or ""), quote(table.cursor or "")
    beyond = f"{cursor} > {decision.predicate.removeprefix(f'{cursor} >= ')}"
    if column is not None and column.base in ("date", "timestamp", "timestamptz"):
        beyond += f" and isfinite({cursor})"  # an infinity is beyond for ever
    ((rows, new),) = session.execute(
        f"select count(*), count(*) filter (where {beyond}) from {from_clause(relation)}"
        f" where {decision.predicate}",
        what=what,
    )
    return True if new or rows != content_rows(state.head.boundary) else None


def _due(table: Table, state: TableState, recall: Looks) -> datetime | None:
    """When a table in which nothing tells that it changed is to be read again."""
    look = recall.last(table.id)
    looks = [datetime.fromisoformat(look)] if look else []
    if state.head is not None:
        looks.append(state.head.landed_at)
    return max(looks) + timedelta(hours=table.read_every_hours) if looks else None
