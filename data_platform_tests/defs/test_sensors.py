"""The probe against a real source, and the runs it asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRunStatus

from data_platform.defs import probing, run_history
from data_platform.defs.failed_runs import FinishedRuns, look_at_runs
from data_platform.sync import sync_changes
from data_platform.tables import TableId
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
PROBE = "shop_probe"
LATER = probing.to_cursor(datetime.now(UTC) + timedelta(days=1))
"""A cursor with which nothing is measured."""


@pytest.fixture
def synced(project: Project) -> Project:
    reports = list(sync_changes(project.platform(), "shop", verify=True))
    assert not [r.error for r in reports if r.error]
    return project


def tables(request: dg.RunRequest) -> set[str]:
    return {key.path[-1] for key in request.asset_selection or ()}


def a_run_of(project: Project, table: str, status: DagsterRunStatus) -> dg.DagsterRun:
    """A run of ``table`` as Dagster records it."""
    job = project.definitions.resolve_implicit_global_asset_job_def()
    keys = frozenset({dg.AssetKey(["raw", "shop", table])})
    run = project.instance.create_run_for_job(job.get_subset(asset_selection=keys), asset_selection=keys)
    if status == DagsterRunStatus.FAILURE:
        project.instance.report_run_failed(run)
    else:
        project.instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, run.job_name), run.run_id
        )
    return run


@pytest.mark.parametrize("cursor", [None, "rubbish", '{"measure_after": []}'])
def test_nothing_moved_asks_for_nothing_whatever_the_cursor_says(synced: Project, cursor: str | None) -> None:
    data, after = synced.sensor(PROBE, cursor)
    assert data.run_requests == []
    assert probing.measure_after(after) is not None


def test_a_change_asks_for_changes_of_that_table_without_measuring(synced: Project) -> None:
    synced.execute("UPDATE orders SET status = 'paid' WHERE order_id < 5")
    data, _ = synced.sensor(PROBE, LATER)
    [request] = data.run_requests
    assert tables(request) == {"orders"}
    assert "dagster/asset_partition_range_start" not in request.tags
    assert "complete" not in {check.name for check in request.asset_check_keys}


def test_a_silent_delete_asks_for_a_reconcile_and_running_it_mends_the_days(synced: Project) -> None:
    synced.execute("DELETE FROM payments WHERE created_at::date BETWEEN '2026-11-03' AND '2026-11-05'")
    data, _ = synced.sensor(PROBE, LATER)
    assert data.run_requests == []
    data, after = synced.sensor(PROBE)
    [request] = data.run_requests
    assert tables(request) == {"payments"}
    assert {key.name for key in request.asset_check_keys} >= {"complete"}
    result = synced.sync("payments", tags=dict(request.tags), run_config=dict(request.run_config))
    assert result.success
    made = synced.instance.fetch_materializations(dg.AssetKey(["raw", "shop", "payments"]), limit=4)
    days = {str(record.partition_key) for record in made.records} - {"None"}
    assert days and days <= {"2026-11-03", "2026-11-04", "2026-11-05"}
    data, _ = synced.sensor(PROBE)
    assert data.run_requests == []
    due = probing.measure_after(after)
    assert due is not None and due < datetime.now(UTC) + timedelta(hours=1)


def test_a_table_whose_run_is_active_is_not_asked_for(synced: Project) -> None:
    synced.execute("UPDATE orders SET status = 'paid' WHERE order_id < 5")
    synced.execute("UPDATE users SET age = 40 WHERE user_id < 5")
    a_run_of(synced, "orders", DagsterRunStatus.STARTED)
    data, _ = synced.sensor(PROBE, LATER)
    [request] = data.run_requests
    assert tables(request) == {"users"}


def test_a_failed_run_is_tried_again_later(synced: Project) -> None:
    synced.execute("UPDATE orders SET status = 'paid' WHERE order_id < 5")
    a_run_of(synced, "orders", DagsterRunStatus.FAILURE)
    data, _ = synced.sensor(PROBE, LATER)
    assert data.run_requests == []
    assert "failed recently" in data.skip_message


def test_a_dropped_column_is_an_incident_while_only_the_probe_looks(synced: Project) -> None:
    """The probe asks for a run of the table alone; it fails with the sentence that is alerted."""
    synced.execute("ALTER TABLE products DROP COLUMN product_name CASCADE")
    data, _ = synced.sensor(PROBE, LATER)
    [request] = data.run_requests
    assert tables(request) == {"products"}
    assert not synced.sync("products").success
    [problem] = [
        problem
        for problem in look_at_runs(synced.instance, FinishedRuns(), lambda _: (), datetime.now(UTC))[0]
        if problem.object == "shop/products"
    ]
    assert "product_name" in problem.summary
    at, why = synced.platform().ledger.last_failure(TableId("shop", "products")) or ("", "")
    assert "product_name" in why and at
    a_run_of(synced, "products", DagsterRunStatus.FAILURE)  # as the daemon records one
    data, _ = synced.sensor(PROBE, LATER)
    assert "failed recently" in data.skip_message


def test_an_unreachable_source_fails_the_tick_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/shop")
    with pytest.raises(Exception) as caught:
        project.sensor(PROBE)
    text = str(caught.value.__cause__ or caught.value)
    assert "nobody:secret" not in text and "cannot be reached" in text


def test_schedules_ask_for_every_table_and_only_one_of_them_measures(project: Project) -> None:
    asked = {}
    for name in ("shop_changes", "shop_reconcile"):
        schedule = project.repository.get_schedule_def(name)
        context = dg.build_schedule_context(instance=project.instance, repository_def=project.repository)
        [asked[name]] = schedule.evaluate_tick(context).run_requests or []
    assert (
        tables(asked["shop_changes"])
        == tables(asked["shop_reconcile"])
        == set(project.platform().catalog.source("shop").tables)
    )
    names = {name: {key.name for key in request.asset_check_keys or ()} for name, request in asked.items()}
    assert "complete" not in names["shop_changes"]
    assert "complete" in names["shop_reconcile"]


def test_a_table_that_waits_behind_hundreds_of_runs_is_busy(project: Project) -> None:
    a_run_of(project, "orders", DagsterRunStatus.STARTED)
    for number in range(2 * run_history.PAGE + 5):
        project.instance.add_run(dg.DagsterRun("another", f"{number:036d}", status=DagsterRunStatus.STARTING))
    assert run_history.busy_tables(project.instance, {}) == {TableId("shop", "orders")}
