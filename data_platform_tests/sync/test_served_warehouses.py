"""The whole way into a warehouse behind a connection: changes, verified syncs, audits, rules, a warehouse made anew."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from data_platform.sync import Platform
from data_platform.sync.keys_kept import of_nobody
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.sync.reveal import Request, reveal
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse, WarehouseConfig
from data_platform.warehouses.dialect import relation
from data_platform_tests.contracts.conftest import served
from data_platform_tests.contracts.engines import ENGINES
from data_platform_tests.sync.conftest import ORDERS, ORDERS_SQL, Project
from data_platform_tests.sync.test_sealed import BLOCK, USERS, Sealed

pytestmark = pytest.mark.slow
SERVED = ("redshift", "bigquery")
"""An engine joins with its name."""
ON_DEMAND = ("bigquery",)
"""Run with ``--warehouse KIND`` alone: a statement takes the emulator a fifth of a second."""


def extremes(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    orders = relation(warehouse.dialect, "raw_shop", "orders")
    sql = f"SELECT count(*), min(order_id), max(order_id), sum(_source_xmin) FROM {orders}"
    return warehouse.query(sql).rows


@dataclass
class Into(Project):
    """A project whose batches are loaded into another warehouse than its catalog's."""

    config: WarehouseConfig

    def platform(self) -> Platform:
        opened = super().platform()
        environment = opened.environment.model_copy(update={"warehouse": self.config})
        return replace(opened, environment=environment, rules_with_load=True)


@pytest.mark.parametrize("kind", SERVED)
def test_changes_are_followed_and_proven_and_the_warehouse_is_made_anew(
    kind: str, database: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind in ON_DEMAND and request.config.getoption("--warehouse") != kind:
        pytest.skip(f"on demand: --warehouse {kind}")
    engine = served(ENGINES[kind], request, monkeypatch)
    project = Into(tmp_path, database, engine.config(tmp_path))
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "cluster": "status", "rules": ["amount >= 2", "status in [new]"]}})
    project.good()
    project.execute(
        "update orders set status = 'paid' where order_id <= 10", "delete from orders where order_id > 390"
    )
    (report,) = project.good(verify=True, audit=True).values()
    assert report.completeness is not None and report.completeness.passed
    project.execute("delete from orders where order_id = 1")
    project.slices(["orders"], "2026-01-02")
    table = TableId("shop", "orders")
    assert check_completeness(project.platform(), project.platform().catalog.table(table)).passed
    with project.platform().warehouse(read_only=True) as warehouse:
        (found,) = extremes(warehouse)
    (theirs,) = project.source_rows(
        "select count(*), min(order_id), max(order_id), sum(xmin::text::bigint)::bigint from orders"
    )
    assert tuple(map(int, found)) == tuple(map(int, theirs))
    with project.platform().warehouse(read_only=True) as warehouse:
        assert warehouse.recorded_rules()[table][0] == project.ledger_sequences("orders")[-1]
    name = str(engine.other(tmp_path))
    (made,) = rebuild(project.platform(), name)
    assert (made.rows, made.batches) == (389, len(project.ledger_sequences("orders")))
    with project.config.elsewhere(name).open(project.root, read_only=True) as anew:
        assert extremes(anew) == [found]
    if engine.emptied is not None:
        engine.emptied(tmp_path)


@pytest.mark.parametrize("kind", SERVED)
def test_sealed_values_come_back_in_clear(
    kind: str, database: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind in ON_DEMAND and request.config.getoption("--warehouse") != kind:
        pytest.skip(f"on demand: --warehouse {kind}")
    engine = served(ENGINES[kind], request, monkeypatch)
    project = Sealed(tmp_path, database)
    project.execute(
        "create table users (id int primary key, email text, phone text, profile jsonb, updated_at timestamptz default now(), household int)",
        "insert into users values (1, 'ada@example.com', null, '{\"name\": \"Lovelace\"}', now(), 1), (2, 'bob@example.com', null, '{}', now(), null)",
    )
    project.catalog({"users": {**BLOCK, "subject": "household"}})
    opened = project.platform()
    environment = opened.environment.model_copy(update={"warehouse": engine.config(tmp_path)})
    platform = replace(opened, environment=environment, rules_with_load=True)
    monkeypatch.setattr(Sealed, "platform", lambda self: platform)
    project.good()
    found = reveal(platform, Request(USERS, ("id", "email", "profile"), "a test", subject="1"))
    ((id_, email, profile),) = found.rows
    assert (id_, email, json.loads(profile)) == (1, "ada@example.com", {"name": "Lovelace"})
    assert found.subjects == (platform.keystore().find("shop/users", "1"),)
    everybody = reveal(platform, Request(USERS, ("email",), "a test", where="id <= 2"))
    assert {row[0] for row in everybody.rows} == {"ada@example.com", "bob@example.com"}
    assert of_nobody(platform) == {USERS: 1}
