"""Old records of Dagster's go; what still says something stays."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from sqlalchemy import func, select

from data_platform.defs import retention
from data_platform.defs.event_batches import store_materializations
from data_platform.defs.retention import Limits, tidy

KEY = dg.AssetKey("table")
CHECK = dg.AssetCheckKey(KEY, "good")
DAYS = dg.DailyPartitionsDefinition("2026-11-01", end_date="2026-11-20")
LATER = timedelta(days=30)


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("good", asset="table")])
def table(context: dg.AssetExecutionContext) -> Iterator[Any]:
    context.log.info("at work")
    passed = context.partition_key != "2026-11-03"
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=passed)], tags={"dagster/x": "y"})


def run(instance: dg.DagsterInstance, day: str) -> str:
    job = dg.Definitions(assets=[table]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False).run_id


def count(instance: dg.DagsterInstance, table: Any) -> int:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def shown(instance: dg.DagsterInstance) -> tuple[Any, ...]:
    """What people and the platform still ask for."""
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    [asset] = instance.get_asset_records([KEY])
    last = asset.asset_entry.last_materialization_record
    return (
        instance.get_materialized_partitions(KEY),
        record.status,
        record.evaluation and record.evaluation.passed,
        asyncio.run(record.targets_latest_materialization(LoadingContextForTest(instance))),
        last and (last.storage_id, last.timestamp),
        dict(
            instance.event_log_storage.get_latest_storage_id_by_partition(
                KEY, dg.DagsterEventType.ASSET_MATERIALIZATION
            )
        ),
    )


def test_old_runs_go_and_what_they_made_stays_known(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = ["2026-11-01", "2026-11-02", "2026-11-02", "2026-11-01", "2026-11-03"]
    runs = [run(instance, day) for day in days]
    for _ in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization("other"))
    before = shown(instance)
    log, checks = count(instance, SqlEventLogStorageTable), count(instance, AssetCheckExecutionsTable)

    assert tidy(instance, datetime.now(UTC)) == 0, "nothing is old yet"
    assert shown(instance) == before and len(instance.get_runs()) == len(runs)
    assert count(instance, SqlEventLogStorageTable) == log

    assert tidy(instance, datetime.now(UTC) + LATER) == len(runs)
    assert instance.get_runs() == []
    assert shown(instance) == before
    # the last of each of three days, and of the table of the command line
    assert count(instance, SqlEventLogStorageTable) == 4 < log
    assert count(instance, AssetCheckExecutionsTable) < checks
    left = [file.name for file in tmp_path.rglob("*") if any(one in str(file) for one in runs)]
    assert left == []

    again = run(instance, "2026-11-05")
    assert [r.run_id for r in instance.get_runs()] == [again]
    assert "2026-11-05" in instance.get_materialized_partitions(KEY)


def test_the_oldest_go_where_there_are_too_many_and_never_one_at_work(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        at_work = instance.create_run_for_job(
            dg.GraphDefinition(name="empty").to_job(), status=dg.DagsterRunStatus.STARTED
        )
        runs = [run(instance, "2026-11-01") for _ in range(3)]
        assert tidy(instance, datetime.now(UTC), Limits(runs_max=2)) == 2
        assert {r.run_id for r in instance.get_runs()} == {at_work.run_id, runs[-1]}
        assert tidy(instance, datetime.now(UTC) + LATER) == 1
        assert [r.run_id for r in instance.get_runs()] == [at_work.run_id]


def test_more_days_may_be_kept_than_a_statement_can_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line reports every day of a table as an event of no run; of old ones, the last of a day stays."""
    monkeypatch.setattr(retention, "KEPT_AT_A_TIME", 7)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        days = DAYS.get_partition_keys()
        for told in (days, days[5:], ["2026-11-01"]):
            store_materializations(instance, [dg.AssetMaterialization(KEY, partition=day) for day in told])
            instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        last = instance.event_log_storage.get_latest_storage_id_by_partition(
            KEY, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        tidy(instance, datetime.now(UTC) + LATER)
        after = instance.event_log_storage.get_latest_storage_id_by_partition(
            KEY, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        assert after == last and len(last) == len(days) > 2 * retention.KEPT_AT_A_TIME
        assert count(instance, SqlEventLogStorageTable) == len(days) + 1
