"""One table on its way through a sync: what is asked, what is known, what to read.

``prepare`` turns the catalog's block, the source's relation and the ledger's
state into units of work. Reading them is the source's, committing ``commit.py``'s.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import TableState
from data_platform.sources.postgres import clock
from data_platform.sources.postgres.extract import Read, Unit, name, whole_table_units
from data_platform.sources.postgres.fingerprint import slice_predicate
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync.decide import Decision, Shape, compare_shapes, decide_changes
from data_platform.sync.projection import project
from data_platform.tables import WHOLE_TABLE, Operation, Slice


@dataclass(frozen=True)
class Request:
    """What is asked of a sync of one source; ``slices`` None means *changes*. ``by_clock`` False
    insists on the xmin scan."""

    source: str
    refresh: Collection[str] = ()
    verify: bool = False
    slices: tuple[Slice, ...] | None = None
    by_clock: bool = True

    @property
    def operation(self) -> Operation:
        return "changes" if self.slices is None else "slice"


@dataclass
class Work:
    """One table of one pass. What fails is kept in ``error``: it is this table's alone.
    ``seconds`` is the work done for it, not the wait for others."""

    table: Table
    state: TableState
    operation: Operation
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: DataPlatformError | None = None
    plan: Plan | None = None
    reported: bool = False


@dataclass
class Plan:
    """What is read of one table under the snapshot; ``horizon`` is the clock path's next one."""

    relation: Relation
    shape: Shape
    decision: Decision
    slices: tuple[Slice, ...]
    horizon: str | None
    read: Read


def prepare(work: Work, request: Request, session: SourceSession, scratch: Path) -> Plan:
    """Decide what to read of one table and lay it out as units of work.

    Raises what keeps this table from being read: it is missing, drifted, has a
    type or a personal column nothing is said about.
    """
    table = work.table
    name_ = table.id.table
    if name_ in session.errors:
        raise session.errors[name_]
    assert session.snapshot is not None
    relation = session.relations[name_]
    projections, shape = project(table, relation, session.snapshot.taken_at[:10])
    decision = _reshaped(work, request, relation, shape, _decide(work, request, session, relation))
    work.operation = decision.operation
    work.notes += decision.reasons
    folder = scratch / name_
    folder.mkdir()
    return Plan(
        relation=relation,
        shape=shape,
        decision=decision,
        slices=(request.slices or ()) if decision.load == "slice" else (),
        horizon=_horizon(work, session, relation),
        read=Read(
            str(table.id), projections, _units(session, relation, decision), folder, relation.rows_estimate
        ),
    )


def _decide(work: Work, request: Request, session: SourceSession, relation: Relation) -> Decision:
    table, state = work.table, work.state
    assert session.snapshot is not None
    if request.slices is not None:
        if table.partition is None or WHOLE_TABLE in request.slices:
            return Decision(
                "refresh", "replace", "whole", "true", ("the table has no slices; it was read whole",)
            )
        predicate = slice_predicate(relation, table.partition, table.timezone, request.slices)
        return Decision("slice", "slice", "whole", predicate)
    return decide_changes(
        relation=relation,
        strategy=table.strategy,
        cursor=table.cursor,
        cursor_clock=table.cursor_clock,
        server=session.server,
        snapshot=session.snapshot,
        before=state.watermark,
        previous_snapshot=state.head.snapshot if state.head else None,
        observation=session.observation,
        refresh=table.id.table in request.refresh,
        verify=request.verify,
        by_clock=request.by_clock,
    )


def _reshaped(work: Work, request: Request, relation: Relation, shape: Shape, decision: Decision) -> Decision:
    """``decision``, or a refresh where the table's shape changed in a way that needs one."""
    head, table = work.state.head, work.table
    if head is None or table.id.table in request.refresh:
        return decision
    filled = [c.name for c in relation.columns if c.fills_existing_rows]
    before = Shape(head.columns, head.key, head.partition, head.timezone)
    notes, reasons = compare_shapes(table.id, before, shape, filled)
    if decision.load == "replace":
        return decision
    work.notes += notes
    return Decision("refresh", "replace", "whole", "true", reasons) if reasons else decision


def _units(session: SourceSession, relation: Relation, decision: Decision) -> list[Unit]:
    relation_sql = name(relation.schema, relation.name)
    if decision.load == "replace":
        # before PostgreSQL 14 each ctid range would read the whole table
        return whole_table_units(relation, split=session.server.version >= 14 and not session.server.standby)
    if decision.operation == "changes":
        # ends at the first row, so that only a quiet table pays for a scan without a read
        found = session.execute(
            f"select 1 from {relation_sql} where {decision.predicate} limit 1",
            what=f"Looking for changes in {relation.schema}.{relation.name}",
        )
        if not found:
            return []
    return [Unit(relation_sql, decision.predicate)]


def _horizon(work: Work, session: SourceSession, relation: Relation) -> str | None:
    table = work.table
    if session.observation is None or table.cursor_clock != "database" or not relation.has_xmin:
        return None
    before = work.state.watermark
    previous = datetime.fromisoformat(before.horizon) if before and before.horizon else None
    verdict = clock.horizon(session.observation, relation, table.cursor, table.cursor_clock, previous)
    if verdict.refusals:
        work.notes.append(
            f"the clock path is not taken ({'; '.join(verdict.refusals)}); the xmin scan serves"
        )
    return verdict.value.isoformat(timespec="microseconds") if verdict.value else None
