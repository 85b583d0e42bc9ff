"""Once per incident, once on recovery, nothing lost when a message did not get through."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from data_platform.alerts.incidents import (
    INCIDENTS_MAX,
    Incident,
    Opened,
    Problem,
    Recovered,
    decide,
    delivered,
    from_cursor,
    to_cursor,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def problem(
    object_: str = "raw/shop/orders: revenue_gte_0", kind: str = "check", **changes: object
) -> Problem:
    fields: dict[str, object] = {
        "where": "raw/shop/orders",
        "summary": "3 rows break the rule revenue >= 0",
        "numbers": {"failing rows": 3, "rows": 100},
        "since": NOON,
        "link": "/assets/raw/shop/orders",
    }
    return Problem(kind, object_, **{**fields, **changes})  # type: ignore[arg-type]


def tick(
    open_: Mapping[str, Incident],
    *problems: Problem,
    now: datetime = NOON,
    delivering: bool = True,
    **options: object,
) -> tuple[Mapping[str, Incident], list[tuple[str, str]]]:
    """One look through the cursor's text; returns what people read."""
    decision = decide(from_cursor(to_cursor(open_)), problems, now, **options)  # type: ignore[arg-type]
    told = [(type(message).__name__, message.key) for message in decision.messages]
    keys = [message.key for message in decision.messages]
    return (delivered(decision.open, keys) if delivering else decision.open), told


def test_a_problem_is_told_once_and_its_recovery_once() -> None:
    one = problem()
    open_, told = tick({}, one)
    assert told == [("Opened", one.key)]
    open_, told = tick(open_, one)
    assert told == []
    open_, told = tick(open_)
    assert told == [("Recovered", one.key)]
    assert open_ == {}
    assert tick(open_) == ({}, [])


def test_a_second_problem_is_an_incident_of_its_own() -> None:
    open_, _ = tick({}, problem("a"))
    open_, told = tick(open_, problem("a"), problem("b"))
    assert told == [("Opened", problem("b").key)]
    _, told = tick(open_, problem("b"))
    assert told == [("Recovered", problem("a").key)]


def test_the_same_name_of_another_kind_is_another_incident() -> None:
    _, told = tick({}, problem("x", kind="check"), problem("x", kind="freshness"))
    assert len(told) == 2


def test_an_undelivered_opening_comes_again() -> None:
    open_, told = tick({}, problem(), delivering=False)
    open_, again = tick(open_, problem(), delivering=False)
    assert told == again == [("Opened", problem().key)]
    open_, third = tick(open_, problem())
    assert third == told
    assert tick(open_, problem())[1] == []


def test_an_undelivered_recovery_comes_again_with_the_instant_it_happened() -> None:
    open_, _ = tick({}, problem())
    later = NOON + timedelta(hours=1)
    open_, told = tick(open_, now=later, delivering=False)
    assert told == [("Recovered", problem().key)]
    decision = decide(open_, [], later + timedelta(hours=5))
    [message] = decision.messages
    assert isinstance(message, Recovered)
    assert (message.at, message.announced) == (later, True)


def test_what_came_and_went_while_nothing_could_be_sent_is_told_in_one_message() -> None:
    open_, _ = tick({}, problem(), delivering=False)
    decision = decide(open_, [], NOON + timedelta(minutes=5))
    [message] = decision.messages
    assert isinstance(message, Recovered)
    assert not message.announced
    assert message.problem.summary == problem().summary


def test_coming_back_before_the_recovery_was_told_is_the_same_incident() -> None:
    open_, _ = tick({}, problem())
    open_, _ = tick(open_, delivering=False)
    open_, told = tick(open_, problem())
    assert told == []
    assert tick(open_)[1] == [("Recovered", problem().key)]


def test_not_knowing_is_not_a_recovery() -> None:
    open_, _ = tick({}, problem(kind="freshness"), problem(kind="check"))
    open_, told = tick(open_, unknown_kinds={"freshness"})
    assert told == [("Recovered", problem(kind="check").key)]
    assert tick(open_)[1] == [("Recovered", problem(kind="freshness").key)]


def test_since_is_the_first_sight_and_the_numbers_are_the_newest() -> None:
    open_, _ = tick({}, problem())
    worse = problem(numbers={"failing rows": 9}, since=NOON + timedelta(hours=2))
    open_, _ = tick(open_, worse)
    [incident] = open_.values()
    assert incident.problem.since == NOON
    assert incident.problem.numbers == {"failing rows": 9}


def test_a_flood_is_bounded_counted_and_recovers() -> None:
    flood = [
        problem(f"{'x' * 500}{n}", summary="s" * 5000, numbers={f"n{k}" * 30: "v" * 500 for k in range(50)})
        for n in range(2_000)
    ]
    open_, told = tick({}, *flood)
    assert len(told) == INCIDENTS_MAX + 1
    assert len(to_cursor(open_).encode()) < 256 * 1024
    assert len({key for _, key in told}) == INCIDENTS_MAX + 1, "long names stay apart"
    open_, told = tick(open_, *flood)
    assert told == []
    open_, told = tick(open_)
    assert {kind for kind, _ in told} == {"Recovered"}
    assert open_ == {}


def test_room_that_frees_up_is_used() -> None:
    many = [problem(f"check {n:04d}") for n in range(INCIDENTS_MAX + 1)]
    open_, _ = tick({}, *many)
    open_, told = tick(open_, *many[1:])
    assert sorted(kind for kind, _ in told) == ["Recovered"]
    _, told = tick(open_, *many[1:])
    assert ("Opened", many[-1].key) in told
    assert any(kind == "Recovered" and key.startswith("alerts:") for kind, key in told)


def test_a_cursor_that_cannot_be_read_starts_anew() -> None:
    for text in (None, "", "{", "[]", "null", '{"format": 99}', '{"format": 1, "incidents": [{"key": "x"}]}'):
        assert from_cursor(text) == {}


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
)


@given(st.lists(problems_, max_size=6))
def test_the_cursor_holds_everything_that_is_open(found: list[Problem]) -> None:
    decision = decide({}, found, NOON)
    assert from_cursor(to_cursor(decision.open)) == decision.open
    assert all(isinstance(message, Opened) for message in decision.messages)


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.booleans()), max_size=12))
def test_told_openings_and_recoveries_alternate_and_end_in_agreement(
    looks: list[tuple[set[str], bool]],
) -> None:
    """Whatever comes and goes and whatever is lost on the way, people hear of each object
    open, recovered, open, ... and after one last delivered look they know what is wrong."""
    open_: Mapping[str, Incident] = {}
    heard: dict[str, list[bool]] = {}
    now_wrong = looks[-1][0] if looks else set()
    for number, (wrong, delivering) in enumerate([*looks, (now_wrong, True)]):
        decision = decide(open_, [problem(name) for name in sorted(wrong)], NOON + timedelta(minutes=number))
        open_ = decision.open
        if delivering:
            for message in decision.messages:
                news = [False] if isinstance(message, Recovered) else [True]
                if isinstance(message, Recovered) and not message.announced:
                    news = [True, False]
                heard.setdefault(message.problem.object, []).extend(news)
            open_ = delivered(open_, [message.key for message in decision.messages])
    for history in heard.values():
        assert all(a != b for a, b in itertools.pairwise(history))
        assert history[0] is True
    assert {name for name, history in heard.items() if history[-1]} == now_wrong
