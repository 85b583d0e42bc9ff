"""What the command line did, as the graph shows it afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.loader import LoadingContextForTest
from typer.testing import CliRunner

from data_platform.cli.app import command_tree
from data_platform.defs import holdings, reporting
from data_platform.stores.local import LocalStore
from data_platform.sync import sync_changes
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
ORDERS, USERS = dg.AssetKey(["raw", "shop", "orders"]), dg.AssetKey(["raw", "shop", "users"])


def sync(project: Project, *arguments: str) -> str:
    """`data-platform sync`, and what it printed."""
    result = CliRunner().invoke(command_tree(), ["sync", *arguments, "--root", str(project.root)])
    assert result.exit_code == 0, result.output
    return result.output


def shown(project: Project, key: dg.AssetKey) -> dict[str, str]:
    """Each check of ``key`` as the UI shows it: Dagster's own judgement of what is current."""
    keys = [check for check in project.repository.asset_graph.asset_check_keys if check.asset_key == key]
    records = project.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)

    async def current(check: dg.AssetCheckKey) -> bool:
        record = records.get(check)
        return record is not None and await record.targets_latest_materialization(
            LoadingContextForTest(project.instance)
        )

    return {
        check.name: records[check].status.value if asyncio.run(current(check)) else "not evaluated"
        for check in keys
    }


def last(project: Project, key: dg.AssetKey) -> dg.EventLogRecord:
    [record] = project.instance.get_asset_records([key])
    found = record.asset_entry.last_materialization_record
    assert found is not None
    return found


def metadata(record: dg.EventLogRecord) -> dict[str, object]:
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_a_look_leaves_everything_as_it_was_and_counts_for_freshness(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LOOK_TOLERANCE", timedelta(0))
    assert project.sync("users").success
    before, checks = last(project, USERS), shown(project, USERS)
    assert checks and "not evaluated" not in checks.values()
    events = len(project.instance.fetch_materializations(USERS, limit=50).records)
    assert "nothing changed" in sync(project, "shop/users")
    _, cursor = project.sensor("report_batches")
    after = last(project, USERS)
    assert after.timestamp > before.timestamp  # what a freshness policy reads
    assert after.storage_id == before.storage_id and metadata(after) == metadata(before)
    assert shown(project, USERS) == checks
    assert len(project.instance.fetch_materializations(USERS, limit=50).records) == events

    # a run that selects no check, and one that selects all but some: what they leave out still says
    # what it last found
    assert project.sync("users", checks=False).success
    assert shown(project, USERS) == checks
    # and what Dagster's own button may do: a materialization that nothing of ours made
    project.instance.report_runless_asset_event(dg.AssetMaterialization(USERS))
    assert set(shown(project, USERS).values()) == {"not evaluated"}
    project.sensor("report_batches", cursor)
    assert shown(project, USERS) == checks


def test_a_batch_of_the_command_line_is_shown_as_a_runs_is(project: Project) -> None:
    assert project.sync("users").success
    measured = project.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(USERS, "complete")]
    )
    run = metadata(last(project, USERS))
    checks = shown(project, USERS)
    project.execute("update users set age = 200 where user_id = 3")
    printed = sync(project, "shop/users")
    assert "2 of" in printed and "rows fail `age between 0 and 150`" in printed
    kept = project.rows("SELECT table_name, rule, row_values FROM quality.failures WHERE rule LIKE 'age%'")
    assert [(name, rule) for name, rule, _ in kept] == [("raw_shop.users", "age_between_0_and_150")] * 2
    assert all('"age"' in values for _, _, values in kept)
    project.sensor("report_batches")
    cli = metadata(last(project, USERS))
    assert {"dagster/row_count", "dagster/column_schema", "preview", "batch_id"} <= set(run) & set(cli)
    assert cli["dagster/row_count"] == run["dagster/row_count"]
    assert shown(project, USERS) == {**checks, "age_between_0_and_150": "FAILED"}
    key = dg.AssetCheckKey(USERS, "age_between_0_and_150")
    found = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key].evaluation
    assert found is not None and found.metadata["rows_failing"].value == 2 and "sample" in found.metadata
    # what the sync did not ask the source keeps its result and its time
    again = project.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(measured))
    assert [r.create_timestamp for r in again.values()] == [r.create_timestamp for r in measured.values()]


def test_a_blocking_rule_fails_before_its_rows_are_news(project: Project) -> None:
    project.execute("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey")
    project.execute("ALTER TABLE orders ALTER COLUMN user_id DROP NOT NULL")
    assert project.sync("orders").success
    project.execute("UPDATE orders SET user_id = NULL WHERE order_id = 1")
    assert "tables downstream wait" in sync(project, "shop/orders")
    project.sensor("report_batches")
    assert shown(project, ORDERS)["user_id_not_null"] == "FAILED"
    key = dg.AssetCheckKey(ORDERS, "user_id_not_null")
    storage = project.instance.event_log_storage
    logged = storage.get_logs_for_all_runs_by_log_id(
        dagster_event_type={dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    )
    failed = [
        number
        for number, entry in logged.items()
        if isinstance(found := entry.get_dagster_event().event_specific_data, dg.AssetCheckEvaluation)
        and found.asset_check_key == key
        and not found.passed
    ]
    assert failed and max(failed) < last(project, ORDERS).storage_id


def test_batches_of_the_command_line_reach_the_graph(project: Project) -> None:
    platform = project.platform()
    list(sync_changes(platform, "shop", ["orders", "users"]))
    project.sensor("report_batches")
    first = project.instance.get_latest_materialization_event(ORDERS)
    assert first is not None and first.asset_materialization is not None
    assert first.asset_materialization.metadata["batch_id"].value.startswith("00000001")
    assert project.instance.get_materialized_partitions(ORDERS)
    count = len(project.instance.fetch_materializations(USERS, limit=10).records)
    project.sensor("report_batches", cursor="rubbish")
    assert len(project.instance.fetch_materializations(USERS, limit=10).records) == count

    project.execute("UPDATE orders SET status = 'paid' WHERE created_at::date = '2025-03-03'")
    list(sync_changes(platform, "shop", ["orders"]))
    project.sensor("report_batches")
    records = project.instance.fetch_materializations(ORDERS, limit=2).records
    assert [r.partition_key for r in records] == [None, "2025-03-03"]


def test_a_quiet_tick_asks_no_store_and_opens_no_warehouse(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tables there are; and what has moved is read of its own chain alone."""
    monkeypatch.setattr(holdings, "SETTLED_SECONDS", 0)
    asked: Counter[str] = Counter()

    def counted(owner: Any, name: str) -> None:
        act = getattr(owner, name)

        def counting(self: Any, *arguments: Any, **named: Any) -> Any:
            asked[f"{name} {arguments[0]}" if owner is LocalStore else name] += 1
            return act(self, *arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    list(sync_changes(project.platform(), "shop", ["orders", "users"]))
    project.sensor("report_batches")
    for owner, name in ((LocalStore, "list"), (LocalStore, "read"), (DuckDBConfig, "open")):
        counted(owner, name)
    project.sensor("report_batches")
    assert not asked

    project.execute("UPDATE users SET age = 30 WHERE user_id = 3")
    list(sync_changes(project.platform(), "shop", ["orders", "users"]))
    asked.clear()
    data, _ = project.sensor("report_batches")
    assert "shop/users" in data.skip_message
    assert asked["open"] == 2
    del asked["open"]
    assert asked and all("shop/users/manifests" in key for key in asked)


def test_a_batch_and_its_checks_are_told_together_or_not_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two commits a file, however many checks and days there are."""
    sync(project, "shop/orders", "shop/users")

    def fails(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(Exception, match="the disk is full"):
        patched.setattr(reporting, "store_materializations", fails)
        project.sensor("report_batches")
    assert set(shown(project, ORDERS).values()) == {"not evaluated"}
    recorded = project.instance.event_log_storage.get_latest_asset_check_execution_by_key
    assert not recorded(list(project.repository.asset_graph.asset_check_keys))

    commits: list[object] = []

    def count(*_: object) -> None:
        commits.append(None)

    tell = reporting.tell

    def counted(*arguments: Any) -> None:
        sa.event.listen(sa.Engine, "commit", count)
        try:
            tell(*arguments)
        finally:
            sa.event.remove(sa.Engine, "commit", count)

    monkeypatch.setattr(reporting, "tell", counted)
    project.sensor("report_batches")
    assert "SUCCEEDED" in shown(project, ORDERS).values()
    assert len(commits) == 2 * 4  # two tables


def test_a_tick_that_takes_too_long_goes_on_at_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "TELL_SECONDS", 0)
    platform = project.platform()
    list(sync_changes(platform, "shop", ["orders", "users"]))
    project.sensor("report_batches")
    project.sensor("report_batches")
    for age in (31, 32, 33):
        project.execute(f"UPDATE users SET age = {age} WHERE user_id = 3")
        list(sync_changes(platform, "shop", ["users"]))
    told = []
    for _ in range(4):
        project.sensor("report_batches")
        record = last(project, USERS)
        assert record.asset_materialization is not None
        told.append((record.asset_materialization.tags or {})["data_platform/sequence"])
    assert told == ["2", "3", "4", "4"]
    assert len(project.instance.fetch_materializations(USERS, limit=10).records) == 4
    assert project.instance.get_latest_materialization_event(ORDERS) is not None
