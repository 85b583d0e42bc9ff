"""The command and the asset over a small project: what they take, what they say, what fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.defs.iceberg import TABLES, iceberg_definitions
from data_platform.defs.resources import resources
from data_platform.errors import CatalogError
from data_platform.iceberg.catalog import open_catalog
from data_platform.iceberg.config import IcebergConfig
from data_platform.warehouses.duckdb.config import DuckDBConfig

BLOCK: dict[str, Any] = {
    "catalog": {"kind": "sql", "path": "ice/catalog.db"},
    "location": "ice",
    "tables": ["marts.*", "raw_shop.orders"],
}


def project(root: Path, **changes: Any) -> Path:
    (root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
    environment = {
        "landing": {"kind": "local", "path": "landing"},
        "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb"},
        "iceberg": {**BLOCK, **changes},
    }
    (root / "catalog" / "platform.yaml").write_text(yaml.dump({"environments": {"local": environment}}))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA marts; CREATE SCHEMA staging; CREATE TABLE staging.s AS SELECT 1 AS id"
        )
        connection.execute("CREATE TABLE marts.daily AS SELECT range AS id FROM range(3)")
        connection.execute("CREATE VIEW marts.seen AS SELECT * FROM marts.daily")
    return project(tmp_path)


def test_what_is_chosen_is_exported_and_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["iceberg", "--root", str(root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["table"], one["rows"], one["changed"]) for one in told["tables"]] == [
        ("marts.daily", 3, True)
    ]
    assert run(["iceberg", "--root", str(root)]) == 0
    assert "marts.daily: 3 rows, unchanged, snapshot" in capsys.readouterr().out
    catalog = open_catalog(load_catalog(root).environment("local").iceberg, root, {})  # type: ignore[arg-type]
    assert catalog.list_tables("marts") == [("marts", "daily")]


def test_a_table_that_fails_does_not_stop_the_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect(str(root / "warehouse.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE marts.another AS SELECT 1 AS id; CREATE TABLE marts.zeta AS SELECT 2 AS id"
        )
    assert run(["iceberg", "--root", str(root)]) == 0
    with duckdb.connect(str(root / "warehouse.duckdb")) as connection:
        connection.execute("INSERT INTO marts.daily VALUES (9); INSERT INTO marts.zeta VALUES (9)")
    for file in (root / "ice" / "marts" / "daily" / "metadata").iterdir():
        file.unlink()
    capsys.readouterr()
    assert run(["iceberg", "--root", str(root)]) == 9
    told = capsys.readouterr()
    assert "marts.daily was not exported to Iceberg" in told.err
    assert "marts.zeta: 2 rows, exported and read back" in told.out


def test_nothing_chosen_and_no_block_say_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA marts")
    assert run(["iceberg", "--root", str(project(tmp_path))]) == 9
    assert "No table of the warehouse is among marts.*, raw_shop.orders" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"catalog": {"kind": "sql"}}, "give either `path` or `url_env`"),
        ({"schedule": "hourly"}, "schedule"),
        ({"tables": []}, "tables"),
        ({"catalog": {"kind": "rest", "url": "https://user:pw@host"}}, "url"),
    ],
)
def test_mistakes_are_told_by_key(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        load_catalog(project(tmp_path, **changes))


def test_the_asset_takes_what_it_is_downstream_of() -> None:
    config = load_config()
    keys = [dg.AssetKey(["raw", "shop", name]) for name in ("orders", "users")]
    keys += [dg.AssetKey(["marts", "daily_revenue"]), dg.AssetKey(["staging", "stg_shop__orders"])]
    made = iceberg_definitions(config, DuckDBConfig(path=Path("w.duckdb")), keys, running=True)
    (assets,) = made.assets or ()
    assert isinstance(assets, dg.AssetsDefinition)
    assert assets.dependency_keys == {keys[0], keys[2]} and assets.keys == {TABLES}
    (schedule,) = made.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition) and schedule.cron_schedule == config.schedule


def test_the_asset_runs_and_fails_as_the_command_does(root: Path) -> None:
    made = iceberg_definitions(load_config(), DuckDBConfig(path=Path("w.duckdb")), [], running=False)
    result = dg.materialize(list(made.assets or ()), resources=resources(root, "local"))
    (event,) = result.get_asset_materialization_events()
    told = event.materialization.metadata
    assert (told["tables"].value, told["rows"].value, told["changed"].value) == (1, 3, 1)


def load_config() -> IcebergConfig:
    return IcebergConfig.model_validate(BLOCK)


SHOP = """
source: shop
kind: postgres
connection: {url_env: SHOP_URL}
start: 2026-01-01
tables:
  orders: {key: id, columns: {id: Its number., who: The buyer.}, personal: {who: hash}}
"""


def test_a_table_that_carries_something_of_a_person_is_exported_only_if_somebody_says_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "catalog/sources/shop.yaml").write_text(SHOP)
    with duckdb.connect(str(root / "warehouse.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.orders AS SELECT 1 AS id, 'h' AS who"
        )
    assert run(["iceberg", "--root", str(root)]) == 9
    said = capsys.readouterr()
    assert "marts.daily: 3 rows, exported" in said.out and "raw_shop.orders" not in said.out
    assert (
        "raw_shop.orders.who holds pseudonymous values" in said.err
        and "raw_shop.orders.who (hash)" in said.err
    )
    catalog = open_catalog(load_catalog(root).environment("local").iceberg, root, {})  # type: ignore[arg-type]
    assert not catalog.namespace_exists("raw_shop")
    for allowed in ({"classes": ["pseudonymous"]}, {"personal": ["raw_shop.orders.who"]}):
        assert run(["iceberg", "--root", str(project(root, **allowed))]) == 0
    assert run(["iceberg", "--root", str(project(root, classes=["masked"]))]) == 9
