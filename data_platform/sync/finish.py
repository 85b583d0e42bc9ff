"""From the reads to the reports: a table is committed once it is read, and loaded with those that wait too.

Committing is done by threads, ahead of loading: their manifests come in any order, each after its own parts, and
each table is loaded after its manifest. To open the warehouse's file and to close it costs what its whole catalog is
large, so one opening is for all tables that were committed meanwhile. How long one waits for others, how much lies
there then, and how long an opening keeps everybody else out, are bounded. What fails is its own table's alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial

from data_platform.errors import DataPlatformError, LoadRefused, WarehouseError
from data_platform.landing.manifest import Manifest
from data_platform.quality.completeness import Audit, CompletenessReport
from data_platform.sources.reading import Reading
from data_platform.sync.ahead import Ahead, Turn
from data_platform.sync.commit import commit
from data_platform.sync.compare import audit, compare_snapshot
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.report import TableReport, touched
from data_platform.sync.summarize import Engine
from data_platform.sync.work import Work, describe_step
from data_platform.tables import TableId
from data_platform.tracing import Span
from data_platform.warehouses import LoadedBatch, LoadResult, Look, Warehouse

GROUP_SECONDS = 2.0
"""What is committed is loaded after so long at the latest, whoever else is still being read."""
GROUP_BYTES = 16 * 2**20
"""A group that landed so much is loaded at once: opening costs little beside that."""
OPENING_SHARE = 20
"""A group also waits so many times as long as the last opening and closing took."""
HOLD_SECONDS = 5.0
"""After so long in one opening the next table is loaded in another, so that a query gets at the file."""
LOOK_SECONDS = 0.2
"""Who waits for a read looks so often whether the pass has ended."""


@dataclass
class Finishing:
    """One table that was read, and ``since`` when it waits to be loaded; ``audited`` is asked before its batch is
    committed, where it is an audit's."""

    work: Work
    manifest: Manifest | None = None
    error: DataPlatformError | None = None
    audited: Audit | None = None
    loaded: tuple[LoadResult, ...] = ()
    completeness: CompletenessReport | None = None
    look: Look | None = None
    since: float = 0.0
    steps: list[Manifest] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Of all steps: they are loaded together."""
        return sum(batch.bytes for batch in (*self.steps, *((self.manifest,) if self.manifest else ())))

    @property
    def loads(self) -> bool:
        """Whether there is something to load: of a read that failed, the steps that were committed before."""
        return self.error is None or self.manifest is not None

    @property
    def alone(self) -> bool:
        """Whether nothing is committed while it is loaded: it takes much memory, or needs the session."""
        return self.bytes >= GROUP_BYTES or self.work.compare or self.is_audit

    @property
    def is_audit(self) -> bool:
        work = self.work
        return bool(work.request.slices and work.request.audit and self.error is None and not _reshaped(work))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What fails in the block is this table's failure; the time is what its work took."""
        began = time.monotonic()
        try:
            yield
        except DataPlatformError as error:
            self.error = error
        finally:
            self.work.seconds += time.monotonic() - began

    def report(self) -> TableReport:
        self.work.reported = True
        if self.error is not None:
            return reported(
                self.work, steps=self.steps, manifest=self.manifest, loaded=self.loaded, error=self.error
            )
        return reported(
            self.work,
            steps=self.steps,
            manifest=self.manifest,
            loaded=self.loaded,
            completeness=self.completeness,
            audit=self.audited,
        )


def _tell(span: Span, one: Finishing) -> None:
    """What became of a table so far."""
    rows = sum(batch.rows for batch in (*one.steps, *((one.manifest,) if one.manifest else ())))
    span.set(rows=rows, bytes=one.bytes)
    if one.error is not None:
        span.failed(one.error)


Act = Callable[[Warehouse, Finishing], None]


class Finish:
    """The tables of one pass on their way from their reads to their reports."""

    def __init__(self, platform: Platform, reading: Reading, engine: Engine, span: Span) -> None:
        self.platform, self.reading, self.engine, self.span = platform, reading, engine, span
        self._turn = Turn()
        self._ended = threading.Event()
        self._looked: list[TableId] = []
        self._kept: Finishing | None = None
        self._opening_seconds = self._closed = 0.0

    def reports(self, works: Sequence[Work]) -> Iterator[TableReport]:
        """In the order of ``works``."""
        try:
            with Ahead((partial(self._committed, work) for work in works), self._interrupt) as coming:
                coming.begin()
                while group := self._group(coming):
                    yield from self._load(group, coming)
        finally:
            self._remember_looks()

    def _interrupt(self) -> None:
        self._ended.set()
        self._turn.close()
        self.engine.interrupt()
        self.reading.interrupt()

    def _group(self, coming: Ahead[Finishing]) -> list[Finishing]:
        """The next tables to load: those that are committed, or will be before the first of them has waited too
        long. None when all are loaded."""
        group: list[Finishing] = []
        landed = 0
        one, self._kept = self._kept or coming.next(), None
        while one is not None:
            group.append(one)
            landed += one.bytes
            if landed >= GROUP_BYTES:
                break
            until = max(group[0].since + GROUP_SECONDS, self._closed + OPENING_SHARE * self._opening_seconds)
            one = coming.next(max(until - time.monotonic(), 0.0))
        return group

    def _joins(self, waiting: deque[Finishing], coming: Ahead[Finishing]) -> bool:
        """Whether another table is committed by now that may be loaded beside what is being committed."""
        one = coming.next(0)
        if one is not None and one.alone:
            self._kept = one
        elif one is not None:
            waiting.append(one)
        return bool(waiting)

    def _committed(self, work: Work) -> Finishing:
        """Wait for one table's read and commit its batch; called by several threads."""
        one = Finishing(work, error=work.error)
        with self.span.piece("land", table=str(work.table.id)) as piece:
            while work.error is None and self._next_step(one):
                if one.is_audit:
                    break
                with one.at_work():
                    self._land(one)
                if one.error is not None or not work.parts.more:
                    break
            _tell(piece, one)
        one.since = time.monotonic()
        return one

    def _next_step(self, one: Finishing) -> bool:
        """Wait for the next step of the read; whether there is one that did not fail."""
        work = one.work
        assert work.plan is not None
        while not self.reading.ready(work.plan, LOOK_SECONDS):
            if self._ended.is_set():
                return False
        with one.at_work():
            if (now := self.reading.found(work.plan)) is not None:
                describe_step(work, now, self.reading.snapshot, self.platform)
            work.parts = self.reading.finish(work.plan, work.landed)
            work.seconds += work.parts.seconds
            work.notes += work.parts.notes
        return one.error is None

    def _land(self, one: Finishing) -> None:
        """Commit a step, and let the source know: strictly after its manifest. The next step follows its batch."""
        work = one.work
        assert work.plan is not None
        landed = commit(self.platform, self.reading, work, self.engine, self._turn_of(work))
        if landed is None and one.manifest is None and not work.parts.more:
            self._looked.append(work.table.id)
        if landed is None:
            return
        if one.manifest is not None:
            one.steps.append(one.manifest)
        one.manifest = landed
        if landed.position_after is not None:
            with suppress(
                DataPlatformError
            ):  # the ledger is the truth: what the source keeps too long costs nothing
                self.reading.acknowledge(work.plan, landed.position_after)
        if work.parts.more:
            work.state = self.platform.ledger.state(work.table.id)
            work.steps += 1

    @contextmanager
    def _turn_of(self, work: Work) -> Iterator[None]:
        asked = time.monotonic()
        with self._turn:
            work.seconds -= time.monotonic() - asked  # it waited for others
            yield

    def _remember_looks(self) -> None:
        at = self.platform.clock().isoformat(timespec="microseconds")
        with suppress(DataPlatformError):  # hints, and the tables are told of by now
            self.platform.ledger.looked(self._looked, at)

    def _load(self, group: Sequence[Finishing], coming: Ahead[Finishing]) -> Iterator[TableReport]:
        """The reports of ``group``, once those that are done are closed to us and open to everybody else; and of
        those of ``coming`` that are committed until it is closed."""
        if audits := [one for one in group if one.is_audit]:
            for done in self._opened(audits, lambda _: self._audit):
                for one in done:
                    if one.audited is not None and one.audited.differing:
                        with one.at_work():
                            self._land(one)
        for done in self._opened(group, self._loading, coming):
            yield from (one.report() for one in done)

    def _opened(
        self,
        group: Sequence[Finishing],
        begin: Callable[[Warehouse], Act],
        coming: Ahead[Finishing] | None = None,
    ) -> Iterator[list[Finishing]]:
        """What ``begin`` makes of an opened warehouse is called with each table that has not failed, in as few
        openings as ``HOLD_SECONDS`` allows; yields the tables of each opening when it is closed."""
        waiting = deque(group)
        while waiting:
            alone = any(one.alone for one in waiting)
            with self._turn if alone else nullcontext():
                done = self._in_one_opening(waiting, begin, None if alone else coming)
            yield done

    def _in_one_opening(
        self,
        waiting: deque[Finishing],
        begin: Callable[[Warehouse], Act],
        coming: Ahead[Finishing] | None,
    ) -> list[Finishing]:
        """The tables it is done with, which are taken from ``waiting``."""
        done: list[Finishing] = []
        began, worked = time.monotonic(), 0.0
        try:
            if any(one.loads for one in waiting):
                with self.platform.warehouse(landed=True) as warehouse:
                    act = begin(warehouse)
                    while not done or time.monotonic() - began < HOLD_SECONDS:
                        if not waiting and (coming is None or not self._joins(waiting, coming)):
                            break
                        done.append(one := waiting.popleft())
                        if not one.loads:
                            continue
                        before, failed = one.work.seconds, one.error
                        with self.span.piece("load", table=str(one.work.table.id)) as piece:
                            with one.at_work():
                                act(warehouse, one)
                            _tell(piece, one)
                        worked += one.work.seconds - before
                        broken = isinstance(one.error, WarehouseError)
                        refused, one.error = isinstance(one.error, LoadRefused), failed or one.error
                        if broken and not refused:
                            break  # an engine that is broken is broken for this table alone
                    _record_looks(warehouse, done)
        except DataPlatformError as error:  # it could not be opened, for any of them
            for one in waiting:
                one.error = one.error or error
            done += waiting
            waiting.clear()
        if not done or not any(one.loads for one in waiting):
            done += waiting
            waiting.clear()
        self._charge(done, time.monotonic() - began - worked)
        return done

    def _charge(self, done: Sequence[Finishing], opening_seconds: float) -> None:
        """What opening and closing took is each table's, to equal parts."""
        self._closed, self._opening_seconds = time.monotonic(), max(opening_seconds, 0.0)
        for one in done:
            one.work.seconds += self._opening_seconds / len(done)

    def _audit(self, warehouse: Warehouse, one: Finishing) -> None:
        assert one.work.plan is not None
        one.audited = audit(self.platform, one.work, warehouse)

    def _loading(self, warehouse: Warehouse) -> Act:
        known = {batch.table: batch for batch in warehouse.loaded_all()}

        def load(warehouse: Warehouse, one: Finishing) -> None:
            self._load_one(warehouse, one, known.get(one.work.table.id))

        return load

    def _load_one(self, warehouse: Warehouse, one: Finishing, known: LoadedBatch | None) -> None:
        work = one.work
        one.loaded = load_pending(
            self.platform,
            work.table.id,
            fresh=one.manifest,
            head=work.state.head,
            warehouse=warehouse,
            known=known,
        )
        if one.error is not None:
            return
        assert work.plan is not None
        sees_deletes = work.plan.load == "replace" or work.table.can.deletes == "events"
        look = Look(work.table.id, self.reading.snapshot.taken_at, sees_deletes)
        # a batch's load tells by itself; a slice is no look at its table
        if one.manifest is None and work.plan.load != "slice" and (known or one.loaded):
            one.look = look
        if work.tallies is not None:
            one.completeness = compare_snapshot(self.platform, self.reading, work, one.manifest, warehouse)
            if one.completeness is not None and one.completeness.passed:
                one.look = Look(look.table, look.at, reconciled=True)


def _record_looks(warehouse: Warehouse, done: Sequence[Finishing]) -> None:
    looks = [one.look for one in done if one.look is not None]
    if not looks:
        return
    try:
        warehouse.record_reads(looks)
    except DataPlatformError as error:
        for one in done:
            if one.look is not None:
                one.error = one.error or error


def _reshaped(work: Work) -> bool:
    """Whether slices were asked for and the whole table was read, since its shape changed."""
    assert work.plan is not None
    return work.plan.load != ("slice" if work.table.partition else "replace")


def reported(
    work: Work,
    *,
    steps: Sequence[Manifest] = (),
    manifest: Manifest | None = None,
    loaded: tuple[LoadResult, ...] = (),
    completeness: CompletenessReport | None = None,
    audit: Audit | None = None,
    error: DataPlatformError | None = None,
) -> TableReport:
    before = steps[0].position_before if steps else work.state.position
    return TableReport(
        table=work.table.id,
        operation=work.operation,
        seconds=work.seconds,
        manifest=manifest,
        error=error,
        position_before=before,
        position_after=manifest.position_after if manifest else before,
        touched=touched(loaded),
        loaded=loaded,
        completeness=completeness,
        audit=audit,
        notes=tuple(dict.fromkeys(work.notes)),
        steps=tuple(steps),
        deletes_as_events=work.table.can.deletes == "events",
        facts=work.parts.facts,
    )
