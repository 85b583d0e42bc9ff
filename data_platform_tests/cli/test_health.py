"""``health``, over a real ledger and a real warehouse, with and without what the graph records."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from data_platform.alerts.book import Book
from data_platform.alerts.incidents import Incident
from data_platform.alerts.problem import Problem
from data_platform.alerts.state import BookState
from data_platform.observability.record import Built, GraphRecord, Model
from data_platform.observability.trust import Check
from data_platform.sync import health as examining
from data_platform.sync import open_platform
from data_platform.tables import TableId
from data_platform.warehouses import Look
from data_platform_tests.contracts.batches import Chain

from .conftest import PLATFORM, Result

Cli = Callable[..., Result]
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
FIGURES = """\
figures:
- {name: Orders, relation: marts.orders_daily, day: day, sum: orders}
- {name: Lost, relation: marts.nowhere, day: day}
"""


@pytest.fixture
def company(project: Path) -> Path:
    """A shop whose orders are loaded, and one mart made of them."""
    (project / "catalog" / "platform.yaml").write_text(PLATFORM + FIGURES)
    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE SCHEMA marts; CREATE TABLE marts.orders_daily AS SELECT DATE '2026-01-01' AS day, 3 AS orders"
        )
    batch = Chain(project / "parts").next("merge", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 2)])
    config = open_platform(project).environment.warehouse
    with config.open(project, files=[project / "parts"]) as warehouse:
        warehouse.load(*batch)
    return project


def record(project: Path, *checks: Check, age: timedelta = timedelta(), **of_orders: Check) -> None:
    """``of_orders``: checks of the assets of the orders, by the first part of the asset's key."""
    now = datetime.now(UTC)
    platform = open_platform(project)
    examining.keep(
        platform,
        GraphRecord(
            at=now - age,
            models=(
                Model(
                    "marts.orders_daily",
                    "marts/orders_daily",
                    upstream=("raw_shop.orders",),
                    tests=("unique_day",),
                ),
            ),
            checks={"marts/orders_daily": checks}
            | {f"{where}/shop/orders": (check,) for where, check in of_orders.items()},
            built={"marts.orders_daily": Built(now, 2.5)},
        ),
    )


def test_without_what_the_graph_records_nothing_is_ok(cli: Cli, company: Path) -> None:
    result = cli("health")
    assert result.code == 1
    assert "0 of 4 tables and models can be believed." in result.out
    assert "The graph has recorded no models and checks yet" in result.out
    assert "it was never synced" in result.out.lower()


def test_a_figure_is_believed_as_little_as_what_it_is_made_of(cli: Cli, company: Path) -> None:
    record(company, Check("unique_day", "passed", at=datetime.now(UTC)))
    found = json.loads(cli("health", "--json").out)
    assert [one["name"] for one in found["figures"]] == ["Orders", "Lost"]
    orders, lost = found["figures"]
    assert orders["points"] == [["2026-01-01", 3.0]]
    assert (orders["state"], orders["trust"]["fresh"]["of"]) == ("bad", "shop/orders"), (
        "nobody read its source"
    )
    assert lost["state"] == "unknown"
    model = next(one for one in found["tables"] if one["label"] == "marts.orders_daily")
    assert (model["rows"], model["domain"], model["owner"]) == (1, "shop", "team:data")
    assert model["trust"]["checked"]["state"] == "ok"
    text = (
        DOCS.read_text().partition("## `data-platform health")[2].partition("\n## ")[0].partition("JSON:")[2]
    )
    for key in [
        *found,
        *found["figures"][0],
        *found["tables"][0],
        *found["findings"][0],
        *orders["trust"]["fresh"],
    ]:
        assert f"`{key}`" in text, key


def test_a_failing_check_is_named_with_its_figure_and_since(cli: Cli, company: Path) -> None:
    at = datetime.now(UTC)
    record(
        company,
        Check("unique_day", "failed", "error", at, at - timedelta(hours=30), "2 days are there twice."),
    )
    result = cli("health", "--tables")
    assert result.code == 1
    assert (
        "marts.orders_daily: unique_day fails: 2 days are there twice, for 30 h. Affects Orders."
        in result.out
    )


def test_the_page_is_written_as_a_whole_for_this_account_alone(cli: Cli, company: Path) -> None:
    record(company)
    result = cli("health", "--page", "--json")
    path = company / ".data/status/index.html"
    assert json.loads(result.out)["page"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["index.html"]
    first = path.read_text()
    assert "<title>" in first
    assert "marts.orders_daily" in first
    assert cli("health", "--page").out.strip().endswith(path.as_uri())


def test_a_page_that_cannot_be_written_is_one_sentence(cli: Cli, company: Path) -> None:
    (company / ".data/status").write_text("a file")
    result = cli("health", "--page")
    assert result.code != 0
    assert "status_page: path:" in result.err
    assert "Traceback" not in result.err


def test_a_warehouse_that_cannot_be_read_leaves_everything_unknown(cli: Cli, company: Path) -> None:
    record(company, Check("unique_day", "passed", at=datetime.now(UTC)))
    with open_platform(company).warehouse() as warehouse:
        warehouse.record_reads([Look(TableId("shop", "orders"), "2026-01-01T00:00:00+00:00", True)])
    (company / ".data/warehouse.duckdb").write_bytes(b"no database")
    result = cli("health", "--json")
    found = json.loads(result.out)
    assert (result.code, found["ok"]) == (1, False)
    assert found["notes"]
    assert {one["state"] for one in found["tables"]} <= {"bad", "unknown"}


def test_a_record_that_somebody_altered_counts_for_nothing(cli: Cli, company: Path) -> None:
    record(company, Check("unique_day", "passed", at=datetime.now(UTC)))
    (file,) = (company / ".data/landing").rglob("graph.json")
    file.write_text(file.read_text().replace("passed", "failed"))
    assert "The graph has recorded no models" in cli("health").out


def test_the_numbers_for_machines_are_printed_once(company: Path, cli: Cli) -> None:
    found = cli("metrics", "--once")
    assert found.code == 0
    assert re.search(r'data_platform_table_rows\{.*table="shop/orders"\} 2\.0', found.out)
    assert re.search(r"^data_platform_state [23]\.0$", found.out, re.M), (
        "checks are not known, so it is not ok"
    )


def test_an_agent_is_named_by_host_and_port(company: Path, cli: Cli) -> None:
    found = cli("metrics", "--once", "--statsd", "localhost")
    assert found.code == 2 and "HOST:PORT" in found.err


def test_they_are_served_until_the_process_is_told_to_stop(company: Path) -> None:
    program = [sys.executable, "-m", "data_platform.cli", "metrics", "--port", "0", "--root", str(company)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        address = next(word for line in process.stdout for word in line.split(",") if word.startswith("http"))
        for _ in range(100):  # the first examination takes a moment
            with urllib.request.urlopen(address) as answer:
                text = answer.read().decode()
            if "data_platform_table_rows{" in text:
                break
            time.sleep(0.1)
        assert "data_platform_table_rows{" in text
    finally:
        process.terminate()
    assert process.wait(timeout=20) == 0


def test_a_rule_that_nobody_has_evaluated_yet_is_unknown(cli: Cli, company: Path) -> None:
    record(company)
    file = company / "catalog/sources/shop.yaml"
    file.write_text(
        file.read_text().replace("    key: order_id\n", "    key: order_id\n    rules: [order_id > 0]\n")
    )
    tables = json.loads(cli("health", "--json").out)["tables"]
    checked = {one["label"]: one["trust"]["checked"] for one in tables}
    assert checked["shop/orders"]["state"] == "unknown"
    assert "never evaluated" in checked["shop/orders"]["why"]
    assert checked["shop/products"]["state"] == "none"


def test_rules_at_the_source_count_as_checks_of_their_table(cli: Cli, company: Path) -> None:
    """By their own name beside a rule of the same name, and not at all once they are gone from the catalog."""
    file = company / "catalog/sources/shop.yaml"
    plain = file.read_text()

    def checked() -> tuple[str, str]:
        (one,) = [
            one for one in json.loads(cli("health", "--json").out)["tables"] if one["label"] == "shop/orders"
        ]
        return one["trust"]["checked"]["state"], one["trust"]["checked"]["why"]

    rules = "    rules: [order_id > 0]\n    source_rules: [order_id > 0]\n"
    file.write_text(plain.replace("    key: order_id\n", f"    key: order_id\n{rules}"))
    rule = open_platform(company).catalog.table(TableId("shop", "orders")).source_rules[0].name
    now = datetime.now(UTC)
    good = Check(rule, "passed", at=now)
    record(company, raw=good)
    assert checked()[0] == "unknown"
    record(company, raw=good, source=good)
    assert checked()[0] == "ok"
    record(company, raw=good, source=Check(rule, "failed", at=now, text="2 rows fail."))
    state, why = checked()
    assert state == "bad" and f"{rule} (at the source)" in why
    file.write_text(plain)
    assert "at the source" not in checked()[1]


def test_what_the_graph_recorded_long_ago_is_not_taken_for_now(cli: Cli, company: Path) -> None:
    record(company, age=timedelta(hours=2, minutes=59))
    assert "nothing is known of them since" not in cli("health").out
    record(company, age=timedelta(hours=3, minutes=1))
    result = cli("health")
    assert result.code == 1
    assert "nothing is known of them since" in result.out


def test_open_incidents_are_shown_the_causes_alone(cli: Cli, company: Path) -> None:
    record(company)
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    cause = Problem("run", "shop_changes", "shop", "The run failed.", {}, at, "/runs/1", owner="team:data")
    child = Problem("freshness", "marts/a", "marts/a", "It is old.", {}, at, causes=(cause.key,))
    over = Problem("check", "gone", "gone", "It failed.", {}, at)
    incidents = {
        cause.key: Incident(cause.key, cause, at, snoozed_until=at, by="somebody"),
        child.key: Incident(child.key, child, at),
        over.key: Incident(over.key, over, at, recovered_at=at),
    }
    platform = open_platform(company)
    assert examining.examine(platform, None).incidents is None, "the alerts have never run"
    Book("alerts", platform.store).update(lambda _: BookState(incidents))
    (shown,) = examining.examine(platform, None).incidents or ()
    assert (shown.title, shown.owner, shown.link) == ("shop_changes: The run failed.", "team:data", "/runs/1")
    assert (
        shown.state == "snoozed until 30 Nov 2026, 12:00 UTC by somebody, with 1 other problem because of it"
    )
    assert cli("health", "--page").code == 1
    assert "shop_changes: The run failed." in (company / ".data/status/index.html").read_text()
