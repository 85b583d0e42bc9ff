"""Neither a sync nor a probe makes an application's migration wait in a circle, or holds one lock while it
waits for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import psycopg
import pytest

from data_platform.errors import TableLocked
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.extract import Readers
from data_platform.sources.postgres.locks import Patience
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync import check_sources, discover, probe
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.test_schema_changes import (
    OURS,
    in_background,
    tries_again_for_a_lock,
    waits_for_a_lock,
)

pytestmark = pytest.mark.slow

TABLES = ("a1", "a2", "a3", "a4")
CATALOG: dict[str, Any] = {table: {"key": "id"} for table in TABLES}


@pytest.fixture
def migrated(project: Project) -> Project:
    """Four tables of ten rows, synced once."""
    project.execute(
        *(f"create table {t} (id int primary key, n int)" for t in TABLES),
        *(f"insert into {t} select g, g from generate_series(1, 10) g" for t in TABLES),
        "create view seen as select a1.id, a4.n from a1 join a4 using (id)",
        "create materialized view kept as select * from a2",
    )
    project.catalog(CATALOG, connection={"lock_timeout_seconds": 60}).good()
    return project


def alter(*tables: str) -> Callable[[psycopg.Connection[Any]], None]:
    def steps(connection: psycopg.Connection[Any]) -> None:
        for table in tables:
            connection.execute(f"alter table {table} add column extra int default 7".encode())

    return steps


def everything_has_the_column(project: Project, *tables: str) -> None:
    for table in tables:
        assert project.rows(f"select count(*), sum(extra) from raw_shop.{table}") == [(10, 70)], table


def ours(project: Project, where: str = "true") -> list[str]:
    """The tables of which a session of ours holds a lock, or waits for one."""
    return [
        name
        for (name,) in project.source_rows(
            "select distinct c.relname::text from pg_locks l join pg_class c on c.oid = l.relation"
            f" join pg_stat_activity a using (pid) where a.{OURS} and c.relnamespace = 'public'::regnamespace"
            f" and c.relkind <> 'i' and {where} order by 1"
        )
    ]


@pytest.mark.parametrize("order", [("a2", "a1"), ("a1", "a2"), ("a4", "a3", "a2", "a1")], ids="-".join)
def test_a_migration_that_is_under_way_gets_on_and_the_sync_waits_without_a_lock(
    migrated: Project, order: tuple[str, ...]
) -> None:
    with psycopg.connect(migrated.url) as migration:
        migration.execute("set lock_timeout = '30s'")
        alter(order[0])(migration)
        synced = in_background(migrated.sync)
        tries_again_for_a_lock(migrated)
        assert ours(migrated, "not l.granted") == [], "whoever waits for a lock may be half of a deadlock"
        alter(*order[1:])(migration)
        migration.commit()
    assert {table: report.error for table, report in synced().items()} == dict.fromkeys(TABLES)
    everything_has_the_column(migrated, *order)


def test_a_migration_that_comes_while_we_read_gets_on(migrated: Project) -> None:
    """It waits for the locks of the sync; the readers that come later would wait for it, and give way."""
    migration: list[Callable[[], Any]] = []
    start = Readers.start

    def migrate_first(self: Readers, reads: Any) -> None:
        with_order = lambda: migrated.execute(  # noqa: E731
            "begin; alter table a2 add column extra int default 7; alter table a1 add column extra int default 7; commit"
        )
        migration.append(in_background(with_order))
        waits_for_a_lock(migrated, f"not {OURS}")
        start(self, reads)

    migrated.execute(*(f"update {t} set n = n + 1" for t in TABLES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Readers, "start", migrate_first)
        reports = migrated.sync()
    migration[0]()  # no deadlock
    assert isinstance(reports["a2"].error, TableLocked) and reports["a2"].error.retryable
    assert [reports[t].error for t in ("a1", "a3", "a4")] == [None] * 3
    migrated.good()
    everything_has_the_column(migrated, "a1", "a2")
    assert migrated.difference("a2", "id, n, extra") == ([], [])


def test_a_lock_that_is_wanted_for_a_moment_costs_a_moment(migrated: Project) -> None:
    """As tools for migrations ask for it: with a short lock_timeout, again and again."""
    wanted: list[Callable[[], Any]] = []
    start = Readers.start

    def ask_first(self: Readers, reads: Any) -> None:
        wanted.append(in_background(lambda: migrated.execute("set lock_timeout = '400ms'", "truncate a2")))
        waits_for_a_lock(migrated, f"not {OURS}")
        start(self, reads)

    migrated.execute(*(f"update {t} set n = n + 1" for t in TABLES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Readers, "start", ask_first)
        assert {t: r.rows for t, r in migrated.good().items()} == dict.fromkeys(TABLES, 10)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        wanted[0]()


def test_a_lock_that_is_gone_when_the_server_is_asked_who_held_it_costs_a_moment_too(
    migrated: Project,
) -> None:
    wanted: list[Callable[[], Any]] = []
    asked = []
    start, why = Readers.start, Readers._why

    def ask_first(self: Readers, reads: Any) -> None:
        wanted.append(in_background(lambda: migrated.execute("set lock_timeout = '1500ms'", "truncate a2")))
        waits_for_a_lock(migrated, f"not {OURS}")
        start(self, reads)

    def gone_by_then(self: Readers, *failed: Any) -> Any:
        asked.append(failed)
        if len(asked) == 2:  # the first time it was found in the way
            with pytest.raises(psycopg.errors.LockNotAvailable):
                wanted[0]()
        return why(self, *failed)

    migrated.execute(*(f"update {t} set n = n + 1" for t in TABLES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Readers, "start", ask_first)
        patch.setattr(Readers, "_why", gone_by_then)
        assert {t: r.rows for t, r in migrated.good().items()} == dict.fromkeys(TABLES, 10)
    assert len(asked) == 2


@contextmanager
def locked(project: Project, *tables: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(project.url, application_name="deploy 42") as holder:
        for table in tables:
            holder.execute(f"lock table {table} in access exclusive mode".encode())
        yield holder


def test_what_stays_locked_is_waited_for_once_with_nothing_held_and_the_rest_goes_on(
    migrated: Project,
) -> None:
    migrated.catalog(CATALOG, connection={"lock_timeout_seconds": 1})
    migrated.execute("insert into a1 values (11, 11)")
    waits: list[float] = []
    held: list[list[str]] = []
    real = Patience.pauses

    def looked_at(self: Patience) -> Iterator[None]:
        waits.append(self.seconds)
        for _ in real(self):
            held.append(ours(migrated))
            yield

    with pytest.MonkeyPatch.context() as patch, locked(migrated, "a2", "a3", "a4") as holder:
        patch.setattr(Patience, "pauses", looked_at)
        pid = holder.info.backend_pid
        reports = migrated.sync()
    assert waits == [1], "one wait for all of them"
    assert held and held == [[]] * len(held), "nothing is held meanwhile"
    assert reports["a1"].error is None and reports["a1"].rows == 1
    for table in ("a2", "a3", "a4"):
        error = reports[table].error
        assert isinstance(error, TableLocked)
        assert f"process number {pid}" in str(error) and "deploy 42" in str(error)
        assert f"public.{table}" in str(error) and "lock_timeout_seconds (1 s)" in str(error)
    migrated.good()


def test_what_lock_table_does_not_take_is_not_waited_for_either(migrated: Project) -> None:
    """A view's base tables are locked with it; a materialized view cannot be, and is asked about."""
    migrated.execute("create view over_kept as select * from kept")
    views = {name: {"strategy": "replace"} for name in ("seen", "kept", "over_kept")}
    migrated.catalog({**CATALOG, **views}, connection={"lock_timeout_seconds": 1}).good()
    with locked(migrated, "a4"):
        reports = migrated.sync()
    assert {t for t, r in reports.items() if isinstance(r.error, TableLocked)} == {"a4", "seen"}
    with psycopg.connect(migrated.url) as refresh:
        refresh.execute("refresh materialized view kept")
        reports = migrated.sync()
    assert {t for t, r in reports.items() if isinstance(r.error, TableLocked)} == {"kept", "over_kept"}
    assert [r.error for r in reports.values() if r.error and not isinstance(r.error, TableLocked)] == []
    # refreshed only once we hold our locks: a statement that would wait for it gives way at once
    where = target(
        migrated.platform().catalog.source("shop").connection, {"SHOP_URL": migrated.url}, source="shop"
    )
    with SourceSession(where) as session:
        session.begin([("a1", "public", "a1")], observe_activity=False)
        with psycopg.connect(migrated.url) as refresh:
            refresh.execute("refresh materialized view kept")
            with pytest.raises(TableLocked):
                session.execute("select count(*) from kept", what="Counting kept")
        assert session.execute("select count(*) from a1", what="Counting a1") == [(10,)]


def test_a_probe_is_in_nobodys_way(migrated: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sources.postgres.looking", "sources.postgres.discover"):
        monkeypatch.setattr(import_module(f"data_platform.{name}"), "LOOK_SECONDS", 0.2)
    held: list[list[str]] = []
    waited: list[list[str]] = []
    execute, done = SourceSession.execute, threading.Event()

    def looked_at(self: SourceSession, statement: str, *, what: str) -> Any:
        rows = execute(self, statement, what=what)
        held.append(ours(migrated))
        return rows

    monkeypatch.setattr(SourceSession, "execute", looked_at)
    with psycopg.connect(migrated.url) as migration:
        alter("a2")(migration)
        pid = migration.info.backend_pid

        def watch() -> None:
            while not done.wait(0.01):
                waited.append(
                    ours(
                        migrated,
                        "not l.granted and a.wait_event is not null and clock_timestamp() - a.query_start > '100 ms'",
                    )
                )

        watching = threading.Thread(target=watch)
        watching.start()
        found = {p.table.table: p for p in probe(migrated.platform(), "shop", measure_slices=True)}
        mistakes = check_sources(migrated.platform()).mistakes
        drafted = discover({"SHOP_URL": migrated.url}, source="shop", url_env="SHOP_URL")
        done.set()
        watching.join()
        alter("a1")(migration)  # nothing of the probe's is left that it could wait for
        migration.commit()
    assert all(len(tables) <= 1 for tables in held), "one table's locks at a time"
    assert not any(waited)
    error = found["a2"].error
    assert isinstance(error, TableLocked) and f"process number {pid}" in str(error)
    assert [found[t].moved for t in ("a1", "a3", "a4")] == [False] * 3
    assert len(mistakes) == 1 and "public.a2 is locked" in mistakes[0]
    assert "  # a2 is left out: public.a2 is locked: " in drafted and "  a1:\n    key: id\n" in drafted
    assert [p.error for p in probe(migrated.platform(), "shop")] == [None] * 4
