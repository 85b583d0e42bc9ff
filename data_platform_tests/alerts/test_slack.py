"""Delivery, against a real HTTP server on loopback."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from data_platform.alerts.announce import announce, outward
from data_platform.alerts.book import Book
from data_platform.alerts.channels import PRINT, Notice, Post, PrintChannel, open_channels
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.delivery import ATTEMPTS_MAX
from data_platform.alerts.problem import Problem
from data_platform.alerts.slack import SlackChannel, SlackConfig, payload
from data_platform.errors import AlertError
from data_platform_tests.alerts.servers import SECRET, Answer, Receiver, receiver

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POST = Post("local", (Notice("check:a", "opened", "Check failed", "a", "1 < 2", (), "http://ui/"),))


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as state:
        yield state


def channel(url: str, slept: list[float] | None = None, **options: float) -> SlackChannel:
    pauses = [] if slept is None else slept
    return SlackConfig().open({"SLACK_WEBHOOK_URL": url}, sleep=pauses.append, **options)


def assert_silent_about_the_url(error: BaseException) -> None:
    whole = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__)
    assert "SECRET" not in whole
    assert "SLACK_WEBHOOK_URL" in str(error)


def test_a_message_arrives(webhook: Receiver) -> None:
    channel(webhook.url).send(POST)
    assert webhook.received == [payload(POST)]


def test_slow_down_is_honoured(webhook: Receiver) -> None:
    webhook.answers = [Answer(429, "rate_limited", {"Retry-After": "7"})]
    slept: list[float] = []
    channel(webhook.url, slept).send(POST)
    assert slept == [7]
    assert len(webhook.received) == 2


def test_slow_down_until_an_instant_is_honoured(webhook: Receiver) -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True)
    webhook.answers = [Answer(503, "", {"Retry-After": past})]
    slept: list[float] = []
    channel(webhook.url, slept).send(POST)
    assert slept == [0]


def test_slow_down_for_longer_than_a_look_may_last_gives_up_at_once(webhook: Receiver) -> None:
    webhook.answers = [Answer(429, "rate_limited", {"Retry-After": "3600"})]
    slept: list[float] = []
    with pytest.raises(AlertError, match="HTTP 429, 1 attempts"):
        channel(webhook.url, slept).send(POST)
    assert slept == []


def test_server_errors_are_tried_again_then_given_up(webhook: Receiver) -> None:
    webhook.answers = [Answer(500, "oops")] * 10
    slept: list[float] = []
    with pytest.raises(AlertError, match=f"HTTP 500, {ATTEMPTS_MAX} attempts") as caught:
        channel(webhook.url, slept).send(POST)
    assert len(webhook.received) == ATTEMPTS_MAX
    assert len(slept) == ATTEMPTS_MAX - 1
    assert all(pause > 0 for pause in slept)
    assert_silent_about_the_url(caught.value)


def test_a_refusal_is_not_tried_again(webhook: Receiver) -> None:
    webhook.answers = [Answer(404, "no_service")]
    with pytest.raises(AlertError, match="no_service") as caught:
        channel(webhook.url).send(POST)
    assert len(webhook.received) == 1
    assert_silent_about_the_url(caught.value)


def test_a_refusal_that_echoes_the_url_stays_silent(webhook: Receiver) -> None:
    webhook.answers = [Answer(403, f"denied for /services/{SECRET}")]
    with pytest.raises(AlertError, match="no reason given") as caught:
        channel(webhook.url).send(POST)
    assert_silent_about_the_url(caught.value)


def test_blocks_that_slack_dislikes_go_out_as_text(webhook: Receiver) -> None:
    webhook.answers = [Answer(400, "invalid_blocks")]
    channel(webhook.url).send(POST)
    text = "[local] Check failed: a\n  1 &lt; 2\n  http://ui/"
    assert webhook.received[1] == {"text": text, "unfurl_links": False, "unfurl_media": False}


def test_a_redirect_is_not_followed(webhook: Receiver) -> None:
    webhook.answers = [Answer(302, "", {"Location": webhook.url})]
    with pytest.raises(AlertError, match="HTTP 302"):
        channel(webhook.url).send(POST)
    assert len(webhook.received) == 1


def test_connection_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken:  # bound and not listening: nobody can answer there meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/services/{SECRET}"
        with pytest.raises(AlertError, match="no connection") as caught:
            channel(url).send(POST)
    assert_silent_about_the_url(caught.value)


def test_a_slow_answer(webhook: Receiver) -> None:
    hold = threading.Event()
    webhook.answers = [Answer(hold=hold)] * ATTEMPTS_MAX
    try:
        with pytest.raises(AlertError, match=r"no answer within 0\.1 s") as caught:
            channel(webhook.url, answer_seconds=0.1).send(POST)
    finally:
        hold.set()
    assert_silent_about_the_url(caught.value)


@pytest.mark.parametrize("url", [f"hooks.slack.com/{SECRET}", f"ftp://x/{SECRET}", f"https:///{SECRET}"])
def test_a_value_that_is_no_url(url: str) -> None:
    with pytest.raises(AlertError, match="is not a URL") as caught:
        channel(url).send(POST)
    assert_silent_about_the_url(caught.value)


@pytest.mark.parametrize(
    ("config", "environ", "reason"),
    [
        (AlertsConfig(slack=SlackConfig()), {}, "SLACK_WEBHOOK_URL is not set"),
        (
            AlertsConfig(slack=SlackConfig(webhook_env="OTHER")),
            {"SLACK_WEBHOOK_URL": "x"},
            "OTHER is not set",
        ),
        (AlertsConfig(slack=None), {}, "no channel is configured"),
    ],
)
def test_without_a_webhook_it_prints_what_it_would_send(
    config: AlertsConfig, environ: dict[str, str], reason: str
) -> None:
    printed: list[str] = []
    opened = open_channels(config.used, environ, echo=printed.append)
    made = opened.channels[PRINT]
    assert list(opened.channels) == [PRINT] and isinstance(made, PrintChannel)
    made.send(POST)
    assert printed == [f"Alert, printed because {reason}:\n{POST.text}"]


def test_the_webhook_is_read_from_the_environment(webhook: Receiver) -> None:
    opened = open_channels(AlertsConfig().used, {"SLACK_WEBHOOK_URL": f" {webhook.url}\n"})
    opened.channels["slack"].send(POST)
    assert len(webhook.received) == 1


def test_from_an_outage_to_delivery_to_recovery(webhook: Receiver) -> None:
    """The whole way over several looks: what could not be sent is sent by a later one, once."""
    problem = Problem("check", "a", "raw", "broken", {"rows": 3}, NOON, "/")
    out = outward(AlertsConfig(), {"SLACK_WEBHOOK_URL": webhook.url})
    slept: list[float] = []
    out = replace(out, channels={"slack": channel(webhook.url, slept)})

    def look(cursor: str | None, *problems: Problem, minutes: int) -> Any:
        now, book = NOON + timedelta(minutes=minutes), Book("alerts", None, cursor=cursor)
        return announce(book, problems, now, out, environment="local", ui_url="http://ui")

    webhook.answers = [Answer(500)] * ATTEMPTS_MAX
    first = look(None, problem, minutes=0)
    assert (first.open, first.sent, first.pending) == (1, 0, 1)
    assert isinstance(first.error, AlertError)
    webhook.received.clear()
    second = look(first.cursor, problem, minutes=1)
    assert (second.sent, second.pending, second.error) == (1, 0, None)
    third = look(second.cursor, problem, minutes=2)
    assert third.sent == 0
    fourth = look(third.cursor, minutes=3)
    assert (fourth.open, fourth.sent) == (0, 1)
    fifth = look(fourth.cursor, minutes=4)
    assert fifth.sent == 0
    texts = [message["text"] for message in webhook.received]
    assert texts == ["[local] Check failed: a", "[local] Check passes again: a"]
