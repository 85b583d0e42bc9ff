"""Rules: one line of YAML, its name, and what it says of real rows in DuckDB."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.duckdb_sql import DIALECT
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule, parse_rule
from data_platform.sql import literal, quoted

TODAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def good(engine: duckdb.DuckDBPyConnection, text: str, type_: str, *values: Any) -> list[bool]:
    """What the rule ``text`` says of each of ``values`` in its first column."""
    rule = parse_rule(text)
    sql = condition(rule, DIALECT, today=f"DATE '{TODAY}'", now=f"TIMESTAMPTZ '{NOON.isoformat()}'")
    column = quoted(rule.columns[0])
    results = []
    for value in values:
        row = engine.execute(f"SELECT {sql} FROM (SELECT CAST(? AS {type_}) AS {column})", [value]).fetchone()
        assert row is not None
        results.append(row[0])
    return results


@pytest.mark.parametrize(
    ("text", "type_", "passing", "failing"),
    [
        ("revenue >= 0", "DECIMAL(12,2)", ["0", "0.01", None], ["-0.01"]),
        ("revenue >= 0", "VARCHAR", ["0", "1e300", " 2 ", None], ["-0.5", "free", ""]),
        ("n > 5", "BIGINT", [6, None], [5]),
        ("n < -1.5", "DOUBLE", [-2.0], [-1.5, float("nan")]),
        ("n <= .5", "REAL", [0.5], [0.75]),
        ("n != 0", "INTEGER", [1, None], [0]),
        ("n <> 0", "INTEGER", [1], [0]),
        ("n == 0.1", "DECIMAL(3,2)", ["0.1"], ["0.11"]),
        ("user_id not null", "BIGINT", [1], [None]),
        ("user_id is NOT  NULL", "VARCHAR", [""], [None]),
        ('email contains "@"', "VARCHAR", ["a@b", None], ["ab", ""]),
        ("note contains 'it''s'", "VARCHAR", ["so it's"], ["its"]),
        ("share contains '%'", "VARCHAR", ["5%"], ["5"]),
        ("age between 0 and 150", "INTEGER", [0, 150, None], [-1, 151]),
        ("age between -5 and -1", "INTEGER", [-5], [0]),
        ("d between 2024-01-01 and today", "DATE", ["2024-01-01", TODAY, None], ["2023-12-31", "2026-11-23"]),
        ("name between 'a' and 'm'", "VARCHAR", ["b"], ["z"]),
        ("status in [paid, 'on hold']", "VARCHAR", ["paid", "on hold", None], ["Paid", ""]),
        ("status in (paid)", "VARCHAR", ["paid"], ["x"]),
        ("code in [1, 2.5]", "VARCHAR", ["1", "1.0", "2.50"], ["3", "one"]),
        ("code in [1, x]", "VARCHAR", ["1", "x"], ["2"]),
        ("country in [NO, NULL]", "VARCHAR", ["NO", "NULL"], ["SE"]),
        (r'sku matches "^[A-Z]{3}-\d+$"', "VARCHAR", ["ABC-12", None], ["abc-12", "ABC-12x"]),
        (r"sku matches '\pL'", "VARCHAR", ["é"], ["1"]),
        ("order_date <= today", "DATE", [TODAY, None], [TODAY + timedelta(days=1)]),
        ("made <= today", "TIMESTAMPTZ", [NOON, "2026-11-22 23:59:59+00"], ["2026-11-23 00:00:00+00"]),
        ("made <= today", "VARCHAR", ["2026-11-22"], ["2026-11-23", "soon"]),
        ("made <= now", "TIMESTAMPTZ", [NOON], [NOON + timedelta(microseconds=1)]),
        ("made <= now", "TIMESTAMP", ["2026-11-22 12:00:00"], ["2026-11-22 12:00:01"]),
        ("d >= 2024-02-29", "DATE", ["2024-02-29"], ["2024-02-28"]),
        ("d >= '2024-02-29'", "TIMESTAMPTZ", ["2024-02-29 00:00:00+00"], ["2024-02-28 23:00:00+00"]),
        ("status = 'paid'", "VARCHAR", ["paid", None], ["open"]),
        ("status != ''", "VARCHAR", ["x"], [""]),
        ("id = '6f1e8c9e-0000-4000-8000-000000000000'", "UUID", ["6f1e8c9e-0000-4000-8000-000000000000"], []),
        ("is_active = true", "BOOLEAN", [True, None], [False]),
        ("is_active != false", "BOOLEAN", [True], [False]),
        ('"Order Date" <= today', "DATE", [TODAY], ["2030-01-01"]),
        ("größe > 0", "INTEGER", [1], [0]),
        ("null_rate(coupon) <= 0.05", "VARCHAR", ["x"], [None]),
        ("d >= 5", "DATE", [None], [TODAY]),
    ],
)
def test_what_is_good(
    engine: duckdb.DuckDBPyConnection, text: str, type_: str, passing: list[Any], failing: list[Any]
) -> None:
    assert good(engine, text, type_, *passing) == [True] * len(passing)
    assert good(engine, text, type_, *failing) == [False] * len(failing)


def test_two_columns(engine: duckdb.DuckDBPyConnection) -> None:
    rule = parse_rule("paid_at >= created_at")
    assert rule.columns == ("paid_at", "created_at")
    rows = engine.execute(
        f"SELECT {condition(rule, DIALECT)} FROM (VALUES (2, 1), (1, 1), (0, 1), (NULL, 1), (0, NULL)) t(paid_at, created_at)"
    ).fetchall()
    assert [row[0] for row in rows] == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("revenue >= 0", "revenue_gte_0"),
        ("revenue>=-0.5", "revenue_gte_minus_0_5"),
        ("user_id not null", "user_id_not_null"),
        ("order_date <= today", "order_date_lte_today"),
        ('email contains "@"', "email_contains_at"),
        ("age between 0 and 150", "age_between_0_and_150"),
        ("status in [paid, shipped]", "status_in_paid_shipped"),
        ("null_rate(coupon_code)", "null_rate_coupon_code_lte_0_05"),
        ("null_rate(coupon_code) <= 0.05", "null_rate_coupon_code_lte_0_05"),
        ("paid_at >= created_at", "paid_at_gte_created_at"),
    ],
)
def test_names_are_readable(text: str, name: str) -> None:
    assert parse_rule(text).name == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a contains 'x!'", "a contains 'x?'"),
        ("a = 'X'", "a = 'x'"),
        ("größe > 0", "gröse > 0"),
        (
            f"a in [{', '.join(f'value{n}' for n in range(30))}]",
            f"a in [{', '.join(f'value{n}' for n in range(31))}]",
        ),
        ('"a b" > 0', '"a!b" > 0'),
        (r"a matches '^\d'", r"a matches '\d$'"),
    ],
)
def test_different_rules_have_different_names(one: str, other: str) -> None:
    assert parse_rule(one).name != parse_rule(other).name


@settings(deadline=None)
@given(
    st.text(min_size=1, max_size=80).filter(lambda t: "\x00" not in t and t.isprintable()),
    st.text(min_size=1, max_size=80).filter(lambda t: "\x00" not in t),
)
def test_any_column_and_any_text(column: str, text: str) -> None:
    rule = parse_rule(f"{quoted(column)} contains {literal(text)}")
    assert rule.columns == (column,)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,59}", rule.name)
    row = duckdb.execute(
        f"SELECT {condition(rule, DIALECT, lambda _: '?::VARCHAR')}", [text, text]
    ).fetchone()
    assert row == (True,)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_rule_or_a_mistake(text: str) -> None:
    try:
        assert isinstance(parse_rule(text), Rule)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "empty"),
        ("revenue", "cannot be read after the column `revenue`"),
        ("revenue >>= 0", "right-hand side"),
        ("revenue >= ", "right-hand side"),
        ("revenue >= 0; drop table x", "right-hand side"),
        (">= 0", "begins with a column's name"),
        ("email contains @", "must be in quotes"),
        ("email contains ''", "not empty"),
        ("email = null", "not null"),
        ("email != NULL", "write `email not null`"),
        ("age between 150 and 0", "greater value first"),
        ("age between 0 and today", "two numbers, two dates"),
        ("d between 2024-02-01 and 2024-01-01", "later date first"),
        ("d <= 2024-02-30", "the date does not exist"),
        ("status in []", "empty"),
        ("is_active > true", "= or !="),
        ("sku matches '('", "not valid"),
        ("sku matches '(?=a)'", "look-around"),
        (r"sku matches '(a)\1'", "back-reference"),
        ("null_rate(x) >= 0.5", "needs an upper bound"),
        ("null_rate(x) <= 5", "from 0 to 1"),
        ({"rule": "a >= 0", "blokcing": True}, "unknown key blokcing"),
        ({"blocking": True}, "the key `rule`"),
        ({"rule": "a >= 0", "blocking": "yes"}, "true or false"),
        ({"rule": "a >= 0", "severity": "loud"}, "error or warn"),
        ({"rule": "a >= 0", "severity": "warn", "blocking": True}, "a warning stops nothing"),
        ({"rule": "a >= 0", "name": "A rule"}, "`name` must be"),
        (5, "a line of text"),
        (None, "a line of text"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(rule: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_rule(rule)


def test_the_long_form() -> None:
    rule = parse_rule({"rule": "user_id not null", "blocking": True, "name": "has_user"})
    assert (rule.name, rule.blocking, rule.severity, rule.text) == (
        "has_user",
        True,
        "error",
        "user_id not null",
    )
    assert parse_rule({"rule": "a >= 0", "severity": "warn"}).severity == "warn"


def test_rates_have_a_threshold_and_rows_none() -> None:
    assert parse_rule("null_rate(coupon_code)").threshold == 0.05
    rate = parse_rule("null_rate(coupon_code) <= 0.05")
    assert (rate.kind, rate.threshold, rate.columns) == ("rate", 0.05, ("coupon_code",))
    assert (parse_rule("a >= 0").kind, parse_rule("a >= 0").threshold) == ("row", None)


def test_what_needs_a_clear_value_is_answered_at_the_source() -> None:
    email = parse_rule('email contains "@"')
    assert email.lands({"email": "hash"})
    assert email.landed_column == "_rule_email_contains_at"
    assert not email.lands({"email": "keep"})
    assert not email.lands({})
    assert parse_rule("a >= b").lands({"b": "mask"})
    assert not parse_rule("null_rate(email) <= 0.1").lands({"email": "hash"})


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('sku matches "' + "(" * 5000 + "a" + ")" * 5000 + '"', "more than"),
        ('sku matches "' + "(" * 450 + "a" + ")" * 450 + '{1000}"', "not valid"),
        ('sku matches "a{2000}"', "not valid: invalid repetition size"),
        (f"sku in [{', '.join(['a'] * 10_000)}]", "write several rules"),
    ],
)
def test_what_the_engine_would_refuse_when_it_runs_is_refused_when_it_is_read(rule: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_rule(rule)
