"""Many tables are loaded together: how often the warehouse's file is opened does not grow with them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.errors import WarehouseBusy, WarehouseError
from data_platform.landing.ledger import Ledger
from data_platform.sync import commit as commit_module
from data_platform.sync import finish, summarize, sync_changes
from data_platform.warehouses.duckdb import connect as connect_module
from data_platform.warehouses.duckdb import warehouse as warehouse_module
from data_platform_tests.sync.conftest import Project

Count = Callable[[], tuple[int, int]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Count:
    """Since it was asked last: openings of the warehouse, and engines made for summaries."""
    made: Counter[str] = Counter()
    opened, engine = connect_module.connect, summarize._connect

    def opening(*arguments: Any, **options: Any) -> Any:
        made["opened"] += 1
        return opened(*arguments, **options)

    def making(scratch: Path) -> Any:
        made["engines"] += 1
        return engine(scratch)

    monkeypatch.setattr(connect_module, "connect", opening)
    monkeypatch.setattr(summarize, "_connect", making)
    # how fast this machine is decides nothing here
    monkeypatch.setattr(finish, "GROUP_SECONDS", 1e6)
    monkeypatch.setattr(finish, "HOLD_SECONDS", 1e6)

    def since() -> tuple[int, int]:
        found = made["opened"], made["engines"]
        made.clear()
        return found

    return since


def many(project: Project, tables: int) -> list[str]:
    names = [f"t{n}" for n in range(tables)]
    project.execute(
        *(f"create table {name} (id int primary key, v int)" for name in names),
        *(f"insert into {name} select g, 1 from generate_series(1, 5) g" for name in names),
    )
    project.catalog({name: {"key": "id"} for name in names})
    return names


def held(project: Project, names: list[str]) -> list[int]:
    return [project.rows(f"select sum(v)::int from raw_shop.{name}")[0][0] for name in names]


@pytest.mark.parametrize("tables", [2, 9])
def test_openings_and_engines_do_not_grow_with_the_tables(
    project: Project, counted: Count, tables: int
) -> None:
    names = many(project, tables)
    project.good()
    assert counted() == (1, 1), "the first sync"
    project.good()
    assert counted() == (1, 0), "nothing changed"
    project.execute(*(f"update {name} set v = 2 where id = 3" for name in names))
    project.good()
    assert counted() == (1, 1), "all changed"
    assert held(project, names) == [6] * tables
    counted()
    project.execute(*(f"delete from {name} where id = 3" for name in names))
    project.good(verify=True)
    assert counted() == (3, 1), "compared, mended, and compared again"
    assert held(project, names) == [4] * tables
    counted()
    project.good(audit=True)
    assert counted() in ((1, 0), (3, 0)), "compared; and, where it is a table's day, its rows too"


def test_reads_are_recorded_of_all_tables(project: Project, counted: Count) -> None:
    names = many(project, 3)
    project.good()
    before = project.rows("select max(read_at) from _data_platform.table_reads")[0][0]
    project.good()
    later = "select count(*) from _data_platform.table_reads where read_at > ?::timestamptz"
    with project.platform().warehouse(read_only=True) as warehouse:
        assert warehouse.query(later, [before]).rows == [(len(names),)]


@pytest.mark.parametrize("bound", ["GROUP_BYTES", "HOLD_SECONDS"])
def test_what_a_group_may_grow_to_is_bounded(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """At its least, a table is a group, or an opening, of its own."""
    monkeypatch.setattr(finish, bound, 0)
    monkeypatch.setattr(finish, "OPENING_SHARE", 0)
    many(project, 4)
    project.good()
    assert counted() == (4, 1)


def test_what_is_committed_is_not_held_up_by_what_is_not(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "GROUP_SECONDS", 0)
    monkeypatch.setattr(finish, "OPENING_SHARE", 0)
    loaded = threading.Event()
    commit, load = finish.commit, finish.load_pending

    def committing(platform: Any, reading: Any, work: Any, *rest: Any) -> Any:
        assert work.table.id.table == "t0" or loaded.wait(30), "the first waits to be loaded with the others"
        return commit(platform, reading, work, *rest)

    def loading(*arguments: Any, **options: Any) -> Any:
        found = load(*arguments, **options)
        loaded.set()
        return found

    monkeypatch.setattr(finish, "commit", committing)
    monkeypatch.setattr(finish, "load_pending", loading)
    names = many(project, 4)
    project.good()
    assert held(project, names) == [5] * 4


def test_tables_are_committed_while_one_is_loaded_and_join_its_opening(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = many(project, 6)
    monkeypatch.setattr(finish, "GROUP_SECONDS", 0)
    all_landed = threading.Event()
    land, load = Ledger.commit, finish.load_pending
    landed: list[Any] = []

    def landing(self: Ledger, manifest: Any) -> Any:
        found = land(self, manifest)
        landed.append(manifest.table)
        if len(landed) == len(names):
            all_landed.set()
        return found

    def loading(*arguments: Any, **options: Any) -> Any:
        assert all_landed.wait(30), "the others are committed only after this one is loaded"
        return load(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", landing)
        patch.setattr(finish, "load_pending", loading)
        reports = project.good()
    assert counted() == (1, 1)
    assert list(reports) == names
    assert held(project, names) == [5] * 6


@pytest.mark.parametrize("verify", [False, True])
def test_the_session_is_one_thread_s_at_a_time(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    """Two threads' savepoints would undo each other's statements, and what is compared takes memory."""
    names = many(project, 6)
    project.good()
    project.execute(*(f"update {name} set v = 2" for name in names[::2]))
    monkeypatch.setattr(finish, "GROUP_SECONDS", 0)
    monkeypatch.setattr(finish, "OPENING_SHARE", 0)
    at_it: list[int] = []
    asked: list[int] = []

    def alone(act: Any) -> Any:
        def acting(*arguments: Any, **options: Any) -> Any:
            at_it.append(1)
            asked.append(len(at_it))
            try:
                time.sleep(0.02)
                return act(*arguments, **options)
            finally:
                at_it.pop()

        return acting

    monkeypatch.setattr(commit_module, "_proved", alone(commit_module._proved))
    monkeypatch.setattr(finish, "compare_snapshot", alone(finish.compare_snapshot))
    project.good(verify=verify)
    assert len(asked) >= len(names)
    assert set(asked) == {1}
    assert held(project, names) == [10, 5] * 3


def test_who_stops_taking_reports_leaves_nothing_under_way(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = many(project, 12)
    monkeypatch.setattr(finish, "GROUP_BYTES", 0)
    reports = sync_changes(project.platform(), "shop")
    assert next(iter(reports)).table.table == "t0"
    reports.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith(("commit", "postgres-reader"))] == []
    project.good()
    assert held(project, names) == [5] * 12


def test_what_breaks_the_engine_in_a_group_is_its_table_s_alone(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = many(project, 4)
    load = warehouse_module.load

    def broken(connection: Any, manifest: Any, *rest: Any) -> Any:
        if manifest.table.table == "t1":
            raise duckdb.InternalException("Failure while replaying")
        return load(connection, manifest, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(warehouse_module, "load", broken)
        reports = project.sync()
    assert counted() == (2, 1), "the rest is loaded in an opening of its own"
    assert list(reports) == names
    assert [type(report.error) for report in reports.values()] == [
        type(None),
        WarehouseError,
        type(None),
        type(None),
    ]
    assert reports["t1"].landed_only
    project.good()
    assert held(project, names) == [5] * 4


def test_what_breaks_a_summary_is_its_table_s_alone(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = many(project, 4)
    check = summarize._check_shape

    def broken(connection: Any, table: Any, *rest: Any) -> None:
        if table.table == "t1":
            raise duckdb.InternalException("no such luck")
        check(connection, table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(summarize, "_check_shape", broken)
        reports = project.sync()
    opened, engines = counted()
    assert opened == 1 and engines <= 2, (
        "the rest is summarized by an engine of its own, if t1 is not the last"
    )
    assert [name for name, report in reports.items() if report.error] == ["t1"]
    project.good()
    assert held(project, names) == [5] * 4


def test_a_file_that_is_held_is_waited_for_once_for_all(
    project: Project, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process works in stays its own; all that landed is loaded by the next sync."""
    names = many(project, 4)

    def held_by_another(*_: Any, **__: Any) -> Any:
        waited.append(1)
        raise WarehouseBusy("The warehouse is held by process 1.")

    waited: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(connect_module, "connect", held_by_another)
        reports = project.sync()
    assert len(waited) == 1
    assert all(isinstance(report.error, WarehouseBusy) for report in reports.values())
    assert all(report.landed_only for report in reports.values())
    project.good()
    assert held(project, names) == [5] * 4


def test_an_interrupt_while_a_reader_starts_ends_the_sync(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader would wait for its work, and the sync for the reader."""
    project.execute("create table t (id int primary key)", "insert into t values (1)")
    project.catalog({"t": {"key": "id"}})
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "postgres-reader":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            project.sync()
    assert not [thread for thread in threading.enumerate() if thread.name == "postgres-reader"]
    project.good()
