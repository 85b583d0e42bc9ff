"""Storing materializations together leaves the same records as storing them one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from data_platform.defs.event_batches import store_materializations
from data_platform.defs.sqlite_storage import BatchingSqliteEventLogStorage

KEY = dg.AssetKey(["raw", "shop", "orders"])
DAYS = ["2026-11-01", "2026-11-02", "2026-11-03"]
EVENTS = [
    dg.AssetMaterialization(KEY, partition=day, metadata={"rows": n}, tags={"dagster/data_version": f"v{n}"})
    for n, day in enumerate(DAYS)
] + [dg.AssetMaterialization(KEY, metadata={"rows": 6})]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def seen(instance: dg.DagsterInstance) -> object:
    records = instance.fetch_materializations(KEY, limit=10).records
    last = instance.get_latest_materialization_event(KEY)
    return (
        [r.asset_materialization for r in records],
        [r.run_id for r in records],
        instance.get_materialized_partitions(KEY),
        last and last.asset_materialization,
        instance.get_asset_keys(),
        dict(
            instance.event_log_storage.get_latest_storage_id_by_partition(
                KEY, dg.DagsterEventType.ASSET_MATERIALIZATION
            )
        ),
        instance.event_log_storage.get_latest_tags_by_partition(
            KEY, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        ),
    )


def test_sqlite_keeps_the_same_as_one_by_one(sqlite: dg.DagsterInstance, tmp_path: Path) -> None:
    store_materializations(sqlite, EVENTS)
    (tmp_path / "other").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "other")) as other:
        for event in EVENTS:
            other.report_runless_asset_event(event)
        assert seen(sqlite) == seen(other)
    assert sqlite.get_materialized_partitions(KEY) == set(DAYS)


def test_a_backfill_in_batches_is_recorded_as_one_by_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = dg.DailyPartitionsDefinition("2026-11-01", end_date="2026-11-20")

    @dg.asset(
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("good", asset="table")],
    )
    def table() -> Iterator[Any]:
        yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    job = dg.Definitions(assets=[table]).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": "2026-11-03",
        "dagster/asset_partition_range_end": "2026-11-07",
    }
    recorded = []
    for settings in ("", yaml_of_batches()):
        home = tmp_path / f"home{len(recorded)}"
        home.mkdir()
        (home / "dagster.yaml").write_text(settings)
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
        with dg.DagsterInstance.get() as instance:
            assert isinstance(instance.event_log_storage, BatchingSqliteEventLogStorage) == bool(settings)
            assert job.execute_in_process(instance=instance, tags=tags).success
            key = dg.AssetKey("table")
            events = [
                (e.dagster_event.event_type_value, e.dagster_event.partition)
                for run in instance.get_runs()
                for e in instance.all_logs(run.run_id)
                if e.dagster_event and e.dagster_event.asset_key
            ]
            [record] = instance.get_asset_records([key])
            checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
                [dg.AssetCheckKey(key, "good")]
            )
            recorded.append(
                (
                    sorted(map(str, events)),
                    instance.get_materialized_partitions(key),
                    record.asset_entry.last_materialization.asset_materialization.partition,  # type: ignore[union-attr]
                    record.asset_entry.last_run_id == instance.get_runs()[0].run_id,
                    [check.status for check in checks.values()],
                    sorted(
                        str(r.partition_key) for r in instance.fetch_materializations(key, limit=50).records
                    ),
                )
            )
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    assert recorded[0] == recorded[1]
    assert len(recorded[0][1]) == 5


def yaml_of_batches() -> str:
    return (
        "event_log_storage:\n"
        "  module: data_platform.defs.sqlite_storage\n"
        "  class: BatchingSqliteEventLogStorage\n"
        "  config: {}\n"
    )


def test_other_storages_are_written_one_by_one() -> None:
    with dg.DagsterInstance.ephemeral() as memory:
        store_materializations(memory, EVENTS)
        assert memory.get_materialized_partitions(KEY) == set(DAYS)


def test_events_belong_to_their_run(sqlite: dg.DagsterInstance) -> None:
    run = sqlite.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
    store_materializations(sqlite, EVENTS[:2], run, "sync_shop")
    logs = sqlite.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert [e.step_key for e in logs] == ["sync_shop"] * 2
    assert sqlite.get_latest_materialization_event(KEY).run_id == run.run_id  # type: ignore[union-attr]


def test_one_asset_at_a_time(sqlite: dg.DagsterInstance) -> None:
    with pytest.raises(ValueError, match="one asset at a time"):
        store_materializations(sqlite, [EVENTS[0], dg.AssetMaterialization("other")])
    store_materializations(sqlite, [])
