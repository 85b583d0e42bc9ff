"""``alerts``: what is open, who is told, and what a person decides about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.alerts.announce import announce, outward
from data_platform.alerts.book import Book
from data_platform.alerts.problem import Problem
from data_platform.sync import open_platform
from data_platform_tests.alerts.servers import PagerDuty, Receiver, receiver
from data_platform_tests.cli.conftest import Result

Cli = Callable[..., Result]
NOW = datetime.now(UTC)
ROOT = Problem("run", "shop/orders", "raw/shop/orders", "no connection", {}, NOW - timedelta(hours=1))
CHILD = Problem("run", "marts/order_facts", "marts", "x", {}, NOW, causes=(ROOT.key,))
OTHER = Problem("check", "raw/shop/users: unique", "raw/shop/users", "twice", {}, NOW, severity="warn")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, project: Path) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as state:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", state.url)
        for name in ("SMTP_URL", "ALERTS_MAIL_TO", "PAGERDUTY_ROUTING_KEY"):
            monkeypatch.delenv(name, raising=False)
        yield state


def tick(project: Path, *problems: Problem) -> int:
    """The sensor's next look; how many messages went out."""
    platform = open_platform(project, "local")
    book = Book("alerts", platform.store, platform.signer)
    out = outward(platform.environment.alerts, platform.environ)
    return announce(book, problems, datetime.now(UTC), out, environment="local", ui_url="http://ui").sent


def listed(cli: Cli) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in json.loads(cli("alerts", "list", "--json").out)}


def test_nothing_is_open(cli: Cli, hook: Receiver) -> None:
    result = cli("alerts", "list")
    assert (result.code, result.out) == (0, "No incident is open.\n")
    assert json.loads(cli("alerts", "list", "--json").out) == []


def test_what_is_open_says_who_was_told_and_under_what_it_is_listed(
    cli: Cli, hook: Receiver, project: Path
) -> None:
    assert tick(project, ROOT, CHILD, OTHER) == 2
    rows = listed(cli)
    assert rows["run:shop/orders"]["told"] == ["slack"] and rows["run:shop/orders"]["state"] == "open"
    assert rows["run:marts/order_facts"]["because_of"] == "run:shop/orders"
    assert rows["run:marts/order_facts"]["told"] == rows["run:marts/order_facts"]["waiting"] == []
    assert rows["check:raw/shop/users: unique"]["severity"] == "warn"
    result = cli("alerts", "list")
    assert "run:shop/orders" in result.out and "slack" in result.out and "because of" in result.out


def test_a_snooze_is_told_by_the_next_tick_and_silences(cli: Cli, hook: Receiver, project: Path) -> None:
    tick(project, ROOT, OTHER)
    hook.received.clear()
    result = cli("alerts", "snooze", "shop/orders", "--for", "3h", "--by", "ada")
    assert result.code == 0 and "run:shop/orders is snoozed until" in result.out
    assert tick(project, ROOT, OTHER) == 1 and "snoozed" in hook.received[0]["text"]
    assert str(listed(cli)["run:shop/orders"]["state"]).endswith("by ada")
    assert tick(project, ROOT, OTHER) == 0


def test_a_resolved_one_is_no_longer_open(cli: Cli, hook: Receiver, project: Path) -> None:
    tick(project, ROOT)
    assert cli("alerts", "resolve", "run:shop/orders", "--by", "ada").code == 0
    assert tick(project, ROOT) == 1
    assert listed(cli)["run:shop/orders"]["state"] == "resolved by ada"
    result = cli("alerts", "resolve", "run:shop/orders")
    assert result.code != 0 and "no open incident" in result.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["snooze", "nothing"], "no open incident has 'nothing' in its key"),
        (["snooze", "shop"], "2 open incidents have 'shop' in their keys"),
        (["snooze", "shop/orders", "--for", "soon"], "'soon' is not a time"),
        (["snooze", "shop/orders", "--for", "31d"], "at most 30 days"),
        (["snooze", "shop/orders", "--for", "0h"], "is not a time"),
        (["test", "pigeon"], "there is no channel 'pigeon'; there are: slack, mail, pager"),
    ],
)
def test_what_cannot_be_is_said(cli: Cli, hook: Receiver, project: Path, words: list[str], why: str) -> None:
    tick(project, ROOT, OTHER)
    result = cli("alerts", *words)
    assert result.code == 2 and why in " ".join(result.err.replace("│", " ").split())


def test_a_store_that_cannot_be_read_is_an_error(cli: Cli, hook: Receiver, project: Path) -> None:
    """A landing folder that is a link to itself."""
    (project / ".data").mkdir()
    (project / ".data" / "landing").symlink_to("landing")
    result = cli("alerts", "list")
    assert result.code == 7 and "kept in the landing store, which cannot be read" in result.err


def test_a_test_message_goes_to_each_channel_and_ends(cli: Cli, hook: Receiver, project: Path) -> None:
    result = cli("alerts", "test", "slack")
    assert (result.code, result.out) == (0, "slack: delivered\n")
    assert len(hook.received) == 2 and "This is a test: nothing is wrong" in json.dumps(hook.received[0])
    result = cli("alerts", "test")
    assert "SMTP_URL is not set; its messages go to slack" in result.err
    assert "PAGERDUTY_ROUTING_KEY is not set" in result.err and len(hook.received) == 4


def test_a_test_pages_and_resolves(
    cli: Cli, hook: Receiver, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = PagerDuty()
    with receiver(service) as state:
        monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", service.key)
        file = project / "catalog" / "platform.yaml"
        file.write_text(
            file.read_text().replace(
                "{ui_url: http://127.0.0.1:3000}",
                f"{{channels: {{pager: {{kind: pagerduty, url: '{state.url}'}}}}}}",
            )
        )
        assert cli("alerts", "test").out == "pager: delivered\n"
    assert list(service.alerts.values()) == ["resolved"]


def test_a_channel_that_fails_ends_the_command(cli: Cli, hook: Receiver, project: Path) -> None:
    from data_platform_tests.alerts.servers import SECRET, Answer

    hook.answers = [Answer(404, "no_service")]
    result = cli("alerts", "test", "slack")
    assert result.code == 7 and "no_service" in result.err and SECRET not in result.err


def test_a_dry_run_sends_nothing_and_says_where_it_would_go(cli: Cli, hook: Receiver, project: Path) -> None:
    result = cli(
        "alerts", "test", "--kind", "check", "--object", "marts/x", "--severity", "warn", "--dry-run"
    )
    assert result.code == 0 and "Would go to slack:\n[local] Check failed: marts/x" in result.out
    assert hook.received == []
    result = cli("alerts", "test", "--kind", "run", "--dry-run")
    assert "Would go to slack" in result.out, "the pager has no key, so the fallback takes it"


def test_a_dry_run_prints_where_nothing_is_set(
    cli: Cli, hook: Receiver, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    assert "Would go to print" in cli("alerts", "test", "--kind", "run", "--dry-run").out
