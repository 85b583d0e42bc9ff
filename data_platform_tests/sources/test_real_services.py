"""The services themselves, where the environment names an account: Stripe in test mode, a property of Google Analytics, a
Zendesk trial. What a stand-in cannot prove: that the real API answers as the stand-ins do.

Only columns that are no personal data are read, and nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.landing.verify import verify
from data_platform.sync import check_sources, open_platform, sync_changes
from data_platform.tables import BATCH_ID, LOADED_AT, TableId
from data_platform_tests.sources.one_source import PLATFORM

ASKED = f"SELECT * EXCLUDE ({BATCH_ID}, {LOADED_AT}) FROM raw_real.{{}} ORDER BY ALL"
HASH_KEY = "a test's key, long enough to be taken"


@dataclass(frozen=True)
class Service:
    """``variables`` must all be set. ``settled`` are the tables that nobody changes within a test."""

    variables: tuple[str, ...]
    connection: Mapping[str, Any]
    tables: Mapping[str, Any]
    settled: tuple[str, ...]
    source: Mapping[str, Any]


def only(*columns: str, **block: Any) -> dict[str, Any]:
    return {"only": list(columns), **block}


SERVICES = {
    "stripe": Service(
        ("DATA_PLATFORM_TEST_STRIPE_KEY",),
        {"api_key_env": "DATA_PLATFORM_TEST_STRIPE_KEY"},
        {
            "customers": only("id", "created"),
            "charges": only("id", "created", "amount", "currency", "status"),
            "balance_transactions": only("id", "created", "amount", "fee", "net", "currency"),
            "events": only("id", "created", "type"),
        },
        ("customers", "charges", "balance_transactions"),
        {},
    ),
    "ga4": Service(
        ("DATA_PLATFORM_TEST_GA4_PROPERTY", "DATA_PLATFORM_TEST_GA4_CREDENTIALS"),
        {
            "property_env": "DATA_PLATFORM_TEST_GA4_PROPERTY",
            "credentials_file_env": "DATA_PLATFORM_TEST_GA4_CREDENTIALS",
        },
        {"traffic": {"preset": "traffic"}, "events": {"preset": "events"}},
        (),
        {"start": (date.today() - timedelta(9)).isoformat()},
    ),
    "zendesk": Service(
        (
            "DATA_PLATFORM_TEST_ZENDESK_URL",
            "DATA_PLATFORM_TEST_ZENDESK_EMAIL",
            "DATA_PLATFORM_TEST_ZENDESK_TOKEN",
        ),
        {
            "url_env": "DATA_PLATFORM_TEST_ZENDESK_URL",
            "email_env": "DATA_PLATFORM_TEST_ZENDESK_EMAIL",
            "api_token_env": "DATA_PLATFORM_TEST_ZENDESK_TOKEN",
        },
        {
            "tickets": only("id", "status", "created_at", "updated_at"),
            "users": only("id", "role", "created_at"),
            "organizations": only("id", "created_at"),
            "ticket_metric_events": only("id", "ticket_id", "metric", "type"),
            "satisfaction_ratings": only("id", "score"),
        },
        ("tickets", "users", "organizations"),
        {},
    ),
}


@pytest.mark.parametrize("kind", SERVICES)
def test_the_service_itself(kind: str, tmp_path: Path) -> None:
    service = SERVICES[kind]
    if missing := [name for name in service.variables if not os.environ.get(name)]:
        pytest.skip(f"not set: {', '.join(missing)}")
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    file = {
        "source": "real",
        "kind": kind,
        "connection": dict(service.connection),
        "tables": dict(service.tables),
    }
    (tmp_path / "catalog" / "sources" / "real.yaml").write_text(yaml.safe_dump({**file, **service.source}))
    platform = open_platform(tmp_path, "local", {**os.environ, "DATA_PLATFORM_HASH_KEY": HASH_KEY})

    def sync(**options: Any) -> None:
        errors = {
            report.table: str(report.error)
            for report in sync_changes(platform, "real", **options)
            if report.error
        }
        assert not errors, errors

    def held() -> dict[str, list[Any]]:
        with platform.warehouse(read_only=True) as warehouse:
            found = {relation.name for relation in warehouse.describe("raw_real")}
            return {
                name: list(warehouse.query(ASKED.format(name)).rows)
                for name in service.settled
                if name in found
            }

    assert check_sources(platform).mistakes == []
    sync()
    sync()
    merged = held()
    sync(refresh=list(service.tables))
    assert held() == merged, "what was merged is what a whole read finds"
    for name in service.tables:
        assert verify(platform.ledger, TableId("real", name), platform.clock(), since=0).problems == ()
