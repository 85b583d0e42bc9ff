"""What is asked every half minute costs the same after a year. Steps of SQLite's machine are counted, never seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqlRunStorage
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine

from data_platform.defs.failed_runs import FinishedRuns, look_at_runs
from data_platform.defs.latest_checks import ANEW_EVERY, LatestChecks
from data_platform.defs.retention import tidy

pytestmark = pytest.mark.slow  # histories of Dagster's records

NOW = datetime.now(UTC)
CHECKS = [dg.AssetCheckKey(dg.AssetKey(["raw", f"t{n}"]), name) for n in range(4) for name in ("a", "b")]
SQLITE = pytest.mark.parametrize("instance", ["sqlite"], indirect=True)
FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


def plan(instance: dg.DagsterInstance, key: dg.AssetCheckKey, run_id: str) -> None:
    event_ = DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        "job",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name),
    )
    instance.report_dagster_event(event_, run_id)


def evaluate(instance: dg.DagsterInstance, key: dg.AssetCheckKey, run_id: str, *, passed: bool) -> None:
    event_ = DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION.value,
        "job",
        event_specific_data=dg.AssetCheckEvaluation(
            asset_key=key.asset_key, check_name=key.name, passed=passed, metadata={}
        ),
    )
    instance.report_dagster_event(event_, run_id)


def failing(instance: dg.DagsterInstance) -> dict[dg.AssetCheckKey, int]:
    """By Dagster's own questions, which read the history."""
    storage = instance.event_log_storage
    found = {}
    for key, record in storage.get_latest_asset_check_execution_by_key(CHECKS).items():
        last: Any = record
        if record.status == AssetCheckExecutionRecordStatus.PLANNED:
            before = storage.get_asset_check_execution_history(
                key, limit=1, cursor=record.id, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
            )
            last = before[0] if before else None
        if last is not None and last.status == AssetCheckExecutionRecordStatus.FAILED:
            found[key] = last.id
    return found


@pytest.mark.parametrize("seed", range(2))
def test_what_is_remembered_of_the_checks_is_what_the_history_says(
    instance: dg.DagsterInstance, seed: int
) -> None:
    """Whatever is planned, left planned, evaluated late, out of order, reported without a plan, or wiped."""
    drawn = random.Random(seed)
    planned: list[tuple[dg.AssetCheckKey, str]] = []
    latest, seen = LatestChecks(), 0
    for _ in range(40):
        key = drawn.choice(CHECKS)
        act = drawn.random()
        if act < 0.45:
            planned.append((key, str(uuid4())))
            plan(instance, *planned[-1])
        elif act < 0.85 and planned:
            evaluate(instance, *planned.pop(drawn.randrange(len(planned))), passed=drawn.random() < 0.4)
        elif act < 0.97:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=key.asset_key, check_name=key.name, passed=drawn.random() < 0.5, metadata={}
                )
            )
        else:  # as somebody's hand, or a wipe
            with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
                connection.execute(
                    text("DELETE FROM asset_check_executions WHERE asset_key = :key"),
                    {"key": key.asset_key.to_string()},
                )
        found = latest.failed(instance, CHECKS, NOW)
        assert {key: record.id for key, record in found.items()} == failing(instance)
        seen += len(found)
    assert seen, "some failed"


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Tens of steps of SQLite's virtual machine since the beginning, of all connections made within."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def begun(connection: Connection) -> None:  # the files stay open: there is no new connection to wait for
        connection.connection.dbapi_connection.set_progress_handler(step, 10)  # type: ignore[union-attr]

    event.listen(Engine, "begin", begun)
    try:
        yield lambda: steps
    finally:
        event.remove(Engine, "begin", begun)


def cost(act: Callable[[], object]) -> int:
    with counted() as steps:
        act()
        return steps()


def grow(instance: dg.DagsterInstance, times: int) -> None:
    """Repeat every event and evaluation there is ``times`` times, as of other runs, before those there are."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    events = ["event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition"]
    checks = ["asset_key", "check_name", "partition", "execution_status", "evaluation_event"]
    checks += ["evaluation_event_timestamp", "evaluation_event_storage_id", "create_timestamp"]
    with storage.index_transaction() as connection:
        for table, columns in {"event_logs": events, "asset_check_executions": checks}.items():
            span = connection.execute(text(f"SELECT max(id) FROM {table}")).scalar_one()
            shift = span * times
            connection.execute(text(f"UPDATE {table} SET id = -id"))
            names = ", ".join(f'"{name}"' for name in columns)
            for n in range(times):
                connection.execute(
                    text(
                        f"INSERT INTO {table} (id, run_id, {names}) SELECT {n * span} - id, '{uuid4()}', {names}"
                        f" FROM {table} WHERE id < 0 AND run_id <> '' ORDER BY id DESC"
                    )
                )
            connection.execute(text(f"UPDATE {table} SET id = {shift} - id WHERE id < 0"))


def a_run(instance: dg.DagsterInstance) -> None:
    run_id = str(uuid4())
    for key in CHECKS:
        plan(instance, key, run_id)
        materialized = dg.AssetMaterialization(key.asset_key)
        instance.report_dagster_event(
            DagsterEvent(
                DagsterEventType.ASSET_MATERIALIZATION.value,
                "job",
                event_specific_data=StepMaterializationData(materialized),
            ),
            run_id,
        )
        evaluate(instance, key, run_id, passed=key.name == "a")


@SQLITE
def test_a_look_at_the_checks_costs_the_same_however_long_their_history(
    instance: dg.DagsterInstance,
) -> None:
    for _ in range(3):
        a_run(instance)
    grow(instance, 50)  # beyond the slack of numbers
    latest = LatestChecks()

    def look() -> None:
        assert len(latest.failed(instance, CHECKS, NOW)) == 4

    look()
    short = cost(look)
    grow(instance, 9)
    look()  # the numbers moved: it asks anew
    latest = LatestChecks()
    anew = cost(look)
    assert cost(look) <= short * 1.1 < anew
    assert cost(lambda: latest.failed(instance, CHECKS, NOW + ANEW_EVERY)) >= anew / 2


@SQLITE
def test_tidying_where_nothing_is_old_costs_the_same_however_long_the_history(
    instance: dg.DagsterInstance,
) -> None:
    for _ in range(3):
        a_run(instance)
    grow(instance, 100)
    short = cost(lambda: tidy(instance, datetime.now(UTC)))
    grow(instance, 4)
    assert cost(lambda: tidy(instance, datetime.now(UTC))) <= short * 1.1


def test_a_run_is_read_once_however_often_it_is_looked_at_and_not_at_all_where_none_failed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    ours = SqlRunStorage._row_to_run

    def counting(self: SqlRunStorage, row: dict[str, Any]) -> dg.DagsterRun:
        run = ours(self, row)
        read.append(run.run_id)
        return run

    job = dg.GraphDefinition(name="empty").to_job()
    monkeypatch.setattr(SqlRunStorage, "_row_to_run", counting)

    def ended(status: dg.DagsterRunStatus) -> str:
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        if status == FAILURE:
            instance.report_run_failed(run)
        else:
            instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", "empty"), run.run_id)
        read.clear()
        return run.run_id

    runs = FinishedRuns()

    def look() -> list[str]:
        read.clear()
        return [
            problem.object for problem in look_at_runs(instance, runs, lambda _: (), datetime.now(UTC))[0]
        ]

    good = [ended(SUCCESS) for _ in range(5)]
    assert look() == [] and read == []
    bad = ended(FAILURE)
    assert look() == ["empty"] and set(read) >= {*good, bad}
    assert look() == ["empty"] and len(read) == 0
    again = ended(SUCCESS)
    assert look() == [] and read == [again]
    # a run that was given up and comes to its end all the same
    instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", "empty"), bad)
    assert look() == [] and look_at_runs(instance, runs, lambda _: (), NOW + timedelta(days=9)) == ([], {})
