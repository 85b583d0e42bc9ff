"""The whole way into a lake, in a folder and in a bucket: sync, proof, rebuild, maintenance, backup, restore and drill."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from data_platform.errors import BackupError, ConfigurationError, QueryFailed, WarehouseError
from data_platform.sync import Platform
from data_platform.sync.backup import hold_drills, make_backup, restore_warehouse
from data_platform.sync.load import check_completeness
from data_platform.sync.maintenance import maintain
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform.warehouses.ducklake.config import DuckLakeConfig
from data_platform_tests.engines.ducklake import CATALOG_URL
from data_platform_tests.repository import ROOT
from data_platform_tests.servers.objects import BUCKET, ENVIRON, ObjectServer, new_prefix
from data_platform_tests.sync.conftest import ORDERS, ORDERS_SQL, Project
from data_platform_tests.sync.test_another_warehouse import with_backups

TABLE = TableId("shop", "orders")
EXTREMES = "SELECT count(*), min(order_id), max(order_id), sum(_source_xmin)::BIGINT FROM raw_shop.orders"


@dataclass
class OverALake(Project):
    lake: dict[str, Any] = field(default_factory=dict)

    def platform(self) -> Platform:
        opened = super().platform()
        warehouse = DuckLakeConfig.model_validate(self.lake)
        environment = opened.environment.model_copy(update={"warehouse": warehouse})
        return with_backups(replace(opened, environment=environment, rules_with_load=True))


@pytest.fixture
def orders(
    tmp_path: Path,
    database: str,
    lake_catalogs: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[OverALake]:
    schema = f"whole_{uuid.uuid4().hex[:12]}"
    lake: dict[str, Any] = {
        "kind": "ducklake",
        "catalog": {"url_env": CATALOG_URL, "schema": schema},
        "data": "lake",
    }
    if request.param == "bucket":
        server: ObjectServer = request.getfixturevalue("s3_server")
        keys = {
            key: server.config()[key]
            for key in ("region", "endpoint_url", "access_key_env", "secret_key_env")
        }
        lake |= {"data": f"s3://{BUCKET}/{new_prefix()}", "s3": keys}
        for name, value in ENVIRON.items():
            monkeypatch.setenv(name, value)
    project = OverALake(tmp_path, database, lake)
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "rules": ["amount >= 2", "status in [new]"]}})
    project.good()
    yield project
    project.platform().environment.warehouse.remove(tmp_path)  # type: ignore[attr-defined]


def held(project: OverALake) -> tuple[Any, ...]:
    (found,) = project.rows(EXTREMES)
    (theirs,) = project.source_rows(
        "select count(*), min(order_id), max(order_id), sum(xmin::text::bigint)::bigint from orders"
    )
    assert found == theirs
    return found


def changed(orders: OverALake) -> tuple[Any, ...]:
    """Synced changes, deletes and a slice, each proven; then maintained."""
    orders.execute(
        "update orders set status = 'paid' where order_id <= 10", "delete from orders where order_id > 390"
    )
    (report,) = orders.good(verify=True, audit=True).values()
    assert report.completeness is not None and report.completeness.passed
    orders.execute("delete from orders where order_id = 1")
    orders.slices(["orders"], "2026-01-02")
    before = held(orders)
    with orders.platform().warehouse(read_only=True) as warehouse:
        assert warehouse.recorded_rules()[TABLE][0] == orders.ledger_sequences("orders")[-1]
    upkeep = maintain(orders.platform())
    assert upkeep.done["records shortened"] > 0 and not upkeep.left
    assert upkeep.done["rows moved from the catalog into files"] > 0
    assert held(orders) == before
    assert not orders.good()["orders"].loaded, "a lake that was maintained is loaded as before"
    return before


@pytest.mark.parametrize("orders", ["bucket"], indirect=True)
def test_into_a_bucket(orders: OverALake) -> None:
    changed(orders)
    with (
        orders.platform().warehouse() as warehouse,
        pytest.raises(QueryFailed, match="disabled by configuration"),
    ):
        warehouse.query(f"FROM read_parquet('s3://{BUCKET}/beside/x.parquet')")
    moved = DuckLakeConfig.model_validate({**orders.lake, "data": f"s3://{BUCKET}/elsewhere"})
    with pytest.raises(WarehouseError, match="says that its files are in"), moved.open(orders.root):
        pass


MODELS = {
    "by_status.sql": "{{ config(materialized='table') }} SELECT status, count(*) AS orders, sum(amount)::DECIMAL(18,2)"
    " AS amount FROM {{ target.database }}.raw_shop.orders GROUP BY 1",
    "counted.sql": "{{ config(materialized='incremental', unique_key='order_id') }} SELECT order_id, status, _source_xmin"
    " FROM {{ target.database }}.raw_shop.orders"
    " {% if is_incremental() %} WHERE _source_xmin > (SELECT max(_source_xmin) FROM {{ this }}) {% endif %}",
}


@pytest.mark.parametrize("orders", ["bucket"], indirect=True)
def test_dbt_builds_models_on_it_twice(orders: OverALake) -> None:
    project = orders.root / "models"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("{name: small, profile: data_platform, config-version: 2}")
    for name, sql in MODELS.items():
        (project / "models" / name).write_text(sql)
    warehouse = orders.platform().environment.warehouse

    def build() -> tuple[Any, ...]:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("dbt")),
                "build",
                "--profiles-dir",
                str(ROOT / "dbt"),
                "--quiet",
            ],
            cwd=project,
            env={
                "PATH": os.environ["PATH"],
                "DATA_PLATFORM_DBT_TARGET": "ducklake",
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                **warehouse.dbt_variables(orders.root),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        log = (project / "logs" / "dbt.log").read_text()
        assert ENVIRON["TEST_SECRET_KEY"] not in log and str(urlsplit(orders.url).password) not in log
        counts = "(SELECT sum(orders) FROM analytics.by_status), (SELECT count(*) FROM analytics.counted)"
        return orders.rows(
            f"SELECT {counts}, (SELECT count(*) FROM analytics.counted WHERE status = 'paid')"
        )[0]

    assert build() == (400, 400, 0)
    orders.execute("update orders set status = 'paid' where order_id <= 10")
    orders.good()
    assert build() == (400, 400, 10)


@pytest.mark.parametrize("orders", ["folder"], indirect=True)
def test_into_a_folder_and_back(orders: OverALake) -> None:
    before = changed(orders)
    assert check_completeness(orders.platform(), orders.platform().catalog.table(TABLE)).passed
    assert make_backup(orders.platform()).manifest.rows > before[0]
    assert [report.mismatches for report in hold_drills(orders.platform())] == [()]
    for made, way in {"restored": _restore, "anew": rebuild}.items():
        way(orders.platform(), made)
        there = orders.platform().environment.warehouse.elsewhere(made)
        try:
            with there.open(orders.root, read_only=True) as warehouse:
                assert warehouse.query(EXTREMES).rows == [before]
                assert warehouse.loaded(TABLE) is not None
            with pytest.raises((BackupError, WarehouseError), match="exists"):
                way(orders.platform(), made)
        finally:
            there.remove(orders.root)  # type: ignore[attr-defined]
    for name in ("no/name", "Capitals", "x" * 60):
        with pytest.raises(ConfigurationError, match="no name of another lake"):
            orders.platform().environment.warehouse.elsewhere(name)
    moved = DuckLakeConfig.model_validate({**orders.lake, "data": "elsewhere"})
    with pytest.raises(WarehouseError, match="says that its files are in"), moved.open(orders.root):
        pass


def _restore(platform: Platform, into: str) -> None:
    restore_warehouse(platform, "latest", into)


def test_a_file_warehouse_has_nothing_to_maintain(tmp_path: Path, database: str) -> None:
    project = Project(tmp_path, database).catalog({"orders": ORDERS})
    with pytest.raises(ConfigurationError, match="looks after itself"):
        maintain(project.platform())
