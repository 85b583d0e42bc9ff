"""The three defaults of a new project, from Dagster's records to the receivers: PagerDuty, a mail server and Slack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions import freshness_evaluator
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._daemon.freshness import FreshnessDaemon

from data_platform_tests.alerts.servers import Answer, PagerDuty, Receiver, receiver
from data_platform_tests.alerts.test_email import Mailbox, served
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_alerts import evaluated
from data_platform_tests.defs.test_sensors import a_run_of

pytestmark = pytest.mark.slow


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as state:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", state.url)
        yield state


@pytest.fixture
def duty(monkeypatch: pytest.MonkeyPatch, project: Project) -> Iterator[tuple[Receiver, PagerDuty]]:
    """The catalog as it is, but for the address of the service."""
    service = PagerDuty()
    with receiver(service) as state:
        monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", service.key)
        file = project.root / "catalog" / "platform.yaml"
        text = file.read_text()
        assert "pager: {kind: pagerduty}" in text
        file.write_text(
            text.replace("pager: {kind: pagerduty}", f"pager: {{kind: pagerduty, url: '{state.url}'}}")
        )
        yield state, service


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    for box in served(Mailbox()):
        monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{box.port}")
        monkeypatch.setenv("ALERTS_MAIL_TO", "team@example.test")
        yield box


def freshness(project: Project, table: str, *, good: bool) -> None:
    states = (FreshnessState.PASS, FreshnessState.FAIL)
    project.instance.report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey(["raw", "shop", table]),
            new_state=states[not good],
            previous_state=states[good],
            state_change_timestamp=datetime.now(UTC).timestamp(),
        )
    )


def test_a_failed_run_pages_old_data_mails_and_a_failed_check_goes_to_slack(
    project: Project, slack: Receiver, duty: tuple[Receiver, PagerDuty], mail: Mailbox
) -> None:
    events, service = duty
    a_run_of(project, "orders", DagsterRunStatus.FAILURE)
    for table in ("orders", "products"):
        freshness(project, table, good=False)
    evaluated(project, passed=False)
    data, cursor = project.sensor("alerts")
    assert data.skip_message == "4 incident(s) open, 4 message(s) sent"
    [event] = events.received
    assert event["payload"]["summary"].startswith("[local] Run failed:") and len(service.alerts) == 1
    assert sorted(str(one["Subject"]) for one in mail.mails) == [
        "[local] Stale: raw/shop/orders", "[local] Stale: raw/shop/products",
    ]  # fmt: skip
    [message] = slack.received
    assert message["text"].startswith("[local] Check failed: raw/shop/users")
    # all of it ends, each where it was reported
    project.instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(["raw", "shop", "orders"]))
    )
    for table in ("orders", "products"):
        freshness(project, table, good=True)
    evaluated(project, passed=True)
    data, _ = project.sensor("alerts", cursor)
    assert data.skip_message == "0 incident(s) open, 4 message(s) sent"
    assert list(service.alerts.values()) == ["resolved"]
    assert [one["In-Reply-To"] for one in mail.mails[2:]] == [one["Message-ID"] for one in mail.mails[:2]]
    assert len(slack.received) == 2


def test_the_three_thresholds_of_a_new_project(
    project: Project,
    slack: Receiver,
    duty: tuple[Receiver, PagerDuty],
    mail: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run fails, a table grows six hours old by Dagster's own judgement, and nulls pass five in a hundred."""
    events, _ = duty
    file = project.root / "catalog" / "sources" / "shop.yaml"
    assert "freshness_hours: 6" in file.read_text() and "null_rate(country) <= 0.05" in file.read_text()
    [(rows,)] = source(project, "SELECT count(*) FROM users")
    limit = rows * 5 // 100

    def with_nulls(count: int) -> None:
        project.execute("UPDATE users SET country = 'DE' WHERE country IS NULL")
        project.execute(
            f"UPDATE users SET country = NULL WHERE user_id IN (SELECT user_id FROM users ORDER BY 1 LIMIT {count})"
        )
        project.sync("users")

    with_nulls(limit)
    made = datetime.now(UTC)
    aged(project, "users", made + timedelta(hours=5, minutes=58), monkeypatch)
    _, cursor = project.sensor("alerts")
    assert not [one for one in slack.received if "null_rate" in one["text"]]
    assert not mail.mails and not events.received
    slack.received.clear()

    with_nulls(limit + 1)
    aged(project, "users", datetime.now(UTC) + timedelta(hours=6, seconds=1), monkeypatch)
    _, cursor = project.sensor("alerts", cursor)
    [said] = slack.received
    assert said["text"].startswith("[local] Check failed: raw/shop/users: null_rate_country_lte_0_05")
    assert [str(one["Subject"]) for one in mail.mails] == ["[local] Stale: raw/shop/users"]
    assert not events.received

    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://reader:x@127.0.0.1:1/shop")
    assert not project.sync("products", checks=False).success
    project.sensor("alerts", cursor)
    [event] = events.received
    assert event["payload"]["summary"].startswith("[local] Run failed:")
    assert len(mail.mails) == 1 and len(slack.received) == 1


def source(project: Project, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(question.encode()).fetchall()


def aged(project: Project, table: str, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Dagster's daemon finds of the asset's freshness policy at ``now``."""
    node = project.repository.asset_graph.get(dg.AssetKey(["raw", "shop", table]))
    with monkeypatch.context() as patch:
        patch.setattr(freshness_evaluator, "get_current_timestamp", now.timestamp)
        context = LoadingContextForTest(project.instance)
        asyncio.run(FreshnessDaemon()._evaluate_asset(context, node))


def test_a_pager_that_refuses_leaves_it_to_slack(
    project: Project, slack: Receiver, duty: tuple[Receiver, PagerDuty], mail: Mailbox
) -> None:
    events, service = duty
    events.answers = [Answer(400, "invalid")]
    a_run_of(project, "orders", DagsterRunStatus.FAILURE)
    data, cursor = project.sensor("alerts")
    [message] = slack.received
    assert "Run failed" in message["text"] and "not delivered by" in str(message["blocks"])
    assert "PAGERDUTY_ROUTING_KEY" in data.skip_message and service.key not in data.skip_message
    project.sensor("alerts", cursor)
    assert list(service.alerts.values()) == ["triggered"] and len(slack.received) == 1
