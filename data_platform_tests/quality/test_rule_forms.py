"""Forms of rules that need several rows, and conditions in SQL: how they are read, named and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_platform.duckdb_sql import DIALECT
from data_platform.errors import UnsupportedExpression
from data_platform.quality.evaluate import RuledRelation, evaluate_relation
from data_platform.quality.evaluated import sentence
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import parse_rule
from data_platform.quality.rules.sql import query_tables
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.contracts.toy_warehouse.dialect import SQLiteDialect


@pytest.mark.parametrize(
    ("text", "columns", "name"),
    [
        ("unique(a, b)", ("a", "b"), "unique_a_b"),
        ('unique("Order Date", b)', ("Order Date", "b"), "unique_order_date_b_b86930"),
        ("a is unique", ("a",), "a_is_unique"),
        ("a references users.id", ("a",), "a_references_users_id"),
        ("a references crm/users.id", ("a",), "a_references_crm_users_id"),
        ("a increases over b", ("a", "b"), "a_increases_over_b"),
        ("a never  decreases over b per c", ("a", "b", "c"), "a_never_decreases_over_b_per_c"),
        ("day has no gap longer than 1 day", ("day",), "day_has_no_gap_longer_than_1_day"),
        ("row_count() >= 1", (), "row_count_gte_1"),
        ("sum(a) between 0 and 1.5 per day", ("a",), "sum_a_between_0_and_1_5_per_day"),
        ("null_rate(a) <= 5% per b", ("a", "b"), "null_rate_a_lte_5_percent_per_b"),
        ("null_rate(a) <= 5%", ("a",), "null_rate_a_lte_0_05"),
        ("row_count_change() >= -10%", (), None),
        ("age(a) <= 6 hours", ("a",), "age_a_lte_6_hours"),
        ({"sql": "a > b + 1 AND c IS NULL"}, ("a", "b", "c"), None),
        ({"rule": "a >= 0", "where": "b = 1"}, ("a", "b"), "a_gte_0_where_b_eq_1"),
        ({"query": "SELECT 1 FROM {table}", "name": "odd"}, (), "odd"),
    ],
)
def test_what_is_read(text: Any, columns: tuple[str, ...], name: str | None) -> None:
    rule = parse_rule(text)
    assert rule.columns == columns
    assert name is None or rule.name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user_id referenecs users.id", "did you mean `references`?"),
        ("user_id references users", "names a column of a table"),
        ("unique()", "must name columns"),
        ("unique(a, a)", "names a column twice"),
        ("smu(a) >= 0", "Did you mean `sum`?"),
        ("sum() >= 0", "needs a column"),
        ("row_count(a) >= 0", "it has no column"),
        ("sum(a) >= 'x'", "is compared with a number"),
        ("sum(a)  is big", "must be followed by a comparison"),
        ("sum(a) between 5 and 1", "greater value first"),
        ("age(a) >= 6 hours", "has an upper bound"),
        ("age(a) <= 6", "has an upper bound"),
        ("row_count_change() = 0", "a change is a share"),
        ("row_count_change() <= 50% per day", "compares all rows"),
        ("a has no gap longer than 0 days", "longer than 0"),
        ("sum(a) equals query 'SELECT 1' per day", "it has no groups"),
        ("sum(a) equals query 'SELECT 1, 2'", "must have 1 column"),
        ("sum(a) equals query 'DELETE FROM x.y'", "must be one SELECT"),
        ("sum(a) equals query 'SELECT 1' within many", "a number or a share"),
        ({"sql": "a >"}, "cannot be read as SQL"),
        ({"sql": "a > 0; DROP TABLE x"}, "must be one condition"),
        ({"sql": "a > 0) OR (1 = 1"}, "cannot be read as SQL"),
        ({"sql": "a + 1"}, "is not a condition"),
        ({"sql": "'x'"}, "is not a condition"),
        ({"sql": "1 = 1"}, "names no column"),
        ({"sql": "sum(a) > 0"}, "an aggregate"),
        ({"sql": "lag(a) OVER (ORDER BY b) < a"}, "a window function"),
        ({"sql": "t.a > 0"}, "write the column's name alone"),
        ({"sql": "a IN (SELECT id FROM raw_x.y)"}, "write `allow_subquery: true`"),
        ({"sql": "a > my_function(b)"}, "my_function(), which is not known to exist in every warehouse"),
        ({"sql": "a > random()"}, "random"),
        ({"sql": "SELECT 1"}, "must be a condition"),
        ({"sql": "a = $1"}, "a parameter"),
        ({"rule": "a >= 0", "where": "b ="}, "`where`"),
        ({"rule": "row_count_change() <= 1", "where": "b = 1"}, "leave `where` out"),
        ({"query": "SELECT * FROM 'file.csv'"}, "schema.table"),
        ({"query": "SELECT * FROM read_csv('x.csv')"}, "a function or a file"),
        ({"query": "SELECT * FROM orders"}, "without its schema"),
        ({"query": "SELECT * FROM other.raw.orders"}, "names a database"),
        ({"query": "DROP TABLE x.y"}, "must be one SELECT"),
        ({"query": "WITH x AS (DROP TABLE a.b) SELECT * FROM x"}, "must only ask"),
        ({"query": "SELECT 1", "where": "a = 1"}, "belongs into the query"),
        ({"rule": "a >= 0", "sql": "a >= 0"}, "keep one of them"),
        ({"rule": "a >= 0", "ower": "team:x"}, "did you mean `owner`?"),
        ({"rule": "a >= 0", "owner": "me"}, "an e-mail address or team:name"),
        ({"rule": "a >= 0", "allow": 2}, "from 0 to 1"),
        ({"rule": "sum(a) >= 0", "allow": 0.5}, "passes or fails by itself"),
    ],
)
def test_what_is_refused_says_what_to_write(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_rule(text)


def test_a_condition_that_an_engine_cannot_say_is_refused_there() -> None:
    rule = parse_rule({"sql": "a ILIKE 'x%' AND list_contains([1, 2], b)"})
    assert "a" in condition(rule, DIALECT)
    with pytest.raises(UnsupportedExpression, match="only known to work in DuckDB"):
        condition(rule, SQLiteDialect())


def test_names_in_sql_are_quoted_by_the_engine() -> None:
    sql = condition(parse_rule({"sql": '"Order Date" > 1 AND a = \'"b" place_0__\''}), DIALECT)
    assert '"Order Date" > 1' in sql
    assert "'\"b\" place_0__'" in sql
    assert query_tables("SELECT 1 FROM a.b JOIN {table} USING (x)") == (("a", "b"),)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    with DuckDBConfig(path=Path("w.duckdb"), threads=1).open(tmp_path, files=[tmp_path]) as opened:
        opened.connection.execute("CREATE SCHEMA marts")
        opened.connection.execute(
            "CREATE TABLE marts.facts AS SELECT i AS id, i % 3 AS kind, i * 1.5 AS paid FROM range(9) t(i)"
        )
        yield opened


def results(warehouse: DuckDBWarehouse, *texts: Any, name: str = "facts") -> Any:
    rules = tuple(map(parse_rule, texts))
    return evaluate_relation(warehouse, RuledRelation("marts", name, ("id",), rules))


def test_what_cannot_be_evaluated_is_no_pass(warehouse: DuckDBWarehouse) -> None:
    found = results(
        warehouse,
        "id references users.id",
        "id references facts.nothing",
        "unique(gone)",
        "sum(paid) >= 0 per gone",
        {"sql": "paid > gone"},
        {"query": "SELECT * FROM marts.gone"},
        "row_count() >= 1 per day",
        "row_count_change() <= 1",
        "sum(paid) equals query 'SELECT gone FROM marts.facts'",
        "row_count() = 9",
        "unique(id)",
    )
    assert [one.passed for one in found] == [False] * 9 + [True, True]
    words = ["users is not in", "no column nothing", "no column gone", "no column gone", "no column gone"]
    words += [
        "every table and column exist",
        "needs a table with a `partition`",
        "a model has none",
        "refused its SQL",
    ]
    for one, said in zip(found, words, strict=False):
        assert one.problem is not None
        assert said in one.problem
    (unbuilt,) = results(warehouse, "unique(id)", name="later")
    assert "is not built yet" in (unbuilt.problem or "")


def test_sentences_say_the_figure(warehouse: DuckDBWarehouse) -> None:
    found = results(
        warehouse,
        "sum(paid) <= 10",
        "sum(paid) <= 10 per kind",
        {"query": "SELECT id FROM {table} WHERE kind = 0", "name": "x"},
        {"rule": "paid >= 3", "where": "kind = 0"},
        "max(paid) equals query 'SELECT 13'",
        {"rule": "paid >= 3", "allow": "25%"},
        "sum(paid) = 54",
        "max(paid) equals query 'SELECT 12'",
    )
    assert [sentence(one) for one in found[:5]] == [
        "`sum(paid) <= 10` is not so: it is 54",
        "3 of 3 groups fail `sum(paid) <= 10 per kind`",
        "`SELECT id FROM {table} WHERE kind = 0` finds 3 rows",
        "1 of 3 rows fail `paid >= 3 where kind = 0`",
        "`max(paid) equals query 'SELECT 13'` is not so",
    ]
    assert [sentence(one) for one in found[6:]] == [
        "`sum(paid) = 54` is so: it is 54",
        "`max(paid) equals query 'SELECT 12'` is so",
    ]
    assert found[1].sample[0] == {"kind": 0, "figure": 13.5}
    assert found[2].sample == [{"id": 0}, {"id": 3}, {"id": 6}]
    assert found[4].sample == [{"figure": 12.0, "expected": 13.0}]
    assert (found[5].passed, found[5].failing) == (True, 2), "2 of 9 is less than a quarter"


def test_a_condition_on_a_treated_column_is_evaluated_with_its_clear_value() -> None:
    rule = parse_rule({"rule": "age >= 0", "where": "email LIKE '%@x' OR age > 90"})
    assert rule.lands({"email": "hash"})
    sql = condition(rule, DIALECT, lambda name: f"clear({name})", today="DATE '2026-01-01'")
    assert sql.startswith("(NOT coalesce(clear(email) LIKE '%@x' OR clear(age) > 90, false) OR ")
    assert "clear(age) IS NULL" in sql
    assert parse_rule({"sql": "upper(email) <> email"}).lands({"email": "mask"})
    assert not parse_rule("unique(email)").lands({"email": "hash"})
