"""The sync beside live writers, on a standby, and the two operations in any order."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.sync.conftest import COLUMNS, ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow


def _write(url: str, seed: int, stop: threading.Event, failures: list[BaseException]) -> None:
    """Inserts, updates, deletes, moves between days, savepoints, rollbacks, late commits."""
    choose = random.Random(seed)
    try:
        with psycopg.connect(url) as connection:
            while not stop.is_set():
                for _ in range(choose.randint(1, 6)):
                    key = choose.randint(1, 3000)
                    day = f"2026-01-{choose.randint(1, 28):02d}"
                    statement: str = choose.choice(
                        [
                            f"insert into orders values ({key}, 'in', {key}, '{day}') on conflict do nothing",
                            f"update orders set status = 's{choose.randint(0, 9)}' where order_id = {key}",
                            f"update orders set created_at = '{day}' where order_id = {key}",
                        ]
                    )
                    with connection.transaction():
                        connection.execute(statement.encode())
                if choose.random() < 0.2:
                    stop.wait(choose.random() * 0.3)
                connection.rollback() if choose.random() < 0.15 else connection.commit()
    except psycopg.errors.DeadlockDetected:
        if not stop.is_set():
            _write(url, seed + 1000, stop, failures)
    except BaseException as error:
        failures.append(error)


def test_nothing_is_lost_beside_concurrent_writers(orders: Project) -> None:
    stop, failures = threading.Event(), []
    writers = [
        threading.Thread(target=_write, args=(orders.url, seed, stop, failures), daemon=True)
        for seed in range(4)
    ]
    for writer in writers:
        writer.start()
    try:
        for round_ in range(8):
            orders.good()
            if round_ == 4:
                assert orders.slices(["orders"], "2026-01-03", "2026-01-09")["orders"].error is None
    finally:
        stop.set()
        for writer in writers:
            writer.join(timeout=20)
    assert failures == []
    orders.good()
    assert orders.difference("orders", COLUMNS) == ([], [])
    assert orders.good(verify=True)["orders"].completeness.passed  # type: ignore[union-attr]


def test_a_standby_is_read_by_the_xmin_scan_with_one_reader(
    project: Project, postgres: PostgresServer, server_folder: Any
) -> None:
    project.execute(ORDERS_SQL)
    project.catalog({"orders": ORDERS})
    primary = project.url
    standby = postgres.standby(server_folder / "standby")
    try:
        project.url = standby.url(primary.rsplit("/", 1)[-1].split("?")[0])
        project.good()
        flushed = "-c synchronous_commit=on"  # or the flush position lags behind the commit
        with psycopg.connect(primary, options=flushed) as late:
            late.execute("update orders set status = 'late' where order_id = 1")
            with psycopg.connect(primary, options=flushed) as early:
                early.execute("update orders set status = 'x' where order_id = 2")
            _caught_up(primary, project.url)
            project.good()
            late.commit()
        _caught_up(primary, project.url)
        report = project.good()["orders"]
        assert any("standby" in note for note in report.notes)
        project.url = primary
        assert project.difference("orders", COLUMNS) == ([], [])
    finally:
        standby.stop(immediate=True)


def _caught_up(primary: str, standby: str) -> None:
    with psycopg.connect(primary, autocommit=True) as connection:
        row = connection.execute("select pg_current_wal_flush_lsn()").fetchone()
    assert row is not None
    waiter = threading.Event()
    for _ in range(400):
        with psycopg.connect(standby, autocommit=True) as connection:
            caught = connection.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
        if caught and caught[0]:
            return
        waiter.wait(0.05)
    raise AssertionError("the standby did not catch up")


DAYS = [f"2026-01-{n:02d}" for n in range(1, 6)]
EDITS = st.one_of(
    st.tuples(st.just("insert"), st.integers(1, 30), st.sampled_from([*DAYS, None])),
    st.tuples(st.just("update"), st.integers(1, 30), st.integers(0, 99)),
    st.tuples(st.just("move"), st.integers(1, 30), st.sampled_from([*DAYS, None])),
    st.tuples(st.just("delete"), st.integers(1, 30), st.none()),
    st.tuples(st.just("changes"), st.none(), st.none()),
    st.tuples(st.just("slice"), st.none(), st.sets(st.sampled_from([*DAYS, "null"]), min_size=1)),
)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=st.lists(EDITS, min_size=1, max_size=12))
def test_changes_and_slices_in_any_order_end_at_the_source(project: Project, steps: list[Any]) -> None:
    import shutil

    for name in ("landing", "warehouse.duckdb"):
        path = project.root / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    project.execute(
        "drop table if exists orders; drop function if exists stamp", ORDERS_SQL, "delete from orders"
    )
    project.catalog({"orders": {**ORDERS, "cursor_clock": "application"}})
    for kind, key, value in steps:
        day = "null" if value is None else f"'{value}'"
        if kind == "insert":
            project.execute(f"insert into orders values ({key}, 'n', 1, {day}) on conflict do nothing")
        elif kind == "update":
            project.execute(f"update orders set amount = {value} where order_id = {key}")
        elif kind == "move":
            project.execute(f"update orders set created_at = {day} where order_id = {key}")
        elif kind == "delete":
            project.execute(f"delete from orders where order_id = {key}")
        elif kind == "changes":
            project.good()
        else:
            assert project.slices(["orders"], *sorted(value))["orders"].error is None
            assert project.rows("select count(*) - count(distinct order_id) from raw_shop.orders") == [(0,)]
    project.good(verify=True)
    assert project.difference("orders", COLUMNS) == ([], [])
