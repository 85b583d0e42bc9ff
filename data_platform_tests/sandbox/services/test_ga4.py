"""The sandbox's Google Analytics tells what the shop did, and when its figures settle."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from data_platform_tests.conftest import SHOP_TODAY
from data_platform_tests.sandbox.services.property import MIDNIGHT, Property, ga4

ZONE = ZoneInfo("America/New_York")


# ---------------------------------------------------------------- the same business


def test_reports_tell_what_the_shop_says(property_: Property, ga4_shop: str) -> None:
    with psycopg.connect(ga4_shop) as connection:
        expected = connection.execute(
            "SELECT to_char(occurred_at AT TIME ZONE 'America/New_York', 'YYYYMMDD'), count(DISTINCT session_id)::text, "
            "count(*) FILTER (WHERE event_type = 'page_view')::text, count(*) FILTER (WHERE event_type = 'purchase')::text "
            "FROM events GROUP BY 1 ORDER BY 1"
        ).fetchall()
        revenue = connection.execute(
            "SELECT sum(o.revenue) FROM events JOIN orders o ON o.order_id = (properties ->> 'order_id')::bigint "
            "WHERE event_type = 'purchase'"
        ).fetchone()
    by_date = {"orderBys": [{"dimension": {"dimensionName": "date"}}]}
    assert property_.rows("date", "sessions screenPageViews ecommercePurchases", **by_date) == expected
    assert revenue is not None
    assert float(property_.rows("", "purchaseRevenue")[0][0]) == float(revenue[0])


def test_events_sessions_and_pages_agree(property_: Property) -> None:
    events = dict(property_.rows("eventName", "eventCount"))
    (whole,) = property_.rows("", "sessions eventCount keyEvents screenPageViews newUsers")
    assert events["session_start"] == whole[0]
    assert sum(map(int, events.values())) == int(whole[1])
    assert int(events["purchase"]) + int(events["sign_up"]) == int(whole[2])
    assert sum(int(n) for _, n in property_.rows("pagePath", "screenPageViews")) == int(whole[3])
    assert events["first_visit"] == whole[4]
    for dimension in ("sessionSourceMedium", "sessionDefaultChannelGroup", "deviceCategory", "country"):
        rows = property_.rows(dimension, "sessions")
        assert len(rows) > 2
        assert sum(int(n) for _, n in rows) == int(whole[0])


def test_users_do_not_add_up_over_days(property_: Property) -> None:
    (whole,) = property_.rows("", "totalUsers")
    assert sum(int(n) for _, n in property_.rows("date", "totalUsers")) > int(whole[0])


# ---------------------------------------------------------------- days that move


def test_a_day_moves_until_it_is_settled_and_then_no_more(property_: Property) -> None:
    days = [(SHOP_TODAY - timedelta(days=n)).isoformat() for n in range(1, 40)]
    property_.analytics.behaviour.settle_hours = 10 * 24
    seen = []
    for age in (0.25, 3, 6, 10, 10.5, 20):
        property_.at(age)
        seen.append(dict(property_.rows("date", "eventCount", start=days[-1], end=days[0])))
    totals = [sum(map(int, counts.values())) for counts in seen]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1]
    assert seen[-1] == seen[-2] == seen[-3]
    settled = (SHOP_TODAY - timedelta(days=11)).strftime("%Y%m%d")
    assert min(day for day in seen[-1] if seen[0].get(day) != seen[-1][day]) > settled
    property_.at(0.25)
    assert dict(property_.rows("date", "eventCount", start=days[-1], end=days[0])) == seen[0]


def test_sources_of_sessions_settle_later_than_their_events(property_: Property) -> None:
    days = {"start": (SHOP_TODAY - timedelta(days=90)).isoformat(), "end": SHOP_TODAY.isoformat()}
    property_.at(3.5)
    early = dict(property_.rows("sessionDefaultChannelGroup", "sessions", **days))
    property_.at(13)
    late = dict(property_.rows("sessionDefaultChannelGroup", "sessions", **days))
    assert sum(map(int, early.values())) == sum(map(int, late.values()))
    assert "Unassigned" not in late


def test_today_is_partial(shop_copy: str, tmp_path: Path) -> None:
    noon = datetime(2026, 11, 25, 12, tzinfo=ZONE)
    with psycopg.connect(shop_copy) as connection:
        for hour in (1, 9, 11, 13):
            connection.execute(
                "INSERT INTO events (event_type, session_id, properties, occurred_at) "
                "SELECT 'page_view', gen_random_uuid(), '{\"product_id\": 1}', %s FROM generate_series(1, 50)",
                (noon.replace(hour=hour),),
            )
    with ga4(shop_copy, tmp_path) as property_:
        property_.at((noon.timestamp() - MIDNIGHT) / 86400)
        hours = dict(property_.rows("dateHour", "screenPageViews", start="today"))
        assert set(hours) == {"2026112501", "2026112509", "2026112511"}
        property_.at((noon.timestamp() - MIDNIGHT) / 86400 + 4)
        whole = dict(property_.rows("dateHour", "screenPageViews", start="2026-11-25", end="2026-11-25"))
        assert whole == dict.fromkeys(["2026112501", "2026112509", "2026112511", "2026112513"], "50")
