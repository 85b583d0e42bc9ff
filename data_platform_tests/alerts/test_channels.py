"""Several channels of one environment, against real HTTP servers on loopback: each reports everything once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data_platform.alerts.announce import announce, outward
from data_platform.alerts.book import Book
from data_platform.alerts.channels import Channel, Post, open_channels
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.problem import Problem
from data_platform.alerts.state import from_cursor
from data_platform_tests.alerts.servers import SECRET, Answer, Receiver, receiver
from data_platform_tests.alerts.ticks import Recorder, Ticker, problem

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROBLEM = Problem("check", "a", "raw", "broken", {"rows": 3}, NOON, "/assets/a")
CONFIG = AlertsConfig.model_validate(
    {
        "channels": {
            "team": {"kind": "slack"},
            "pager": {"kind": "webhook", "url_env": "PAGER_URL", "token_env": "PAGER_TOKEN"},
        }
    }
)


@dataclass
class Both:
    slack: Receiver
    pager: Receiver
    cursor: str | None = None
    minutes: int = 0

    @property
    def channels(self) -> dict[str, Channel]:
        environ = {
            "SLACK_WEBHOOK_URL": self.slack.url, "PAGER_URL": self.pager.url, "PAGER_TOKEN": "hunter2hunter2",
        }  # fmt: skip
        return {name: config.open(environ, sleep=lambda _: None) for name, config in CONFIG.used.items()}

    def look(self, *problems: Problem) -> Any:
        self.minutes += 1
        now = NOON + timedelta(minutes=self.minutes)
        environ = {"SLACK_WEBHOOK_URL": "x", "PAGER_URL": "x", "PAGER_TOKEN": "x"}
        out = replace(outward(CONFIG, environ), channels=self.channels)
        book = Book("alerts", None, cursor=self.cursor)
        done = announce(book, problems, now, out, environment="local", ui_url="http://ui")
        self.cursor = done.cursor
        return done

    def heard(self) -> tuple[list[str], list[str]]:
        """What each was told since this was asked last."""
        found = (
            [message["text"].removeprefix("[local] ") for message in self.slack.received],
            [
                f"{one['state']}: {one['title']}"
                for message in self.pager.received
                for one in message["incidents"]
            ],
        )
        self.slack.received.clear()
        self.pager.received.clear()
        return found


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:
        yield Both(stack.enter_context(receiver()), stack.enter_context(receiver()))


def test_a_webhook_is_sent_facts_and_a_token(both: Both) -> None:
    both.look(PROBLEM)
    assert both.pager.tokens == ["Bearer hunter2hunter2"] and both.slack.tokens == [None]
    (message,) = both.pager.received
    assert len(message.pop("thread")) == 20
    assert message == {
        "environment": "local",
        "event": "opened",
        "text": "\n".join(
            ["[local] Check failed: a", "  broken", "  where: raw", "  since: 2026-11-22 12:00 UTC", "  rows: 3",
             "  http://ui/assets/a"]
        ),
        "incidents": [
            {
                "key": "check:a",
                "kind": "check",
                "severity": "error",
                "state": "open",
                "title": "Check failed",
                "object": "a",
                "summary": "broken",
                "facts": {"where": "raw", "since": "2026-11-22 12:00 UTC", "rows": "3"},
                "url": "http://ui/assets/a",
            }
        ],
    }  # fmt: skip


def test_one_that_is_down_gets_it_later_and_the_other_no_second_time(both: Both) -> None:
    both.pager.answers = [Answer(503)] * 4
    first = both.look(PROBLEM)
    assert (first.sent, first.pending, first.open) == (1, 1, 1)
    assert "the webhook in PAGER_URL" in str(first.error) and SECRET not in str(first.error)
    both.pager.received.clear()
    assert both.heard() == (["Check failed: a"], [])
    second = both.look(PROBLEM)
    assert (second.sent, second.pending, second.error) == (1, 0, None)
    assert both.heard() == ([], ["open: Check failed"])
    assert both.look(PROBLEM).sent == 0
    assert both.look().sent == 2
    assert both.heard() == (["Check passes again: a"], ["recovered: Check passes again"])
    assert both.look().sent == 0 and from_cursor(both.cursor).incidents == {}


def test_a_refusal_of_one_names_what_to_do_and_shows_no_secret(both: Both) -> None:
    both.slack.answers = [Answer(404, "no_service")]
    both.pager.answers = [Answer(401, f"no such token hunter2hunter2 for {SECRET}")]
    told = both.look(PROBLEM)
    assert (told.sent, told.pending) == (0, 2)
    for words in (
        "no_service",
        "create a new webhook and set SLACK_WEBHOOK_URL",
        "HTTP 401",
        "check PAGER_URL",
    ):
        assert words in str(told.error)
    assert "SECRET" not in str(told.error) and "hunter2" not in str(told.error)


def test_a_recovery_tells_whoever_never_heard_what_it_was(both: Both) -> None:
    both.pager.answers = [Answer(503)] * 4
    both.look(PROBLEM)
    both.pager.received.clear()
    both.heard()
    both.look()
    assert "broken" not in both.slack.received[0]["blocks"][0]["text"]["text"]
    assert "It could not be reported earlier: broken" in both.pager.received[0]["text"]


def test_what_comes_back_is_told_to_whoever_thinks_that_it_recovered(both: Both) -> None:
    both.look(PROBLEM)
    both.heard()
    both.pager.answers = [Answer(503)] * 4
    both.look()
    both.pager.received.clear()
    assert both.heard() == (["Check passes again: a"], [])
    assert both.look(PROBLEM).sent == 1
    assert both.heard() == (["Check failed: a"], [])
    assert both.look().sent == 2


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ({}, ["slack", "mail", "pager"]),
        ({"slack": {"webhook_env": "OURS"}}, ["slack"]),
        ({"slack": None}, []),
        ({"channels": {}}, []),
        ({"channels": {"us": {"kind": "webhook", "url_env": "A"}}}, ["us"]),
        # as earlier versions had it
        ({"channels": []}, []),
        ({"channels": [{"kind": "slack", "webhook_env": "A"}, {"kind": "slack", "webhook_env": "B"}]},
         ["slack", "slack-2"]),
    ],
)  # fmt: skip
def test_the_short_form_the_names_and_the_list_are_read(raw: dict[str, Any], names: list[str]) -> None:
    assert list(AlertsConfig.model_validate(raw).used) == names


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"slack": None, "channels": {}}, "has both `slack` and `channels`"),
        ({"channels": {"a": {"kind": "slack"}, "b": {"kind": "slack"}}}, "`a` and `b` are the same"),
        ({"channels": [{"kind": "slack"}, {"kind": "slack"}]}, "`slack` and `slack-2` are the same"),
        ({"channels": {"a": {"kind": "pigeon"}}}, "'slack', 'slack_bot', 'email', 'pagerduty', 'webhook'"),
        ({"channels": {"a": {"kind": "webhook"}}}, "url_env"),
        ({"channels": {"a b": {"kind": "slack"}}}, "channels.a b"),
        ({"channels": {"a": {"kind": "slack_bot", "channel": "a b"}}}, "channel"),
    ],
)
def test_what_cannot_be_is_a_mistake(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AlertsConfig.model_validate(raw)
    assert why in str(caught.value)


def test_those_without_their_variable_share_one_that_prints(both: Both) -> None:
    printed: list[str] = []
    out = outward(CONFIG, {"SLACK_WEBHOOK_URL": both.slack.url}, echo=printed.append)
    announce(Book("x", None), [PROBLEM], NOON, out, environment="local", ui_url="http://ui")
    assert len(both.slack.received) == 1
    assert printed[0].startswith("Alert, printed because PAGER_URL is not set:\n[local] Check failed: a")
    opened = open_channels(CONFIG.used, {}, echo=printed.append)
    opened.channels["print"].send(Post("local", ()))
    assert "SLACK_WEBHOOK_URL and PAGER_URL are not set" in printed[1]
    assert set(opened.channels) == {"print"} and opened.instead == {"team": ("print",), "pager": ("print",)}


def test_a_cursor_of_an_earlier_version_goes_on_with_the_channels_of_today(both: Both) -> None:
    """It names channels by kind and variable."""
    both.cursor = (
        '{"format":1,"incidents":[{"key":"check:a","kind":"check","object":"a","where":"raw","summary":"broken",'
        f'"numbers":{{}},"since":"{NOON.isoformat()}","link":"/","announced":false,"recovered_at":null,'
        '"heard":["slack SLACK_WEBHOOK_URL"]}]}'
    )
    both.look(PROBLEM)
    assert both.heard() == ([], ["open: Check failed"])
    both.look()
    assert both.heard() == (["Check passes again: a"], ["recovered: Check passes again"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from("ab")), st.booleans(), st.booleans()), max_size=12))
def test_whatever_fails_each_channel_ends_in_agreement(looks: Sequence[tuple[set[str], bool, bool]]) -> None:
    channels = {"one": Recorder(), "two": Recorder(threads=False)}
    ticker = Ticker(channels)
    told: dict[str, list[tuple[str, bool]]] = {name: [] for name in channels}
    broken: set[str] = set()
    for broken, *up in [*looks, (broken_at_last(looks), True, True)]:
        for channel, is_up in zip(channels.values(), up, strict=True):
            channel.up = bool(is_up)
        ticker.tick(*(problem(name) for name in sorted(broken)))
        for key, channel in channels.items():
            for notice in (notice for post in channel.posts for notice in post.notices):
                if notice.recovered and notice.summary:  # it tells of what had not been told, too
                    told[key].append((notice.name, False))
                told[key].append((notice.name, notice.recovered))
            channel.posts.clear()
    for key in channels:
        for name in "ab":
            said = [recovered for one, recovered in told[key] if one == name]
            assert all(first != then for first, then in pairwise(said)), said
            assert not said or said[-1] == (name not in broken)
            assert said or name not in broken
    left = from_cursor(ticker.cursor).incidents
    assert {one.problem.object for one in left.values()} == broken


def broken_at_last(looks: Sequence[tuple[set[str], bool, bool]]) -> set[str]:
    return looks[-1][0] if looks else set()
