"""541,909 real, dirty invoice lines go the whole way, day by day, and come out exact.

What the warehouse says is compared with the files, read by Python's csv and decimal alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.quality.evaluate import evaluate
from data_platform.sync import (
    Platform,
    TableReport,
    check_completeness,
    open_platform,
    probe,
    sync_changes,
    sync_slices,
)
from data_platform.tables import Slice, TableId
from data_platform_tests.defs.conftest import Project as GraphProject
from data_platform_tests.defs.conftest import copy_project, manifest
from data_platform_tests.end_to_end import online_retail
from data_platform_tests.end_to_end.online_retail import Truth, arrive
from data_platform_tests.end_to_end.shared_data import shared_data

__all__ = ["manifest"]  # a fixture
pytestmark = pytest.mark.slow
TABLES = ("orders", "order_items")
REVENUE = (
    "select ordered_at::date::varchar, sum(quantity * unit_price) from raw_retail.order_items group by 1"
)
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""


@pytest.fixture(scope="module")
def files() -> list[Path]:
    found = online_retail.days(shared_data("online-retail", "by-day"))
    assert len(found) == 305
    return found


@pytest.fixture(scope="module")
def truth(files: list[Path]) -> Truth:
    found = online_retail.read(files)
    assert found.lines == 541_909
    return found


@pytest.fixture
def platform(tmp_path: Path, database: str) -> Platform:
    sources = tmp_path / "catalog" / "sources"
    sources.mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    (sources / "retail.yaml").write_text(yaml.safe_dump(online_retail.CATALOG, sort_keys=False))
    with psycopg.connect(database) as connection:
        connection.execute(online_retail.SCHEMA)
    return open_platform(tmp_path, "local", {"RETAIL_URL": database})


def look(platform: Platform, measure: bool = False) -> list[TableReport]:
    """One tick as the sensor does it: probe, then *changes* of what moved and *slices* of what differs."""
    probes = probe(platform, "retail", measure_slices=measure)
    assert [p.error for p in probes] == [None, None]
    moved = [p.table.table for p in probes if p.moved]
    reports = list(sync_changes(platform, "retail", moved)) if moved else []
    for seen in probes:
        if seen.differing:
            reports += sync_slices(platform, "retail", [seen.table.table], seen.differing)
    for report in reports:
        assert report.error is None, report.error
    return reports


def rows(platform: Platform, sql: str) -> list[tuple[Any, ...]]:
    with platform.warehouse(read_only=True) as warehouse:
        return warehouse.query(sql).rows


def revenue(platform: Platform) -> dict[str, Decimal]:
    return dict(rows(platform, REVENUE))


def test_a_year_of_trade_comes_out_exact(
    platform: Platform, database: str, files: list[Path], truth: Truth
) -> None:
    # some days singly, as the sensor would find them; the long stretches between at once
    steps = [0, 151, 152, 153, 304, 305]
    synced = 0
    for begin, end in pairwise(steps):
        arrive(database, files[begin:end])
        reports = look(platform)
        assert {r.table.table for r in reports} == set(TABLES)
        assert all(r.operation == ("changes" if begin else "refresh") for r in reports)
        # each line was read once: no change of earlier days, nothing twice
        assert sum(r.rows for r in reports if r.table.table == "order_items") == sum(
            truth.items[f.name.removesuffix(".csv.gz")] for f in files[begin:end]
        )
        touched = {s for r in reports for s in r.touched}
        assert touched == {f.name.removesuffix(".csv.gz") for f in files[begin:end]}
        synced += sum(r.rows for r in reports if r.table.table == "order_items")
    assert synced == truth.lines
    assert look(platform, measure=True) == [], "at rest"

    assert revenue(platform) == truth.revenue
    per_day = rows(
        platform, "select ordered_at::date::varchar, count(*) from raw_retail.order_items group by 1"
    )
    assert dict(per_day) == truth.items
    landed = rows(
        platform, "select invoice_no, ordered_at::date::varchar, customer_id, country from raw_retail.orders"
    )
    assert {n: (day, customer, country) for n, day, customer, country in landed} == {
        n: (day, int(Decimal(customer)) if customer else None, country)
        for n, (day, customer, country) in truth.orders.items()
    }
    assert len(landed) == len(truth.orders)
    for name in TABLES:
        completeness = check_completeness(platform, platform.catalog.table(TableId("retail", name)))
        assert completeness.passed and completeness.matching > 0

    assert_faults_are_found(platform, truth)
    assert_a_deleted_order_is_found(platform, database, truth)


def assert_faults_are_found(platform: Platform, truth: Truth) -> None:
    with platform.warehouse(read_only=True) as warehouse:
        found = {
            (name, result.rule.text): result
            for name in TABLES
            for result in evaluate(warehouse, platform.catalog.table(TableId("retail", name)))
        }
    anonymous = sum(customer == "" for _, customer, _ in truth.orders.values())
    nowhere = sum(country == "Unspecified" for _, _, country in truth.orders.values())
    expected = {
        ("order_items", "quantity >= 0"): (False, truth.faults["negative quantity"]),
        ("order_items", "unit_price > 0"): (False, truth.faults["no positive price"]),
        ("order_items", "null_rate(customer_id) <= 0.2"): (False, truth.faults["no customer"]),
        ("order_items", "null_rate(description) <= 0.05"): (True, truth.faults["no description"]),
        ("order_items", "stock_code not null"): (True, 0),
        # a quarter of the lines, but only a seventh of the orders
        ("orders", "null_rate(customer_id) <= 0.2"): (True, anonymous),
        ("orders", 'country != "Unspecified"'): (False, nowhere),
    }
    assert {rule: (result.passed, result.failing) for rule, result in found.items()} == expected
    assert truth.faults["negative quantity"] == 10_624
    assert truth.faults["no customer"] == 135_080
    quantity = found["order_items", "quantity >= 0"]
    assert quantity.rows == truth.lines
    assert quantity.sample and all(row["quantity"] < 0 for row in quantity.sample)


def assert_a_deleted_order_is_found(platform: Platform, database: str, truth: Truth) -> None:
    """No changed row tells of it; the day's count and checksum do."""
    invoice, (day, _, _) = next(iter(truth.orders.items()))
    with psycopg.connect(database) as connection:
        (lost,) = connection.execute(
            "select sum(quantity * unit_price) from order_items where invoice_no = %s", (invoice,)
        ).fetchone()  # type: ignore[misc]
        connection.execute("delete from order_items where invoice_no = %s", (invoice,))
        connection.execute("delete from orders where invoice_no = %s", (invoice,))
    assert look(platform) == []
    reports = look(platform, measure=True)
    assert [(r.table.table, r.operation, list(r.touched)) for r in reports] == [
        (name, "slice", [Slice(day)]) for name in TABLES
    ]
    assert revenue(platform) == {**truth.revenue, day: truth.revenue[day] - lost}
    assert look(platform, measure=True) == []


# ---- a small part of it through the graph's own sensor


@pytest.fixture
def graph(
    tmp_path: Path, manifest: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GraphProject]:
    """The repository's project with the retailer's database as one more source."""
    root = copy_project(tmp_path / "project")
    # the orders go without partitions: a first read reports every day since 2010, a second a table
    tables = online_retail.CATALOG["tables"]
    orders = {name: value for name, value in tables["orders"].items() if name != "partition"}
    source = {**online_retail.CATALOG, "tables": {**tables, "orders": orders}}
    (root / "catalog" / "sources" / "retail.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
    with psycopg.connect(database) as connection:
        connection.execute(online_retail.SCHEMA)
    monkeypatch.setenv("RETAIL_URL", database)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", "a key that only tests use")
    monkeypatch.delenv("DATA_PLATFORM_ENV", raising=False)
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield GraphProject(root, database, instance, build(load_catalog(root), "local"))


def tick(graph: GraphProject, cursor: str | None) -> tuple[list[dg.ExecuteInProcessResult], str | None]:
    """The sensor looks once; what it asks for is run, as the daemon would."""
    data, cursor = graph.sensor("retail_probe", cursor)
    whole = graph.definitions.resolve_implicit_global_asset_job_def()
    results = []
    for request in data.run_requests or []:
        checks = request.asset_check_keys
        job = whole.get_subset(
            asset_selection=set(request.asset_selection),
            asset_check_selection=None if checks is None else set(checks),
        )
        results.append(
            job.execute_in_process(instance=graph.instance, run_config=request.run_config, tags=request.tags)
        )
    assert all(result.success for result in results)
    return results, cursor


def test_the_sensor_follows_the_shop(graph: GraphProject, files: list[Path]) -> None:
    table = dg.AssetKey(["raw", "retail", "order_items"])
    cursor = None
    for begin, end in ((0, 8), (8, 9)):
        arrive(graph.url, files[begin:end])
        (result,), cursor = tick(graph, cursor)
        so_far = online_retail.read(files[:end])
        assert dict(graph.rows(REVENUE)) == so_far.revenue
        seen = {
            evaluation.check_name: evaluation.passed
            for evaluation in result.get_asset_check_evaluations()
            if evaluation.asset_key == table
        }
        assert seen["quantity_gte_0"] is False
        assert seen["stock_code_not_null"] is True
    results, cursor = tick(graph, cursor)
    assert results == [], "nothing moved"
    days = {file.name.removesuffix(".csv.gz") for file in files[:9]}
    assert days <= graph.instance.get_materialized_partitions(table)

    graph.execute("delete from order_items where ordered_at < '2010-12-02'")
    assert tick(graph, cursor)[0] == [], "not before the next measurement"
    (result,), cursor = tick(graph, None)
    assert result.dagster_run.tags["data_platform/operation"] == "reconcile"
    assert dict(graph.rows(REVENUE)) == {
        day: total for day, total in so_far.revenue.items() if day != "2010-12-01"
    }
