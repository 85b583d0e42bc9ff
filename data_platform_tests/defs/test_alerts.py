"""What is wrong reaches people once, and its mend too."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import DagsterEventType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from data_platform.alerts.book import Book
from data_platform.alerts.copies import copied
from data_platform.alerts.incidents import Incident
from data_platform.alerts.problem import SUMMARY_CHARACTERS, Problem
from data_platform.alerts.state import BookState, from_cursor, to_cursor
from data_platform.catalog import load_catalog
from data_platform.defs import problems
from data_platform.defs.build import build
from data_platform.errors import SourceUnreachable
from data_platform.sync import sync_changes
from data_platform_tests.alerts.servers import receiver
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_sensors import a_run_of

pytestmark = pytest.mark.slow
ORDERS = dg.AssetKey(["raw", "shop", "orders"])
CHECK = dg.AssetCheckKey(dg.AssetKey(["raw", "shop", "users"]), "age_between_0_and_150")


class Receiver:
    """A webhook on loopback; ``up`` False refuses."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.up = True
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.up:
                    receiver.texts.append(json.dumps(json.loads(body)))
                self.send_response(200 if receiver.up else 404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/secret"


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch, project: Project) -> Iterator[Receiver]:
    receiver = Receiver()
    monkeypatch.setenv("SLACK_WEBHOOK_URL", receiver.url)
    for name in ("SMTP_URL", "ALERTS_MAIL_TO", "PAGERDUTY_ROUTING_KEY", "ALERTS_HEARTBEAT_URL"):
        monkeypatch.delenv(name, raising=False)
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def evaluated(project: Project, *, passed: bool) -> None:
    project.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            CHECK.asset_key,
            CHECK.name,
            passed,
            {"rows": 100, "rows_failing": 3},
            description="3 of 100 rows fail",
        )
    )


def test_a_failed_check_is_told_once_and_so_is_its_recovery(project: Project, webhook: Receiver) -> None:
    evaluated(project, passed=False)
    _, cursor = project.sensor("alerts")
    [told] = webhook.texts
    assert (
        "raw/shop/users" in told and "rows failing" in told and "127.0.0.1:3000/assets/raw/shop/users" in told
    )
    evaluated(project, passed=False)
    _, cursor = project.sensor("alerts", cursor)
    assert len(webhook.texts) == 1
    evaluated(project, passed=True)
    _, cursor = project.sensor("alerts", cursor)
    assert len(webhook.texts) == 2
    assert "passes again" in webhook.texts[1]
    _, cursor = project.sensor("alerts", cursor)
    assert len(webhook.texts) == 2


def test_planned_evaluations_are_no_recovery_however_many(project: Project, webhook: Receiver) -> None:
    evaluated(project, passed=False)
    _, cursor = project.sensor("alerts")
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection={CHECK})
    for _ in range(7):
        run = project.instance.create_run_for_job(subset)
        planned = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
            job_name=run.job_name,
            event_specific_data=AssetCheckEvaluationPlanned(asset_key=CHECK.asset_key, check_name=CHECK.name),
        )
        project.instance.report_dagster_event(planned, run.run_id)
    records = project.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=7)
    assert {record.status.value for record in records} == {"PLANNED"}
    project.sensor("alerts", cursor)
    assert len(webhook.texts) == 1


def test_a_source_that_is_down_is_told_as_on_the_command_line(
    project: Project, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://reader:hidden@127.0.0.1:1/shop")
    with pytest.raises(Exception) as caught:
        project.sensor("shop_probe")
    error = serializable_error_info_from_exc_info(
        (type(caught.value), caught.value, caught.value.__traceback__)
    )
    state = a_tick_of(project, "shop_probe", error)
    [problem] = problems.failing_ticks(project.instance, InstigatorType.SENSOR, "alerts")
    with pytest.raises(SourceUnreachable) as said:
        list(sync_or_raise(project))
    assert problem.object == state.name and problem.summary == " ".join(str(said.value).split())
    assert "hidden" not in problem.summary and len(problem.summary) <= SUMMARY_CHARACTERS


def sync_or_raise(project: Project) -> Iterator[None]:
    for report in sync_changes(project.platform(), "shop", ["users"]):
        if report.error is not None:
            raise report.error
        yield


def a_tick_of(project: Project, sensor: str, error: SerializableErrorInfo) -> InstigatorState:
    """A running sensor whose last tick failed with ``error``, as the daemon records it."""
    loaded = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name="data_platform.definitions")
    )
    origin = RemoteRepositoryOrigin(loaded, "__repository__").get_instigator_origin(sensor)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    project.instance.add_instigator_state(state)
    now = datetime.now(UTC).timestamp()
    project.instance.create_tick(
        TickData(
            origin.get_id(),
            sensor,
            InstigatorType.SENSOR,
            TickStatus.FAILURE,
            now,
            error=error,
            selector_id=state.selector_id,
        )
    )
    return state


def test_what_watch_has_open_is_copied_for_alerts_list(project: Project, webhook: Receiver) -> None:
    """In production the daemon, in which `watch` runs, cannot reach the landing store."""
    incident = Incident(
        "catalog:x", Problem("catalog", "x", "x", "wrong", {}, datetime.now(UTC)), datetime.now(UTC)
    )
    state = a_tick_of(project, "watch", SerializableErrorInfo("", [], None))
    platform = project.platform()

    def kept(incidents: dict[str, Incident]) -> set[str]:
        data = SensorInstigatorData(cursor=to_cursor(BookState(incidents)))
        project.instance.update_instigator_state(state.with_data(data))
        project.sensor("alerts")
        return set(copied(platform.store, platform.signer, "watch").incidents)

    assert kept({incident.key: incident}) == {incident.key}
    assert kept({}) == set()


def test_what_could_not_be_delivered_is_told_later(project: Project, webhook: Receiver) -> None:
    evaluated(project, passed=False)
    webhook.up = False
    data, cursor = project.sensor("alerts", "rubbish")
    assert webhook.texts == []
    assert "secret" not in str(data.skip_message)
    webhook.up = True
    project.sensor("alerts", cursor)
    assert len(webhook.texts) == 1


def test_failed_runs_and_stale_assets_are_told_until_mended(project: Project, webhook: Receiver) -> None:
    key = dg.AssetKey(["raw", "shop", "orders"])
    a_run_of(project, "orders", DagsterRunStatus.FAILURE)

    def stale(state: FreshnessState, before: FreshnessState) -> None:
        project.instance.report_runless_asset_event(
            FreshnessStateChange(
                key=key,
                new_state=state,
                previous_state=before,
                state_change_timestamp=datetime.now(UTC).timestamp(),
            )
        )

    stale(FreshnessState.FAIL, FreshnessState.PASS)
    _, cursor = project.sensor("alerts")
    [told] = webhook.texts
    assert "Run failed" in told and "*because of it*\\nraw/shop/orders" in told
    waiting = from_cursor(cursor).incidents["freshness:raw/shop/orders"]
    assert waiting.open and not waiting.told and waiting.problem.owner
    project.instance.report_runless_asset_event(dg.AssetMaterialization(key))
    stale(FreshnessState.PASS, FreshnessState.FAIL)
    project.sensor("alerts", cursor)
    [_, told] = webhook.texts
    assert "Run succeeds again" in told


def test_the_book_is_kept_on_either_storage_of_dagster(
    project: Project, webhook: Receiver, instance: dg.DagsterInstance
) -> None:
    """A tick that ends before its cursor is kept repeats nothing: the book is in the landing store."""
    project = replace(project, instance=instance)
    evaluated(project, passed=False)
    project.sensor("alerts")
    _, cursor = project.sensor("alerts", None)
    assert len(webhook.texts) == 1
    platform = project.platform()
    book = Book("alerts", platform.store, platform.signer).load()
    assert [one.key for one in book.incidents.values()] == [f"check:raw/shop/users: {CHECK.name}"]
    evaluated(project, passed=True)
    project.sensor("alerts", cursor)
    assert len(webhook.texts) == 2 and "passes again" in webhook.texts[1]


def test_a_failure_that_a_retry_heals_is_quiet(project: Project, webhook: Receiver) -> None:
    def tagged(run: dg.DagsterRun, **tags: str) -> None:
        project.instance.add_run_tags(run.run_id, {f"dagster/{name}": value for name, value in tags.items()})

    first = a_run_of(project, "orders", DagsterRunStatus.FAILURE)
    tagged(first, will_retry="true")
    _, cursor = project.sensor("alerts")
    assert webhook.texts == [], "the daemon has yet to start the second attempt"
    second = a_run_of(project, "orders", DagsterRunStatus.STARTED)
    tagged(first, auto_retry_run_id=second.run_id)
    _, cursor = project.sensor("alerts", cursor)
    assert webhook.texts == [], "it runs"
    ended(project, second, DagsterRunStatus.SUCCESS)
    _, cursor = project.sensor("alerts", cursor)
    assert webhook.texts == [], "it healed the first one"


def test_a_failure_that_no_retry_heals_is_told(project: Project, webhook: Receiver) -> None:
    first = a_run_of(project, "orders", DagsterRunStatus.FAILURE)
    second = a_run_of(project, "orders", DagsterRunStatus.STARTED)
    project.instance.add_run_tags(
        first.run_id, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": second.run_id}
    )
    _, cursor = project.sensor("alerts")
    assert webhook.texts == []
    ended(project, second, DagsterRunStatus.FAILURE)
    project.sensor("alerts", cursor)
    [told] = webhook.texts
    assert "Run failed" in told and second.run_id in told


def ended(project: Project, run: dg.DagsterRun, status: DagsterRunStatus) -> None:
    kind = (
        DagsterEventType.RUN_SUCCESS if status is DagsterRunStatus.SUCCESS else DagsterEventType.RUN_FAILURE
    )
    project.instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name), run.run_id
    )


def test_a_sign_of_life_goes_out_while_everything_is_heard(
    project: Project, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as monitor:
        monkeypatch.setenv("ALERTS_HEARTBEAT_URL", monitor.url)
        evaluated(project, passed=False)
        webhook.up = False
        _, cursor = project.sensor("alerts")
        assert monitor.asked == 0, "what is wrong has reached nobody"
        webhook.up = True
        _, cursor = project.sensor("alerts", cursor)
        assert monitor.asked == 1 and len(webhook.texts) == 1
        project.sensor("alerts", cursor)
        assert monitor.asked == 1, "not every tick"
        looked = "data_platform.defs.problems.stale_assets"
        monkeypatch.setattr(looked, lambda *_: (_ for _ in ()).throw(RuntimeError("storage")))
        fresh = replace(project, definitions=build(load_catalog(project.root), "local"))  # another process
        fresh.sensor("alerts", cursor)
        assert monitor.asked == 1, "not everything could be looked at"


def test_an_open_incident_of_an_earlier_version_is_not_told_again(
    project: Project, webhook: Receiver
) -> None:
    evaluated(project, passed=False)
    name = f"raw/shop/users: {CHECK.name}"
    old = {
        "key": f"check:{name}", "kind": "check", "object": name, "where": "raw/shop/users", "summary": "3 of 100",
        "numbers": {}, "since": "2026-11-01T00:00:00+00:00", "link": "/", "announced": True, "recovered_at": None,
    }  # fmt: skip
    _, cursor = project.sensor("alerts", json.dumps({"format": 1, "incidents": [old]}))
    assert webhook.texts == []
    evaluated(project, passed=True)
    project.sensor("alerts", cursor)
    [told] = webhook.texts
    assert "passes again" in told and "2026-11-01 00:00 UTC" in told


def test_what_failed_is_of_the_kind_that_its_route_needs() -> None:
    def kind(asset: list[str], check: str) -> str:
        return problems._kind_of_check(dg.AssetCheckKey(dg.AssetKey(asset), check))

    assert kind(["raw", "shop", "orders"], "quarantine") == "quarantine"
    assert kind(["raw", "shop", "orders"], "newest_data") == "freshness"
    assert kind(["raw", "shop", "orders"], "anomalies") == "anomaly"
    assert kind(["raw", "shop", "orders"], "unique_order_id") == "check"
    assert kind(["backup", "warehouse"], "newest_copy") == "backup"
    assert kind(["restore_drill", "warehouse"], "last_good_drill") == "drill"


def test_a_run_that_failed_twice_recovers_with_the_run_that_mended_it(
    project: Project, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = project.url
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://reader:hidden@127.0.0.1:1/shop")
    failed = [project.sync("users", "products", checks=False) for _ in range(2)]
    assert not any(result.success for result in failed)
    ended = [project.instance.get_run_record_by_id(r.run_id).end_time for r in failed]  # type: ignore[union-attr]
    _, cursor = project.sensor("alerts")
    [told] = webhook.texts
    since = datetime.fromtimestamp(ended[0] or 0, tz=UTC)
    [incident] = from_cursor(cursor).incidents.values()
    assert incident.problem.since == since, "since the first failure"
    assert failed[1].run_id in told
    monkeypatch.setenv("SHOP_DATABASE_URL", good)
    mended = project.sync("users", "products", checks=False)
    assert mended.success
    after = project.sync("users", "products", checks=False)  # later, and no part of it
    assert after.success
    project.sensor("alerts", cursor)
    [_, told] = webhook.texts
    assert "succeeds again" in told and mended.run_id in told
    assert failed[1].run_id not in told and after.run_id not in told
    over = project.instance.get_run_record_by_id(mended.run_id).end_time or 0  # type: ignore[union-attr]
    lasted = round(over - (ended[0] or 0))
    assert f"(after {lasted // 60} min {lasted % 60} s)" in told or f"(after {lasted} s)" in told


def test_without_a_webhook_it_prints(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(project, passed=False)
    project.sensor("alerts")
    printed = capsys.readouterr().out
    assert (
        "because SLACK_WEBHOOK_URL, SMTP_URL and PAGERDUTY_ROUTING_KEY are not set:" in printed
        and "raw/shop/users" in printed
    )


def test_a_table_that_changed_is_told_by_itself_with_what_to_do(project: Project, webhook: Receiver) -> None:
    assert project.sync("users", "products", checks=False).success
    project.execute("alter table users rename column marketing_opt_in to opted_in")
    assert not project.sync("users", "products", checks=False).success
    _, cursor = project.sensor("alerts")
    [told] = webhook.texts
    assert "Schema changed" in told
    assert "no column marketing_opt_in (in `columns`; it is called opted_in now)" in told
    assert "`data-platform sync --refresh shop/users`" in told and "shop/products" not in told
    # another table of the same runs, later, is told too; what was told is not told again
    project.execute("alter table products alter column price type float8")
    assert not project.sync("users", "products", checks=False).success
    _, cursor = project.sensor("alerts", cursor)
    [_, told] = webhook.texts
    assert (
        "the column price was DECIMAL(10,2)" in told
        and "--refresh shop/products" in told
        and "shop/users" not in told
    )
    # the one command resolves it, while the other table still waits
    file = project.root / "catalog" / "sources" / "shop.yaml"
    file.write_text(file.read_text().replace("marketing_opt_in:", "opted_in:"))
    for report in sync_changes(project.platform(), "shop", ["users"], refresh=["users"]):
        assert report.error is None
    assert not project.sync("users", "products", checks=False).success
    _, cursor = project.sensor("alerts", cursor)
    [*_, told] = webhook.texts
    assert len(webhook.texts) == 3 and "Schema is read again" in told and "shop/users" in told
    assert "shop/products" not in told


def test_a_new_column_that_flows_is_told_once_and_explains_no_failure(
    project: Project, webhook: Receiver
) -> None:
    assert project.sync("orders", checks=False).success
    project.execute("alter table orders add column shelf text")
    project.execute("update orders set shelf = 'A1' where order_id = 1")
    assert project.sync("orders", checks=False).success
    job = project.definitions.resolve_implicit_global_asset_job_def()
    keys = frozenset({dg.AssetKey(["marts", "order_facts"])})
    run = project.instance.create_run_for_job(job.get_subset(asset_selection=keys), asset_selection=keys)
    project.instance.report_run_failed(run)
    _, cursor = project.sensor("alerts")
    [told] = [text for text in webhook.texts if "new columns in batch" in text]
    assert "Schema changed" in told and "shop/orders" in told and "from now on: shelf." in told
    assert len(webhook.texts) == 2, "the failed run is no child of it"
    assert project.sync("orders", checks=False).success
    project.sensor("alerts", cursor)
    assert len(webhook.texts) == 2


def test_no_value_of_a_row_reaches_the_records_or_a_message(
    project: Project, webhook: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    """A function behind a view puts a row's value into the error it raises."""
    needle = "needle-of-a-row"
    _, cursor = project.sensor("alerts")
    project.execute(
        "CREATE FUNCTION tell(v text) RETURNS text LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'customer % of {needle}', v USING DETAIL = v, TABLE = v; END $$"
    )
    project.execute("ALTER TABLE payments RENAME TO payments_of_rows")
    project.execute(
        "CREATE VIEW payments AS SELECT payment_id, order_id, user_id, amount, tell(method) AS method, status,"
        " paid_at, created_at, updated_at FROM payments_of_rows"
    )
    result = project.sync("orders", "payments", checks=False)
    assert not result.success
    assert ORDERS in {e.asset_key for e in result.all_events if e.is_step_materialization}
    _, cursor = project.sensor("alerts", cursor)
    told = " ".join(webhook.texts)
    assert "shop/payments" in told and "error of its own" in told
    out, err = capfd.readouterr()
    assert needle not in told + str(cursor) + out + err
    home = Path(project.instance.root_directory)
    held = [path for path in home.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]
    assert held == []
    assert any(b"error of its own" in path.read_bytes() for path in home.rglob("*") if path.is_file())
