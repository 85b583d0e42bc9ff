"""What is wrong reaches people once, and its mend too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.storage.dagster_run import DagsterRunStatus

from data_platform.sync import sync_changes
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_sensors import a_run_of

pytestmark = pytest.mark.slow
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
    text = " ".join(webhook.texts)
    assert "Run failed" in text and "Stale" in text and "raw/shop/orders" in text
    project.instance.report_runless_asset_event(dg.AssetMaterialization(key))
    stale(FreshnessState.PASS, FreshnessState.FAIL)
    project.sensor("alerts", cursor)
    text = " ".join(webhook.texts)
    assert "Run succeeds again" in text and "Fresh again" in text


def test_without_a_webhook_it_prints(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(project, passed=False)
    project.sensor("alerts")
    printed = capsys.readouterr().out
    assert "SLACK_WEBHOOK_URL is not set" in printed and "raw/shop/users" in printed


def test_a_table_that_changed_is_told_by_itself_with_what_to_do(project: Project, webhook: Receiver) -> None:
    assert project.sync("users", "products", checks=False).success
    project.execute("alter table users rename column marketing_opt_in to opted_in")
    assert not project.sync("users", "products", checks=False).success
    _, cursor = project.sensor("alerts")
    [told] = webhook.texts
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
    assert len(webhook.texts) == 3 and "succeeds again" in told and "shop/users" in told
    assert "shop/products" not in told
