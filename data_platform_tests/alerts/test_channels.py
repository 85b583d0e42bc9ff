"""Several channels of one environment, against real HTTP servers on loopback: each reports everything once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_platform.alerts.announce import announce
from data_platform.alerts.channels import Channel, Post, open_channels
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.incidents import Problem, from_cursor
from data_platform.errors import AlertError
from data_platform_tests.alerts.servers import SECRET, Answer, Receiver, receiver

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROBLEM = Problem("check", "a", "raw", "broken", {"rows": 3}, NOON, "/assets/a")
CONFIG = AlertsConfig.model_validate(
    {"channels": [{"kind": "slack"}, {"kind": "webhook", "url_env": "PAGER_URL", "token_env": "PAGER_TOKEN"}]}
)


@dataclass
class Both:
    slack: Receiver
    pager: Receiver
    cursor: str | None = None
    minutes: int = 0

    @property
    def channels(self) -> list[Channel]:
        environ = {
            "SLACK_WEBHOOK_URL": self.slack.url, "PAGER_URL": self.pager.url, "PAGER_TOKEN": "hunter2hunter2",
        }  # fmt: skip
        return [config.open(environ, sleep=lambda _: None) for config in CONFIG.used]

    def look(self, *problems: Problem) -> Any:
        self.minutes += 1
        now = NOON + timedelta(minutes=self.minutes)
        told = announce(self.cursor, problems, now, self.channels, environment="local", ui_url="http://ui")
        self.cursor = told.cursor
        return told

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
    assert message == {
        "environment": "local",
        "text": "\n".join(
            ["[local] Check failed: a", "  broken", "  where: raw", "  since: 2026-11-22 12:00 UTC", "  rows: 3",
             "  http://ui/assets/a"]
        ),
        "incidents": [
            {
                "key": "check:a",
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
    assert (first.told, first.pending, first.open) == (1, 1, 1)
    assert "the webhook in PAGER_URL" in str(first.error) and SECRET not in str(first.error)
    both.pager.received.clear()
    assert both.heard() == (["Check failed: a"], [])
    second = both.look(PROBLEM)
    assert (second.told, second.pending, second.error) == (1, 0, None)
    assert both.heard() == ([], ["open: Check failed"])
    assert both.look(PROBLEM).told == 0
    assert all(not one.heard for one in from_cursor(both.cursor).values()), "no name is kept once all know"
    assert both.look().told == 2
    assert both.heard() == (["Check passes again: a"], ["recovered: Check passes again"])
    assert both.look().told == 0 and from_cursor(both.cursor) == {}


def test_a_refusal_of_one_names_what_to_do_and_shows_no_secret(both: Both) -> None:
    both.slack.answers = [Answer(404, "no_service")]
    both.pager.answers = [Answer(401, f"no such token hunter2hunter2 for {SECRET}")]
    told = both.look(PROBLEM)
    assert (told.told, told.pending) == (0, 2)
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
    assert both.look(PROBLEM).told == 1
    assert both.heard() == (["Check failed: a"], [])
    assert both.look().told == 2


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ({}, ["slack SLACK_WEBHOOK_URL"]),
        ({"slack": {"webhook_env": "OURS"}}, ["slack OURS"]),
        ({"slack": None}, []),
        ({"channels": []}, []),
        ({"channels": [{"kind": "slack", "webhook_env": "A"}, {"kind": "slack", "webhook_env": "B"}]},
         ["slack A", "slack B"]),
        ({"channels": [{"kind": "webhook", "url_env": "A"}]}, ["webhook A"]),
    ],
)  # fmt: skip
def test_the_short_form_and_the_list_are_read(raw: dict[str, Any], names: list[str]) -> None:
    assert [channel.name for channel in AlertsConfig.model_validate(raw).used] == names


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"slack": None, "channels": []}, "has both `slack` and `channels`"),
        ({"channels": [{"kind": "slack"}, {"kind": "slack"}]}, "`slack SLACK_WEBHOOK_URL` twice"),
        ({"channels": [{"kind": "pigeon"}]}, "'slack', 'webhook'"),
        ({"channels": [{"kind": "webhook"}]}, "url_env"),
    ],
)
def test_what_cannot_be_is_a_mistake(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AlertsConfig.model_validate(raw)
    assert why in str(caught.value)


def test_those_without_their_variable_share_one_that_prints(both: Both) -> None:
    printed: list[str] = []
    environ = {"SLACK_WEBHOOK_URL": both.slack.url}
    slack, other = open_channels(CONFIG.used, environ, echo=printed.append)
    assert (slack.name, other.name) == ("slack SLACK_WEBHOOK_URL", "print")
    announce(None, [PROBLEM], NOON, [slack, other], environment="local", ui_url="http://ui")
    assert len(both.slack.received) == 1
    assert printed[0].startswith("Alert, printed because PAGER_URL is not set:\n[local] Check failed: a")
    (both_print,) = open_channels(CONFIG.used, {}, echo=printed.append)
    both_print.send(Post("local", ()))
    assert "SLACK_WEBHOOK_URL and PAGER_URL are not set" in printed[1]


@dataclass
class Flaky:
    """Delivers while it is up."""

    name: str
    up: bool = True
    told: list[tuple[str, bool]] = field(default_factory=list)

    def send(self, post: Post) -> None:
        if not self.up:
            raise AlertError("down")
        for notice in post.notices:
            if notice.recovered and notice.summary:  # it tells of what had not been told, too
                self.told.append((notice.name, False))
            self.told.append((notice.name, notice.recovered))


@given(st.lists(st.tuples(st.sets(st.sampled_from("ab")), st.booleans(), st.booleans()), max_size=12))
def test_whatever_fails_each_channel_ends_in_agreement(looks: Sequence[tuple[set[str], bool, bool]]) -> None:
    channels = [Flaky("one"), Flaky("two")]
    cursor: str | None = None
    broken: set[str] = set()
    for number, (broken, *up) in enumerate([*looks, (broken_at_last(looks), True, True)]):
        for channel, is_up in zip(channels, up, strict=True):
            channel.up = bool(is_up)
        now = NOON + timedelta(minutes=number)
        problems = [Problem("check", name, "raw", "broken", {}, now) for name in sorted(broken)]
        cursor = announce(cursor, problems, now, channels, environment="e", ui_url="http://ui").cursor
    for channel in channels:
        for name in "ab":
            said = [recovered for one, recovered in channel.told if one == name]
            assert all(first != then for first, then in pairwise(said)), said
            assert not said or said[-1] == (name not in broken)
            assert said or name not in broken
    left = from_cursor(cursor)
    assert {one.problem.object for one in left.values()} == broken
    assert all(one.announced and not one.heard and not one.relieved for one in left.values())


def broken_at_last(looks: Sequence[tuple[set[str], bool, bool]]) -> set[str]:
    return looks[-1][0] if looks else set()
