"""``sources.reading.Reading`` over Spark jobs: a job runs where its inputs have moved, and gives all its rows, or those of days.

A position says of which batches of the inputs the rows were computed, and by which job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_platform.engine_errors import first_line
from data_platform.errors import SourceError
from data_platform.sources.inputs import Head, Inputs, LandedTable, Outbox
from data_platform.sources.parquet import PARQUET
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
    prepare,
)
from data_platform.sources.spark.config import SparkConnection, connection_of
from data_platform.sources.spark.jobs import described, digest_of, file_of, job
from data_platform.sources.spark.keys import settings_of
from data_platform.sources.spark.process import Jobs
from data_platform.sources.uncounted import Uncounted
from data_platform.sql import literal
from data_platform.tables import Json, Position, Snapshot, TableId

SYSTEM = "spark"
MEMORY = "256MB"
ONE_PART_BYTES = 64 * 2**20
"""Up to so much, what Spark wrote in several files lands as one part."""


@contextmanager
def open_reading(opening: Opening) -> Iterator[SparkReading]:
    with ExitStack() as stack:
        reading = SparkReading(opening, stack)
        try:
            yield reading
        except BaseException:
            reading.interrupt()
            raise
        reading.close()


def inputs_of(opening: Opening) -> Inputs:
    assert opening.inputs is not None
    return opening.inputs


def heads_of(inputs: Inputs, table: SourceTable) -> dict[TableId, Head]:
    """The newest batch of each input. SourceError for one of which nothing has landed."""
    heads = {}
    for read in dict.fromkeys(settings_of(table).inputs.values()):
        head = inputs.head(read)
        if head is None:
            raise SourceError(
                f"{table.id}: its input {read} has not landed. Sync it first: `data-platform sync {read}`."
            )
        heads[read] = head
    return heads


def position_of(heads: Mapping[TableId, Head], digest: str) -> Position:
    """Of which batches, and by which job."""
    inputs: dict[str, Json] = {str(table): [head.sequence, head.digest] for table, head in heads.items()}
    value: dict[str, Json] = {"job": digest, "inputs": inputs}
    return Position(
        SYSTEM, value, ", ".join(f"{table} up to batch {head.sequence}" for table, head in heads.items())
    )


def snapshot_of(heads: Collection[Head]) -> Snapshot:
    """As of when the inputs were read: the one that was read first decides."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return Snapshot(SYSTEM, now, min((head.taken_at for head in heads), default=now))


@dataclass
class _Run:
    """One job of this reading: where it writes, and the landed tables that it reads."""

    planned: PlannedRead
    landed: Mapping[TableId, LandedTable]
    digest: str
    output: Path
    outbox: Outbox | None = None


class SparkReading(Uncounted):
    """``Reading``. All jobs run in one process, one after the other."""

    def __init__(self, opening: Opening, stack: ExitStack) -> None:
        self._opening, self._stack = opening, stack
        self._connection: SparkConnection = connection_of(opening.connection)
        self._inputs = inputs_of(opening)
        self._remote = self._connection.remote(opening.source, opening.environ)
        self._jobs: Jobs | None = None
        self._runs: dict[TableId, _Run] = {}
        self._landed: dict[TableId, LandedTable] = {}
        heads = {read: self._inputs.head(read) for t in opening.tables for read in settings_of(t).reads}
        self.snapshot = snapshot_of([head for head in heads.values() if head is not None])

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        heads_of(self._inputs, table)
        return described(table, self._connection.told(file_of(self._connection, table)))

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        return Drift()

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        return now.column_names  # a job that gives another column computes all rows anew

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        if ask.what == "slices":
            return Plan(table, prior, now, "slice", "slice", ask.reasons, now.identity, slices=ask.slices)
        moved = self._moved(table, prior.position)
        if ask.what == "changes" and not moved:
            return Plan(table, prior, now, "changes", "merge", ask.reasons, now.identity)
        return Plan(table, prior, now, "refresh", "replace", (*ask.reasons, *moved), now.identity)

    def _moved(self, table: SourceTable, position: Position | None) -> tuple[str, ...]:
        """What is other than when the rows were computed, in words."""
        if position is None:
            return ()
        digest = digest_of(file_of(self._connection, table), table)
        return moved(position, position_of(heads_of(self._inputs, table), digest))

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        wanted = [read for read in reads if read.plan.operation != "changes"]
        if not wanted:
            return
        opening, connection = self._opening, self._connection
        away = self._remote.startswith("sc://") and self._inputs.in_bucket()
        jobs = Jobs(
            opening.source, connection.at(connection.environment), self._remote, connection.timeout_seconds
        )
        told = [self._prepared(read, away) for read in wanted]
        folder = wanted[0].folder / "process"
        folder.mkdir()
        memories = [settings_of(read.plan.table).resources.memory for read in wanted]
        jobs.start(
            {
                "conf": connection.settings(opening.source, opening.environ),
                "memory": max(memories, key=_bytes),
                "jobs": told,
            },
            folder,
            opening.environ,
            opening.for_jobs(),
            connection.at(connection.log) if connection.log else None,
        )
        self._jobs = jobs

    def _prepared(self, read: PlannedRead, away: bool) -> dict[str, Any]:
        """Open the inputs of a job, and say what it is told."""
        table, settings = read.plan.table, settings_of(read.plan.table)
        read.folder.mkdir()
        for one in settings.reads:
            if one not in self._landed:
                self._landed[one] = self._stack.enter_context(self._inputs.landed(one, in_bucket=away))
        landed = {one: self._landed[one] for one in settings.reads}
        run = _Run(read, landed, digest_of(file_of(self._connection, table), table), read.folder / "written")
        run.outbox = self._stack.enter_context(self._inputs.outbox()) if away else None
        self._runs[table.id] = run
        output = run.outbox.address if run.outbox else str(run.output)
        by_name = {name: landed[one] for name, one in settings.inputs.items()}
        return job(self._connection, table, by_name, read.plan.slices, output, read.folder / "inputs", away)

    def ready(self, plan: Plan, seconds: float) -> bool:
        if self._jobs is None or plan.table.id not in self._runs:
            return True
        return self._jobs.ready(str(plan.table.id), seconds)

    def found(self, plan: Plan) -> Described | None:
        return None

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        run = self._runs.get(plan.table.id)
        if run is None or self._jobs is None:
            return Parts(())
        took = dict(self._jobs.answer(str(plan.table.id), plan.now.place))
        read = ", ".join(f"{one.table} up to batch {one.head.sequence}" for one in run.landed.values())
        files = _written(run)
        return Parts(
            tuple(_parts(run.planned.folder, files, landed)),
            seconds=took.pop("seconds"),
            notes=(f"computed from {read}",),
            facts={f"spark_{name}": value for name, value in took.items()},
        )

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position | None:
        run = self._runs.get(plan.table.id)
        if run is None or plan.operation == "slice":
            return plan.prior.position
        return position_of({one.table: one.head for one in run.landed.values()}, run.digest)

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        return (before and before.value) != (after and after.value)

    def moved_since(self, plan: Plan, position: Position) -> bool:
        return bool(self._moved(plan.table, position))

    def read_under(self) -> Snapshot:
        return self.snapshot

    def acknowledge(self, plan: Plan, position: Position) -> None:
        """The inputs stay where they are."""

    def interrupt(self) -> None:
        if self._jobs is not None:
            self._jobs.stop()

    def close(self) -> None:
        if self._jobs is not None:
            self._jobs.close([str(table) for table in self._runs])


def moved(before: Position, after: Position) -> tuple[str, ...]:
    """What is other between two positions, in words."""
    was, now = before.value.get("inputs"), after.value["inputs"]
    reasons = []
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        reasons = [
            f"{table} has moved to batch {at[0]}"  # type: ignore[index]
            for table, at in now.items()
            if was.get(table) != at
        ]
    if before.value.get("job") != after.value["job"]:
        reasons.append("the job or its columns changed")
    return tuple(reasons)


def _bytes(memory: str) -> int:
    return int(memory[:-1]) * (1024 if memory.endswith("g") else 1)


def _written(run: _Run) -> list[Path]:
    if run.outbox is None:
        return sorted(run.output.glob("*.parquet"))
    run.output.mkdir()
    return run.outbox.files(run.output)


def _parts(folder: Path, files: Sequence[Path], landed: LandedColumns) -> Iterator[tuple[Path, int]]:
    """What Spark wrote as the parts that land, treated as the sync says."""
    import duckdb

    small = sum(path.stat().st_size for path in files) <= ONE_PART_BYTES
    groups = [list(files)] if small else [[path] for path in files]
    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": 2,
        "preserve_insertion_order": False,
        "temp_directory": str(folder / "spilled"),
    }
    with duckdb.connect(":memory:", config=settings) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        prepare(engine, [landed])
        for n, group in enumerate(group for group in groups if group):
            path = folder / f"{n:05d}.parquet"
            listed = ", ".join(literal(str(one)) for one in group)
            try:
                select = landed.select(f"read_parquet([{listed}])")
                rows = engine.execute(f"COPY ({select}) TO {literal(str(path))} ({PARQUET})").fetchall()[0][0]
            except duckdb.Error as error:
                raise SourceError(f"what Spark wrote could not be read: {first_line(error)}") from None
            if rows:
                yield path, int(rows)
