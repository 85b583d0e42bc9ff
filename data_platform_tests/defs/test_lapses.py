"""A passing check of the age of data fails once its time is over, though nothing was loaded. In both storages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from data_platform.catalog import Catalog
from data_platform.defs.lapses import ended, evaluations, lapsing
from data_platform.defs.latest_checks import LatestChecks
from data_platform.defs.names import raw_key
from data_platform.tables import TableId
from data_platform_tests.defs.conftest import Project
from data_platform_tests.repository import shop_alone

ORDERS = TableId("shop", "orders")
KEY = dg.AssetCheckKey(raw_key(ORDERS), "newest_data")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop_alone()


def report(instance: dg.DagsterInstance, passed: bool, good_until: datetime | None) -> None:
    metadata = {"newest": (NOW - timedelta(hours=50)).isoformat()}
    if good_until is not None:
        metadata["good_until"] = good_until.isoformat()
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=KEY.asset_key, check_name=KEY.name, passed=passed, metadata=metadata
        )
    )


def tick(instance: dg.DagsterInstance, catalog: Catalog, latest: LatestChecks, now: datetime) -> list[str]:
    """What the sensor reports."""
    checks = lapsing(catalog, {})
    found = ended(instance, latest, checks, now)
    reads = {ORDERS: now.isoformat()}
    told = list(evaluations(checks, found, reads, {}, now))
    for one in told:
        instance.report_runless_asset_event(one)
    return [f"{one.asset_key.to_user_string()}: {one.check_name}: {one.description}" for one in told]


def last(instance: dg.DagsterInstance) -> str:
    return instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY])[KEY].status.value


def test_the_shops_orders_have_a_check_that_lapses(catalog: Catalog) -> None:
    found = lapsing(catalog, {})[KEY]
    assert found.table == ORDERS and found.kind.name == "newest_data"


def test_a_result_whose_time_is_over_fails_once_and_says_which_side_stopped(
    instance: dg.DagsterInstance, catalog: Catalog
) -> None:
    latest = LatestChecks()
    report(instance, passed=True, good_until=NOW - timedelta(hours=2))
    (told,) = tick(instance, catalog, latest, NOW)
    assert "raw/shop/orders: newest_data" in told and "the source itself stopped" in told
    assert last(instance) == "FAILED"
    assert tick(instance, catalog, latest, NOW + timedelta(minutes=1)) == []


def test_a_result_that_still_holds_or_never_ends_is_left_alone(
    instance: dg.DagsterInstance, catalog: Catalog
) -> None:
    latest = LatestChecks()
    report(instance, passed=True, good_until=NOW + timedelta(minutes=1))
    assert tick(instance, catalog, latest, NOW) == []
    assert len(tick(instance, catalog, latest, NOW + timedelta(minutes=2))) == 1
    report(instance, passed=True, good_until=None)
    assert tick(instance, catalog, latest, NOW + timedelta(days=9)) == []
    report(instance, passed=False, good_until=None)
    assert tick(instance, catalog, latest, NOW + timedelta(days=9)) == []


def test_a_later_load_makes_it_good_again(instance: dg.DagsterInstance, catalog: Catalog) -> None:
    latest = LatestChecks()
    report(instance, passed=True, good_until=NOW - timedelta(hours=2))
    assert len(tick(instance, catalog, latest, NOW)) == 1
    report(instance, passed=True, good_until=NOW + timedelta(hours=5))
    assert tick(instance, catalog, latest, NOW + timedelta(minutes=1)) == []
    assert last(instance) == "SUCCEEDED"


@pytest.mark.slow
def test_the_sensor_of_the_graph_reports_it(project: Project) -> None:
    report(project.instance, passed=True, good_until=datetime.now(UTC) - timedelta(hours=1))
    data, _ = project.sensor("lapsed_checks")
    assert "raw/shop/orders:newest_data" in data.skip_message
    assert last(project.instance) == "FAILED"
    data, _ = project.sensor("lapsed_checks")
    assert data.skip_message == "no check's time is over"
