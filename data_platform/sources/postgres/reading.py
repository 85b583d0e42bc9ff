"""A reading of PostgreSQL: one session, one snapshot, and readers that share it. Its parts are the other modules'."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from data_platform.errors import DataPlatformError, PositionLost, SourceError
from data_platform.sources.postgres.changes import (
    Decision,
    Moment,
    decide_changes,
    horizon,
    must_advance,
    of_relation,
    watermark_after,
    whole,
)
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.describe import chosen, describe, known, server_columns, suspects
from data_platform.sources.postgres.extract import Read, Readers
from data_platform.sources.postgres.fingerprint import measure, slice_predicate, tally
from data_platform.sources.postgres.identity import Identity, carried, drift, identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.position import Watermark, watermark
from data_platform.sources.postgres.queries import check_key, filled, inherited, miscounted, missing
from data_platform.sources.postgres.rows import from_clause, place_of, wanted
from data_platform.sources.postgres.session import SourceSession, changed_since
from data_platform.sources.postgres.units import (
    NOTHING_KNOWN,
    Sample,
    Unit,
    sample_question,
    whole_table_units,
)
from data_platform.sources.reading import (
    Ask,
    Described,
    Drift,
    LandedColumns,
    Opening,
    Parts,
    Plan,
    PlannedRead,
    Prior,
    Progress,
    SourceTable,
)
from data_platform.tables import Fingerprint, Layout, Position, Slice, Snapshot, TableId, Tally

SMALL_PAGES = 1_000
"""8 MB, which a scan looks through in some ten milliseconds: what costs more is asked by itself."""
SNAPSHOT_SECONDS_MAX = 30 * 60
"""An open snapshot holds back vacuum at the source; past this age every report says so."""

Rows = Sequence[tuple[Any, ...]]


@contextmanager
def open_reading(opening: Opening) -> Iterator[PostgresReading]:
    where = target(connection_of(opening.connection), opening.environ, source=opening.source)
    with SourceSession(where) as session:
        session.begin(
            [(table.id.table, *settings_of(table).relation) for table in opening.tables],
            observe_activity=by_clock(opening.tables),
        )
        reading = PostgresReading(session, connection_of(opening.connection).connections)
        try:
            yield reading
        finally:
            reading.stop()


def by_clock(tables: Sequence[SourceTable]) -> bool:
    """Whether any of ``tables`` may be read by a cursor of the database's clock."""
    return any(settings_of(table).cursor_clock == "database" for table in tables)


@dataclass(frozen=True, slots=True)
class Planned:
    """What PostgreSQL's part knows of a plan: how rows are found, and the clock path's next horizon."""

    decision: Decision
    horizon: str | None


class PostgresReading:
    """``sources.reading.Reading``."""

    def __init__(self, session: SourceSession, connections: int) -> None:
        assert session.snapshot is not None
        self.session, self._connections = session, connections
        self._moment = Moment(session.server, session.snapshot, session.observation)
        self._reads: dict[TableId, Read] = {}
        self._failed: dict[TableId, DataPlatformError] = {}
        self._seconds: dict[TableId, float] = {}
        self._readers: Readers | None = None

    @property
    def snapshot(self) -> Snapshot:
        return self._moment.snapshot.to_snapshot()

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        before: Identity | None = None
        with suppress(PositionLost):  # told by ``drift``; here it only helps to name what is missing
            before = identity(table.id, prior.identity)
        if (error := self.session.errors.get(table.id.table)) is not None:
            raise missing(self.session, table, before, error)
        return describe(table, wanted(self.session.relations[table.id.table], prior), before)

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        return drift(identity(table.id, prior.identity), known(now).relation.identity)

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        relation, before = known(now).relation, watermark(table.id, prior.position)
        if not relation.has_xmin and not (table.cursor and before and before.cursor):
            return ()  # it is read whole
        landed = {column.name for column in prior.columns}
        return filled(self.session, relation, [c.name for c in now.columns if c.name not in landed], before)

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        relation = known(now).relation
        at: str | None = None
        told: tuple[str, ...] = ()
        if ask.what == "whole":
            decision = whole(*ask.reasons)
        elif ask.what == "slices":
            predicate = slice_predicate(relation, table.partition, table.timezone, ask.slices)
            decision = Decision("slice", "slice", "whole", predicate)
        else:
            decision = decide_changes(table, relation, self._moment, prior, thorough=ask.thorough)
            decision = of_relation(decision, drift.private) if drift.private else decision
        stated = relation.identity
        if decision.operation == "slice":
            stated = carried(identity(table.id, prior.identity), stated)
        else:
            at, told = horizon(table, relation, self._moment, self._before(table, prior))
        inheriting = decision.load == "replace" and relation.children
        return Plan(
            table=table,
            prior=prior,
            now=now,
            operation=decision.operation,
            load=decision.load,
            reasons=(*decision.reasons, *([inherited(relation)] if inheriting else []), *told),
            identity=stated.to_json() if stated else None,
            slices=ask.slices if decision.load == "slice" else (),
            measure_whole=decision.measure_whole,
            private=Planned(decision, at),
        )

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        found = self._changed([read.plan for read in reads])
        for read in reads:
            id_, began = read.plan.table.id, time.monotonic()
            try:
                changed = found.get(id_)
                if isinstance(changed, DataPlatformError):
                    raise changed
                self._reads[id_] = self._read(read, changed is None or bool(changed))
            except DataPlatformError as error:
                self._failed[id_] = error
            self._seconds[id_] = time.monotonic() - began
        self._readers = Readers(
            self.session,
            connections=self._connections,
            landed=[read.landed for read in reads],
            on_progress=progress and _advance(progress, self._reads.values()),
        )
        self._readers.start(list(self._reads.values()))
        if self.session.server.standby:
            self.session.reader = self._readers.ask

    def ready(self, plan: Plan, seconds: float) -> bool:
        read = self._reads.get(plan.table.id)
        return read is None or read.done.wait(seconds)

    def found(self, plan: Plan) -> Described | None:
        return None

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        id_ = plan.table.id
        if (failed := self._failed.get(id_)) is not None:
            raise failed
        read = self._reads[id_]
        if isinstance(read.error, DataPlatformError):
            raise read.error
        if read.error is not None:
            raise SourceError(f"{id_}: the read failed ({type(read.error).__name__}).")
        notes: tuple[str, ...] = ()
        if self.session.age_seconds > SNAPSHOT_SECONDS_MAX:
            notes = (
                f"the snapshot was held for {self.session.age_seconds / 60:.0f} minutes, which keeps vacuum from"
                " cleaning the source; read from a replica or in smaller groups of tables",
            )
        return Parts(tuple(read.parts), self._seconds[id_] + read.seconds, notes)

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position | None:
        after = watermark_after(
            plan.operation,
            known(plan.now).relation,
            self._moment.snapshot,
            self._before(plan.table, plan.prior),
            horizon=plan.private.horizon,
            cursor=greatest_cursor,
        )
        return after.to_position() if after else None

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        return must_advance(_watermark(before), _watermark(after))

    def moved_since(self, plan: Plan, position: Position) -> bool:
        relation, before = known(plan.now).relation, watermark(plan.table.id, position)
        if before is None or before.xmin is None:
            return relation.has_xmin
        what = f"Looking for changes in {plan.now.place}"
        found = self.session.execute(_question(relation, changed_since(before.xmin)), what=what)
        return bool(found)

    def count(self, plan: Plan) -> int:
        ((counted,),) = self.session.execute(
            f"select count(*) from {from_clause(known(plan.now).relation)}", what=_counting(plan)
        )
        return int(counted)

    def explain_miscount(self, plan: Plan, read: int, counted: int) -> str:
        return miscounted(self.session, plan.table.id, known(plan.now).relation, read, counted)

    def measure(self, plan: Plan, layout: Layout, slices: Sequence[Slice]) -> Mapping[Slice, Fingerprint]:
        connection = self.session.under_snapshot(_counting(plan))
        return measure(connection, known(plan.now).relation, layout, slices)

    def tally(self, plan: Plan, layout: Layout) -> Mapping[Slice, Tally]:
        connection, version = self.session.under_snapshot(_counting(plan)), self.session.server.version
        return tally(connection, known(plan.now).relation, layout, server_version=version)

    def read_under(self) -> Snapshot:
        return self.session.read_under().to_snapshot()

    def acknowledge(self, plan: Plan, position: Position) -> None:
        """A table holds its rows whoever read them."""

    def interrupt(self) -> None:
        self.session.cancel()

    def stop(self) -> None:
        if self._readers is not None:
            self._readers.stop()

    def _before(self, table: SourceTable, prior: Prior) -> Watermark | None:
        """None where it is none of PostgreSQL's: ``decide_changes`` refuses that, and a whole read needs none."""
        with suppress(PositionLost):
            return watermark(table.id, prior.position)
        return None

    def _changed(self, plans: Sequence[Plan]) -> Mapping[TableId, Rows | DataPlatformError]:
        """The answer of each plan that has a question. What may take long, or may fail, is asked by itself:
        where one of those asked together fails, the others of them are asked again."""
        asked: dict[str, str] = {}
        by_name = {plan.table.id.table: plan for plan in plans}
        for name, plan in by_name.items():
            # it ends at the first row, so that only a quiet table pays for a scan without a read
            if plan.load != "replace" and plan.operation == "changes":
                asked[name] = _question(known(plan.now).relation, plan.private.decision.predicate)
        small = [name for name in asked if is_small(known(by_name[name].now).relation)]
        together = frozenset(small)
        large = [[name] for name in asked if name not in together]

        def what(name: str) -> str:
            return f"Looking for changes in {by_name[name].now.place}"

        found: dict[TableId, Rows | DataPlatformError] = {}
        for names in (small, *large):
            ids = {name: by_name[name].table.id for name in names}
            try:
                answers = self.session.execute_each({name: asked[name] for name in names}, what=what)
                found |= {ids[name]: answer for name, answer in answers.items()}
            except DataPlatformError as error:  # the connection is lost
                found |= dict.fromkeys(ids.values(), error)
        return found

    def _read(self, read: PlannedRead, changed: bool) -> Read:
        plan, relation = read.plan, known(read.plan.now).relation
        units = self._units(plan, relation) if changed else []
        if units:
            if plan.load != "replace":  # of a whole read all rows are looked at once they are read
                check_key(self.session, plan.table, relation, plan.private.decision.predicate)
            read.folder.mkdir()
        treated = read.landed.treated
        return Read(
            label=str(plan.table.id),
            server=server_columns(plan.now, treated),
            landed=read.landed,
            suspects=suspects(plan.now, treated),
            units=units,
            folder=read.folder,
            rows_estimate=relation.rows_estimate,
        )

    def _units(self, plan: Plan, relation: Relation) -> list[Unit]:
        if plan.load != "replace":
            return [Unit(from_clause(relation), plan.private.decision.predicate, place_of(relation))]
        server = self.session.server
        # before PostgreSQL 14 each ctid range would read the whole table
        by_ctid = server.version >= 14 and (relation.readable is None or "ctid" in relation.readable)
        split = by_ctid and not server.standby
        sample = self._sample(plan.table, relation) if split else NOTHING_KNOWN
        return whole_table_units(relation, split=split, sample=sample)

    def _sample(self, table: SourceTable, relation: Relation) -> Sample:
        """How long some rows are. Where the server objects, the read itself will tell why."""
        question = sample_question(relation, chosen(table, relation).columns)
        if question is None:
            return NOTHING_KNOWN
        with suppress(DataPlatformError):
            found = self.session.execute(question, what=f"Looking how long rows of {table.id} are")
            return Sample(*found[0])
        return NOTHING_KNOWN


def is_small(relation: Relation) -> bool:
    """Whether a question about its row versions is answered at once, and by the server itself."""
    return relation.has_xmin and sum(leaf.pages for leaf in relation.leaves) < SMALL_PAGES


def _question(relation: Relation, predicate: str) -> str:
    return f"select 1 from {from_clause(relation)} where {predicate} limit 1"


def _counting(plan: Plan) -> str:
    return f"Counting {plan.now.place}"


def _watermark(position: Position | None) -> Watermark | None:
    with suppress(PositionLost):
        return watermark(TableId("", ""), position)
    return None


def _advance(progress: Progress, reads: Collection[Read]) -> Callable[[str, int], None]:
    estimates = {read.label: read.rows_estimate for read in reads}
    return lambda label, rows: progress(label, rows, estimates[label])
