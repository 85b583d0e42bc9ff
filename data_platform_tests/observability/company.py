"""A small company whose health the tests look at: a shop with two tables, three models and a mart of another domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from data_platform.observability.health import assess
from data_platform.observability.trust import (
    Backups,
    Check,
    Copy,
    Health,
    Incident,
    Point,
    Series,
    Thing,
    Tracked,
    TrackedPoint,
)

NOW = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)


def before(**span: float) -> datetime:
    return NOW - timedelta(**span)


def passed(name: str, at: datetime, **rest: Any) -> Check:
    return Check(name, "passed", at=at, **rest)


def failed(name: str, at: datetime, since: datetime, text: str = "", **rest: Any) -> Check:
    return Check(name, "failed", at=at, since=since, text=text, **rest)


def judged_rows(alarm: str = "121 is above the usual range (+130%)") -> Tracked:
    """The rows of 60 days, of which one was an alarm."""
    points = [
        TrackedPoint((date(2026, 9, 30) + timedelta(n)).isoformat(), 50.0 + n % 7, False) for n in range(60)
    ]
    return Tracked("rows", (*points[:58], TrackedPoint("2026-11-27", 121.0, True), points[59]), "", alarm)


def table(name: str, **changes: Any) -> Thing:
    """A table of the shop that is as it should be."""
    one = Thing(
        label=f"shop/{name}",
        relation=f"raw_shop.{name}",
        kind="table",
        domain="shop",
        owner="shop@company.example",
        link=f"/assets/raw/shop/{name}",
        seen_at=before(minutes=20),
        changed_at=before(hours=1),
        checks=(passed("id_not_null", before(minutes=50)),),
        complete=passed("complete", before(minutes=50)),
        provable=True,
        rows=1000,
        history=tuple(Point(before(hours=30 - n), 900 + n * 4, 1.5 + n % 3) for n in range(30)),
    )
    return replace(one, **changes)


def model(relation: str, *upstream: str, **changes: Any) -> Thing:
    """A model that was built after all that it is made from."""
    one = Thing(
        label=relation,
        relation=relation,
        kind="model",
        domain="sales",
        owner="team:sales",
        link="/assets/" + relation.replace(".", "/"),
        upstream=upstream,
        seen_at=before(minutes=45),
        changed_at=before(minutes=45),
        checks=(passed(f"not_null_{relation.replace('.', '_')}_id", before(minutes=45)),),
        rows=500,
        history=tuple(Point(before(hours=30 - n), 400 + n * 4, 0.5 + n % 2) for n in range(30)),
    )
    return replace(one, **changes)


def company(*changed: Thing) -> list[Thing]:
    """All is well, but for ``changed``: these stand in the place of those with their labels."""
    things = [
        table("orders"),
        table("users"),
        model("staging.stg_shop__orders", "shop/orders", kind="view", domain="shop", rows=None),
        model("marts.daily_revenue", "staging.stg_shop__orders"),
        model("marts.user_dim", "shop/users", domain="customers", owner="team:customers"),
    ]
    labels = {one.label: one for one in changed}
    known = {one.label for one in things}
    return [labels.get(one.label, one) for one in things] + [one for one in changed if one.label not in known]


def backed_up(**changes: Any) -> Backups:
    held = {one.relation.lower() for one in company()}
    return replace(
        Backups(
            copies=(Copy("primary", before(hours=12)),),
            held=frozenset(held),
            drill=passed("last_good_drill", before(days=2)),
        ),
        **changes,
    )


def series(days: int = 90) -> tuple[Series, ...]:
    first = date(2026, 11, 30) - timedelta(days=days - 1)
    at = [first + timedelta(days=n) for n in range(days)]
    wave = [1 + 0.25 * math.sin(n / 7 * 2 * math.pi) + n / 200 for n in range(days)]
    return (
        Series(
            "Revenue",
            "marts.daily_revenue",
            "EUR",
            "What orders are worth, minus refunds.",
            tuple((day, 4200 * w) for day, w in zip(at, wave, strict=True)),
        ),
        Series(
            "Orders",
            "marts.daily_revenue",
            "",
            "Orders placed.",
            tuple((d, round(80 * w)) for d, w in zip(at, wave, strict=True)),
        ),
        Series(
            "Sign-ups",
            "marts.user_dim",
            "",
            "Accounts opened.",
            tuple((d, round(12 * w)) for d, w in zip(at, wave, strict=True)),
        ),
    )


def health(
    *changed: Thing,
    backups: Backups | None = None,
    figures: Sequence[Series] | None = None,
    incidents: Sequence[Incident] | None = None,
    notes: Sequence[str] = (),
) -> Health:
    return assess(
        company(*changed),
        series() if figures is None else figures,
        backed_up() if backups is None else backups,
        NOW,
        "local",
        incidents,
        notes,
    )
