"""The simulation: sensors look, runs wait in the queue and sync, and every act takes its time on one clock.

What is real: the ledger (heads read, manifests sealed, linked and committed), which runs a look requests
(``defs.probing``), and which tables count as busy (``defs.run_history``). What is simulated: the bucket, Dagster's records
and its daemon, the sources and the warehouse, each by the seconds that it was measured to take (``Costs``).
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, Literal

from benchmarks.scale.clock import Clock
from benchmarks.scale.company import Company, found
from benchmarks.scale.costs import Costs
from benchmarks.scale.store import Latency, SimulatedStore
from data_platform.defs import probing
from data_platform.defs.names import raw_key
from data_platform.defs.run_history import busy_tables, failures
from data_platform.landing.manifest import Manifest
from data_platform.landing.state import TableState
from data_platform.sync import KnownHeads, TableProbe
from data_platform.tables import TableId

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Plan:
    """``changing``: the share of tables that get new rows in a minute. ``runs`` side by side, ``sensors`` threads of
    them, a look every ``every`` seconds, the queue emptied every ``dequeue``."""

    tables: int
    sources: int
    runs: int
    sensors: int = 4
    changing: float = 0.1
    minutes: float = 20
    every: float = 30
    dequeue: float = 2
    requests_at_once: int = 10
    remembers: bool = True
    """Whether a sensor keeps the heads that it has read (``sync.KnownHeads``)."""
    writers: Literal["one", "many"] = "many"
    latency: Latency = field(default_factory=Latency)
    costs: Costs = field(default_factory=Costs)
    seed: int = 1


@dataclass
class Stage:
    """Something that works on so many things at a time, and how long each thing took and waited."""

    width: int
    busy: float = 0.0
    took: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    plan: Plan
    company: Company
    stages: dict[str, Stage]
    between_looks: list[float]
    requested: int
    left_waiting: int
    """Runs in the queue at the end."""

    def share_busy(self, stage: str) -> float:
        return self.stages[stage].busy / (self.stages[stage].width * 60 * self.plan.minutes)

    @property
    def bottleneck(self) -> str:
        return max(self.stages, key=self.share_busy)


@dataclass
class _Run:
    number: int
    tables: list[TableId]
    queued_at: float

    @property
    def dagster_run(self) -> Any:
        keys = frozenset(raw_key(table) for table in self.tables)
        return SimpleNamespace(run_id=str(self.number), asset_selection=keys, job_name="sync")


class _Records:
    """Dagster's instance, as far as the looks ask it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.unfinished: dict[str, _Run] = {}

    def get_run_records(self, wanted: Any, limit: int, cursor: str | None = None) -> list[Any]:
        self.clock.spend(self.seconds)
        if len(wanted.statuses) == 1:  # no run fails here
            return []
        newest = sorted(map(int, self.unfinished), reverse=True)
        return [self.unfinished[str(number)] for number in newest if cursor is None or number < int(cursor)][
            :limit
        ]


class Simulation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock, self.random = Clock(), Random(plan.seed)
        self.store = SimulatedStore(self.clock, plan.latency, plan.requests_at_once)
        self.company = found(self.store, plan.tables, plan.sources, 12, self.random)
        self.known = KnownHeads()
        self.records = _Records(self.clock, plan.costs.records)
        self.queue: deque[_Run] = deque()
        self.running = 0
        self.due: deque[tuple[str, float]] = deque()
        self.idle_sensors = plan.sensors
        self.pool_free_at = 0.0
        self.stages = {"sensors": Stage(plan.sensors), "runs": Stage(plan.runs)}
        if plan.writers == "one":
            self.stages["warehouse"] = Stage(1)
        self.last_look: dict[str, float] = {}
        self.between_looks: list[float] = []
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()

    def outcome(self) -> Outcome:
        end = 60 * self.plan.minutes
        for number, source in enumerate(self.company.sources):
            self._at(self.plan.every * number / len(self.company.sources), partial(self._due, source))
        self._at(0.0, self._dequeue)
        self._at(0.0, self._change)
        while self._events and self._events[0][0] <= end:
            at, _, act = heapq.heappop(self._events)
            self.clock.now = at
            act(at)
        return Outcome(
            self.plan, self.company, self.stages, self.between_looks, next(self._numbers) - 1, len(self.queue)
        )

    def _at(self, at: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), act))

    def _change(self, at: float) -> None:
        """Ten seconds' share of the tables get new rows."""
        tables = [table for some in self.company.sources.values() for table in some]
        share = self.plan.changing / 6
        self.company.change([table for table in tables if self.random.random() < share], at)
        self._at(at + 10, self._change)

    def _due(self, source: str, at: float) -> None:
        self.due.append((source, at))
        self._look_if_idle(at)

    def _look_if_idle(self, at: float) -> None:
        while self.idle_sensors and self.due:
            source, since = self.due.popleft()
            self.idle_sensors -= 1
            if source in self.last_look:
                self.between_looks.append(at - self.last_look[source])
            self.last_look[source] = at
            tables, seconds = self.clock.taken(partial(self._look, source, at))
            self._took("sensors", seconds, at - since, at)
            self._at(at + seconds, partial(self._looked, source, at, tables))

    def _look(self, source: str, at: float) -> list[TableId]:
        """The tables that a run is requested for."""
        now = BEGAN + timedelta(seconds=at)
        tables: list[Any] = [SimpleNamespace(id=table) for table in self.company.sources[source]]
        remembered = self.known.of(tables, now) if self.plan.remembers else {}
        read = self._read_heads([table.id for table in tables if table.id not in remembered])
        moved = {t.id: self.company.changed_at.get(t.id, at + 1) <= at for t in tables}
        again = self._read_heads([table for table in remembered if moved[table]])
        self.known.remember(read | again, now)
        states = remembered | read | again
        self.clock.spend(self.plan.costs.look + self.plan.costs.look_table * len(tables))
        probes = []
        for table in moved:
            head = states[table].head
            probes.append(TableProbe(table, moved[table], head_sequence=head.sequence if head else 0))
        instance: Any = self.records
        busy = busy_tables(instance, {})
        failed = failures(instance, [table.id for table in tables], {}, now)
        return list(probing.decide(probes, busy, failed, now).changes)

    def _read_heads(self, tables: list[TableId]) -> dict[TableId, TableState]:
        found = self.company.ledger.ahead_of(tables, states=False)
        return {table: TableState(ledger.head(table)) for ledger, table in found}

    def _looked(self, source: str, began: float, tables: list[TableId], at: float) -> None:
        if tables:
            run = _Run(next(self._numbers), tables, at)
            self.records.unfinished[str(run.number)] = run
            self.queue.append(run)
        self.idle_sensors += 1
        self._at(max(at, began + self.plan.every), partial(self._due, source))
        self._look_if_idle(at)

    def _dequeue(self, at: float) -> None:
        while self.queue and self.running < self.plan.runs:
            run = self.queue.popleft()
            self.running += 1
            self._at(at + self.plan.costs.run, partial(self._sync, run, at))
        self._at(at + self.plan.dequeue, self._dequeue)

    def _sync(self, run: _Run, began: float, at: float) -> None:
        if self.plan.writers == "one":  # the op waits for the pool's one slot and keeps it to its end
            start = max(at, self.pool_free_at)
            _, seconds = self.clock.taken(partial(self._pass, run))
            self.pool_free_at = start + seconds
            self._took("warehouse", seconds, start - at, start)
            end = start + seconds
        else:
            start = at
            _, seconds = self.clock.taken(partial(self._pass, run))
            end = at + seconds
        self._took("runs", end - began, began - run.queued_at, began)
        self._at(end, partial(self._ended, run, start))

    def _pass(self, run: _Run) -> None:
        """One sync of the run's tables: heads, a read, commits side by side, loads."""
        heads: dict[TableId, Manifest | None] = {}
        for ledger, table in self.company.ledger.ahead_of(run.tables, states=True):
            heads[table] = ledger.state(table).head
        self.clock.spend(self.plan.costs.read_table * len(run.tables))
        commits = [partial(self.company.commit, heads[table], table) for table in run.tables]
        self.clock.together(commits, self.plan.costs.commits_at_once)
        self.clock.spend(self.plan.costs.load_table * len(run.tables))

    def _ended(self, run: _Run, began: float, at: float) -> None:
        self.running -= 1
        del self.records.unfinished[str(run.number)]
        for table in run.tables:
            self.company.landed(table, began, at)

    def _took(self, stage: str, seconds: float, waited: float, began: float) -> None:
        one = self.stages[stage]
        one.took.append(seconds)
        one.waited.append(waited)
        one.busy += max(0.0, min(seconds, 60 * self.plan.minutes - began))
