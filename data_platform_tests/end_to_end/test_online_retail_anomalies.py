"""A year of real trade goes the whole way, and the check `anomalies` finds what was odd in it, answered by nobody.

Every day is judged by the days before it. What it finds is named here from the invoices themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from data_platform.quality.evaluated import evaluate_table, keep_found
from data_platform.quality.verdicts import METRICS, VERDICTS
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.tables import TableId
from data_platform.warehouses.journal import read
from data_platform_tests.end_to_end import online_retail
from data_platform_tests.end_to_end.shared_data import shared_data

pytestmark = pytest.mark.slow
ITEMS, ORDERS = TableId("retail", "order_items"), TableId("retail", "orders")
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
CHECK: dict[str, Any] = {
    "by": "ordered_at",
    "computed": {"size": "abs(quantity)", "price": "abs(unit_price)", "revenue": "quantity * unit_price"},
    "quantiles": [0.5, 1],
    "holidays": "GB-ENG",
    "open_days": 31,
    "batches": True,
}
OF_ORDERS: dict[str, Any] = {"by": "ordered_at", "split_by": "country", "holidays": "GB-ENG", "open_days": 31}
FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)
REAL = {
    ("largest of size", "2011-01-18"): 74_215,  # storage jars, cancelled 16 minutes later
    ("largest of size", "2011-12-09"): 80_995,  # paper crafts, cancelled 12 minutes later
    ("largest of price", "2011-06-10"): 38_970,  # one "Manual" line
    ("largest of revenue", "2011-12-09"): 168_469.60,  # the paper crafts again
    **{("rows", f"2010-12-{day}"): 0 for day in (24, 29, 30, 31)},  # closed beyond the public holidays
    ("rows", "2011-04-24"): 0,  # Easter Sunday, no public holiday of England
    ("rows", "2011-09-02"): 2376,  # an unusually busy Friday
}
OF_COUNTRIES = {
    ("rows, country United Kingdom", "2011-12-09"): 41,  # the data ends at 12:50: half a day
    ("rows, country Portugal", "2011-05-23"): 7,
    ("rows, country Switzerland", "2011-09-21"): 5,
}


@pytest.fixture
def platform(tmp_path: Path, database: str) -> Platform:
    tables = online_retail.CATALOG["tables"]
    checked = {
        "order_items": {**tables["order_items"], "anomalies": CHECK},
        "orders": {**tables["orders"], "anomalies": OF_ORDERS},
    }
    source = {**online_retail.CATALOG, "tables": checked}
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    (tmp_path / "catalog" / "sources" / "retail.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
    with psycopg.connect(database) as connection:
        connection.execute(online_retail.SCHEMA)
    return open_platform(tmp_path, "local", {"RETAIL_URL": database})


def instants() -> Iterator[datetime]:
    """So that every day is judged in one of them."""
    day = LAST
    while day >= FIRST:
        yield datetime.combine(day + timedelta(1), time(6), UTC)
        day -= timedelta(CHECK["open_days"])


def test_the_check_finds_the_years_oddities_by_itself(platform: Platform, database: str) -> None:
    online_retail.arrive(database, online_retail.days(shared_data("online-retail", "by-day")))
    last, *earlier = instants()
    reports = {
        one.table: one
        for one in sync_changes(
            replace(platform, rules_with_load=True, clock=lambda: last), "retail", ["order_items", "orders"]
        )
    }
    assert [one.error for one in reports.values()] == [None, None]
    with platform.warehouse() as warehouse:
        (batch,) = {row["batch_id"] for row in read(warehouse, METRICS) if row["batch_id"]}
        of_batch = {
            row["metric"]: row["figure"] for row in read(warehouse, METRICS, {"batch_id": str(batch)})
        }
        for now in earlier:
            for id_ in (ITEMS, ORDERS):
                table = platform.catalog.table(id_)
                evaluated = keep_found(warehouse, table, evaluate_table(warehouse, table, now))
                assert evaluated.problem is None and evaluated.not_kept is None
        verdicts = {id_: read(warehouse, VERDICTS, {"table_name": id_.raw_name}) for id_ in (ITEMS, ORDERS)}
    found = {
        id_: {
            (str(row["series"]), str(row["day"])): row["observed"] for row in rows if row["status"] == "alarm"
        }
        for id_, rows in verdicts.items()
    }
    items, orders = found[ITEMS], found[ORDERS]
    assert {key: value for key, value in items.items() if key in REAL} == pytest.approx(REAL)
    assert {key: value for key, value in orders.items() if key in OF_COUNTRIES} == OF_COUNTRIES
    assert len({day for _, day in items}) <= 24, "of 374 days: what is found is worth a look"
    assert len({key for key in orders if ", country " in key[0]}) <= 20, "of 4,463 days of countries"
    assert of_batch["reread_rows"] == reports[ITEMS].rows == 541_909
    assert of_batch["reread_bytes"] == reports[ITEMS].bytes
    assert 0 <= float(str(of_batch["arrival"])) < 24 * 60
