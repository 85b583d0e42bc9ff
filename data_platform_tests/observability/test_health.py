"""The model of trust, case by case: what each aspect says, since when, and what it does to what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from data_platform.observability.health import BUILD_GRACE, CHECK_GRACE, COMPARED_WITHIN
from data_platform.observability.trust import (
    Aspect,
    Backups,
    Check,
    Copy,
    Health,
    Judged,
    Series,
    State,
    Thing,
    Trust,
)

from .company import NOW, backed_up, before, failed, health, model, passed, series, table

ORDERS, REVENUE, STAGED = "shop/orders", "marts.daily_revenue", "staging.stg_shop__orders"


def of(found: Health, label: str) -> Judged:
    (one,) = [one for one in found.judged if one.thing.label == label]
    return one


def own(thing: Thing, **rest: Any) -> Trust:
    return of(health(thing, **rest), thing.label).own


def test_a_company_where_all_is_well() -> None:
    found = health()
    assert (found.state, found.counts["ok"], found.findings) == ("ok", 5, ())
    assert [figure.trust.state for figure in found.figures] == ["ok", "ok", "ok"]
    assert {one.trust.complete.state for one in found.judged} == {"ok"}, (
        "models are as complete as their tables"
    )


@pytest.mark.parametrize(
    ("changes", "state", "since"),
    [
        ({}, "ok", before(minutes=20)),
        ({"seen_at": None}, "bad", None),
        ({"seen_at": before(hours=6)}, "ok", before(hours=6)),
        ({"seen_at": before(hours=6, seconds=1)}, "bad", before(seconds=1)),
        ({"seen_at": before(days=3), "fresh_for": timedelta(days=4)}, "ok", before(days=3)),
        ({"failure": "the server is gone"}, "bad", before(minutes=20)),
        ({"behind": None}, "unknown", None),
        ({"behind": 2}, "bad", before(hours=1)),
        ({"error": "manifest 7 is damaged"}, "unknown", None),
    ],
)
def test_a_table_is_fresh_if_its_source_was_read_in_time(
    changes: dict[str, Any], state: State, since: object
) -> None:
    fresh = own(table("orders", **changes)).fresh
    assert (fresh.state, fresh.since, fresh.of) == (state, since, ORDERS)


@pytest.mark.parametrize(
    ("built", "loaded", "state", "since"),
    [
        (before(minutes=45), before(hours=1), "ok", before(minutes=45)),
        (None, before(hours=1), "bad", None),
        (before(hours=1), before(minutes=59), "warn", before(minutes=59)),
        (before(hours=5), NOW - BUILD_GRACE, "warn", NOW - BUILD_GRACE),
        (before(hours=5), before(hours=2), "bad", before(hours=2)),
        (before(days=30), before(days=31), "ok", before(days=30)),
    ],
)
def test_a_model_is_fresh_if_it_holds_the_newest_load_of_all_it_is_made_from(
    built: Any, loaded: Any, state: State, since: object
) -> None:
    changed = (
        table("orders", changed_at=loaded, checks=()),
        model(REVENUE, STAGED, seen_at=built, changed_at=built, checks=()),
    )
    fresh = of(health(*changed), REVENUE).own.fresh
    assert (fresh.state, fresh.since) == (state, since)


ERROR = failed("revenue_gte_0", before(minutes=40), before(days=2), "3 of 9 rows fail")
WARNING = replace(ERROR, name="warned", severity="warn")
LOST = Check("lost", "unknown", at=before(minutes=40), since=before(hours=5), text="no column `x`")
NEVER = Check("never", "unknown")
FINE = passed("fine", before(minutes=40))


@pytest.mark.parametrize(
    ("checks", "state", "since", "said"),
    [
        ((), "none", None, "no check is declared"),
        ((FINE,), "ok", before(minutes=40), "1 check passed"),
        ((FINE, WARNING), "warn", before(days=2), "warned fails"),
        ((FINE, ERROR, WARNING), "bad", before(days=2), "revenue_gte_0 fails: 3 of 9 rows fail"),
        ((FINE, LOST), "unknown", before(hours=5), "lost cannot be evaluated: no column `x`"),
        ((WARNING, LOST), "unknown", before(hours=5), "cannot be evaluated"),
        ((ERROR, LOST), "bad", before(days=2), "revenue_gte_0 fails"),
        ((FINE, NEVER), "unknown", None, "never was never evaluated"),
        ((NEVER, replace(NEVER, name="b")), "unknown", None, "never and 1 other check were never"),
        ((passed("old", NOW - timedelta(hours=1) - CHECK_GRACE),), "ok", None, "passed"),
        (
            (passed("old", NOW - timedelta(hours=1, seconds=1) - CHECK_GRACE), WARNING),
            "unknown",
            before(hours=1),
            "have changed since old was evaluated",
        ),
    ],
)
def test_checks(checks: tuple[Check, ...], state: State, since: Any, said: str) -> None:
    checked = own(table("orders", checks=checks)).checked
    assert checked.state == state
    assert said in checked.text
    assert since is None or checked.since == since


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"provable": False}, "none"),
        ({"complete": None}, "unknown"),
        ({"complete": Check("complete", "unknown")}, "unknown"),
        ({"complete": failed("complete", before(hours=1), before(days=1), "2 slices differ")}, "bad"),
        ({"complete": passed("complete", NOW - COMPARED_WITHIN)}, "ok"),
        ({"complete": passed("complete", NOW - COMPARED_WITHIN - timedelta(seconds=1))}, "unknown"),
    ],
)
def test_completeness(changes: dict[str, Any], state: State) -> None:
    assert own(table("orders", **changes)).complete.state == state


@pytest.mark.parametrize(
    ("backups", "state"),
    [
        (backed_up(), "ok"),
        (backed_up(held=frozenset()), "warn"),
        (backed_up(copies=()), "bad"),
        (backed_up(copies=(Copy("primary", None, "every backup in it is damaged"),)), "bad"),
        (backed_up(copies=(Copy("primary", before(hours=26)),)), "ok"),
        (backed_up(copies=(Copy("primary", before(hours=26, seconds=1)),)), "bad"),
        (
            backed_up(
                copies=(Copy("primary", before(hours=1)), Copy("offsite", None, "it cannot be reached"))
            ),
            "warn",
        ),
        (Backups(absent="this environment makes no backups"), "bad"),
        (Backups(absent="the engine keeps its copies", elsewhere=True), "none"),
    ],
)
def test_backups(backups: Backups, state: State) -> None:
    trust = own(table("orders"), backups=backups)
    assert trust.backed_up.state == state
    assert trust.state in ("ok", "warn"), "a missing copy makes no value wrong"


def test_what_is_made_of_something_is_trusted_as_little() -> None:
    found = health(table("orders", checks=(ERROR,)))
    assert {one.thing.label for one in found.judged if one.trust.state == "bad"} == {ORDERS, STAGED, REVENUE}
    assert of(found, REVENUE).own.state == "ok"
    worst = of(found, REVENUE).trust.worst
    assert (worst.of, worst.since, worst.text) == (
        ORDERS,
        before(days=2),
        "revenue_gte_0 fails: 3 of 9 rows fail",
    )
    assert [figure.trust.state for figure in found.figures] == ["bad", "bad", "ok"]
    (finding,) = found.findings
    assert (finding.labels, finding.figures, finding.aspect) == ((ORDERS,), ("Revenue", "Orders"), "checked")
    assert found.state == "bad"


def test_of_several_reasons_the_worst_counts_and_then_the_first() -> None:
    late = failed("late", before(minutes=40), before(hours=1))
    found = health(table("orders", checks=(late,)), model(REVENUE, STAGED, checks=(ERROR,)))
    assert of(found, REVENUE).trust.worst.of == REVENUE
    assert of(found, REVENUE).trust.worst.since == before(days=2)
    assert [one.labels for one in found.findings] == [(REVENUE,), (ORDERS,)]


def test_the_same_reason_is_one_finding() -> None:
    found = health(backups=Backups(absent="this environment makes no backups"))
    (finding,) = found.findings
    assert (len(finding.labels), finding.state) == (5, "warn")
    assert found.state == "warn"


STATES: Sequence[State] = ("ok", "warn", "bad", "unknown", "none")


def test_unknown_is_never_ok() -> None:
    for states in product(STATES, repeat=4):
        trust = Trust(*(Aspect(state, "") for state in states))
        believed = states[:3]
        if "bad" in believed:
            assert trust.state == "bad", states
        elif "unknown" in believed or set(states) == {"none"}:
            assert trust.state == "unknown", states
        else:
            assert trust.state == ("warn" if {"warn", "bad", "unknown"} & set(states) else "ok"), states


def test_a_figure_of_no_known_table_or_that_cannot_be_computed_is_unknown() -> None:
    lost = Series("Lost", "marts.nowhere")
    broken = replace(series()[0], points=(), error="marts.daily_revenue has no column `x`")
    found = health(figures=[lost, broken])
    assert [figure.trust.state for figure in found.figures] == ["unknown", "unknown"]
    assert "no table or model" in found.figures[0].trust.worst.text
    assert "no column" in found.figures[1].trust.worst.text
    assert found.state == "unknown"


def test_an_environment_of_nothing_and_one_that_could_not_be_looked_at_are_unknown() -> None:
    from data_platform.observability.health import assess

    assert assess([], [], Backups(), NOW, "local").state == "unknown"
    assert health(notes=["The warehouse is busy."]).state == "unknown"


def test_a_circle_of_models_ends() -> None:
    a = model("marts.a", "marts.b")
    b = model("marts.b", "marts.a", checks=(ERROR,))
    found = health(a, b)
    assert of(found, "marts.a").trust.state == "bad"


def test_domains_and_owners_are_counted_the_worst_first() -> None:
    found = health(table("orders", checks=(ERROR,)), model("marts.alone", owner=None, domain="zoo"))
    domains = {group.name: group for group in found.domains}
    assert [group.name for group in found.domains][:2] == ["sales", "shop"]
    assert (domains["shop"].counts["ok"], domains["shop"].total) == (1, 3)
    assert domains["customers"].worst.state == "ok"
    assert {group.name for group in found.owners} == {
        "shop@company.example",
        "team:sales",
        "team:customers",
        "nobody",
    }
