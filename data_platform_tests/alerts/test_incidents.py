"""Once per incident, once on recovery, nothing lost when a message did not get through."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.alerts.incidents import INCIDENTS_MAX, decide
from data_platform.alerts.problem import Healing, Problem
from data_platform.alerts.state import CURSOR_BYTES_MAX, BookState, from_cursor, to_cursor
from data_platform_tests.alerts.ticks import NOON, Recorder, Ticker, problem


class One(Ticker):
    """A sensor with one channel."""

    def __init__(self) -> None:
        self.channel = Recorder()
        super().__init__({"one": self.channel})

    def look(self, *problems: Problem, up: bool | None = True, **options: Any) -> list[str]:
        self.channel.up = up
        self.tick(*problems, **options)
        return self.channel.heard()


@pytest.fixture
def one() -> One:
    return One()


def test_a_problem_is_told_once_and_its_recovery_once(one: One) -> None:
    assert one.look(problem()) == ["opened: a"]
    assert one.look(problem()) == []
    assert one.look() == ["recovered: a"]
    assert one.look() == [] and from_cursor(one.cursor).incidents == {}


def test_a_second_problem_is_an_incident_of_its_own(one: One) -> None:
    one.look(problem("a"))
    assert one.look(problem("a"), problem("b")) == ["opened: b"]
    assert one.look(problem("b")) == ["recovered: a"]


def test_the_same_name_of_another_kind_is_another_incident(one: One) -> None:
    assert len(one.look(problem("x", kind="check"), problem("x", kind="freshness"))) == 2


def test_an_undelivered_opening_comes_again(one: One) -> None:
    assert one.look(problem(), up=False) == one.look(problem(), up=False) == []
    assert one.look(problem()) == ["opened: a"]
    assert one.look(problem()) == []


def test_an_undelivered_recovery_comes_again_with_the_instant_it_happened(one: One) -> None:
    one.look(problem())
    assert one.look(up=False) == []
    over, one.channel.up = one.now, True
    one.tick(minutes=300)
    [post] = one.channel.posts
    assert dict(post.notices[0].pairs)["until"].startswith(over.strftime("%Y-%m-%d %H:%M UTC (after"))


def test_what_came_and_went_while_nothing_could_be_sent_is_told_in_one_message(one: One) -> None:
    one.look(problem(), up=False)
    one.channel.up = True
    one.tick()
    [post] = one.channel.posts
    assert post.event == "recovered" and "It could not be reported earlier: a is broken" in post.text


def test_coming_back_before_the_recovery_was_told_is_the_same_incident(one: One) -> None:
    one.look(problem())
    one.look(up=False)
    assert one.look(problem()) == []
    assert one.look() == ["recovered: a"]


def test_not_knowing_is_not_a_recovery(one: One) -> None:
    one.look(problem(kind="freshness"), problem(kind="check"))
    assert one.look(unknown_kinds={"freshness"}) == ["recovered: a"]
    assert one.look() == ["recovered: a"]


def test_since_is_the_first_sight_and_the_numbers_are_the_newest(one: One) -> None:
    one.look(problem())
    one.look(problem(numbers={"failing rows": 9}, since=NOON + timedelta(hours=2)))
    [incident] = from_cursor(one.cursor).incidents.values()
    assert incident.problem.since == NOON
    assert incident.problem.numbers == {"failing rows": 9}


def test_a_recovery_is_of_the_instant_and_the_page_of_what_ended_it(one: One) -> None:
    one.look(problem())
    healed = {"check:a": Healing(NOON + timedelta(minutes=90), "/runs/good")}
    one.tick(healed=healed)
    [post] = one.channel.posts
    assert "(after 1 h 30 min)" in post.text and post.text.endswith("http://ui/runs/good")


def test_what_has_doubled_is_said_again(one: One) -> None:
    def waiting(count: int) -> Problem:
        return problem(kind="quarantine", amount=count)

    assert one.look(waiting(3)) == ["opened: a"]
    assert one.look(waiting(5)) == one.look(waiting(2)) == []
    assert one.look(waiting(6)) == ["grown: a"]
    assert one.look(waiting(11)) == []
    assert one.look(waiting(12), up=False) == []
    assert one.look(waiting(13)) == ["grown: a"]
    assert one.look() == ["recovered: a"]
    assert one.look(problem(amount=0)) == ["opened: a"] and one.look(problem(amount=9)) == []


def test_a_flood_is_one_message_and_so_is_its_end(one: One) -> None:
    flood = [problem(f"check {number:04d}") for number in range(1_000)]
    one.tick(*flood)
    [post] = one.channel.posts
    assert len(post.notices) == 1_000 and "1,000 × Check failed" in post.subject
    assert "… and 960 more" in post.text
    one.channel.posts.clear()
    assert one.look(*flood) == []
    one.tick(*flood[500:])
    [post] = one.channel.posts
    assert len(post.notices) == 500 and not post.over and post.reference
    one.channel.posts.clear()
    one.tick()
    [post] = one.channel.posts
    assert len(post.notices) == 500 and post.over
    assert from_cursor(one.cursor).incidents == {}


def test_more_than_can_be_listed_is_counted_and_recovers(one: One) -> None:
    flood = [problem(f"{number:04d}{'x' * 500}") for number in range(INCIDENTS_MAX + 200)]
    assert len(one.look(*flood)) == INCIDENTS_MAX + 1
    assert len(from_cursor(one.cursor).incidents) == INCIDENTS_MAX + 1, "none is lost"
    assert one.look(*flood) == []
    told = one.look(*flood[:-200])
    assert told == ["recovered: more problems than are listed"]


@pytest.mark.slow
@pytest.mark.parametrize("alike", [True, False])
def test_a_cursor_of_all_incidents_is_bounded(alike: bool) -> None:
    chance = random.Random(7)

    def text(length: int) -> str:
        return "x" * length if alike else chance.randbytes(200).hex()[:length]

    one = One()
    one.tick(
        *(
            problem(
                f"{number} {text(500)}", summary=text(5_000), numbers={text(60): text(500) for _ in range(20)}
            )
            for number in range(INCIDENTS_MAX)
        )
    )
    assert one.cursor is not None and len(one.cursor.encode()) <= CURSOR_BYTES_MAX
    kept = from_cursor(one.cursor).incidents
    assert len(kept) == INCIDENTS_MAX if alike else len(kept) > INCIDENTS_MAX // 3
    assert all(incident.told for incident in kept.values())


def test_a_cursor_that_cannot_be_read_starts_from_nothing() -> None:
    for text in (
        None,
        "",
        "{",
        "[]",
        "null",
        '{"format": 99}',
        '{"format": 1, "incidents": [{"key": "x"}]}',
        "z2:~~",
    ):
        assert from_cursor(text) == BookState()


texts = st.text(max_size=400)
problems_ = st.builds(
    Problem,
    kind=st.sampled_from(["check", "run", "freshness", "sensor"]),
    object=texts,
    where=texts,
    summary=texts,
    numbers=st.dictionaries(texts, st.integers() | st.floats(allow_nan=False) | texts, max_size=10),
    since=st.datetimes(timezones=st.just(UTC)),
    link=texts,
    severity=st.sampled_from(["error", "warn"]),
    owner=texts,
    tags=st.dictionaries(texts, texts, max_size=12),
    causes=st.lists(texts, max_size=10).map(tuple),
    amount=st.integers(0, 10**9),
)


@given(st.lists(problems_, max_size=6))
def test_the_cursor_holds_everything_that_is_open(found: list[Problem]) -> None:
    open_ = decide({}, found, NOON)
    assert from_cursor(to_cursor(BookState(open_, 7))) == BookState(open_, 7)


@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sampled_from([True, False, None])), max_size=12)
)
def test_told_openings_and_recoveries_alternate_and_end_in_agreement(
    looks: Sequence[tuple[set[str], bool | None]],
) -> None:
    """Whatever comes and goes and whatever is lost on the way, people hear of each object
    open, recovered, open, ... and after one last delivered look they know what is wrong."""
    one = One()
    heard: dict[str, list[bool]] = {}
    now_wrong = looks[-1][0] if looks else set()
    for wrong, up in [*looks, (now_wrong, True)]:
        one.channel.up = up
        one.tick(*(problem(name) for name in sorted(wrong)))
        for post in one.channel.posts:
            for notice in post.notices:
                news = [True] if not notice.recovered else [True, False] if notice.summary else [False]
                heard.setdefault(notice.name, []).extend(news)
        one.channel.posts.clear()
    for history in heard.values():
        assert all(a != b for a, b in itertools.pairwise(history))
        assert history[0] is True
    assert {name for name, history in heard.items() if history[-1]} == now_wrong


def before(*incidents: dict[str, Any]) -> str:
    """A cursor as the version before the book wrote it."""
    usual = {
        "kind": "check", "object": "a", "where": "raw", "summary": "broken", "numbers": {"rows": 3},
        "since": NOON.isoformat(), "link": "/assets/a", "announced": True, "recovered_at": None,
    }  # fmt: skip
    made = [{**usual, **one} for one in incidents]
    return json.dumps(
        {"format": 1, "incidents": [{"key": f"{one['kind']}:{one['object']}", **one} for one in made]}
    )


def two(cursor: str) -> tuple[Ticker, Recorder, Recorder]:
    slack, pager = Recorder(), Recorder()
    ticker = Ticker({"team": slack, "pager": pager}, cursor=cursor)
    before = {"slack HOOK": "team", "webhook PAGER": "pager"}
    out = ticker.out()
    ticker.out = lambda: type(out)(out.channels, out.routing, before)  # type: ignore[method-assign]
    return ticker, slack, pager


def test_what_an_earlier_version_told_is_not_told_again_and_its_end_is() -> None:
    ticker, slack, pager = two(before({"object": "a"}, {"object": "b"}))
    ticker.tick(problem("a"), problem("b"))
    assert slack.heard() == pager.heard() == []
    ticker.tick(problem("b"))
    assert slack.heard() == pager.heard() == ["recovered: a"]


def test_what_an_earlier_version_could_not_tell_everybody_is_told_the_others() -> None:
    ticker, slack, pager = two(before({"object": "a", "announced": False, "heard": ["slack HOOK"]}))
    ticker.tick(problem("a"))
    assert (slack.heard(), pager.heard()) == ([], ["opened: a"])
    over = (NOON + timedelta(minutes=5)).isoformat()
    ticker, slack, pager = two(before({"object": "a", "recovered_at": over, "relieved": ["slack HOOK"]}))
    ticker.tick()
    assert (slack.heard(), pager.heard()) == ([], ["recovered: a"])
    ticker, slack, pager = two(before({"object": "a", "announced": False, "recovered_at": over}))
    ticker.tick()
    assert "It could not be reported earlier" in slack.posts[0].text
    assert slack.heard() == pager.heard() == ["recovered: a"]


def test_what_has_another_kind_today_goes_on() -> None:
    ticker, slack, _ = two(before({"kind": "run", "object": "shop/users"}))
    ticker.tick(problem("shop/users", kind="schema"))
    assert slack.heard() == []
    ticker.tick()
    assert slack.heard() == ["recovered: shop/users"] and from_cursor(ticker.cursor).incidents == {}


def test_an_incident_is_kept_for_a_channel_that_is_away_but_not_for_ever(one: One) -> None:
    one.look(problem())
    one.look(up=False)
    assert from_cursor(one.cursor).incidents
    one.look(up=False, minutes=8 * 24 * 60)
    assert from_cursor(one.cursor).incidents == {}
