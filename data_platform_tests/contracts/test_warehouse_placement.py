"""A raw table that lies by another cluster than the catalog says: it is named, and a refresh makes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from data_platform.catalog import load_catalog
from data_platform.doctor.placement import look_at_placement
from data_platform.warehouses import Warehouse
from data_platform.warehouses.placement import Placed
from data_platform_tests.contracts.batches import RULED, TABLE, Chain
from data_platform_tests.contracts.engines import Engine, rows

SOURCE = """
source: shop
kind: postgres
description: A shop.
owner: data@company.example
connection: {url_env: SHOP_DATABASE_URL}
schema: public
timezone: UTC
start: 2024-11-01
freshness_hours: 6
schedule: "0 * * * *"
reconcile: "30 3 * * *"
tables:
  orders: {description: Orders., key: id, partition: at, cluster: [%s], personal: {note: keep}}
"""


@pytest.fixture
def placed(engine: Engine, warehouse: Warehouse, tmp_path: Path, request: pytest.FixtureRequest) -> Placed:
    if not engine.config(tmp_path).traits.placed:
        pytest.skip("the engine keeps rows in no such order")
    if warehouse.dialect.name == "snowflake" and request.config.getoption("--warehouse") is None:
        pytest.skip("the emulator tells no cluster key")
    return cast("Placed", warehouse)


def test_another_cluster_is_named_and_a_refresh_applies_it(
    engine: Engine, placed: Placed, chain: Chain, tmp_path: Path
) -> None:
    def found(cluster: str) -> list[str]:
        root = tmp_path / cluster
        (root / "catalog/sources").mkdir(parents=True)
        platform = "environments: {local: {landing: {kind: local, path: l}, warehouse: {kind: duckdb, path: w.duckdb}}}"
        (root / "catalog/platform.yaml").write_text(platform)
        (root / "catalog/sources/shop.yaml").write_text(SOURCE % cluster)
        [finding] = look_at_placement(load_catalog(root), engine.config(tmp_path), placed, [TABLE])
        return [finding.state, finding.found]

    placed.load(*chain.next("merge", RULED), cluster=["note"])
    assert found("note") == ["ok", "Every raw table lies as the catalog says."]
    state, said = found("id")
    assert state == "warn" and said.endswith("than the catalog says: shop/orders.")
    placed.load(*chain.next("merge", RULED[:1]), cluster=["id"])
    assert placed.misplaced({TABLE: ("at", ("id",))}) == [TABLE], "changed rows move no table"
    placed.load(*chain.next("replace", RULED[:3]), cluster=["id"])
    assert placed.misplaced({TABLE: ("at", ("id",))}) == []
    assert placed.misplaced({TABLE: ("at", ("id", "note"))}) == [TABLE]
    assert [row[0] for row in rows(placed)] == [1, 2, 3]
