"""A project over the sandbox's Google Analytics, whose clock is the clock of the source too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.ga4.service import PROPERTY
from data_platform.sources.ga4 import feed
from data_platform_tests.conftest import SHOP_TODAY
from data_platform_tests.sandbox.services.property import Property, ga4
from data_platform_tests.sandbox.services.serving import own_shop
from data_platform_tests.sources.one_source import OneSource

EVENTS = {"events": {"dimensions": ["eventName"], "metrics": ["eventCount", "eventValue", "purchaseRevenue"]}}


def day(before: int) -> date:
    """So many days before the end of the shop's history."""
    return SHOP_TODAY - timedelta(before)


class Web(OneSource):
    """``property`` is the served one, ``asked`` the reports it was asked for since it was last cleared."""

    source = "web"

    def __init__(self, root: Path, property_: Property) -> None:
        self.root, self.property = root, property_
        self.asked: list[dict[str, Any]] = []

    def write(self, tables: dict[str, Any] = EVENTS, *, start: date | None = None, **more: Any) -> Web:
        connection = {"property": PROPERTY, "url": self.property.place.url, **more.pop("connection", {})}
        file = {
            "kind": "ga4",
            "connection": connection,
            "start": start or day(9),
            "tables": tables,
            **more,
        }
        self.put(file)
        return self

    def days_asked(self) -> list[str]:
        """The days that were asked for by their dates, each once, in order."""
        days = [asked["dateRanges"][0]["startDate"] for asked in self.asked]
        return [one for one in dict.fromkeys(days) if one != "yesterday"]

    def told(self, dimensions: str, metrics: str, of: date) -> list[tuple[str, ...]]:
        """What the property answers now for one day, sorted."""
        return sorted(self.property.rows(dimensions, metrics, start=of.isoformat(), end=of.isoformat()))


@pytest.fixture(scope="module")
def shop_url(postgres: PostgresServer, shop: str) -> Iterator[str]:
    with own_shop(postgres, "ga4_source") as url:
        yield url


@pytest.fixture(scope="module")
def served_property(shop_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Property]:
    with ga4(shop_url, tmp_path_factory.mktemp("ga4")) as property_:
        yield property_


@pytest.fixture
def web(served_property: Property, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The clock stands at noon of the last day of the shop's history, 07:00 in the property's time zone."""
    property_ = served_property
    analytics = property_.analytics
    analytics.behaviour = type(analytics.behaviour)()
    property_.at(-0.5)
    analytics.quota.limits = type(analytics.quota.limits)()
    made = Web(tmp_path, property_)
    plain = type(analytics).report

    def recorded(self: Any, body: dict[str, Any]) -> dict[str, Any]:
        made.asked.append(body)
        return plain(self, body)

    monkeypatch.setattr(type(analytics), "report", recorded)
    monkeypatch.setattr(feed, "now", lambda: datetime.fromtimestamp(analytics.now(), UTC))
    return made
