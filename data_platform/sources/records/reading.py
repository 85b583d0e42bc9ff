"""``sources.reading.Reading`` over a feed: what is shared by every kind that gives records."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_platform.errors import PositionLost
from data_platform.sources.reading import (
    Ask,
    Described,
    Drift,
    Kept,
    LandedColumns,
    Parts,
    Plan,
    PlannedRead,
    Prior,
    Progress,
    SourceTable,
)
from data_platform.sources.records.again import Again, plan_again
from data_platform.sources.records.describe import declared_words, described
from data_platform.sources.records.feed import Feed, State, Wanted
from data_platform.sources.records.fetch import Fetch
from data_platform.sources.records.fields import UNSEEN, landed_words, with_needed, words_of
from data_platform.sources.records.keys import settings_of
from data_platform.sources.records.steps import Gathering, Step
from data_platform.sources.records.write import Writer
from data_platform.sources.uncounted import Uncounted
from data_platform.tables import Json, Position, Snapshot, TableId

STREAMS_AT_ONCE = 4
CUT = "cut"
"""The key of a position within a whole read of a table whose changes cannot be asked for."""


@contextmanager
def reading_of(feed: Feed, made: type[RecordsReading] | None = None) -> Iterator[RecordsReading]:
    """A reading over ``feed``, which is closed with it; a kind may have ``made`` one of its own."""
    with feed, ThreadPoolExecutor(STREAMS_AT_ONCE, thread_name_prefix="fetch") as threads:
        reading = (made or RecordsReading)(feed, threads)
        try:
            yield reading
        finally:
            reading.interrupt()


@dataclass
class _Read:
    """A table's read under way. ``words`` are those of its fields by now, ``step`` the one that is ready."""

    planned: PlannedRead
    fetch: Fetch
    words: Mapping[str, str]
    steps: int = 0
    step: Step | None = None
    done: Step | None = None
    """The one that was finished last."""
    again: Again | None = None


class RecordsReading(Uncounted):
    """``Reading``. Tables of one stream that go on from the same state are fed by one walk through its pages."""

    def __init__(self, feed: Feed, threads: ThreadPoolExecutor) -> None:
        self._feed, self._threads = feed, threads
        self._reads: dict[TableId, _Read] = {}
        self._fetches: list[Fetch] = []
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        self.snapshot = Snapshot(feed.system, now, now)

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        landed = landed_words(prior.columns)
        words = words_of(table, declared_words(self._feed, table), landed, {}, afresh=False) if landed else {}
        return described(self._feed, table, words)

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        if prior.identity is None or prior.identity == now.identity:
            return Drift()
        return Drift((f"another table has the table's name now ({now.place})",))

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        return ()  # a field that is new was in no record before

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        reasons, what = list(ask.reasons), ask.what
        if what == "changes" and drift.replaced:
            what = "whole"
        if what == "changes" and not (table.key and (self._feed.incremental(table) or _was_cut(prior))):
            what = "whole"
        if what == "changes" and UNSEEN in landed_words(prior.columns).values():
            what = "whole"  # it was empty: a type is found with the first records
        if what == "changes" and (why := self._feed.lost(table, state_of(table, prior))):
            reasons.append(f"{why}; everything was reread")
            what = "whole"
        changed = "append" if table.strategy == "append" else "merge"
        return Plan(
            table=table,
            prior=prior,
            now=now,
            operation={"whole": "refresh", "changes": "changes", "slices": "slice"}[what],  # type: ignore[arg-type]
            load={"whole": "replace", "changes": changed, "slices": "slice"}[what],  # type: ignore[arg-type]
            reasons=tuple(reasons),
            identity=now.identity,
            slices=ask.slices if what == "slices" else (),
            private=Ask(what, ask.reasons, ask.slices, ask.thorough),
        )

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        groups: dict[str, list[PlannedRead]] = {}
        for read in reads:
            read.folder.mkdir()
            groups.setdefault(self._group(read.plan), []).append(read)
        for group in groups.values():
            self._begin(group)

    def plan_again(self, table: SourceTable, prior: Prior, now: Described) -> Plan:
        return plan_again(table, prior, now)

    def start_again(self, read: PlannedRead, kept: Mapping[int, Kept]) -> None:
        read.folder.mkdir()
        table = read.plan.table
        again = Again(kept, state_of(table, read.plan.prior))
        gathering = Gathering(table, declared_words(self._feed, table), read.folder)
        wanted = Wanted(self._feed.stream(table), (table,), None, Ask("changes"))
        fetch = Fetch(again, wanted, {table.id: gathering}, at_once=True)
        words = landed_words(read.plan.prior.columns)
        self._reads[table.id] = _Read(read, fetch, words, again=again)
        self._fetches.append(fetch)
        self._threads.submit(fetch.run)

    def _group(self, plan: Plan) -> str:
        """Equal for tables that one walk feeds."""
        ask: Ask = plan.private
        state = self._start(plan)
        return json.dumps(
            [repr(self._feed.stream(plan.table)), state, ask.what, ask.slices, self._at_once(plan)],
            sort_keys=True,
        )

    def _start(self, plan: Plan) -> State | None:
        return None if plan.load == "replace" else state_of(plan.table, plan.prior)

    def _at_once(self, plan: Plan) -> bool:
        """Whether the table changes at once or not at all. A first read lands in steps, which a kill cannot undo."""
        if plan.operation == "slice":
            return True
        first = plan.prior.position is None and bool(plan.table.key)
        return plan.load == "replace" and not first

    def _begin(self, group: Sequence[PlannedRead]) -> None:
        gatherings = {
            read.plan.table.id: Gathering(
                read.plan.table, declared_words(self._feed, read.plan.table), read.folder
            )
            for read in group
        }
        one = group[0].plan
        wanted = Wanted(
            self._feed.stream(one.table),
            tuple(read.plan.table for read in group),
            self._start(one),
            one.private,
        )
        resumes = self._feed.incremental(one.table)
        fetch = Fetch(self._feed, wanted, gatherings, at_once=self._at_once(one), resumes=resumes)
        for read in group:
            words = landed_words(read.plan.prior.columns)
            self._reads[read.plan.table.id] = _Read(read, fetch, words)
        self._fetches.append(fetch)
        self._threads.submit(fetch.run)

    def ready(self, plan: Plan, seconds: float) -> bool:
        return self._reads[plan.table.id].fetch.ready(plan.table.id, seconds)

    def found(self, plan: Plan) -> Described | None:
        table = plan.table
        read = self._reads[table.id]
        step = read.step = read.fetch.next(table.id)
        afresh = plan.load == "replace" and read.steps == 0
        words = words_of(table, declared_words(self._feed, table), read.words, step.values, afresh=afresh)
        read.words = with_needed(table, settings_of(table), words)
        return described(
            self._feed, table, read.words, step.paths.found(settings_of(table).read_of(table.only))
        )

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        table = plan.table
        read = self._reads[table.id]
        step, began = read.step or read.fetch.next(table.id), time.monotonic()
        writer = Writer(
            table, settings_of(table), read.words, list(declared_words(self._feed, table)), landed
        )
        folder = read.planned.folder
        ends = read.again.ends if read.again else {}
        cuts = [(folder / f"of-{batch}.parquet", end) for batch, end in ends.items()]
        written = writer.write(step, folder / f"{read.steps}.parquet", cuts)
        read.fetch.taken(table.id)
        for chunk in step.chunks:
            chunk.path.unlink()
        read.step, read.done, read.steps = None, step, read.steps + 1
        seconds = step.seconds + time.monotonic() - began
        return Parts(written.files, seconds, tuple(step.notes), step.more, written.rejected)

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position | None:
        read = self._reads[plan.table.id]
        done = read.done
        if plan.operation == "slice" or read.again or done is None:
            return plan.prior.position
        within = done.more and not self._feed.incremental(plan.table)
        return Position(
            self._feed.system, {"state": done.state, **({CUT: True} if within else {})}, done.text
        )

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        if before is None or after is None:
            return before is not after
        return before != after and self._feed.must_advance(_state(before), _state(after))

    def moved_since(self, plan: Plan, position: Position) -> bool:
        return False  # what is read whole is found again by nothing else

    def read_under(self) -> Snapshot:
        return self.snapshot

    def acknowledge(self, plan: Plan, position: Position) -> None:
        self._feed.acknowledge(plan.table, _state(position))

    def interrupt(self) -> None:
        for fetch in self._fetches:
            fetch.stop()
        self._feed.interrupt()


def _was_cut(prior: Prior) -> bool:
    """Whether what landed last is part of a whole read that goes on, of a table whose changes cannot be asked for."""
    return prior.position is not None and prior.position.value.get(CUT) is True


def _state(position: Position) -> State:
    state: Any = position.value.get("state")
    return state if isinstance(state, Mapping) else {}


def state_of(table: SourceTable, prior: Prior) -> State:
    """Where the next read goes on. PositionLost where the ledger has nothing that a feed could have written."""
    state: Json = prior.position.value.get("state") if prior.position else None
    if not isinstance(state, Mapping):
        raise PositionLost(
            f"{table.id}: its last batch does not say up to where it was read. Read it anew with `data-platform sync"
            f" --refresh {table.id}`."
        )
    return state
