"""Reports of the sandbox's Google Analytics through a whole sync: days that move, that are partial, that are empty."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
import requests

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sources.ga4 import feed
from data_platform.sync import sync_slices
from data_platform.tables import Slice, TableId
from data_platform_tests.sources.ga4.conftest import EVENTS, Web, day

LAST = day(1)
"""The property's today."""


def held(web: Web, metrics: str = '"eventCount"') -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for date, *rest in web.rows(
        f'SELECT date::VARCHAR, "eventName", {metrics} FROM raw_web.events ORDER BY ALL'
    ):
        found.setdefault(date, []).append((rest[0], *map(str, rest[1:])))
    return found


def assert_as_told(web: Web, days: Iterable[int]) -> None:
    """The days are in the warehouse as the property tells them now; at least one has rows."""
    rows = held(web)
    expected = {day(n).isoformat(): web.told("eventName", "eventCount", day(n)) for n in days}
    assert any(expected.values())
    assert {name: rows.get(name, []) for name in expected} == expected


def test_a_first_read_is_what_the_property_tells_day_by_day(web: Web) -> None:
    report = web.write().good()["events"]
    assert web.days_asked() == [day(n).isoformat() for n in range(9, 0, -1)]
    assert all(
        asked["returnPropertyQuota"] and asked["orderBys"] for asked in web.asked if "orderBys" in asked
    )
    assert_as_told(web, range(9, 0, -1))
    assert any("tokens left today" in note for note in report.notes)


def test_columns_have_the_types_of_the_property(web: Web) -> None:
    web.write().good()
    types = web.rows(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'raw_web' AND table_name = 'events'"
    )
    found = dict(types)
    assert {
        name: found[name] for name in ("date", "eventName", "eventCount", "eventValue", "purchaseRevenue")
    } == {
        "date": "DATE",
        "eventName": "VARCHAR",
        "eventCount": "BIGINT",
        "eventValue": "DOUBLE",
        "purchaseRevenue": "DECIMAL(38,18)",
    }
    assert found["_partial"] == "BOOLEAN" and found["_samples_read"] == "BIGINT"
    told = dict(web.told("eventName", "purchaseRevenue", day(5)))
    landed = web.rows(
        f"SELECT \"purchaseRevenue\" FROM raw_web.events WHERE date = '{day(5)}' AND \"eventName\" = 'purchase'"
    )
    assert landed == [(Decimal(told["purchase"]),)] and landed[0][0] > 0


def test_a_day_that_moved_is_replaced_whole(web: Web) -> None:
    web.write().good()
    before = held(web)
    web.property.at(2.5)
    web.asked.clear()
    web.good()
    assert web.days_asked() == [day(n).isoformat() for n in range(4, -3, -1)]
    after = held(web)
    assert any(after[day(n).isoformat()] != before.get(day(n).isoformat()) for n in (4, 2, 1))
    assert_as_told(web, range(4, 0, -1))


def test_rows_that_a_day_has_no_more_are_gone_and_so_is_a_day(web: Web) -> None:
    web.write().good()
    before = set(held(web))
    web.property.analytics.behaviour.retained_from = day(3)
    report = web.good()["events"]
    assert before - set(held(web)) == {day(5).isoformat(), day(4).isoformat()}
    assert any("truncated" in note for note in report.notes)


def test_today_is_the_propertys_and_partial(web: Web) -> None:
    """At 02:00 UTC it is still the day before in New York."""
    web.property.at(-1 + 2 / 24)
    report = web.write().good()["events"]
    partial = web.rows("SELECT DISTINCT date::VARCHAR FROM raw_web.events WHERE _partial")
    assert web.days_asked()[-1] == day(2).isoformat()
    assert partial in ([(day(2).isoformat(),)], [])
    assert any(f"{day(2)} is not over" in note for note in report.notes)
    web.property.at(0.5)
    web.good()
    assert web.rows(f"SELECT count(*) FROM raw_web.events WHERE _partial AND date < '{day(0)}'") == [(0,)]


def test_forty_days_are_read_again_once_in_a_while(web: Web) -> None:
    web.write(wide_reread_days=8, wide_reread_every_days=6, reread_days=2).good()
    for days, first in ((1.5, 2), (2.5, 0), (5.5, 3)):
        web.property.at(days)
        web.asked.clear()
        web.good()
        assert web.days_asked()[0] == day(first).isoformat()


def test_pages_make_a_whole_day(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LIMIT", 2)
    tables = {"pages": {"preset": "pages"}}
    web.write(tables, start=day(4)).good()
    landed = web.rows(
        f'SELECT "pagePath", "pageTitle", "screenPageViews"::VARCHAR FROM raw_web.pages WHERE date = \'{day(4)}\' AND "screenPageViews" > 0 ORDER BY ALL'
    )
    told = web.told("pagePath pageTitle", "screenPageViews", day(4))
    assert landed == told and len(told) == 4
    assert {int(asked.get("offset", 0)) for asked in web.asked if "orderBys" in asked} >= {0, 2, 4}


def test_a_day_that_changes_between_its_pages_is_read_again(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one request rows are withheld, so that its count is another one."""
    monkeypatch.setattr(feed, "LIMIT", 2)
    web.write(start=day(4))
    behaviour = web.property.analytics.behaviour
    offsets: list[int] = []

    class Withholding(list[dict[str, Any]]):
        def append(self, body: dict[str, Any]) -> None:
            super().append(body)
            if "orderBys" in body:
                offsets.append(int(body.get("offset", 0)))
                behaviour.threshold = 1000 if len(offsets) == 2 else 0

    web.asked = Withholding()
    web.good()
    assert offsets[:4] == [0, 2, 0, 2]
    assert_as_told(web, range(4, 0, -1))


def test_one_day_can_be_asked_for(web: Web) -> None:
    web.write({"events": {**EVENTS["events"], "partition": "date"}}).good()
    web.asked.clear()
    web.property.analytics.behaviour.retained_from = day(6)
    slices = [Slice(day(n).isoformat()) for n in (8, 5)]
    assert [report.error for report in sync_slices(web.platform, "web", None, slices)] == [None]
    assert web.days_asked()[:2] == [day(8).isoformat(), day(5).isoformat()]
    rows = held(web)
    assert day(8).isoformat() not in rows and day(7).isoformat() in rows
    assert_as_told(web, [8, 5])


def test_what_google_leaves_out_is_said_with_each_row(web: Web) -> None:
    behaviour = web.property.analytics.behaviour
    behaviour.sampling, behaviour.threshold, behaviour.other_after = 0.9, 1, 1
    behaviour.restricted = ("purchaseRevenue",)
    tables = {"pages": {"dimensions": ["pagePath"], "metrics": ["screenPageViews", "purchaseRevenue"]}}
    report = web.write(tables, start=day(4)).good()["pages"]
    flags = "_sampled, _thresholded, _other_row, _restricted, _truncated, _currency"
    assert web.rows(f"SELECT DISTINCT {flags} FROM raw_web.pages WHERE date = '{day(4)}'") == [
        (True, True, True, True, False, "USD")
    ]
    assert web.rows(
        "SELECT bool_and(_samples_read < _samples_space) FROM raw_web.pages WHERE _samples_space > 5"
    ) == [(True,)]
    text = " ".join(report.notes)
    for words in ("is sampled: ", "is thresholded", "(other) row", "may not see purchaseRevenue"):
        assert words in text


def test_a_read_stops_before_the_quota_is_used_up_and_goes_on_there(web: Web) -> None:
    quota = web.property.analytics.quota
    quota.limits = type(quota.limits)(tokens_an_hour=8)
    web.write(connection={"quota_reserve": 3})
    error = web.sync()["events"].error
    assert (
        isinstance(error, SourceError)
        and "tokens of the hour" in str(error)
        and "quota_reserve" in str(error)
    )
    before = web.days_asked()
    assert 0 < len(before) < 8
    quota.limits = type(quota.limits)()
    web.asked.clear()
    web.good()
    assert before + web.days_asked() == [day(n).isoformat() for n in range(9, 0, -1)]
    assert_as_told(web, range(9, 0, -1))


def fault(web: Web, **about: Any) -> None:
    requests.post(
        f"{web.property.place.url}/_sandbox/faults",
        data=json.dumps(about),
        headers={"Sandbox-Control": "1"},
        timeout=10,
    ).raise_for_status()


@pytest.mark.parametrize(
    "about, kind, words",
    [
        ({"status": 401}, SourceError, "does not accept the credentials"),
        ({"status": 403}, SourceError, "role Viewer"),
        ({"status": 429}, SourceError, "quota of the property"),
        ({"status": 500}, SourceUnreachable, "not asked again"),
        ({"status": 200, "body": "<html>"}, SourceError, "no answer of the Data API"),
        ({"half": True}, SourceUnreachable, "not answered"),
        ({"drop": True}, SourceUnreachable, "not answered"),
    ],
)
def test_a_failure_costs_one_request_and_no_day(
    web: Web, about: dict[str, Any], kind: type, words: str
) -> None:
    web.write()
    fault(web, path="/v1beta/properties/", skip=4, times=1, **about)
    error = web.sync()["events"].error
    assert isinstance(error, kind) and words in str(error), error
    assert sum(batch.rows for batch in web.platform.ledger.since(TableId("web", "events"), 0)) > 0
    web.asked.clear()
    web.good()
    assert web.days_asked() == [day(n).isoformat() for n in range(7, 0, -1)]
    assert_as_told(web, range(9, 0, -1))


def test_another_metric_is_another_report(web: Web) -> None:
    web.write(start=day(3)).good()
    web.write(
        {"events": {"dimensions": ["eventName"], "metrics": ["eventCount", "totalUsers"]}}, start=day(3)
    ).good()
    assert web.rows('SELECT count(*) FROM raw_web.events WHERE "totalUsers" IS NULL') == [(0,)]


def test_a_gap_between_syncs_leaves_no_day_out(web: Web) -> None:
    web.write(start=day(30), wide_reread_days=0)
    web.property.at(-10.5)
    web.good()
    web.property.at(-0.5)
    web.good()
    assert_as_told(web, range(20, 0, -1))
