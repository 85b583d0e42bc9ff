"""One upstream failure, not forty children; and what people decide about an incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from data_platform.alerts.book import Book
from data_platform.alerts.grouping import Causes
from data_platform.alerts.incidents import GRACE, Incident, resolved, snoozed
from data_platform.alerts.state import BookState
from data_platform.stores.local import LocalStore
from data_platform_tests.alerts.ticks import NOON, Recorder, Ticker, problem, routes

ROOT = problem("raw/shop/orders", kind="run")
CHILDREN = [problem(f"marts/table_{n:02d}", kind="freshness", causes=(ROOT.key,)) for n in range(40)]


def test_forty_children_are_listed_under_what_caused_them() -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack})
    ticker.tick(*CHILDREN, ROOT)
    [post] = slack.posts
    assert (
        "because of it: marts/table_00, marts/table_01, marts/table_02, marts/table_03, marts/table_04 and 35 more"
        in (post.text)
    )
    assert slack.heard() == ["opened: raw/shop/orders"]
    ticker.tick(*CHILDREN, ROOT)
    ticker.tick(*CHILDREN[:5])
    assert slack.heard() == ["recovered: raw/shop/orders"]
    ticker.tick()
    assert slack.heard() == [], "what was never sent needs no end"


def test_children_get_their_time_after_the_cause_and_then_are_reported() -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack})
    ticker.tick(ROOT, *CHILDREN[:2])
    ticker.tick(*(replace(one, causes=()) for one in CHILDREN[:2]))
    assert slack.heard() == ["opened: raw/shop/orders", "recovered: raw/shop/orders"]
    ticker.tick(replace(CHILDREN[0], causes=()), minutes=GRACE.total_seconds() / 60 - 1)
    assert slack.heard() == []
    ticker.tick(replace(CHILDREN[0], causes=()), minutes=1)
    assert slack.heard() == ["opened: marts/table_00"]


def test_where_the_cause_is_not_heard_its_children_are() -> None:
    """The failed run pages a person; the team's list still gets a mail, and only one for all that is stale."""
    pager, mail = Recorder(), Recorder()
    ticker = Ticker(
        {"pager": pager, "mail": mail}, routes({"kinds": ["run"], "to": ["pager"]}, {"to": ["mail"]})
    )
    first, *others = CHILDREN[:10]
    below = [replace(one, causes=(first.key, ROOT.key)) for one in others]
    ticker.tick(ROOT, first, *below)
    assert (pager.heard(), mail.heard()) == (["opened: raw/shop/orders"], ["opened: marts/table_00"])


def test_a_child_that_was_told_before_its_cause_opened_stays_told() -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack})
    ticker.tick(CHILDREN[0])
    ticker.tick(CHILDREN[0], ROOT)
    assert slack.heard() == ["opened: marts/table_00", "opened: raw/shop/orders"]
    ticker.tick(ROOT)
    assert slack.heard() == ["recovered: marts/table_00"]


def test_a_cause_that_is_unknown_holds_nothing_back() -> None:
    slack = Recorder()
    Ticker({"slack": slack}).tick(CHILDREN[0])
    assert slack.heard() == ["opened: marts/table_00"]


edges = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)


@given(edges, st.sets(st.integers(0, 9)))
@example([(0, 1), (1, 2), (2, 0)], {0, 1, 2})
def test_whatever_causes_what_something_is_said_of_everything(
    pairs: list[tuple[int, int]], chosen: set[int]
) -> None:
    """Circles included: each incident is said itself or listed under one that is."""
    causes: dict[int, set[str]] = {n: set() for n in range(10)}
    for child, cause in pairs:
        causes[child].add(f"check:{cause}")
    made = {
        f"check:{n}": Incident(f"check:{n}", problem(str(n), causes=tuple(sorted(above))), NOON)
        for n, above in causes.items()
    }
    members = [f"check:{n}" for n in chosen]
    found = Causes(made)
    listed = found.roots(members)
    for child, root in listed.items():
        assert child != root and root in members and root not in listed and root in found.above(child)
    for member in members:
        others = found.above(member) & set(members)
        assert member in listed or not others or any(member in found.above(one) for one in others)


def changed(ticker: Ticker, key: str, change: object) -> None:
    def write(state: BookState) -> BookState:
        return replace(state, incidents={**state.incidents, key: change(state.incidents[key])})  # type: ignore[operator]

    Book("alerts", ticker.store).update(write)


def test_a_snoozed_incident_is_silent_and_says_so_once(tmp_path: object) -> None:
    slack, boss = Recorder(), Recorder()
    ticker = Ticker(
        {"slack": slack, "boss": boss},
        routes({"to": ["slack"], "escalate": {"after_minutes": 30, "to": ["boss"]}}),
        store=LocalStore(tmp_path / "store"),  # type: ignore[operator]
    )
    ticker.tick(problem())
    slack.heard()
    until = ticker.now + timedelta(hours=2)
    changed(ticker, "check:a", lambda one: snoozed(one, until, "ada"))
    ticker.tick(problem())
    assert "snoozed until: 2026-11-22 14:01 UTC" in slack.posts[0].text and "by: ada" in slack.posts[0].text
    assert slack.heard() == ["snoozed: a"]
    ticker.tick(problem(), minutes=90)
    assert (slack.heard(), boss.heard()) == ([], []), "nobody is told more while it is snoozed"
    ticker.tick(problem(), minutes=30)
    assert (slack.heard(), boss.heard()) == (["escalated: a"], ["opened: a"])
    changed(ticker, "check:a", lambda one: snoozed(one, ticker.now + timedelta(hours=2), "ada"))
    ticker.tick(problem())
    slack.heard(), boss.heard()
    ticker.tick(problem(), minutes=180)
    assert slack.heard() == boss.heard() == ["reminded: a"]
    changed(ticker, "check:a", lambda one: snoozed(one, ticker.now + timedelta(hours=2), "ada"))
    ticker.tick()
    assert slack.heard() == boss.heard() == ["recovered: a"]


def test_a_resolved_incident_stays_silent_until_its_problem_has_gone(tmp_path: object) -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack}, store=LocalStore(tmp_path / "store"))  # type: ignore[operator]
    ticker.tick(problem())
    slack.heard()
    changed(ticker, "check:a", lambda one: resolved(one, "ada"))
    ticker.tick(problem())
    assert "by: ada" in slack.posts[0].text and slack.posts[0].over
    assert slack.heard() == ["resolved: a"]
    ticker.tick(problem(), minutes=600)
    assert slack.heard() == []
    ticker.tick()
    assert slack.heard() == []
    ticker.tick(problem())
    assert slack.heard() == ["opened: a"]


def test_what_comes_back_after_it_was_resolved_is_open_also_where_nobody_heard_of_that(
    tmp_path: object,
) -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack}, store=LocalStore(tmp_path / "store"))  # type: ignore[operator]
    ticker.tick(problem())
    slack.heard()
    changed(ticker, "check:a", lambda one: resolved(one, "ada"))
    slack.up = False
    ticker.tick()
    ticker.tick(problem())
    slack.up = True
    ticker.tick(problem())
    assert slack.heard() == []
    ticker.tick()
    assert slack.heard() == ["recovered: a"]
