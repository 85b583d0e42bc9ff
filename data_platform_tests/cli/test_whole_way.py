"""The commands one after the other, on a real database, a real ledger and a real warehouse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .conftest import Result

Cli = Callable[..., Result]
pytestmark = pytest.mark.slow
CATALOG = Path(__file__).parents[2] / "catalog"
TABLES = {"users", "products", "orders", "order_items", "payments", "events"}


@pytest.fixture
def shop_project(tmp_path: Path, shop_copy: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository's own catalog on a shop of 2,000 orders."""
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    for file in ("platform.yaml", "sources/shop.yaml"):
        shutil.copy(CATALOG / file, tmp_path / "catalog" / file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_PLATFORM_HOME", raising=False)
    monkeypatch.delenv("DATA_PLATFORM_ENV", raising=False)
    monkeypatch.setenv("SHOP_DATABASE_URL", shop_copy)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", "a key of the tests, long enough")
    return tmp_path


def test_from_nothing_to_a_checked_warehouse(cli: Cli, shop_project: Path, shop_copy: str) -> None:
    def synced(*words: str) -> dict[str, Any]:
        result = cli("sync", *words, "--json")
        assert result.code == 0, result.err + result.out
        return {table["table"]: table for table in json.loads(result.out)["tables"]}

    def count(table: str) -> int:
        answer = cli("query", f"select count(*) as n from raw_shop.{table}", "-f", "json")
        return int(json.loads(answer.out)[0]["n"])

    assert cli("validate", "--connect").code == 0
    nothing_yet = json.loads(cli("status", "--json").out)
    assert {table["freshness"] for table in nothing_yet["tables"]} == {"never"}

    first = synced()
    assert {name.removeprefix("shop/") for name in first} == TABLES
    assert all(table["changed"] and table["rows"] for table in first.values())
    assert count("orders") == first["shop/orders"]["rows"]

    with psycopg.connect(shop_copy) as connection:
        connection.execute("update orders set status = 'refunded' where order_id = 1")
        connection.execute(
            "delete from events where event_id = (select min(event_id::text)::uuid from events)"
        )
    second = synced()
    assert (second["shop/orders"]["rows"], second["shop/orders"]["operation"]) == (1, "changes")
    assert not second["shop/users"]["changed"]
    assert count("orders") == first["shop/orders"]["rows"]

    text = cli("sync", "shop/events", "shop/products", "--refresh", "events")
    assert text.code == 0
    assert "shop/events: refresh" in text.out
    assert "shop/products: nothing changed" in text.out
    assert count("events") == first["shop/events"]["rows"] - 1

    day = json.loads(
        cli("query", "select max(created_at)::date as d from raw_shop.orders", "-f", "json").out
    )[0]["d"]
    [slice_] = synced("shop/orders", "--slices", f"{day}..{day}").values()
    assert slice_["operation"] == "slice"

    status = json.loads(cli("status", "--json").out)
    assert {table["freshness"] for table in status["tables"]} == {"fresh"}
    assert {table["behind"] for table in status["tables"]} == {0}
    assert "shop/orders" in cli("status", "shop").out

    assert cli("verify").code == 0
    summary = cli("summary", "--json")
    assert summary.code == 0, summary.err
    assert {one["table"].removeprefix("shop/") for one in json.loads(summary.out)["synced"]} == TABLES
    assert re.search(rf"^ shop +PostgreSQL +{len(TABLES)} ", cli("summary").out, re.M)


def test_a_source_that_is_not_there(cli: Cli, shop_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "postgresql://reader:hunter2@127.0.0.1:1/shop"
    monkeypatch.setenv("SHOP_DATABASE_URL", secret)
    result = cli("sync")
    assert result.code == 3
    assert "hunter2" not in result.out + result.err
    assert result.err.count("Error:") == 1
    assert "Traceback" not in result.err


def test_a_table_that_is_gone_leaves_the_others(cli: Cli, shop_project: Path, shop_copy: str) -> None:
    with psycopg.connect(shop_copy) as connection:
        connection.execute("drop table events")
    result = cli("sync", "shop/events", "shop/products")
    assert result.code == 1
    assert "shop/products: first read" in result.out
    assert "events" in result.err
