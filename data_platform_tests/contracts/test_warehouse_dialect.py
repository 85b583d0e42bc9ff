"""What a warehouse's dialect promises: rules, ages and counts, the same in every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from data_platform.governance.classes import Classes
from data_platform.governance.scan import scan
from data_platform.quality.checking import Subject
from data_platform.quality.evaluate import evaluate
from data_platform.quality.newest import newest_data
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule, parse_rule
from data_platform.tables import Column, TableId, Treatment
from data_platform.warehouses import QueryResult, Warehouse
from data_platform.warehouses.dialect import counts, relation
from data_platform_tests.contracts.batches import COLUMNS, RULED, TABLE, Chain
from data_platform_tests.contracts.engines import Engine

FAILING = {
    "id >= 2": 1,
    "id between 2 and 3": 2,
    "id in [1, 2.0, 9]": 2,
    "id <= _source_xmin": 0,
    "note not null": 1,
    'note contains "@"': 2,
    "note contains 'it''s'": 2,
    "note in ['a@b', x]": 2,
    "note != ''": 1,
    "note >= 0": 3,
    "null_rate(note) <= 0.2": 1,
    "at >= 2026-01-02": 1,
    "at <= today": 0,
    "at <= now": 0,
}
"""Rules, and how many of the rows fail each: the same in every engine."""
PATTERNS = {r'note matches "^[a-z]@"': 2, r"note matches '\d%'": 2}


@dataclass(frozen=True)
class Ruled:
    rules: tuple[Rule, ...]
    id: TableId = TABLE
    key: tuple[str, ...] = ("id",)
    treatments: dict[str, Treatment] = field(default_factory=dict)
    partition: str | None = None
    timezone: str = "UTC"


@pytest.mark.parametrize("text", FAILING)
def test_a_rule_says_the_same_in_every_engine(warehouse: Warehouse, chain: Chain, text: str) -> None:
    warehouse.load(*chain.next("merge", RULED))
    (result,) = evaluate(warehouse, Ruled((parse_rule(text),)))
    assert (result.problem, result.rows, result.failing) == (None, 4, FAILING[text])
    assert [row["id"] for row in result.sample] == sorted(row["id"] for row in result.sample)
    assert len(result.sample) == (0 if result.passed else FAILING[text])


@pytest.mark.parametrize("text", PATTERNS)
def test_what_a_dialect_cannot_say_is_refused_and_no_pass(
    engine: Engine, warehouse: Warehouse, chain: Chain, text: str
) -> None:
    warehouse.load(*chain.next("merge", RULED))
    beside = parse_rule("id >= 2")
    result, other = evaluate(warehouse, Ruled((parse_rule(text), beside)))
    assert not result.passed
    assert (result.problem is None, result.failing) == (
        engine.patterns,
        PATTERNS[text] if engine.patterns else 0,
    )
    assert (other.problem, other.failing) == (None, 1)


def test_the_age_of_the_newest_row(warehouse: Warehouse, chain: Chain) -> None:
    columns = (*COLUMNS, Column("day", "DATE", "date"))
    warehouse.load(*chain.next("merge", [(1, None, "a", 1, None)], columns=columns))
    now = datetime(2026, 1, 3, 6, tzinfo=UTC)
    assert newest_data(warehouse, Subject.raw(TABLE), "at", 24, now).age_hours is None
    held = [(2, "2026-01-03 03:00:00+00", "b", 1, "2026-01-01"), (3, "2026-01-02", "c", 1, "2025-12-31")]
    warehouse.load(*chain.next("merge", held, columns=columns))
    assert newest_data(warehouse, Subject.raw(TABLE), "at", 24, now).age_hours == 3
    assert newest_data(warehouse, Subject.raw(TABLE), "day", 24, now).age_hours == 30, (
        "a day counts as its end"
    )


def test_a_value_within_json_is_a_text(warehouse: Warehouse, chain: Chain) -> None:
    columns = (*COLUMNS, Column("payload", "VARCHAR", "text"))
    held = ['{"user": 42}', '{"user": "42"}', '{"a": {"b c": "x"}}', "{}", None]
    rows = [(n, "2026-01-01", "x", 1, one) for n, one in enumerate(held, 1)]
    warehouse.load(*chain.next("merge", rows, columns=columns))
    dialect, payload = warehouse.dialect, warehouse.dialect.quote("payload")
    paths = dialect.json_text(payload, ["user"]), dialect.json_text(payload, ["a", "b c"])
    table = relation(dialect, TABLE.raw_schema, TABLE.table)
    answer = warehouse.query(f"SELECT {', '.join(paths)} FROM {table} ORDER BY {dialect.quote('id')}")
    assert [tuple(row) for row in answer.rows] == [
        ("42", None),
        ("42", None),
        (None, "x"),
        (None, None),
        (None, None),
    ]


def test_rows_are_counted_many_tables_at_a_time(
    engine: Engine, warehouse: Warehouse, chain: Chain, tmp_path: Path
) -> None:
    other = TableId("shop", 'o"dd' if engine.all_names else "o dd")
    odd = Chain(tmp_path / "odd", table=other)
    warehouse.load(*chain.next("merge", RULED))
    warehouse.load(*odd.next("merge", RULED[:1]))
    tables = [(made.raw_schema, made.table) for made in (TABLE, other)]
    assert dict(warehouse.query(counts(warehouse.dialect, tables)).rows) == {0: 4, 1: 1}


def test_every_statement_of_a_dialect_is_of_its_grammar(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    """What is asked of a warehouse, and what each rule becomes, is parsed as the engine's own SQL."""
    config = engine.config(tmp_path)
    texts = [*FAILING, *(PATTERNS if engine.patterns else ())]
    asked = [f"SELECT {condition(parse_rule(text), config.dialect)} FROM t" for text in texts]
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        watched = Watched(warehouse, asked)
        evaluate(watched, Ruled(tuple(map(parse_rule, texts))))
        newest_data(watched, Subject.raw(TABLE), "at", 24, datetime.now(UTC))
        watched.query(counts(warehouse.dialect, [("raw_shop", "orders")] * 2))
        scan(watched, warehouse.describe("raw_shop", "orders")[0], Classes(), names=False)
    assert len(asked) > len(texts) + 4
    for statement in asked:
        sqlglot.parse_one(statement, dialect=config.dialect.name)


class Watched:
    """A warehouse that remembers what it was asked."""

    def __init__(self, warehouse: Warehouse, asked: list[str]) -> None:
        self._warehouse, self._asked = warehouse, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        self._asked.append(sql)
        return self._warehouse.query(sql, parameters, limit)
