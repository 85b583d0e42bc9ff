"""Another load between any two statements of a load that puts a new table in the place of the old, where DDL commits.

The load stops before a statement. Another process loads the same batch and the next one, whole. The first load goes on. No
row of the others may be lost, and every batch is recorded once. Over the emulators of Snowflake and BigQuery; a script of
BigQuery, which is one job, is taken apart, since its statements are not one in the service either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from data_platform.tables import Column, TableId
from data_platform.warehouses import LoadResult
from data_platform.warehouses.bigquery.client import open_client
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.bigquery.jobs import Jobs
from data_platform.warehouses.bigquery.session import BigQuerySession
from data_platform.warehouses.remote import records
from data_platform.warehouses.remote.engine import Session, Staging
from data_platform.warehouses.remote.turns import Turn
from data_platform.warehouses.remote.warehouse import RemoteWarehouse
from data_platform.warehouses.snowflake.config import SnowflakeConfig
from data_platform.warehouses.snowflake.connect import Connector
from data_platform.warehouses.snowflake.results import Answer
from data_platform.warehouses.snowflake.session import SnowflakeSession
from data_platform_tests.contracts.batches import COLUMNS, Chain

pytestmark = pytest.mark.slow  # emulators of warehouses

ROWS = [(n, f"2026-01-0{1 + n % 3}", "a", 1) for n in range(6)]
KINDS: Mapping[str, tuple[str, tuple[Column, ...], list[tuple[object, ...]]]] = {
    "replace": ("replace", (*COLUMNS[:2], Column("total", "DOUBLE", ""), COLUMNS[3]), [(1, "2026-01-02", "0.5", 2), (8, None, None, 2)]),
    "widen": ("merge", (Column("id", "DECIMAL(38,18)", "", nullable=False), *COLUMNS[1:]), [("1.5", "2026-01-02", "b", 2)]),
}  # fmt: skip
"""What the second batch does: its table gets another shape, or its key a wider type."""
Pause = Callable[[str], None]


@dataclass
class Stop:
    """Stops once, before the statement of number ``at`` outside of a transaction, for ``act``."""

    at: int = -1
    act: Callable[[], None] = lambda: None
    seen: list[str] = field(default_factory=list)

    def __call__(self, statement: str) -> None:
        self.seen.append(statement)
        if len(self.seen) == self.at + 1:
            self.act()


class StoppingSnowflake(SnowflakeSession):
    stop: Pause
    _inside = False

    def _send(self, statement: str, doing: str, **options: Any) -> Answer:
        if not self._inside:
            self.stop(statement)
        self._inside = (self._inside or statement == "BEGIN TRANSACTION") and statement not in (
            "COMMIT",
            "ROLLBACK",
        )
        return super()._send(statement, doing, **options)


class StoppingBigQuery(BigQuerySession):
    stop: Pause

    def ask(self, question: str, *more: Any) -> Any:
        self.stop(question)
        return super().ask(question, *more)

    def columns(self, schema: str, name: str) -> Mapping[str, str]:
        self.stop(f"columns of {schema}.{name}")
        return super().columns(schema, name)

    def _load(self, name: str, staging: Staging) -> None:
        self.stop(f"load {name}")
        super()._load(name, staging)

    def _script(self, name: str, doing: str, lines: Sequence[str]) -> None:
        if lines[0] == "BEGIN TRANSACTION":
            self.stop("\n".join(lines))
            return super()._script(name, doing, lines)
        for number, one in enumerate(part for line in lines for part in _apart(line)):
            self.stop(one)
            super()._script(f"{name}_{number}", doing, [one])


def _apart(line: str) -> list[str]:
    return [line] if line.startswith("IF NOT") else line.split(";\n")


@dataclass
class World:
    """``opened`` gives a warehouse whose session stops where it is told to. ``thorough``: at every statement. ``in_place``: a
    type becomes wider without another table."""

    session: Callable[[], Session]
    thorough: bool
    in_place: bool = False

    @contextmanager
    def opened(self, stop: Pause = lambda statement: None) -> Iterator[RemoteWarehouse]:
        made = cast("Any", self.session())
        made.stop = stop
        with closing(made):
            yield RemoteWarehouse(made, made.grammar, sleep=lambda seconds: None)


@pytest.fixture(params=["snowflake", "bigquery"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    kind = request.param
    thorough = request.config.getoption("--warehouse") == kind
    if kind == "bigquery" and not thorough:
        pytest.skip("on demand: make test-warehouse KIND=bigquery")
    server = request.getfixturevalue(f"{kind}_server")
    config = server.config(tmp_path)
    if isinstance(config, SnowflakeConfig):
        monkeypatch.setattr(StoppingSnowflake, "grammar", config.dialect, raising=False)
        yield World(lambda: StoppingSnowflake(Connector(config, server.environ)), thorough)
        server.emptied(tmp_path)
        return
    assert isinstance(config, BigQueryConfig)

    def jobs() -> Jobs:
        return Jobs(open_client(config), config.location, sleep=lambda seconds: None, seconds=60)

    yield World(lambda: StoppingBigQuery(jobs, config.grammar()), thorough, in_place=True)


def batches(folder: Path, number: int, kind: str) -> list[Any]:
    """Three batches of a table: the second puts another table in its place, the third adds a row."""
    load, columns, rows = KINDS[kind]
    chain = Chain(folder / f"t{number}", table=TableId("shop", f"t{number}"))
    return [
        chain.next("replace", ROWS),
        chain.next(cast("Any", load), rows, columns=columns),
        chain.next("merge", [(9, "2026-01-09", *rows[0][2:])], columns=columns),
    ]


def held(warehouse: RemoteWarehouse, table: TableId) -> tuple[Any, ...]:
    """Rows, records, touched slices: everything that a load leaves."""
    quote = warehouse.grammar.quote
    names = [name for name in warehouse.session.columns("raw_shop", table.table) if not name.startswith("_")]
    shown = ", ".join(map(quote, sorted(names)))
    found = [
        warehouse.query(f"SELECT {shown} FROM {warehouse.grammar.relation('raw_shop', table.table)}").rows
    ]
    for log, columns in (
        (records.LOADED, ("sequence", "rows_inserted", "rows_deleted")),
        (records.TOUCHED, ("sequence", "slice", "came", "went", "vacated")),
    ):
        relation = warehouse.grammar.relation("_data_platform", log)
        where = f"{quote('table')} = {warehouse.grammar.literal(table.table)}"
        found.append(
            warehouse.query(f"SELECT {', '.join(map(quote, columns))} FROM {relation} WHERE {where}").rows
        )
    return tuple(sorted(rows, key=repr) for rows in found)


def interleaved(
    world: World, folder: Path, number: int, kind: str, at: int
) -> tuple[list[LoadResult], tuple[Any, ...]]:
    """What the first load says, and what is held after another process loaded everything before its statement ``at``."""
    first, (made, parts), third = batches(folder, number, kind)

    def others() -> None:
        with world.opened() as other:
            other.load(made, parts)
            other.load(*third)

    stop = Stop(at, others)
    with world.opened() as before:
        before.load(*first)
    with world.opened(stop) as warehouse:
        done = [warehouse.load(made, parts)]
    assert len(stop.seen) > at
    with world.opened() as after:
        done.append(after.load(*third))
        return done, held(after, made.table)


def alone(world: World, folder: Path, kind: str) -> tuple[tuple[Any, ...], list[str]]:
    """What is held after the three loads, and the statements of the second one."""
    first, (made, parts), third = batches(folder, 1000, kind)
    stop = Stop()
    with world.opened() as before:
        before.load(*first)
    with world.opened(stop) as warehouse:
        warehouse.load(made, parts)
    with world.opened() as after:
        after.load(*third)
        return held(after, made.table), stop.seen


def windows(statements: Sequence[str]) -> list[int]:
    """The exchange, and what comes after it: where a guard alone would not have been enough."""
    exchange = next(n for n, sql in enumerate(statements) if " CLONE " in sql)
    return [exchange, exchange + 1]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_a_load_between_any_two_statements_of_an_exchange_loses_no_row(
    world: World, tmp_path: Path, kind: str
) -> None:
    if kind == "widen" and world.in_place:
        pytest.skip("a type becomes wider in place: there is no exchange")
    expected, statements = alone(world, tmp_path, kind)
    points = range(len(statements)) if world.thorough else windows(statements)
    for at in points:
        done, found = interleaved(world, tmp_path, at, kind, at)
        assert found == expected, (at, statements[at])
        assert done[1] == LoadResult(3, 0, 0, {}, 0), "the next batch was loaded"


class Killed(BaseException):
    """The process is gone."""


def test_a_turn_stays_as_long_as_its_batch_is_not_loaded(world: World, tmp_path: Path) -> None:
    """Shortening the records takes away what a killed exchange left only once a guard needs it no more."""
    _, statements = alone(world, tmp_path, "replace")
    first, (made, parts), _ = batches(tmp_path, 1, "replace")

    def die() -> None:
        raise Killed

    with world.opened() as before:
        before.load(*first)
        before.maintain()
    turns = f"SELECT count(*) FROM {records.relation(before.grammar, records.TURNS)}"
    with pytest.raises(Killed), world.opened(Stop(windows(statements)[0], die)) as warehouse:
        warehouse.load(made, parts)
    with world.opened() as after:
        after.maintain()
        assert after.query(turns).rows == [(1,)]
        assert after.load(made, parts).rows_inserted == 2
        assert after.maintain().done["tables of killed loads removed"] == 2
        assert after.query(turns).rows == [(0,)]
        assert after.loaded(made.table).sequence == 2  # type: ignore[union-attr]


def test_without_turns_the_window_is_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above can fail: guarded by the records alone, an exchange puts older rows in the place of newer ones."""
    monkeypatch.setattr(Turn, "take", lambda self, commit: None)
    expected, statements = alone(world, tmp_path, "replace")
    _, (rows, _, _) = interleaved(world, tmp_path, 1, "replace", windows(statements)[0])
    assert len(rows) == len(expected[0]) - 1
