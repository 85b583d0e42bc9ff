"""What columns are made of, read off SQL; on the project's own models see ``test_runs.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from data_platform.column_lineage import columns_behind
from data_platform.defs.dbt_lineage import ColumnLineage
from data_platform.defs.dbt_run import Models
from data_platform.warehouses import Relation

TABLES = {
    ("s", "orders"): ["id", "userId", "revenue", "at"],
    ("s", "items"): ["order_id", "price", "quantity", "a.b|c`d"],
}


def behind(sql: str) -> dict[str, list[str] | None] | None:
    found = columns_behind(sql, "duckdb", TABLES)
    return found and {
        name: columns if columns is None else [f"{c.table}.{c.column}" for c in columns]
        for name, columns in found.items()
    }


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("select id, revenue * 2 as twice from wh.s.orders", {"id": ["orders.id"], "twice": ["orders.revenue"]}),
        ('select USERID as u from "wh"."s"."orders"', {"u": ["orders.userId"]}),
        ('select "a.b|c`d" as odd from s.items', {"odd": ["items.a.b|c`d"]}),
        ("from s.orders select sum(revenue) as total, count(*) as n", {"total": ["orders.revenue"], "n": []}),
        (
            "with o as (select * exclude (at) from s.orders), i as (select order_id, price * quantity as p from s.items)"
            " select o.*, sum(i.p) over (partition by o.id) as sum from o left join i on o.id = i.order_id",
            {
                "id": ["orders.id"],
                "userid": ["orders.userId"],
                "revenue": ["orders.revenue"],
                "sum": ["items.price", "items.quantity", "orders.id"],
            },
        ),
        (
            "select id as one from s.orders union all select order_id from s.items",
            {"one": ["items.order_id", "orders.id"]},
        ),
        ("select case when revenue > 0 then 1 end as f, 7 as c from s.orders", {"f": ["orders.revenue"], "c": []}),
        ("select (select max(price) from s.items) as m from s.orders", {"m": ["items.price"]}),
        # One column that cannot be followed leaves the others.
        ("select id, m.x from s.orders join s.unknown m on true", {"id": ["orders.id"], "x": None}),
    ],
)  # fmt: skip
def test_the_columns_in_an_expression(sql: str, expected: dict[str, Sequence[str] | None]) -> None:
    assert behind(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "selec id from",
        "select id from s.orders; drop table s.orders",
        "def model(dbt, session):\n    return dbt.ref('orders')",
        "select * from s.unknown",
        "pivot s.orders on id using sum(revenue)",
        "select columns('re.*') from s.orders",
        "select max(columns(*)) from s.orders",
        "select orders as whole from s.orders",
        "select id, at from s.orders union all by name select price as at, quantity as id from s.items",
        "select sum(revenue) over w as x from s.orders window w as (partition by id)",
        "select " + "(" * 3000 + "1" + ")" * 3000 + " as x from s.orders",
    ],
)
def test_what_cannot_be_followed_has_no_lineage_and_is_no_error(sql: str) -> None:
    assert behind(sql) is None


class Key:
    def get_asset_key(self, props: Any) -> dg.AssetKey:
        return dg.AssetKey([props["schema"], props["name"]])


def metadata(target: Path, sql: str | None, columns: Sequence[str], **node: Any) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "metadata": {"adapter_type": "duckdb"},
        "nodes": {
            "m": {"unique_id": "m", "resource_type": "model", "schema": "marts", "alias": "m", "name": "m"} | node
        },
        "sources": {"o": {"schema": "s", "identifier": "orders", "name": "orders"}},
    }  # fmt: skip
    if sql is not None:
        results = {"results": [{"unique_id": "m", "compiled_code": sql}, {"unique_id": "test.t"}]}
        (target / "run_results.json").write_text(json.dumps(results))
    tables = {**TABLES, ("marts", "m"): list(columns)}
    relations = [
        Relation(schema, name, "table", tuple((c, "x") for c in names))
        for (schema, name), names in tables.items()
    ]
    warehouse: Any = SimpleNamespace(describe=lambda: relations)
    return ColumnLineage(Models(manifest, Key()), target).metadata(warehouse, dg.AssetKey(["marts", "m"]))  # type: ignore[arg-type]


def test_it_leads_to_assets_and_every_column_has_columns_or_a_reason(tmp_path: Path) -> None:
    sql = (
        "select o.id, count(*) as n, i.price, x.id as before"
        " from s.orders o join s.items i on true join marts.m x on true"
    )
    made = metadata(tmp_path, sql, ["id", "n", "price", "before", "later"])
    lineage = made["dagster/column_lineage"].deps_by_column
    orders = dg.AssetKey(["s", "orders"])
    # `price` is of a table that is no asset, `before` of the model as it was, `later` is not in the SQL.
    assert lineage == {"id": [dg.TableColumnDep(orders, "id")], "n": [], "before": []}
    assert made["column_lineage"].value.splitlines()[2:] == [
        "| `id` | [`s/orders`](/assets/s/orders): `id` |",
        "| `n` | no column: a constant, or rows counted |",
        "| `price` | not known |",
        "| `before` | its own earlier rows |",
        "| `later` | not known |",
    ]


def test_what_a_snapshot_adds_is_said_to_be_dbts(tmp_path: Path) -> None:
    made = metadata(tmp_path, "select id from s.orders", ["id", "dbt_valid_from"], resource_type="snapshot")
    assert made["dagster/column_lineage"].deps_by_column["dbt_valid_from"] == []
    assert made["column_lineage"].value.endswith("| `dbt_valid_from` | added by dbt |")


@pytest.mark.parametrize(
    "sql, node", [(None, {}), ("", {}), ("selec", {}), ("select 1", {"language": "python"})]
)
def test_a_model_without_sql_that_can_be_read_has_none(tmp_path: Path, sql: str | None, node: Any) -> None:
    assert metadata(tmp_path, sql, ["id"], **node) == {}


def test_a_name_cannot_leave_its_cell(tmp_path: Path) -> None:
    made = metadata(
        tmp_path, 'select id as "x` | [a](javascript:b)\n| y" from s.orders', ["x` | [a](javascript:b)\n| y"]
    )
    assert made["column_lineage"].value.splitlines()[2:] == [
        r"| `` x` \| [a](javascript:b) \| y `` | [`s/orders`](/assets/s/orders): `id` |"
    ]
