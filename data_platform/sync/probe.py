"""Checks a source without reading it: which tables changed, which slices differ.

Compares the source with the manifests only; it never opens the warehouse, so a
sensor can run it at any time. It blocks nobody at the source: tables are checked in
short transactions that wait for no lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.looks import Looks
from data_platform.landing.state import TableState
from data_platform.sources.kinds import open_looking
from data_platform.sources.looking import LookAt, Looked
from data_platform.sources.reading import Described, SourceTable
from data_platform.sync.columns import check_columns, layout
from data_platform.sync.decide import from_where
from data_platform.sync.load import remember_failure
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.sync.work import prior_of
from data_platform.tables import Layout, Slice, Snapshot, TableId


@dataclass(frozen=True, slots=True)
class TableProbe:
    """``moved`` is True if a read of changes would find something, and None if only a read can tell (a view): such
    a table is read at ``due``. ``differing`` slices have changed since they were last counted, although no changed row
    explains it: a delete or a silent change. An ``error`` concerns only this table unless it is
    ``source_wide``."""

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
    for ledger, of in platform.ledger.ahead_of([table.id for table in chosen], states=measure_slices):
        table = known.tables[of.table]
        try:
            states[of.table] = _state(ledger, of, measure_slices and table.proved)
        except DataPlatformError as error:
            found.append(TableProbe(table.id, None, error=error))
    readable = [t for t in chosen if t.id.table in states]
    recall = platform.ledger.looks()
    opening = opening_of(platform, known, readable)
    try:
        with open_looking(known.kind, opening) as looking:
            now = looking.snapshot()
            looks = [_look_at(table, states[table.id.table], now, measure_slices) for table in readable]
            seen = looking.look(looks, _accept)
        found += [_probed(table, states[table.id.table], seen[table.id], recall) for table in readable]
    except DataPlatformError as error:
        found += [TableProbe(t.id, None, error=error, source_wide=True) for t in readable]
    for one in found:
        if one.error is not None and not one.source_wide:
            remember_failure(platform, one.table, one.error)
    return found


def _look_at(table: Table, state: TableState, now: Snapshot, measure_slices: bool) -> LookAt:
    measured = {slice_: m.fingerprint for slice_, m in state.measured.items()}
    prior = prior_of(state.head, state)
    return LookAt(table, prior, from_where(prior, now), measured if measure_slices and table.proved else None)


def _accept(table: SourceTable, now: Described) -> Layout:
    assert isinstance(table, Table)
    check_columns(table, now)
    return layout(table, now)


def _probed(table: Table, state: TableState, seen: Looked | DataPlatformError, recall: Looks) -> TableProbe:
    sequence = state.head.sequence if state.head else 0
    if isinstance(seen, DataPlatformError):
        return TableProbe(table.id, None, error=seen, head_sequence=sequence)
    due = _due(table, state, recall) if seen.moved is None else None
    return TableProbe(table.id, seen.moved, seen.differing, head_sequence=sequence, due=due)


def _state(ledger: Ledger, table: TableId, measure_slices: bool) -> TableState:
    """If nothing is counted, the head suffices: one object is read, and no earlier fingerprints."""
    if measure_slices:
        return ledger.state(table)
    head = ledger.head(table)
    return TableState(head, head.position_after, head.columns) if head else TableState()


def _due(table: Table, state: TableState, recall: Looks) -> datetime | None:
    """When a table whose source does not show changes is to be read again."""
    look = recall.last(table.id)
    looks = [datetime.fromisoformat(look)] if look else []
    if state.head is not None:
        looks.append(state.head.landed_at)
    return max(looks) + timedelta(hours=table.read_every_hours) if looks else None
