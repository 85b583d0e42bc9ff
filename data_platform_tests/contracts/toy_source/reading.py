"""Logs read in steps of bounded size, a key's last line of each step, with a mark on those that are gone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from data_platform.errors import PositionLost, TableMissing
from data_platform.sources.reading import (
    Ask,
    ClearColumn,
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
from data_platform.sources.rejected import Rejected, RejectedFile
from data_platform.sources.uncounted import Uncounted
from data_platform.sql import literal, quoted
from data_platform.tables import Column, Position, Snapshot, TableId
from data_platform_tests.contracts.toy_source.kind import LogConnection
from data_platform_tests.contracts.toy_source.log import Log, system

OFFSET, GONE = Column("_offset", "BIGINT", "offset"), Column("_gone", "BOOLEAN", "gone")


@contextmanager
def open_reading(opening: Opening) -> Iterator[LogReading]:
    assert isinstance(opening.connection, LogConnection)
    yield LogReading(opening)


VALUES = {bool: "BOOLEAN", int: "BIGINT", float: "DECIMAL(38,18)", str: "VARCHAR", dict: "JSON"}


def describe(
    folder: Path, table: SourceTable, together: tuple[str, ...] = (), found: Mapping[str, str] | None = None
) -> Described:
    """With the columns of ``found`` too, where lines may have more than the log declares."""
    log = Log(folder, table.id.table)
    if not log.path.exists():
        raise TableMissing(f"{table.id}: there is no log {log.name}. Make it, or correct the catalog.")
    known = {**(found or {}), **log.about["columns"]}
    columns = {name: kind for name, kind in known.items() if not table.only or name in table.only}
    return Described(
        name=log.name,
        place=log.path.name,
        changes="log",
        columns=tuple(
            ClearColumn(name, kind, kind.lower(), True, quoted(name), f"CAST({quoted(name)} AS VARCHAR)")
            for name, kind in columns.items()
        ),
        column_names=tuple(known),
        identity={"log": log.about["id"]},
        own=(OFFSET, GONE),
        version=OFFSET.name,
        deleted=GONE.name,
        replaces=together,
        from_rows=found is not None,
        private=log,
    )


class LogReading(Uncounted):
    """``sources.reading.Reading``, as of the ends that the logs had when it was opened."""

    def __init__(self, opening: Opening) -> None:
        assert isinstance(opening.connection, LogConnection)
        self._folder, self._step = Path(opening.connection.folder), opening.connection.step
        self._together = opening.connection.together
        self._found: dict[str, str] | None = {} if opening.connection.from_rows else None
        logs = {table.id: Log(self._folder, table.id.table) for table in opening.tables}
        self._ends = {id_: log.end for id_, log in logs.items() if log.path.exists()}
        self._reads: dict[TableId, PlannedRead] = {}
        self._next: dict[TableId, int] = {}
        ends = ", ".join(f"{id_.table} {end}" for id_, end in self._ends.items())
        self.snapshot = Snapshot(system(self._folder), ends, datetime.now(UTC).isoformat())

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        return describe(self._folder, table, self._together, self._found)

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        made_anew = prior.identity is not None and prior.identity != now.identity
        return Drift(("another log has the table's name now",) if made_anew else ())

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        return ()  # a line is never written over

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        first = now.private.about["first"]
        whole = ask.what == "whole"
        start = first if whole or drift.replaced else self._offset(table, prior)
        if start < first:
            raise PositionLost(
                f"{table.id}: the log begins at offset {first} by now, and it was read up to {start}: what stood between"
                f" is gone. Read what there is anew with `data-platform sync --refresh {table.id}`."
            )
        return Plan(
            table=table,
            prior=prior,
            now=now,
            operation="refresh" if whole else "changes",
            load="replace" if whole else "merge",
            reasons=ask.reasons,
            identity=now.identity,
            private=start,
        )

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        for read in reads:
            self._reads[read.plan.table.id] = read
            self._next[read.plan.table.id] = read.plan.private
            read.folder.mkdir()

    def ready(self, plan: Plan, seconds: float) -> bool:
        return True

    def found(self, plan: Plan) -> Described | None:
        if self._found is None:
            return None
        _, lines, _ = self._lines(plan)
        held = [pair for line in lines for pair in line["row"].items() if pair[1] is not None]
        types = {name: VALUES[type(value)] for name, value in held}
        types |= {name: VALUES[float] for name, value in held if type(value) is float}
        return describe(self._folder, plan.table, self._together, types)

    def _lines(self, plan: Plan) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        """Where the next step ends, its lines, and those that cannot be taken."""
        id_, log = plan.table.id, plan.now.private
        start, end = self._next[id_], self._ends[id_]
        until = min(start + self._step, end)
        # by offset, so that a page that came twice is read once
        lines = {line["offset"]: line for line in log.lines() if start <= line["offset"] < until}
        broken = [lines.pop(offset) for offset in sorted(lines) if "broken" in lines[offset]]
        last = {tuple(line["row"].get(k) for k in plan.table.key): line for _, line in sorted(lines.items())}
        return until, list(last.values()), broken

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        id_ = plan.table.id
        described = self.found(plan) or plan.now
        until, last, broken = self._lines(plan)
        read = replace(self._reads[id_], plan=replace(plan, now=described), landed=landed)
        files = ((self._write(read, self._next[id_], last), len(last)),) if last else ()
        rejected = RejectedFile(read.folder / f"{self._next[id_]}.rejected.parquet")
        for line in broken:
            origin = f"{plan.now.place} offset {line['offset']}"
            rejected.add(Rejected(line["broken"], origin, json.dumps(line["row"]).encode()))
        rejected.close()
        self._next[id_] = until
        return Parts(files, more=until < self._ends[id_], rejected=rejected.files)

    def _write(self, read: PlannedRead, start: int, lines: Sequence[dict[str, Any]]) -> Path:
        path = read.folder / f"{start}.parquet"
        rows = [{**line["row"], OFFSET.name: line["offset"], GONE.name: line["gone"]} for line in lines]
        types = {c.name: c.type for c in (*read.plan.now.columns, *read.plan.now.own)}
        given = ", ".join(
            f"CAST(j ->> {literal(name)} AS {type_}) AS {quoted(name)}" for name, type_ in types.items()
        )
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            prepare(engine, [read.landed])
            engine.execute(
                "CREATE TABLE lines AS SELECT unnest(?::JSON[]) AS j", [list(map(json.dumps, rows))]
            )
            select = read.landed.select(f"(SELECT {given} FROM lines)")
            engine.execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet)")
        return path

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position:
        reached = self._next[plan.table.id]
        return Position(self.snapshot.system, {"next": reached}, f"offset {reached:,}")

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        """A step of lines that are gone by now has no row, and leads on all the same."""
        return before != after

    def moved_since(self, plan: Plan, position: Position) -> bool:
        return self._ends[plan.table.id] > self._offset(plan.table, Prior(position))

    def read_under(self) -> Snapshot:
        return self.snapshot

    def acknowledge(self, plan: Plan, position: Position) -> None:
        plan.now.private.acknowledge(self._offset(plan.table, Prior(position)))

    def interrupt(self) -> None:
        """Nothing is waited for."""

    def _offset(self, table: SourceTable, prior: Prior) -> int:
        return next_offset(table, prior)


def next_offset(table: SourceTable, prior: Prior) -> int:
    found = prior.position.value.get("next") if prior.position else 0
    if not isinstance(found, int):
        raise PositionLost(
            f"{table.id}: its last batch names no offset. Read it anew with `data-platform sync --refresh {table.id}`."
        )
    return found
