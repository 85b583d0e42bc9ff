"""Rule by value by engine: what a rule says of each value is the same wherever the rows are."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot

from data_platform.quality.evaluate import evaluate
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import parse_rule
from data_platform.tables import Column
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform_tests.contracts.batches import TABLE, Chain
from data_platform_tests.contracts.engines import Engine
from data_platform_tests.contracts.test_warehouse_dialect import Ruled, Watched

COLUMNS = (
    Column("id", "BIGINT", "bigint", nullable=False),
    Column("t", "VARCHAR", "text"),
    Column("n", "DECIMAL(12,3)", "numeric(12,3)"),
    Column("d", "DOUBLE", "double precision"),
    Column("b", "BOOLEAN", "boolean"),
    Column("day", "DATE", "date"),
    Column("at", "TIMESTAMPTZ", "timestamp with time zone"),
)
ROWS = [
    (1, "12", "12.000", "12", "true", "2026-02-03", "2026-02-03 00:00:00+00"),
    (2, " 12 ", "12.001", "12.5", "false", "2026-02-04", "2026-02-03 23:59:59.999999+00"),
    (3, "1e2", "100.000", "1e300", "true", "2026-01-31", "2026-02-04 00:00:00+02"),
    (4, "-0", "0.000", "-0.0", "true", "1970-01-01", "1970-01-01 00:00:00+00"),
    (5, ".5", "0.500", "0.5", "false", "0001-01-01", "1582-10-14 00:00:00+00"),
    (6, "abc", "-0.001", "-1e-300", "true", "9999-12-31", "9999-12-31 23:59:59.999999+00"),
    (7, "", "999999999.999", "0.1", "true", "2024-02-29", "2024-02-29 12:00:00+00"),
    (8, "1,5", "1.500", "0.30000000000000004", "false", "2026-02-03", "2026-02-03 12:00:00+00"),
    (9, "2026-02-03", None, None, None, None, None),
    (10, "2026-02-30", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (11, "ABC", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (12, "it's 100% \\d_", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (13, 'say "x"\nabc', "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (14, "grüße 🦆", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (15, None, "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (16, "true", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
    (17, "12.0", "1", "1", "true", "2026-02-03", "2026-02-03 12:00:00+00"),
]
NOT_NUMBERS = {6, 7, 8, 9, 10, 11, 12, 13, 14, 16}
NOT_DAYS = {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17}

FAILING: dict[str, set[int]] = {
    "t >= 0": NOT_NUMBERS,
    "t > 12": NOT_NUMBERS | {1, 2, 4, 5, 17},
    "t = 12": NOT_NUMBERS | {3, 4, 5},
    "t in [12, 100]": NOT_NUMBERS | {4, 5},
    "t between 0 and 0.5": NOT_NUMBERS | {1, 2, 3, 17},
    "t = '12'": {*range(2, 15), 16, 17},
    "t != '12'": {1},
    "t in ['12', 'abc', '']": {2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 16, 17},
    "t >= 2026-01-01": NOT_DAYS,
    "t = 2026-02-03": NOT_DAYS,
    "t = true": set(range(1, 15)) | {17},
    "t contains 'abc'": {*range(1, 6), 7, 8, 9, 10, 11, 12, 14, 16, 17},
    "t contains '%'": {*range(1, 12), 13, 14, 16, 17},
    "t contains '_'": {*range(1, 12), 13, 14, 16, 17},
    "t contains '\\d'": {*range(1, 12), 13, 14, 16, 17},
    "t contains 'it''s'": {*range(1, 12), 13, 14, 16, 17},
    "t contains 'ü'": {*range(1, 14), 16, 17},
    "t contains '🦆'": {*range(1, 14), 16, 17},
    "t not null": {15},
    "t not in ['12', 'abc', '']": {1, 6, 7},
    "t not in [12, 100]": NOT_NUMBERS | {1, 2, 3, 17},
    "n >= 0": {6},
    "n > 12": {1, 4, 5, 6, 8, *range(10, 18)},
    "n = 12": {2, 3, 4, 5, 6, 7, 8, *range(10, 18)},
    "n = 999999999.999": {*range(1, 7), 8, *range(10, 18)},
    "n in [12.001, 0.5]": {1, 3, 4, 6, 7, 8, *range(10, 18)},
    "n between 0 and 1.5": {1, 2, 3, 6, 7},
    "n not null": {9},
    "n = '12.000'": {*range(2, 9), *range(10, 18)},
    "d >= 0": {6},
    "d = 0": {1, 2, 3, 5, 6, 7, 8, *range(10, 18)},
    "d = 0.3": {*range(1, 9), *range(10, 18)},
    "d = 0.1": {*range(1, 7), 8, *range(10, 18)},
    "d <= 12.5": {3},
    "d > n": {1, 4, 5, 7, 8, *range(10, 18)},
    "b = true": {2, 5, 8},
    "b = false": {1, 3, 4, 6, 7, *range(10, 18)},
    "day = 2026-02-03": {2, 3, 4, 5, 6, 7},
    "day >= 2026-02-01": {3, 4, 5, 7},
    "day between 2024-02-29 and 2026-02-03": {2, 4, 5, 6},
    "day <= today": {6},
    "at >= 2026-02-04": {1, 2, 3, 4, 5, 7, 8, *range(10, 18)},
    "at = 2026-02-03": {4, 5, 6, 7},
    "at <= 2026-02-03": {6},
    "at <= now": {6},
}
"""Of each rule, the rows that fail it."""
PATTERNS: dict[str, set[int]] = {
    "t matches '^[a-z]+$'": {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 17},
    "t matches '[a-z]'": {1, 2, 4, 5, 7, 8, 9, 10, 11, 17},
    "t matches '(?i)^abc$'": {*range(1, 6), 7, 8, 9, 10, 12, 13, 14, 16, 17},
    "t matches '^\\d+$'": {*range(2, 15), 16, 17},
    "t matches '\\\\'": {*range(1, 12), 13, 14, 16, 17},
    "t matches ''''": {*range(1, 12), 13, 14, 16, 17},
    "t matches '^$'": {*range(1, 7), *range(8, 15), 16, 17},
    "t matches '^\\d{4}-\\d{2}-\\d{2}$'": {*range(1, 9), 11, 12, 13, 14, 16, 17},
}


@pytest.mark.parametrize("beyond", [False, True], ids=["rules", "patterns"])
def test_each_rule_says_of_each_value_what_it_says_anywhere(
    engine: Engine, warehouse: Warehouse, chain: Chain, beyond: bool
) -> None:
    if beyond and not engine.patterns:
        pytest.skip("this engine knows no regular expressions: another test says that it refuses them")
    wanted = dict(PATTERNS if beyond else FAILING)
    if not engine.decimal_zeros:
        wanted.pop("n = '12.000'", None)
    rows = ROWS if engine.all_instants else [row for row in ROWS if row[0] not in (5, 6)]
    made, parts = chain.next("replace", rows, columns=COLUMNS, partition=None, version=None)
    warehouse.load(made, parts)
    dialect = warehouse.dialect
    conditions = [condition(parse_rule(text), dialect) for text in wanted]
    id_ = dialect.quote("id")
    found = warehouse.query(
        f"SELECT {id_}, {', '.join(f'({one}) AS c{n}' for n, one in enumerate(conditions))}"
        f" FROM {relation(dialect, TABLE.raw_schema, TABLE.table)} ORDER BY {id_}"
    ).rows
    held = {row[0] for row in rows}
    assert [row[0] for row in found] == sorted(held)
    said = {text: {row[0] for row in found if not row[1 + number]} for number, text in enumerate(wanted)}
    assert said == {text: failing & held for text, failing in wanted.items()}
    assert all(value is not None for row in found for value in row), "a condition is never NULL"


SEVERAL = [
    (1, "a", "1", "10", "true", "2026-02-01", "2026-02-01 00:00:00+00"),
    (2, "a", "2", "20", "true", "2026-02-01", "2026-02-01 06:00:00+00"),
    (3, "b", "3", "30", "false", "2026-02-02", "2026-02-01 23:30:00+00"),
    (4, "b", "3", "40", "false", "2026-02-04", "2026-02-04 12:00:00+00"),
    (5, "A", None, "50", None, None, None),
    (6, None, "7", None, "true", "2026-02-05", "2026-02-04 12:00:00+00"),
    (7, "a ", "6", "-5", "true", "2026-02-05", "2026-02-10 00:00:00+00"),
]
EXPECTED: list[tuple[Any, int, int]] = [
    ("unique(t)", 6, 4),
    ("unique(t, n)", 5, 2),
    ("n is unique", 6, 2),
    ("id unique", 7, 0),
    ({"rule": "unique(t)", "where": "id <= 2"}, 2, 2),
    ("d references orders.id", 6, 6),
    ("t references orders.t", 6, 0),
    ("id references shop/orders.id", 7, 0),
    ("n increases over id", 6, 2),
    ("n never decreases over id", 6, 1),
    ("n increases over at per t", 6, 1),
    ("day has no gap longer than 1 day", 6, 1),
    ("at has no gap longer than 12 hours", 6, 3),
    ("at has no gap longer than 12 hours per t", 6, 1),
    ("id has no gap longer than 1", 7, 0),
    ("n has no gap longer than 2", 6, 1),
    ("t has no gap longer than 5", 6, 6),
    ("row_count() = 7", 1, 0),
    ("count(*) between 1 and 6", 1, 1),
    ("sum(d) = 145", 1, 0),
    ("sum(n) <= 22", 1, 0),
    ("avg(d) > 25", 1, 1),
    ("min(d) >= 0", 1, 1),
    ("max(n) = 7", 1, 0),
    ("max(day) <= 2026-02-05", 1, 0),
    ("max(at) >= 2026-02-11", 1, 1),
    ("max(at) <= now", 1, 0),
    ("distinct(t) = 4", 1, 0),
    ("sum(t) >= 0", 1, 1),
    ("null_rate(t) <= 10%", 7, 1),
    ("age(at) <= 2 days", 1, 0),
    ("age(at) <= 23 hours", 1, 1),
    ("age(day) <= 5 days", 1, 0),
    ("age(day) < 5 days", 1, 1),
    ({"rule": "row_count() >= 5", "where": "t = 'a'"}, 1, 1),
    ({"rule": "sum(d) = 25", "where": "b"}, 1, 0),
    ({"rule": "avg(d) >= 0", "where": "id > 99"}, 1, 1),
    ("row_count() >= 2 per day", 4, 2),
    ("sum(d) >= 0 per t", 5, 1),
    ("null_rate(n) <= 0 per t", 5, 1),
    ({"rule": "row_count() >= 2 per t", "where": "d > 10"}, 3, 2),
    ("sum(d) equals query 'SELECT 144' within 1%", 1, 0),
    ("sum(d) equals query 'SELECT 144' within 0.5", 1, 1),
    ("row_count() equals query 'SELECT count(*) FROM {table}'", 1, 0),
    ("row_count() equals query 'SELECT count(*) AS n FROM raw_shop.orders WHERE b'", 1, 1),
    ("row_count_change() <= 50%", 1, 0),
    ("row_count_change() between -10% and 30%", 1, 1),
    ({"rule": "d >= 0", "where": "b"}, 4, 1),
    ({"sql": "d >= n * 2 OR t IS NULL"}, 7, 1),
    ({"sql": "CASE WHEN lower(t) = 'a' THEN d < 20 ELSE TRUE END"}, 7, 2),
    ({"sql": "coalesce(d / 4, 0) <> 2.5 AND NOT t LIKE '%\"b'"}, 7, 1),
    ({"query": "SELECT id FROM {table} WHERE d < 0"}, 1, 1),
    (
        {
            "query": "WITH x AS (SELECT t, count(*) AS n FROM raw_shop.orders GROUP BY t) SELECT * FROM x WHERE n > 2"
        },
        0,
        0,
    ),
]
"""Rules, how many rows (or groups) they look at, and how many of these fail."""
BY_DAY: dict[str, dict[str, int]] = {
    "unique(t)": {"2026-02-01": 2, "2026-02-02": 1, "2026-02-04": 1},
    "n is unique": {"2026-02-02": 1, "2026-02-04": 1},
    "id unique": {},
    "d references orders.id": {
        **{"2026-02-01": 2, "2026-02-02": 1, "2026-02-04": 1, "2026-02-10": 1},
        "null": 1,
    },
    "n never decreases over id": {"2026-02-10": 1},
    "row_count() >= 2 per day": {"2026-02-02": 1, "2026-02-10": 1},
    "d >= 0 where b": {"2026-02-10": 1},
    "null_rate(t) <= 10%": {"2026-02-04": 1},
}
"""What fails on each day of ``at`` in Berlin."""
DATES: list[tuple[Any, int, int]] = [({"sql": "day BETWEEN DATE '2026-02-01' AND DATE '2026-02-04'"}, 7, 2)]


def test_each_rule_over_several_rows_finds_the_same_anywhere(
    engine: Engine, warehouse: Warehouse, chain: Chain
) -> None:
    wanted = EXPECTED + (DATES if engine.patterns else [])
    for load, rows in (("replace", SEVERAL[:5]), ("merge", SEVERAL[5:])):
        warehouse.load(*chain.next(load, rows, columns=COLUMNS, partition=None, version=None))
    asked: list[str] = []
    dialect = warehouse.dialect
    rules = tuple(parse_rule(text) for text, _, _ in wanted)
    table = Ruled(rules, partition="at", timezone="Europe/Berlin")
    now = dialect.instant("2026-02-11T00:00:00+00:00")
    results = evaluate(Watched(warehouse, asked), table, now_sql=now)
    assert [one.problem for one in results] == [None] * len(wanted)
    assert [(one.rule.text, one.rows, one.failing) for one in results] == [
        (rule.text, rows, failing) for rule, (_, rows, failing) in zip(rules, wanted, strict=True)
    ]
    assert {one.rule.text for one in results if one.failing and not one.sample and not one.passed} == {
        one.rule.text
        for one in results
        if one.failing
        and one.rule.form == "figure"
        and not one.rule.per
        and not one.rule.per_day
        and not one.rule.sql
    }, "each failing row is shown; a figure of the whole table has none"
    failing = sum(bool(one.sample) for one in results)
    by_day = sum(bool(one.days) for one in results)
    assert len(asked) == 2 + failing + by_day, (
        "one scan, one statement for what needs several rows, the rows that fail, and how many of them on each day"
    )
    found = {one.rule.text: one.days for one in results}
    assert {text: found[text] for text in BY_DAY} == BY_DAY
    for one in results:
        assert one.days is None or sum(one.days.values()) == (0 if one.passed else one.failing), one.rule.text
        assert (one.days is None) == (not one.rule.by_day and one.rule.kind == "table"), one.rule.text
    for statement in asked:
        sqlglot.parse_one(statement, dialect=dialect.name)
