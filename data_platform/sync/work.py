"""One table on its way through a sync: what is asked, what is known, what to read.

``prepare`` turns the catalog's block, the source's description and the ledger's state into a plan, and begins
all reads together. Reading is the source's, committing ``commit.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError, SchemaDrift
from data_platform.landing.manifest import Manifest
from data_platform.landing.settled import Settled
from data_platform.landing.state import TableState
from data_platform.sources.reading import (
    Ask,
    Described,
    Drift,
    Hanging,
    LandedColumns,
    Outdated,
    Parts,
    Plan,
    PlannedRead,
    Prior,
    Progress,
    Reading,
    Unwanted,
)
from data_platform.sync.columns import land
from data_platform.sync.decide import ask_for, ask_for_slices, unless_changed
from data_platform.sync.erasing.door import Door
from data_platform.sync.from_rows import with_landed
from data_platform.sync.sealed import Secrets
from data_platform.sync.shape import compare_shapes
from data_platform.tables import Load, Operation, Shape, Slice, Snapshot, Tally

NOBODY = Door()
NOTHING_LANDS, NO_PARTS = LandedColumns((), ()), Parts(())


@dataclass(frozen=True)
class Request:
    """What is asked of a table's sync; ``slices`` None means *changes*. ``by_clock`` False
    insists on what proves changes, not on what finds them fast; ``mend`` False compares and leaves it at that.
    ``audit`` compares whole rows: of today's share of the slices, or of ``slices``, which are landed only where rows
    differ."""

    refresh: Collection[str] = ()
    verify: bool = False
    slices: tuple[Slice, ...] | None = None
    by_clock: bool = True
    mend: bool = True
    audit: bool = False

    @property
    def operation(self) -> Operation:
        return "changes" if self.slices is None else "slice"


@dataclass
class Work:
    """One table of one pass. What fails is kept in ``error``: it is this table's alone.
    ``seconds`` is the work done for it, not the wait for others. With ``compare``, every slice is
    counted under the snapshot, into ``tallies``. ``parts`` are those of the step that was read last, and
    ``steps`` how many were committed before it. ``settled`` are records of quarantine that the step brings to an end."""

    table: Table
    state: TableState
    request: Request
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: DataPlatformError | None = None
    plan: Plan | None = None
    landed: LandedColumns = NOTHING_LANDS
    parts: Parts = NO_PARTS
    steps: int = 0
    reported: bool = False
    compare: bool = False
    settled: Settled | None = None
    door: Door = NOBODY
    tallies: Mapping[Slice, Tally] | None = None

    @property
    def operation(self) -> Operation:
        return self.plan.operation if self.plan else self.request.operation

    @property
    def counted(self) -> bool:
        """Whether the source proves what it gave by its own count: then the ledger holds fingerprints of the table."""
        return self.table.proved

    @property
    def refreshed(self) -> bool:
        return self.table.id.table in self.request.refresh

    @property
    def load(self) -> Load:
        """The first step of a whole read replaces the table, those after it add to that."""
        assert self.plan is not None
        if self.steps and self.plan.load == "replace":
            return "append" if self.table.strategy == "append" else "merge"
        return self.plan.load

    @property
    def shape(self) -> Shape:
        return Shape(self.landed.columns, self.table.key, self.table.partition, self.table.timezone)


def prior_of(
    head: Manifest | None, state: TableState, unwanted: tuple[Unwanted | Outdated | Hanging, ...] = ()
) -> Prior:
    """What the source is told of what landed, and of what must not."""
    if head is None:
        return Prior(unwanted=unwanted)
    return Prior(state.position, head.identity, head.snapshot, head.columns, head.boundary, unwanted)


def prepare(
    works: Sequence[Work],
    reading: Reading,
    scratch: Path,
    *,
    secrets: Secrets,
    progress: Progress | None,
) -> None:
    """Decide what to read of each table, into its ``plan``, and begin to read.

    What keeps a table from being read is its work's ``error``: it is missing, drifted, has a
    type or a personal column nothing is said about.
    """
    for work in (work for work in works if work.error is None):
        with _of_its_own(work):
            decide(work, reading, secrets)
    reading.start(
        [
            PlannedRead(work.plan, work.landed, scratch / work.table.id.table)
            for work in works
            if work.error is None and work.plan is not None
        ],
        progress,
    )


@contextmanager
def _of_its_own(work: Work) -> Iterator[None]:
    """What the block does for ``work``: its time, and its failure."""
    began = time.monotonic()
    try:
        yield
    except DataPlatformError as error:
        work.error = error
    work.seconds += time.monotonic() - began


def decide(work: Work, reading: Reading, secrets: Secrets) -> None:
    """What is to be read of a table and lands of it, into its ``plan`` and ``landed``. Raises what keeps it from being read."""
    table, head, prior = (
        work.table,
        work.state.head,
        prior_of(work.state.head, work.state, work.door.unwanted(work.table.id)),
    )
    now = reading.describe(table, prior)
    if not work.refreshed:
        now = with_landed(now, prior.columns, table.only)
    work.landed = work.door.without(land(table, now, reading.snapshot.taken_at[:10], secrets), table)
    ask, drift = _ask(work, prior, reading), Drift()
    notes: tuple[str, ...] = ()
    if head is not None and not work.refreshed:
        drift = reading.drift(table, prior, now)
        filled = () if ask.what == "whole" else reading.filled(table, prior, now)
        before = Shape(head.columns, head.key, head.partition, head.timezone)
        notes, reasons = compare_shapes(
            table.id, before, work.shape, drift, filled, now.type_base, from_rows=now.from_rows
        )
        if ask.what == "whole":
            notes = drift.replaced
        else:
            ask = unless_changed(ask, table.strategy, reasons, drift.replaced)
    plan = work.plan = reading.plan(table, prior, now, drift, ask)
    if (
        plan.load != "replace" or ask.what == "whole"
    ):  # of a table that is read whole after all it is not true
        work.notes += notes
    work.notes += plan.reasons
    work.compare = (
        work.request.slices is None and work.counted and (work.request.verify or plan.measure_whole)
    )


def describe_step(work: Work, now: Described, snapshot: Snapshot, secrets: Secrets) -> None:
    """Decide what lands of a step whose columns are known since it was read, into ``landed`` and ``plan``."""
    plan, head = work.plan, work.state.head if work.load != "replace" else None
    assert plan is not None
    if head is not None:
        now = with_landed(now, head.columns, work.table.only)
    landed = land(work.table, now, snapshot.taken_at[:10], secrets)
    work.landed = work.door.without(landed, work.table)
    work.plan = replace(plan, now=now)
    if head is None:
        return
    before = Shape(head.columns, head.key, head.partition, head.timezone)
    notes, reasons = compare_shapes(
        work.table.id, before, work.shape, Drift(), (), now.type_base, from_rows=now.from_rows
    )
    work.notes += notes
    if reasons:  # they were asked for before the read, and arose since
        raise SchemaDrift(
            f"{work.table.id} cannot take what was read: {'; '.join(reasons)}. Run `data-platform sync --refresh"
            f" {work.table.id}`."
        )


def _ask(work: Work, prior: Prior, reading: Reading) -> Ask:
    table, request = work.table, work.request
    if request.slices is not None:
        return ask_for_slices(table.partition, request.slices, table.can)
    return ask_for(
        table.strategy,
        prior,
        reading.snapshot,
        refresh=work.refreshed,
        thorough=not request.by_clock,
        for_deletes=request.verify and not table.proved and table.can.deletes == "refresh",
    )
