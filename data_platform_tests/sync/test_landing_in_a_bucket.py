"""A sync from PostgreSQL whose landing store is a bucket on SeaweedFS: read, change, lose the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_platform.landing.manifest import Manifest
from data_platform.stores.s3.store import S3Store
from data_platform.sync import load_pending
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform.warehouses import LoadableBatch, LoadResult
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.landing.chains import problems_of
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix
from data_platform_tests.sync.conftest import COLUMNS, ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(
    tmp_path: Path, database: str, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """400 orders and a catalog that names a bucket by its YAML."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    project = Project(tmp_path, database)
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "cluster": "status"}})
    return project.environment(landing=s3_server.config(new_prefix(), cache="cache"))


def test_a_warehouse_is_synced_through_a_bucket_and_rebuilt_from_it(project: Project) -> None:
    fetched: list[str] = []
    download = S3Store._download

    def noting(self: S3Store, key: str, name: str, path: Path) -> int:
        fetched.append(key)
        return download(self, key, name, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Store, "_download", noting)
        assert project.good()["orders"].rows == 400
        project.execute(
            "update orders set status = 'paid' where order_id % 10 = 0",
            "insert into orders values (401, 'new', 7, '2026-01-05 10:00+00')",
        )
        project.good()
        project.execute("delete from orders where order_id = 7")
        assert project.slices(["orders"], "2026-01-08")["orders"].error is None
        assert fetched == [], "what was just landed is loaded from where it was written"
        assert project.difference("orders", COLUMNS) == ([], [])

        store = project.platform().store
        assert isinstance(store, S3Store)
        assert len(store.list("shop/orders/manifests")) == len(project.ledger_sequences("orders"))
        assert problems_of(project.platform().ledger, TableId("shop", "orders")) == []

        (project.root / "warehouse.duckdb").unlink()
        fetched.clear()
        addresses = told_addresses(patch)
        load_pending(project.platform(), TableId("shop", "orders"))
        landed = [part.key for batch in batches(project) for part in batch.parts]
        assert addresses == [store.address(key) for key in landed], "where an engine of the cloud reads them"
        addresses.clear()
        rebuild(project.platform(), project.root / "anew.duckdb")
        assert addresses == [store.address(key) for key in landed]
        assert fetched, "every part is fetched again, and checked"
        assert project.difference("orders", COLUMNS) == ([], [])
    assert not project.good()["orders"].loaded
    assert list((project.root / "cache").iterdir()) == [], "nothing is left on the way"


def told_addresses(patch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that loads are given from now on."""
    told: list[str] = []
    load = DuckDBWarehouse.load

    def noting(
        self: DuckDBWarehouse,
        made: LoadableBatch,
        parts: Any,
        *,
        addresses: Any = (),
        cluster: Any = (),
        **kept: Any,
    ) -> LoadResult:
        assert len(parts) == len(addresses) and cluster == ("status",)
        told.extend(addresses)
        return load(self, made, parts, addresses=addresses, **kept)

    patch.setattr(DuckDBWarehouse, "load", noting)
    return told


def batches(project: Project) -> list[Manifest]:
    ledger = project.platform().ledger
    table = TableId("shop", "orders")
    return [ledger.read(table, sequence) for sequence in project.ledger_sequences("orders")]


def test_a_bucket_that_refuses_fails_the_table_and_nothing_else(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.good()
    project.execute("update orders set status = 'paid' where order_id = 1")
    monkeypatch.setenv("TEST_SECRET_KEY", "another")
    error = project.sync()["orders"].error
    assert error is not None and "the credentials are wrong" in str(error)
    monkeypatch.setenv("TEST_SECRET_KEY", ENVIRON["TEST_SECRET_KEY"])
    project.good()
    assert project.difference("orders", COLUMNS) == ([], [])
