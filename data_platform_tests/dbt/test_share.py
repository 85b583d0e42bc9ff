"""How an order's amount falls on its lines, in the SQL of each engine and against Python's fractions."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
import pytest

from data_platform_tests.dbt.expected import CENT, shares
from data_platform_tests.dbt.runner import PROJECT

ENGINES = ("duckdb", "bigquery", "snowflake", "redshift")
Case = tuple[Decimal, list[Decimal]]


def sql_of(engine: str) -> str:
    """Each line's share, as the macros write it for an engine."""
    text = (PROJECT / "macros" / "share.sql").read_text()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    macros: Any = None

    def dispatch(name: str) -> Callable[..., str]:
        found: Callable[..., str] = getattr(macros, f"{engine}__{name}", None) or getattr(
            macros, f"default__{name}"
        )
        return found

    names: dict[str, Any] = {"adapter": SimpleNamespace(dispatch=dispatch), "return": lambda value: value}
    macros = environment.from_string(text).make_module(names)
    line_weight = str(macros.cents("line_amount")).strip()
    return (
        f"select order_id, line_number, {macros.share('amount', 'weight')} as part"
        f" from (select order_id, line_number, amount, {line_weight} as weight from lines) as weighed"
        " order by order_id, line_number"
    )


def cases() -> list[Case]:
    chance = random.Random(5)
    found: list[Case] = [
        (Decimal("0.01"), [CENT] * 7),
        (Decimal("-0.10"), [CENT] * 3),
        (Decimal("0.00"), [Decimal("9.99"), Decimal("0.00")]),
        (Decimal("9999999999.99"), [Decimal("9999999999.99"), Decimal("0.01"), Decimal("3333333333.33")]),
    ]
    for _ in range(200):
        weights = [chance.choice([0, 1, chance.randrange(10**7)]) * CENT for _ in range(chance.randint(1, 9))]
        found.append((chance.randint(-(10**6), 10**6) * CENT, [*weights, CENT]))
    return found


def rows_of(found: list[Case]) -> list[tuple[int, int, Decimal, Decimal]]:
    return [
        (order, line, amount, weight)
        for order, (amount, weights) in enumerate(found)
        for line, weight in enumerate(weights)
    ]


def is_exact(actual: list[tuple[int, int, Decimal]]) -> None:
    found = cases()
    by_order: list[list[Decimal]] = [[] for _ in found]
    for order, _, part in actual:
        by_order[order].append(part)
    for (amount, weights), parts in zip(found, by_order, strict=True):
        assert parts == shares(amount, weights)
        assert sum(parts) == amount
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - amount * weight / sum(weights)) < CENT
            assert weight or not part


DDL = "create temporary table lines (order_id int, line_number int, amount decimal(18,2), line_amount decimal(18,2))"


def test_it_is_exact_in_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute(DDL)
        connection.executemany("insert into lines values (?, ?, ?, ?)", rows_of(cases()))
        is_exact(connection.execute(sql_of("duckdb")).fetchall())


@pytest.mark.slow
def test_what_redshift_and_snowflake_get_is_exact_in_postgresql(database: Any) -> None:
    """Neither can be run here; their SQL for it is PostgreSQL's too."""
    import psycopg

    assert sql_of("redshift") == sql_of("snowflake")
    with psycopg.connect(database) as connection:
        connection.execute(DDL)
        with connection.cursor() as cursor:
            cursor.executemany("insert into lines values (%s, %s, %s, %s)", rows_of(cases()))
            is_exact(cursor.execute(sql_of("redshift")).fetchall())  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_is_given_its_own_words(engine: str) -> None:
    from sqlglot import exp, parse_one

    parsed = parse_one(sql_of(engine), dialect=engine)
    assert isinstance(parsed, exp.Select) and parsed.named_selects == ["order_id", "line_number", "part"]
    assert len({sql_of(engine) for engine in ENGINES}) == 3
