"""Which columns choose the rows of a query, and the text of a column's meaning; ``defs/test_dbt_lineage.py`` has its values."""

from __future__ import annotations

import pytest

from data_platform.column_lineage import (
    columns_asked_of,
    columns_choosing_rows,
    expressions_of,
    relations_in,
    taken,
)

TABLES = {
    ("s", "orders"): ["id", "userId", "revenue", "at"],
    ("s", "items"): ["order_id", "price", "quantity"],
}


def choosing(sql: str) -> list[str] | None:
    found = columns_choosing_rows(sql, "duckdb", TABLES)
    return None if found is None else sorted(f"{one.table}.{one.column}" for one in found)


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("select id, revenue from s.orders", []),
        ("select id from s.orders where at > now()", ["orders.at"]),
        ("select o.id from s.orders o join s.items i on o.id = i.order_id", ["items.order_id", "orders.id"]),
        ("select USERID, sum(revenue) from s.orders group by 1 having max(at) is not null", ["orders.at", "orders.userId"]),
        ("select id from s.orders qualify row_number() over (partition by userId order by at) = 1", ["orders.at", "orders.userId"]),
        ("select id from s.orders order by revenue limit 3", ["orders.revenue"]),
        ("select distinct userId from s.orders", ["orders.userId"]),
        ("select id from s.orders where exists (select 1 from s.items i where i.order_id = orders.id)", ["items.order_id", "orders.id"]),
        # Through steps: what the condition names is traced to where it comes from.
        ("with t as (select id, revenue * 2 as twice from s.orders) select id from t where twice > 5", ["orders.revenue"]),
        ("with t as (select id, sum(revenue) as s from s.orders group by id) select s from t", ["orders.id"]),
        ("with u as (select id as k, at from s.orders union all select order_id, price from s.items) select k from u where at is not null", ["items.price", "orders.at"]),
        ("select id from s.orders union select order_id from s.items", ["items.order_id", "orders.id"]),
        ("select id from s.orders union all select order_id from s.items", []),
    ],
)  # fmt: skip
def test_the_columns_on_which_the_rows_depend(sql: str, expected: list[str]) -> None:
    assert choosing(sql) == expected


@pytest.mark.parametrize("sql", ["", "selec id from", "pivot s.orders on id using sum(revenue)"])
def test_what_cannot_be_followed_is_not_known_and_no_error(sql: str) -> None:
    assert choosing(sql) is None
    assert expressions_of(sql, "duckdb", TABLES) == {}


def test_a_column_means_the_same_whatever_is_around_it() -> None:
    one = expressions_of("select id, revenue * 2 as twice from s.orders", "duckdb", TABLES)
    same = expressions_of(
        "-- doubled\nselect revenue   *  2 as twice, at from s.orders where id > 1", "duckdb", TABLES
    )
    other = expressions_of("select revenue * 3 as twice from s.orders", "duckdb", TABLES)
    assert one["twice"] == same["twice"] != other["twice"]


def test_a_change_within_an_earlier_step_changes_what_a_column_means() -> None:
    first, second = (
        expressions_of(f"with t as (select revenue {sign} 1 as x from s.orders) select x from t", "duckdb", TABLES)["x"]
        for sign in "+-"
    )  # fmt: skip
    assert first != second


def test_relations_and_columns_that_a_statement_names() -> None:
    sql = "with t as (select id from s.orders) select * from t join s.items on true"
    assert relations_in(sql, "duckdb") == {("s", "orders"), ("s", "items")}
    assert columns_asked_of("select a, b + 1 from raw.things where c", "duckdb", ("raw", "things")) == ["a", "b", "c"]  # fmt: skip
    assert columns_asked_of("select a from raw.other", "duckdb", ("raw", "things")) == []


def test_a_query_that_reads_itself_is_not_followed() -> None:
    sql = "with recursive r as (select id, at from s.orders union all select r.id, r.at from r where r.at < now()) select id from r"  # fmt: skip
    assert choosing(sql) is None


def takes(sql: str) -> dict[str, list[str]] | None:
    """Per column, ``column.keys`` of what it takes, with ! where it is changed."""
    found = taken(sql, "duckdb", TABLES)
    if found is None:
        return None
    return {
        name: sorted(".".join((one.column.column, *one.keys)) + "!" * one.changed for one in some)
        for name, some in found.items()
    }


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("userId", ["userId"]),
        ("cast(userId as varchar)", ["userId"]),
        ("coalesce(userId, 'nobody')", ["userId"]),
        ("lower(userId)", ["userId!"]),
        ("userId || at", ["at!", "userId!"]),
        ("case when at > 1 then userId end", ["at!", "userId!"]),
        ("count(distinct userId)", []),
        ("userId is not null", []),
        ("max(userId)", ["userId!"]),
        ("json_extract_string(userId, '$.customer.email')", ["userId.customer.email"]),
        ("userId ->> 'email'", ["userId.email"]),
        ("json_extract(userId, '$.lines[0].phone')", ["userId.lines.phone"]),
        ("lower(json_extract_string(userId, '$.email'))", ["userId.email!"]),
        ("json_extract_string(lower(userId), '$.email')", ["userId!"]),
        ("json_extract_string(userId, at)", ["at!", "userId!"]),
        ("(select max(price) from s.items i where i.order_id = orders.id)", ["id!", "order_id!", "price!"]),
        ("exists (select 1 from s.items i where i.order_id = orders.id)", []),
    ],
)
def test_what_a_column_takes_of_others(expression: str, expected: list[str]) -> None:
    assert takes(f"select {expression} as x from s.orders") == {"x": expected}


def test_what_is_taken_through_steps() -> None:
    steps = (
        "with t as (select userId as doc, at from s.orders), u as (select doc -> 'customer' as c, at from t)"
    )
    assert takes(f"{steps} select c ->> 'email' as e, at from u") == {"e": ["userId.customer.email"], "at": ["at"]}  # fmt: skip
    assert takes(f"{steps} select upper(c) ->> 'email' as e from u") == {"e": ["userId.customer!"]}
    made = (
        "with t as (select replace(userId, 'a', 'b') as doc from s.orders) select doc ->> 'email' as e from t"
    )
    assert takes(made) == {"e": ["userId!"]}  # where its parts come from is not known any more
    both = "select userId as x from s.orders union all select lower(at) from s.orders"
    assert takes(both) == {"x": ["at!", "userId"]}
    assert takes("pivot s.orders on id using sum(revenue)") is None


@pytest.mark.parametrize(
    ("dialect", "expression", "form"),
    [
        ("duckdb", "userId", "same"),
        ("duckdb", "coalesce(userId, 'nobody')", "same"),
        ("duckdb", "cast(userId as varchar)", "text"),
        ("duckdb", "userId::bigint::varchar", "canonical"),
        ("duckdb", "try_cast(userId as integer)", "canonical"),
        ("duckdb", "userId::uuid", "canonical"),
        ("duckdb", "userId::decimal(38, 0)", "canonical"),
        ("duckdb", "userId::decimal(18, 3)", "other"),
        ("duckdb", "userId::decimal", "other"),  # DuckDB gives it three digits
        ("duckdb", "userId::double", "other"),
        ("duckdb", "userId::date", "other"),
        ("duckdb", "md5(userId)", "other"),
        ("duckdb", "'user-' || userId", "other"),
        ("duckdb", "trim(userId)", "other"),
        ("duckdb", "max(userId)", "other"),
        ("duckdb", "case when at > 1 then userId end", "other"),
        ("duckdb", "userId ->> 'key'", "text"),
        ("duckdb", "userId -> 'key'", "other"),  # a text has its quotes
        ("bigquery", "cast(userId as string)", "text"),
        ("bigquery", "safe_cast(userId as int64)", "canonical"),
        ("bigquery", "json_value(userId, '$.key')", "text"),
        ("redshift", "userId::varchar(256)", "text"),
        ("redshift", "userId::varchar(20)", "other"),  # it cuts a UUID
    ],
)
def test_how_a_value_reads_that_went_through_an_expression(dialect: str, expression: str, form: str) -> None:
    found = taken(f"with a as (select {expression} as x from s.orders) select x as y from a", dialect, TABLES)
    assert found is not None
    assert {one.form for one in found["y"] if one.column.column == "userId"} == {form}


def test_a_column_says_nothing_of_the_rows_that_a_union_adds_without_it() -> None:
    def form(sql: str) -> set[str]:
        found = taken(sql, "duckdb", TABLES)
        assert found is not None
        return {one.form for one in found["x"]}

    assert form("select userId as x from s.orders union all select null from s.items") == {"other"}
    assert form("select userId as x from s.orders union all select 'nobody'") == {"same"}
    assert form("select userId as x from s.orders union all select userId::varchar from s.orders") == {
        "same",
        "text",
    }
