"""Storing materializations together leaves the same records as storing them one by one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle

from data_platform.defs.event_batches import _entry, store_materializations
from data_platform.defs.sqlite_storage import FILES_OPEN, BatchingSqliteEventLogStorage

pytestmark = pytest.mark.slow  # Dagster's records

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


@pytest.fixture
def batching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(yaml_of_batches())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as instance:
        yield instance


def storage_of(instance: dg.DagsterInstance) -> BatchingSqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingSqliteEventLogStorage)
    return storage


def test_files_stay_open_but_not_more_than_a_few(batching: dg.DagsterInstance) -> None:
    opened: list[object] = []

    def count(*_: object) -> None:
        opened.append(None)

    runs = [batching.create_run_for_job(dg.GraphDefinition(name="empty").to_job()) for _ in range(6)]
    sa.event.listen(sa.pool.QueuePool, "connect", count)
    try:
        for _ in range(3):
            for run in runs[:3]:
                store_materializations(batching, EVENTS, run, "sync_shop")
        assert len(opened) <= 4
        for run in runs:
            store_materializations(batching, EVENTS, run, "sync_shop")
    finally:
        sa.event.remove(sa.pool.QueuePool, "connect", count)
    assert len(storage_of(batching)._files) == FILES_OPEN
    assert [len(batching.all_logs(run.run_id)) for run in runs] == [16, 16, 16, 4, 4, 4]


def test_a_file_that_was_removed_is_made_anew(batching: dg.DagsterInstance) -> None:
    storage = storage_of(batching)
    run = batching.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
    store_materializations(batching, EVENTS[:1], run, "sync_shop")
    for file in Path(storage.path_for_shard(run.run_id)).parent.glob(f"{run.run_id}.db*"):
        file.unlink()
    store_materializations(batching, EVENTS[1:], run, "sync_shop")
    assert len(batching.all_logs(run.run_id)) == len(EVENTS) - 1


def test_another_process_reads_and_writes_meanwhile(batching: dg.DagsterInstance) -> None:
    batching.report_runless_asset_event(EVENTS[0])
    script = (
        "import dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        f"    key = dg.AssetKey({KEY.path!r})\n"
        "    print(len(instance.fetch_materializations(key, limit=9).records))\n"
        "    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition='2026-11-09'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    batching.report_runless_asset_event(EVENTS[1])
    assert batching.get_materialized_partitions(KEY) == {*DAYS[:2], "2026-11-09"}


def test_a_batch_that_fails_leaves_nothing(batching: dg.DagsterInstance) -> None:
    """Dagster stores its events one by one then."""
    storage = storage_of(batching)
    run = batching.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
    good = [_entry(event, run, "sync_shop") for event in EVENTS]
    with pytest.raises(AttributeError):
        storage.store_event_batch([*good, None])  # type: ignore[list-item]
    assert (batching.all_logs(run.run_id), batching.get_materialized_partitions(KEY)) == ([], set())
    storage.store_event_batch(good)
    assert len(batching.all_logs(run.run_id)) == len(EVENTS)


TABLES = [dg.AssetKey(f"table{n}") for n in range(3)]


@dg.multi_asset(
    specs=[dg.AssetSpec(key) for key in TABLES],
    check_specs=[dg.AssetCheckSpec(name, asset=key) for key in TABLES for name in ("good", "bad")],
)
def tables() -> Iterator[Any]:
    for key in TABLES:
        yield dg.MaterializeResult(asset_key=key, metadata={"rows": 1})
        for name in ("good", "bad"):
            yield dg.AssetCheckResult(asset_key=key, check_name=name, passed=name == "good")


def run_of_tables(instance: dg.DagsterInstance) -> list[tuple[Any, ...]]:
    """The run's whole log in order, and what is known of each check."""
    job = dg.Definitions(assets=[tables]).resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(instance=instance)
    logged = [
        (e.dagster_event.event_type_value, str(e.dagster_event.asset_key), e.step_key)
        for e in instance.all_logs(run.run_id)
        if e.dagster_event and not e.dagster_event.is_engine_event
    ]
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(key, name) for key in TABLES for name in ("good", "bad")]
    )
    return [*logged, *((str(key), record.status.value) for key, record in sorted(checks.items()))]


def test_a_run_of_many_tables_is_recorded_as_by_the_default(
    batching: dg.DagsterInstance, tmp_path: Path
) -> None:
    commits: list[object] = []

    def count(*_: object) -> None:
        commits.append(None)

    sa.event.listen(sa.Engine, "commit", count)
    try:
        found = run_of_tables(batching)
        ours = len(commits)
        (tmp_path / "other").mkdir()
        with dg.DagsterInstance.local_temp(str(tmp_path / "other")) as other:
            assert found == run_of_tables(other)
    finally:
        sa.event.remove(sa.Engine, "commit", count)
    assert [kind for kind, *_ in found].count("STEP_OUTPUT") == 9
    assert 2 * ours < len(commits) - ours


def test_an_output_that_nothing_follows_is_read_and_kept(
    batching: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = batching.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
    storage = storage_of(batching)
    output = _entry(EVENTS[0], run, "sync_shop")
    output = output._replace(
        dagster_event=output.get_dagster_event()._replace(
            event_type_value="STEP_OUTPUT",
            event_specific_data=StepOutputData(StepOutputHandle("sync_shop", "result")),
        )
    )
    storage.store_event(output)
    assert len(batching.all_logs(run.run_id)) == 1
    storage.store_event(output)
    storage.dispose()
    with dg.DagsterInstance.get() as again:
        assert len(again.all_logs(run.run_id)) == 2
