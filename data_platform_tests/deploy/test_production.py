"""Runs on a production instance: records in PostgreSQL, the real queue, launcher and daemon.

One code server and one daemon serve all tests, in the order they stand in. What is killed is killed
with SIGKILL; nothing here measures time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.conftest import SHOP_ORDERS, SHOP_TODAY
from data_platform_tests.deploy.production import (
    Production,
    free_port,
    instance_variables,
    kill,
    wait,
    write_home,
    write_project,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
ORDERS = dg.AssetKey(["raw", "shop", "orders"])
DAYS = [str(SHOP_TODAY - timedelta(days=n)) for n in (4, 3, 2)]

GRACE = 90
"""Seconds a server gets to go once its run has ended."""

MISSED = "Error loading repository location"
"""What the daemon says when it asked for the definitions in vain."""

ONE_MORE_TABLE = """\

  refunds:
    key: refund_id
"""


@pytest.fixture(scope="module")
def production(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, shop: str, manifest: Path
) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    with postgres.connect() as connection:  # a template must have no connection
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop_small'"
        )
    url = postgres.create_database("shop_production", template="shop_small")
    variables = instance_variables(postgres.create_database("dagster_production"))
    port = free_port()
    root, home = write_project(folder / "project", folder / "data"), write_home(folder / "dagster", port)
    ours = ("DAGSTER", "DATA_PLATFORM", "SLACK", "SHOP_")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        **variables,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "10",
        "DATA_PLATFORM_ENV": "prod",
        "PYTHONWARNINGS": "always::UserWarning",  # the daemon says by a warning that it found no code server
        "SHOP_DATABASE_URL": url,
        "DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken",
        "DATA_PLATFORM_LEDGER_KEY": "another key of a test, long enough to be taken",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(home))
        made = Production(folder, root, home, port, environ)
        try:
            made.start_code(root)
            made.switch_off()
            made.start_daemon()
            yield made
        finally:
            made.stop()
            postgres.drop_database("shop_production")
            postgres.drop_database("dagster_production")


@contextmanager
def locked(production: Production, table: str) -> Iterator[None]:
    """Nobody can read ``table`` at the source: a sync stops half-way, and waits."""
    with psycopg.connect(production.environ["SHOP_DATABASE_URL"]) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        yield


def is_at_the_source(production: Production) -> bool:
    """Whether a sync has a session at the source, beside that of ``locked``. Where a table is locked, none comes further than that; it
    has its name within a transaction alone, and what it asked last differs by how it looks at the tables."""
    with psycopg.connect(production.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND query NOT LIKE '%IN ACCESS EXCLUSIVE MODE'"
        ).fetchone()
    return bool(found and found[0])


def half_way(production: Production, run_id: str) -> None:
    """Until the run holds the warehouse's slot and waits for the source. A run that has ended before says why at once."""

    def working() -> bool:
        run = production.instance.get_run_by_id(run_id)
        assert run is not None and not run.is_finished, production.told(run_id)
        return run_id in production.slot_held_by() and is_at_the_source(production)

    wait(working, f"{run_id} to work; {production.log('daemon')}")


def retried(production: Production, run_id: str) -> str:
    """The run that the daemon started by itself in the place of a lost one."""

    def child() -> str | None:
        runs = production.instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
        return runs[0].run_id if runs else None

    found: str = wait(child, f"the retry of {run_id}; {production.log('daemon')}")
    return found


def test_the_main_job_runs_and_each_step_in_a_process_of_its_own(production: Production) -> None:
    run_id = production.launch("everything")
    assert production.ended(run_id) == SUCCESS, production.told(run_id)
    assert production.rows("SELECT count(*) FROM raw_shop.orders") == [(SHOP_ORDERS,)]
    assert production.rows("SELECT count(*) > 0 FROM marts.daily_revenue") == [(True,)]
    days = {str(row[0]) for row in production.rows("SELECT DISTINCT created_at::DATE FROM raw_shop.orders")}
    assert days <= production.instance.get_materialized_partitions(ORDERS)
    told = production.told(run_id)
    assert "Launching subprocess for" in told
    assert type(production.instance.event_log_storage).__name__ == "PostgresEventLogStorage"


def test_a_backfill_of_days_is_one_run(production: Production) -> None:
    production.execute(
        f"DELETE FROM payments WHERE order_id IN (SELECT order_id FROM orders WHERE created_at::date = '{DAYS[1]}')"
    )
    production.execute(f"DELETE FROM orders WHERE created_at::date = '{DAYS[1]}'")
    backfill = production.backfill("raw/shop/orders", DAYS)

    def finished() -> bool:
        found = production.instance.get_backfill(backfill)
        assert found is not None and found.status.value != "FAILED", found
        return found.status.value in ("COMPLETED", "COMPLETED_SUCCESS")

    wait(finished, f"backfill {backfill}; {production.log('daemon')}")
    runs = production.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    assert [run.status for run in runs] == [SUCCESS], [production.told(run.run_id) for run in runs]
    made = production.instance.fetch_materializations(ORDERS, limit=len(DAYS))
    assert sorted(str(record.partition_key) for record in made.records) == sorted(DAYS)
    sql = f"SELECT count(*) FROM raw_shop.orders WHERE created_at::DATE = DATE '{DAYS[1]}'"
    assert production.rows(sql) == [(0,)]
    # one evaluation of each check, and none that is planned for ever
    history = production.instance.event_log_storage.get_asset_check_execution_history
    records = history(dg.AssetCheckKey(ORDERS, "complete"), limit=100)
    mine = [record.status.value for record in records if record.run_id == runs[0].run_id]
    assert mine == ["SUCCEEDED"]


def test_a_killed_run_leaves_no_slot_and_no_lock_and_is_started_again(production: Production) -> None:
    code = production.code
    with locked(production, "orders"):
        run_id = production.launch("shop_changes")
        half_way(production, run_id)
        for process in production.run_processes():
            kill(process)
        assert production.ended(run_id) == FAILURE
    again = retried(production, run_id)
    assert production.ended(again) == SUCCESS, production.told(again)
    wait(lambda: not production.slot_held_by(), "the slot to be free")
    assert production.rows("SELECT 1") == [(1,)]
    assert production.code is code and production.answers()


def test_a_killed_step_fails_by_name_and_the_run_ends_by_itself(production: Production) -> None:
    with locked(production, "orders"):
        run_id = production.launch("everything", max_retries="0")  # to save the time
        half_way(production, run_id)
        (step,) = production.step_processes()
        kill(step)
        assert production.ended(run_id) == FAILURE
    failed = {
        entry.dagster_event.step_key
        for entry in production.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if entry.dagster_event
    }
    assert failed == {"sync_shop"}, production.told(run_id)
    wait(lambda: not production.slot_held_by(), "the slot to be free")
    assert production.answers()


def test_new_code_takes_over_under_the_running_daemon(production: Production, tmp_path: Path) -> None:
    production.execute("CREATE TABLE refunds (refund_id int PRIMARY KEY, amount numeric(10, 2))")
    production.execute("INSERT INTO refunds VALUES (1, 2.50), (2, 3.50)")
    newer = production.folder / "newer"
    shutil.copytree(production.root, newer, symlinks=True)
    with (newer / "catalog" / "sources" / "shop.yaml").open("a") as file:
        file.write(ONE_MORE_TABLE)

    daemon, code = production.daemon, production.code
    assert daemon is not None and code is not None
    with locked(production, "orders"):
        old = production.launch("shop_changes")
        half_way(production, old)
        code.send_signal(signal.SIGTERM)  # as `docker compose up` does where there is a new image
        waiting = production.launch("shop_changes")  # comes too late for the old server
    assert production.ended(old) == SUCCESS, production.told(old)
    try:
        code.wait(GRACE)
    except subprocess.TimeoutExpired:
        code.kill()  # as Compose does with a server that has nothing left to do and does not go
        code.wait(30)

    production.start_code(newer)
    assert production.ended(waiting) == SUCCESS, production.told(waiting)
    assert daemon.poll() is None
    production.root = newer


def test_a_code_server_lost_with_its_run_leaves_nothing_behind(production: Production) -> None:
    with locked(production, "orders"):
        run_id = production.launch("shop_changes")
        half_way(production, run_id)
        orphans = production.run_processes()
        assert production.code is not None and orphans
        missed = production.said("daemon", MISSED)
        production.code.kill()
        production.code.wait(30)
        wait(lambda: not any(one.is_running() for one in orphans), "the run to end with its code server")
        # a retry asked for before the daemon has the definitions back would be lost
        wait(lambda: production.said("daemon", MISSED) > missed, "the daemon to miss the code server")
        production.start_code(production.root)
        assert production.ended(run_id) == FAILURE
    assert "the run's process went with it" in production.told(run_id)
    again = retried(production, run_id)
    assert production.ended(again) == SUCCESS, production.told(again)
    assert production.rows("SELECT sum(amount)::VARCHAR FROM raw_shop.refunds") == [("6.00",)], (
        "the newer code's"
    )
    wait(lambda: not production.slot_held_by(), "the slot to be free")


def test_the_doctor_finds_it_healthy(production: Production) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "data_platform.cli", "doctor", "--json", "--root", str(production.root)],
        env=production.environ,
        cwd=production.root,
        capture_output=True,
        text=True,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), done.stdout + done.stderr
    found = {one["check"]: one for one in report["checks"]}
    assert found["daemon"]["state"] == "ok", found["daemon"]
    assert "PostgresEventLogStorage" in found["Dagster"]["found"]
    assert found["source shop: tables"]["state"] == "ok"
