"""Slack by a bot, against a receiver that answers as chat.postMessage does and holds Slack's limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from data_platform.alerts.slack import SlackConfig
from data_platform.alerts.slack_bot import SlackBotChannel, SlackBotConfig
from data_platform.errors import AlertError, AlertRefused
from data_platform_tests.alerts.servers import Answer, Receiver, Slack, receiver, slack_refuses
from data_platform_tests.alerts.test_email import post
from data_platform_tests.alerts.ticks import NOON, Ticker, problem, routes

TOKEN = "xoxb-SECRET-token"


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Receiver, Slack]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    service = Slack()
    with receiver(service) as state:
        yield state, service


def channel(state: Receiver, slept: list[float] | None = None) -> SlackBotChannel:
    pauses = [] if slept is None else slept
    config = SlackBotConfig(kind="slack_bot", channel="C0123456789", url=state.url)
    return config.open({"SLACK_BOT_TOKEN": TOKEN}, sleep=pauses.append)


def test_an_incident_is_one_thread(slack: tuple[Receiver, Slack]) -> None:
    """Opened, escalated, over; and another incident has a thread of its own."""
    state, service = slack
    way = routes({"to": ["bot"], "escalate": {"after_minutes": 30, "to": ["bot"]}})
    ticker = Ticker({"bot": channel(state)}, way)
    ticker.tick(problem("a"))
    ticker.tick(problem("a"), problem("b"), minutes=10)
    ticker.tick(problem("a"), problem("b"), minutes=25)
    ticker.tick()
    first, second = service.threads.values()
    assert first == [
        "[local] Check failed: a",
        "[local] Check failed, escalated: a",
        "[local] Check passes again: a",
    ]
    assert second == ["[local] Check failed: b", "[local] Check passes again: b"]
    assert state.tokens == [f"Bearer {TOKEN}"] * 5
    assert {message["channel"] for message in state.received} == {"C0123456789"}


def test_a_thread_goes_on_in_another_process(slack: tuple[Receiver, Slack]) -> None:
    state, service = slack
    ticker = Ticker({"bot": channel(state)})
    ticker.tick(problem())
    again = Ticker({"bot": channel(state)}, cursor=ticker.cursor, now=ticker.now)
    again.tick()
    [thread] = service.threads.values()
    assert len(thread) == 2


@pytest.mark.parametrize("count", [1, 10, 11, 1_000, 2_500])
def test_any_number_at_once_stays_within_slacks_limits(slack: tuple[Receiver, Slack], count: int) -> None:
    state, service = slack
    ticker = Ticker({"bot": channel(state)})
    monsters = [
        problem(f"{n}" + "&" * 5000, where="<" * 5000, summary=">" * 9000,
                numbers={f"{k}" * 200: "&" * 900 for k in range(40)}, link="/" + "x" * 9000)
        for n in range(count)
    ]  # fmt: skip
    ticker.tick(*monsters)
    ticker.tick(*monsters)
    assert [slack_refuses(message) for message in state.received] == [None] * (count if count <= 10 else 1)
    ticker.tick()
    ticker.tick()
    assert all(slack_refuses(message) is None for message in state.received)
    assert all("blocks" in message for message in state.received), "nothing had to be sent as plain text"
    assert len(service.threads) == (count if count <= 10 else 1)


def test_a_webhook_has_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def usual(message: dict[str, Any]) -> Answer:
        wrong = slack_refuses(message)
        return Answer(400, wrong) if wrong else Answer()

    with receiver(usual) as state:
        ticker = Ticker({"slack": SlackConfig().open({"SLACK_WEBHOOK_URL": state.url})})
        many = [problem(f"{n} " + "&" * 200, since=NOON) for n in range(1_000)]
        for upto in (5, 15, 1_000, 1_000):
            ticker.tick(*many[:upto])
        assert len(state.received) == 5 + 10 + 1, "a webhook has no threads; a burst is one message"
        ticker.tick()
        assert len(state.received) == 17, "and so is the end of many"
        assert all(slack_refuses(message) is None for message in state.received)


def test_slow_down_is_honoured(slack: tuple[Receiver, Slack]) -> None:
    state, service = slack
    state.answers = [Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": "7"})]
    slept: list[float] = []
    channel(state, slept).send(post())
    assert slept == [7] and len(service.threads) == 1


def test_an_answer_that_all_is_not_well_counts_though_it_is_200(slack: tuple[Receiver, Slack]) -> None:
    state, service = slack
    state.answers = [service.told(ok=False, error="internal_error"), Answer(200, "<html>")]
    channel(state).send(post())
    assert len(service.threads) == 1 and len(state.received) == 3
    state.answers = [service.told(ok=False, error="channel_not_found")]
    with pytest.raises(AlertRefused, match=r"channel_not_found.*scope chat:write.*C0123456789") as caught:
        channel(state).send(post())
    assert "SECRET" not in str(caught.value)
    state.answers = [service.told(ok=False, error=f"bad {TOKEN}")]
    with pytest.raises(AlertRefused, match="no reason given"):
        channel(state).send(post())
    state.answers = [service.told(ok=False, error="fatal_error")] * 4
    with pytest.raises(AlertError, match="fatal_error, 4 attempts"):
        channel(state).send(post())


def test_blocks_that_slack_dislikes_go_out_as_text_in_the_same_thread(slack: tuple[Receiver, Slack]) -> None:
    state, service = slack
    reference = channel(state).send(post())
    state.answers = [service.told(ok=False, error="invalid_blocks")]
    from dataclasses import replace

    channel(state).send(replace(post(), reference=reference))
    assert "blocks" not in state.received[-1] and state.received[-1]["thread_ts"] == reference
    assert [len(thread) for thread in service.threads.values()] == [2]
