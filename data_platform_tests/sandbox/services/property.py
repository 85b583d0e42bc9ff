"""A served property of Google Analytics over the shop of the tests, and what asks it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.ga4.credentials import Tokens
from data_platform.sandbox.services.ga4.service import PROPERTY, SERVICE, Analytics, application, reader
from data_platform.sandbox.services.service import Place
from data_platform_tests.conftest import SHOP_TODAY
from data_platform_tests.sandbox.services.serving import own_shop, served

MIDNIGHT = datetime(SHOP_TODAY.year, SHOP_TODAY.month, SHOP_TODAY.day, tzinfo=UTC).timestamp()
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"


class Property:
    """A served property; ``analytics`` is the one behind the server, to set its clock and behaviour."""

    def __init__(self, place: Place, analytics: Analytics) -> None:
        self.place, self.analytics = place, analytics
        self.token = ""

    def at(self, days: float) -> None:
        """Set the clock to so many days after the shop's history ends."""
        self.analytics.offset = MIDNIGHT + days * 86400 - time.time()
        self.analytics.quota = type(self.analytics.quota)(self.analytics.now)
        self.token = self.fetch_token()

    def fetch_token(self) -> str:
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        credentials = Credentials.from_service_account_file(
            str(self.place.folder / "key.json"), scopes=[SCOPE]
        )
        credentials.refresh(Request())
        assert isinstance(credentials.token, str)
        return credentials.token

    def post(self, method: str, body: Any, **headers: str) -> requests.Response:
        return requests.post(
            f"{self.place.url}/v1beta/properties/{PROPERTY}:{method}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}", **headers},
            timeout=30,
        )

    def rows(self, dimensions: str, metrics: str, **more: Any) -> list[tuple[str, ...]]:
        answer = self.post("runReport", report(dimensions, metrics, **more))
        assert answer.status_code == 200, answer.text
        return values(answer.json())


def report(
    dimensions: str, metrics: str, start: str = "800daysAgo", end: str = "today", **more: Any
) -> dict[str, Any]:
    return {
        "dimensions": [{"name": name} for name in dimensions.split()],
        "metrics": [{"name": name} for name in metrics.split()],
        "dateRanges": [{"startDate": start, "endDate": end}],
        **more,
    }


def values(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        tuple(v["value"] for v in (*row.get("dimensionValues", ()), *row.get("metricValues", ())))
        for row in answer.get("rows", ())
    ]


@contextmanager
def ga4(url: str, folder: Path) -> Iterator[Property]:
    made: list[Analytics] = []

    def app(place: Place, connections: Any) -> Any:
        made.append(Analytics(reader(connections), Tokens(place.folder / "key.json", time.time)))
        return application(made[0])

    with served(SERVICE, folder, url, app) as place:
        property_ = Property(place, made[0])
        property_.at(30)
        yield property_


@pytest.fixture(scope="session")
def ga4_shop(postgres: PostgresServer, shop: str) -> Iterator[str]:
    with own_shop(postgres, "ga4_shared") as url:
        yield url


@pytest.fixture(scope="session")
def ga4_shared(ga4_shop: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Property]:
    with ga4(ga4_shop, tmp_path_factory.mktemp("ga4")) as property_:
        yield property_


@pytest.fixture
def property_(ga4_shared: Property) -> Property:
    ga4_shared.analytics.behaviour = type(ga4_shared.analytics.behaviour)()
    ga4_shared.at(30)
    return ga4_shared
