"""Checks a source without reading it: which tables changed, which slices differ.

Compares the source with the manifests only; it never opens the warehouse, so a
sensor can run it at any time. It blocks nobody at the source: tables are checked in
short transactions that wait for no lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.looks import Looks
from data_platform.landing.state import TableState
from data_platform.sources.kinds import open_looking
from data_platform.sources.looking import LookAt, Looked, Looking
from data_platform.sources.reading import Described, SourceTable
from data_platform.sync.columns import check_columns, layout
from data_platform.sync.decide import from_where
from data_platform.sync.erasing.door import Door, door_of
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
    platform: Platform,
    source: str,
    tables: Sequence[str] | None = None,
    *,
    measure_slices: bool = False,
    known: KnownHeads | None = None,
) -> list[TableProbe]:
    """One probe a table. ``measure_slices`` also counts and checksums the tables that did not move.

    A table's trouble is in its ``error``; an unreachable source is every table's. With ``known``, the ledger is not
    asked for the heads of quiet tables each time.
    """
    of_source = platform.catalog.source(source)
    chosen = [platform.catalog.table(TableId(source, t)) for t in (tables or of_source.tables)]
    remembered = {} if known is None or measure_slices else known.of(chosen, platform.clock())
    read, found = _read_states(platform, [t for t in chosen if t.id not in remembered], measure_slices)
    if known is not None:
        known.remember(read, platform.clock())
    readable = [table for table in chosen if table.id in remembered or table.id in read]
    probing = _Probing(platform, platform.ledger.looks(), measure_slices)
    try:
        with open_looking(of_source.kind, opening_of(platform, of_source, readable)) as looking:
            seen = probing.look(looking, readable, remembered | read)
            doubtful = [t for t in readable if t.id in remembered and probing.says_something(seen[t.id])]
            again, broken = _read_states(platform, doubtful, measure_slices)
            other = [t for t in doubtful if t.id in again and again[t.id].head != remembered[t.id].head]
            seen |= probing.look(looking, other, again) if other else {}
        if known is not None:
            known.remember(again, platform.clock())
        seen |= {one.table: one for one in broken}
        found += [seen[table.id] for table in readable]
    except DataPlatformError as error:
        found += [TableProbe(t.id, None, error=error, source_wide=True) for t in readable]
    for one in found:
        if one.error is not None and not one.source_wide:
            remember_failure(platform, one.table, one.error)
    return found


class KnownHeads:
    """The heads that a process has read, for ``TRUSTED`` each.

    A table that has not moved since the head that is known of it has nothing to read, whatever has landed meanwhile. One that
    seems to have moved is looked at again from its present head. So a table that is quiet costs the landing store no
    request, and one whose ledger is set back is noticed after ``TRUSTED``.
    """

    TRUSTED = timedelta(minutes=10)

    def __init__(self) -> None:
        self._known: dict[TableId, tuple[datetime, TableState]] = {}

    def of(self, tables: Sequence[Table], now: datetime) -> dict[TableId, TableState]:
        found = ((table.id, self._known.get(table.id)) for table in tables)
        return {table: one[1] for table, one in found if one and timedelta() <= now - one[0] < self.TRUSTED}

    def remember(self, states: Mapping[TableId, TableState], now: datetime) -> None:
        self._known |= {table: (now, state) for table, state in states.items()}


def _read_states(
    platform: Platform, tables: Sequence[Table], measure_slices: bool
) -> tuple[dict[TableId, TableState], list[TableProbe]]:
    """What the ledger says of each table, and the probe of each of which it cannot say anything."""
    states: dict[TableId, TableState] = {}
    broken = []
    of = {table.id: table for table in tables}
    for ledger, id_ in platform.ledger.ahead_of(list(of), states=measure_slices):
        try:
            states[id_] = _state(ledger, id_, measure_slices and of[id_].proved)
        except DataPlatformError as error:
            broken.append(TableProbe(id_, None, error=error))
    return states, broken


@dataclass(frozen=True)
class _Probing:
    platform: Platform
    recall: Looks
    measure_slices: bool

    def look(
        self, looking: Looking, tables: Sequence[Table], states: Mapping[TableId, TableState]
    ) -> dict[TableId, TableProbe]:
        now = looking.snapshot()
        door = door_of(self.platform)
        looks = [_look_at(table, states[table.id], now, self.measure_slices, door) for table in tables]
        seen = looking.look(looks, _accept)
        return {t.id: _probed(t, states[t.id], seen[t.id], self.recall) for t in tables}

    def says_something(self, seen: TableProbe) -> bool:
        due = seen.due is not None and seen.due <= self.platform.clock()
        return bool(seen.moved or seen.differing or seen.error or due)


def _look_at(table: Table, state: TableState, now: Snapshot, measure_slices: bool, door: Door) -> LookAt:
    measured = {slice_: m.fingerprint for slice_, m in state.measured.items()}
    prior = prior_of(state.head, state, door.unwanted(table.id))
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
