"""Warehouse and source are compared as they are: nothing is read, nothing is mended."""

from __future__ import annotations

import pytest

from data_platform.sync.agreement import agreements, disagreements
from data_platform_tests.sync.conftest import Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("orders", ["application"], ids=["xmin"], indirect=True),
]


def found(project: Project) -> list[str]:
    return disagreements(agreements(project.platform(), "shop"))


def test_what_was_just_synced_agrees(orders: Project) -> None:
    (one,) = agreements(orders.platform(), "shop")
    assert (one.equal, one.rows, one.problem) == (True, 400, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from orders where order_id = 3", "20 rows in the warehouse, 19 at the source"),
        ("update orders set amount = 7 where order_id = 3", "20 rows on both sides, but not the same"),
        (
            "insert into orders values (401, 'new', 1, '2026-01-04 12:00+00')",
            "20 rows in the warehouse, 21 at",
        ),
    ],
    ids=["deleted", "updated", "inserted"],
)
def test_a_change_of_the_source_is_named_and_stays(orders: Project, change: str, said: str) -> None:
    before = orders.ledger_sequences("orders")
    orders.execute(change)
    (line,) = found(orders)
    assert line.startswith("shop/orders differs: 2026-01-04: ")
    assert said in line
    assert found(orders) == [line]
    assert orders.ledger_sequences("orders") == before


def test_a_row_that_the_warehouse_lost_is_named(orders: Project) -> None:
    with orders.platform().warehouse() as warehouse:
        warehouse.query("delete from raw_shop.orders where order_id = 5")
    (line,) = found(orders)
    assert "2026-01-06: 19 rows in the warehouse, 20 at the source" in line


def test_what_cannot_be_compared_is_not_equal(orders: Project) -> None:
    with orders.platform().warehouse() as warehouse:
        warehouse.query("update _data_platform.loaded_tables set digest = 'another'")
    (one,) = agreements(orders.platform(), "shop")
    assert not one.equal
    assert disagreements([one]) == [
        "shop/orders was not compared: the warehouse does not hold the newest batch of its ledger"
    ]


def test_a_table_that_is_gone_is_not_equal(orders: Project) -> None:
    orders.execute("drop table orders")
    (line,) = found(orders)
    assert line.startswith("shop/orders was not compared: ")
