"""``status``, over a real ledger and a warehouse that answers or does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_platform.catalog import load_catalog
from data_platform.cli import status as module
from data_platform.cli.status import status_fields
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import WarehouseBusy
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.stores.local import LocalStore
from data_platform.sync.status import TableStatus, freshness_state
from data_platform.tables import Position, Snapshot, TableId
from data_platform.warehouses import LoadedBatch, QueryResult

from .conftest import Result

Cli = Callable[..., Result]
ORDERS = TableId("shop", "orders")
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def manifest(sequence: int, previous: str | None, committed_at: str) -> Manifest:
    snapshot = Snapshot("7@1", "700:701:", committed_at)
    return Manifest(
        table=ORDERS,
        sequence=sequence,
        operation="changes",
        load="merge",
        key=("order_id",),
        partition=None,
        timezone="UTC",
        slices=(),
        snapshot=snapshot,
        position_before=None,
        position_after=Position("7@1", {"xmin": 700}, "xmin 700, clock 2026-01-01 00:00:00"),
        columns=(),
        parts=(),
        rows=0,
        touched={},
        fingerprints={},
        measured_whole=False,
        committed_at=committed_at,
        nonce=f"nonce-{sequence:04d}",
        previous=previous,
    )


@dataclass
class FakeWarehouse:
    """Holds ``sequence`` of shop/orders, with 1,234 rows; or raises ``error``."""

    sequence: int = 1
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    dialect = DIALECT

    def loaded_all(self) -> list[LoadedBatch]:
        return [LoadedBatch(ORDERS, self.sequence, "b", "d", "2026-01-01T00:00:00Z")]

    def query(self, sql: str) -> QueryResult:
        self.asked.append(sql)
        return QueryResult(("number", "rows"), ("INTEGER", "BIGINT"), [(0, 1234)])


@pytest.fixture
def warehouse() -> FakeWarehouse:
    return FakeWarehouse()


@pytest.fixture
def ledger(project: Path, warehouse: FakeWarehouse, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger behind the commands; two batches of shop/orders stand in it."""

    @contextmanager
    def opened(read_only: bool = False) -> Iterator[FakeWarehouse]:
        assert read_only
        if warehouse.error is not None:
            raise warehouse.error
        yield warehouse

    ledger = Ledger(LocalStore(project / ".data" / "landing"))
    now = datetime.now(UTC)
    first = ledger.commit(manifest(1, None, (now - timedelta(days=40)).isoformat()))
    ledger.commit(manifest(2, first.digest, (now - timedelta(days=30)).isoformat()))
    platform = SimpleNamespace(
        catalog=load_catalog(project),
        environment=SimpleNamespace(name="local", publish=None),
        ledger=ledger,
        store=ledger.store,
        warehouse=opened,
    )
    monkeypatch.setattr(module, "open_project", lambda *_, **__: platform)
    return ledger


def tables(result: Result) -> dict[str, Any]:
    return {table["table"]: table for table in json.loads(result.out)["tables"]}


def test_a_table_that_is_behind_and_stale(cli: Cli, ledger: Ledger) -> None:
    result = cli("status", "--json")
    assert result.code == 0, result.err
    orders = tables(result)["shop/orders"]
    assert (orders["sequence"], orders["loaded_sequence"], orders["behind"], orders["rows"]) == (
        2,
        1,
        1,
        1234,
    )
    assert orders["freshness"] == "stale"
    assert orders["watermark"]["xmin"] == 700
    text = cli("status")
    assert "1, 1 behind" in text.out
    assert "xmin 700, clock 2026-01-01 00:00:00" in text.out
    assert "1,234" in text.out
    assert "data-platform sync" in text.err


def test_a_look_that_found_nothing_keeps_a_table_fresh(
    cli: Cli, ledger: Ledger, warehouse: FakeWarehouse
) -> None:
    ledger.looked([ORDERS], datetime.now(UTC).isoformat())
    warehouse.sequence = 2
    orders = tables(cli("status", "shop/orders", "--json"))["shop/orders"]
    assert (orders["freshness"], orders["behind"]) == ("fresh", 0)


def test_a_table_that_cannot_be_read_is_not_fresh(cli: Cli, ledger: Ledger, warehouse: FakeWarehouse) -> None:
    now = datetime.now(UTC)
    ledger.looked([ORDERS], (now - timedelta(minutes=5)).isoformat())
    ledger.failed(ORDERS, now.isoformat(), "the column note is gone")
    orders = tables(cli("status", "shop/orders", "--json"))["shop/orders"]
    assert (orders["freshness"], orders["failure"]) == ("failing", "the column note is gone")
    assert "the column note is gone" in cli("status").out
    ledger.looked([ORDERS], (now + timedelta(seconds=1)).isoformat())
    assert tables(cli("status", "--json"))["shop/orders"]["freshness"] == "fresh"


def test_the_age_of_the_last_reconcile_is_told(cli: Cli, ledger: Ledger, warehouse: FakeWarehouse) -> None:
    assert tables(cli("status", "--json"))["shop/orders"]["reconciled_at"] is None
    at = datetime.now(UTC) - timedelta(hours=5, minutes=1)
    ledger.reconciled(ORDERS, at.isoformat())
    assert tables(cli("status", "--json"))["shop/orders"]["reconciled_at"] == at.isoformat()
    assert "5 h ago" in cli("status").out


def test_a_table_never_synced(cli: Cli, ledger: Ledger) -> None:
    products = tables(cli("status", "shop", "--json"))["shop/products"]
    assert (products["freshness"], products["sequence"], products["rows"], products["behind"]) == (
        "never",
        None,
        None,
        0,
    )


def test_a_busy_warehouse_leaves_the_ledger_s_part(
    cli: Cli, ledger: Ledger, warehouse: FakeWarehouse
) -> None:
    warehouse.error = WarehouseBusy("Process 12 holds it.")
    result = cli("status", "--json")
    assert result.code == 5
    assert json.loads(result.out)["warehouse_error"] == "Process 12 holds it."
    orders = tables(result)["shop/orders"]
    assert (orders["sequence"], orders["behind"], orders["rows"]) == (2, None, None)
    assert "Process 12 holds it." in cli("status").err


def test_a_broken_ledger_is_that_table_s_trouble_alone(cli: Cli, ledger: Ledger) -> None:
    file = ledger.store.path / manifest_key(ORDERS, 2)  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:50])
    result = cli("status", "--json")
    assert result.code == 4
    found = tables(result)
    assert "cannot be read" in found["shop/orders"]["error"]
    assert found["shop/products"]["error"] is None


def test_the_json_is_what_the_documentation_says(cli: Cli, ledger: Ledger) -> None:
    text = DOCS.read_text().partition("## `data-platform status")[2].partition("\n## ")[0]
    text = text.partition("JSON:")[2]
    document = json.loads(cli("status", "--json").out)
    for key in [*document, *document["tables"][0]]:
        assert f"`{key}`" in text, key


def test_freshness_states() -> None:
    now, limit = datetime(2026, 1, 2, tzinfo=UTC), timedelta(hours=6)
    looks = [None, now, now - limit, now - limit - timedelta(seconds=1)]
    assert [freshness_state(at, limit, now) for at in looks] == ["never", "fresh", "fresh", "stale"]


def test_fields_are_json() -> None:
    one = TableStatus(ORDERS, None, None, None, None, timedelta(hours=6), "never")
    assert json.loads(json.dumps(status_fields(one)))["freshness_hours"] == 6
