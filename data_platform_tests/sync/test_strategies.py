"""Strategies, and relations that are not plain tables."""

from __future__ import annotations

import pytest

from data_platform.errors import DuplicateKey, SourceError
from data_platform_tests.sync.conftest import COLUMNS, ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow


def test_append_inserts_absent_keys_only(project: Project) -> None:
    project.execute(
        "create table events (id int primary key, kind text)", "insert into events values (1, 'a')"
    )
    project.catalog({"events": {"key": "id", "strategy": "append"}}).good()
    project.execute("update events set kind = 'changed' where id = 1", "insert into events values (2, 'b')")
    project.good()
    assert project.rows("select id, kind from raw_shop.events order by id") == [(1, "a"), (2, "b")]


def test_replace_follows_deletes(project: Project) -> None:
    project.execute("create table tags (name text)", "insert into tags values ('a'), ('a'), ('b')")
    project.catalog({"tags": {"strategy": "replace"}}).good()
    project.execute("delete from tags where name = 'a'")
    project.good()
    assert project.rows("select name from raw_shop.tags") == [("b",)]


def test_duplicate_keys_are_refused_before_anything_is_deleted(project: Project) -> None:
    project.execute("create table t (k int, v text)", "insert into t values (1, 'a'), (2, 'b')")
    project.catalog({"t": {"key": "k"}}).good()
    project.execute("insert into t values (1, 'secret value')", "update t set v = v")
    error = project.sync()["t"].error
    assert isinstance(error, DuplicateKey)
    assert "(k)" in str(error) and "secret value" not in str(error)
    assert project.rows("select k, v from raw_shop.t order by k") == [(1, "a"), (2, "b")]
    project.execute("update t set k = null where v = 'b'")
    assert "NULL" in str(project.sync()["t"].error)


def test_a_view_is_replaced_or_read_by_a_cursor_whose_promise_is_stated(project: Project) -> None:
    project.execute(ORDERS_SQL, "create view recent as select order_id, status, updated_at from orders")
    project.catalog({"recent": {"key": "order_id", "cursor": "updated_at"}})
    project.good()
    project.execute("update orders set status = 'seen' where order_id = 3")
    report = project.good()["recent"]
    assert report.operation == "changes"
    assert "weaker promise" in " ".join(report.notes)
    assert project.rows("select status from raw_shop.recent where order_id = 3") == [("seen",)]
    project.execute("delete from orders where order_id = 4")
    project.good(refresh=["recent"])
    assert project.rows("select count(*) from raw_shop.recent") == [(399,)]


def test_materialized_views_and_foreign_tables_are_read(project: Project, postgres) -> None:  # type: ignore[no-untyped-def]
    project.execute(
        ORDERS_SQL, "create materialized view totals as select status, count(*) n from orders group by 1"
    )
    project.catalog({"totals": {"strategy": "replace"}}).good()
    assert project.rows("select status, n from raw_shop.totals") == [("new", 400)]


def test_a_partitioned_table_is_read_leaf_by_leaf(project: Project) -> None:
    project.execute(
        "create table orders (order_id bigint, created_at timestamptz not null, status text, amount numeric(10,2),"
        " updated_at timestamptz, primary key (order_id, created_at)) partition by range (created_at)",
        "create table orders_q1 partition of orders for values from ('2026-01-01') to ('2026-04-01')",
        "create table orders_rest partition of orders default",
        "insert into orders select n, timestamptz '2026-02-01' + n * interval '1 day', 'new', n, now()"
        " from generate_series(1, 200) n",
    )
    project.catalog({"orders": {"key": ["order_id", "created_at"], "partition": "created_at"}}).good()
    assert project.difference("orders", COLUMNS) == ([], [])
    # the row moves to another leaf
    project.execute("update orders set status = 'moved', created_at = '2027-01-01' where order_id = 1")
    project.good()
    project.slices(["orders"], "2026-02-02")
    assert project.difference("orders", COLUMNS) == ([], [])


def test_a_refresh_swaps_and_readers_keep_reading(orders: Project) -> None:
    orders.execute("delete from orders where order_id > 300")
    report = orders.good(refresh=["orders"])["orders"]
    assert report.operation == "refresh"
    assert orders.difference("orders", COLUMNS) == ([], [])


def test_names_that_need_quoting(project: Project) -> None:
    project.execute(
        'create schema "Sales Data"',
        'create table "Sales Data"."Order Items" ("Item""Id" int primary key, "select" text, "naïve" int)',
        """insert into "Sales Data"."Order Items" values (1, 'it''s', 3)""",
    )
    project.catalog(
        {"order_items": {"relation": "Sales Data.Order Items", "key": 'Item"Id'}},
    ).good()
    assert project.rows('select "Item""Id", "select", "naïve" from raw_shop.order_items') == [(1, "it's", 3)]


def test_days_are_cut_in_the_time_zone_of_the_table(project: Project) -> None:
    project.execute(
        ORDERS_SQL, "delete from orders", "insert into orders values (1, 'x', 1, '2026-01-02 23:30+00')"
    )
    project.catalog({"orders": ORDERS}, timezone="Europe/Berlin")
    assert dict(project.good()["orders"].touched) == {"2026-01-03": 1}
    assert project.slices(["orders"], "2026-01-03")["orders"].error is None
    assert project.rows("select count(*) from raw_shop.orders") == [(1,)]


def test_a_column_of_more_days_than_history_has_is_no_partition(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_platform.sync.commit.MAX_SLICES", 30)
    project.execute(
        "create table t (id int primary key, day date)",
        "insert into t select n, date '1066-10-14' + n from generate_series(1, 30) n",
    )
    project.catalog({"t": {"key": "id", "partition": "day"}}).good()
    project.execute("insert into t values (31, '2066-10-14')")
    error = project.sync()["t"].error
    assert isinstance(error, SourceError) and "day holds 31 different days, and at most 30" in str(error)
    assert "sync --refresh shop/t" in str(error)
    assert project.rows("select count(*) from raw_shop.t") == [(30,)]
    project.execute("delete from t where id = 1")
    project.good(refresh=["t"])
    project.catalog({"t": {"key": "id"}}).good(refresh=["t"])
    project.execute("insert into t values (32, '2067-10-14')")
    project.good()
    assert project.rows("select count(*) from raw_shop.t") == [(31,)]
