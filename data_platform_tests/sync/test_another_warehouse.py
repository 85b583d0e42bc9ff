"""The whole way with a warehouse that the platform does not know: a folder of code, and no line besides its kind's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError
from data_platform.quality.evaluated import from_text
from data_platform.sync import Platform
from data_platform.sync.backup import restore_warehouse
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.sync.conftest import ORDERS, ORDERS_SQL, Project

TABLE = TableId("shop", "orders")
EXTREMES = "SELECT count(*), min(order_id), max(order_id), sum(_source_xmin) FROM raw_shop.orders"


@dataclass
class OverAToy(Project):
    def platform(self) -> Platform:
        opened = super().platform()
        environment = opened.environment.model_copy(update={"warehouse": ToyConfig(folder=Path("toy"))})
        return replace(opened, environment=environment, rules_with_load=True)


@pytest.fixture
def orders(tmp_path: Path, database: str) -> OverAToy:
    project = OverAToy(tmp_path, database)
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "rules": ["amount >= 2", "status in [new]"]}})
    project.good()
    return project


def held(project: OverAToy) -> list[tuple[object, ...]]:
    (found,) = project.rows(EXTREMES)
    (theirs,) = project.source_rows(
        "select count(*), min(order_id), max(order_id), sum(xmin::text::bigint)::bigint from orders"
    )
    assert found == theirs
    return [found]


def test_changes_deletes_and_slices_are_followed_and_proven(orders: OverAToy) -> None:
    held(orders)
    orders.execute(
        "update orders set status = 'paid' where order_id <= 10", "delete from orders where order_id > 390"
    )
    (report,) = orders.good(verify=True, audit=True).values()
    assert report.completeness is not None and report.completeness.passed
    held(orders)
    orders.execute("delete from orders where order_id = 1")
    orders.slices(["orders"], "2026-01-02")
    held(orders)
    assert check_completeness(orders.platform(), orders.platform().catalog.table(TABLE)).passed
    with orders.platform().warehouse(read_only=True) as warehouse:
        sequence, text = warehouse.recorded_rules()[TABLE]
    assert sequence == orders.ledger_sequences("orders")[-1]
    found = from_text(text, orders.platform().catalog.table(TABLE)).rules
    assert [(one.failing, one.problem) for one in found] == [(0, None), (9, None)]


def test_it_is_made_anew_from_the_ledger(orders: OverAToy) -> None:
    before = held(orders)
    into = orders.root / "anew"
    (made,) = rebuild(orders.platform(), into)
    assert (made.rows, made.batches) == (400, 1)
    anew = orders.platform().environment.warehouse.elsewhere(into)
    with anew.open(orders.root, read_only=True) as warehouse:
        assert warehouse.query(EXTREMES).rows == before


def test_what_it_cannot_is_said(orders: OverAToy) -> None:
    with pytest.raises(ConfigurationError, match="kind toy is not backed up table by table"):
        restore_warehouse(with_backups(orders.platform()), "latest", orders.root / "x")


def with_backups(platform: Platform) -> Platform:
    from data_platform.backups.config import BackupsConfig

    backups = BackupsConfig.model_validate(
        {"store": {"kind": "local", "path": "backups"}, "start": "2026-01-01"}
    )
    return replace(platform, environment=platform.environment.model_copy(update={"backups": backups}))
