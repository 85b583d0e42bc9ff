"""Rules over a real raw table: counts, rates, samples, personal columns, and what cannot be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data_platform.quality.evaluate import RuleResult, evaluate
from data_platform.quality.rules import Rule, parse_rule
from data_platform.tables import Column, TableId, Treatment
from data_platform.warehouses import QueryResult, Warehouse
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.contracts.batches import Chain

USERS = TableId("shop", "users")
EMAIL = parse_rule('email contains "@"')
COLUMNS = (
    Column("user_id", "BIGINT", "bigint"),
    Column("email", "VARCHAR", "text"),
    Column("age", "INTEGER", "integer"),
    Column("joined", "TIMESTAMPTZ", "timestamptz"),
    Column(EMAIL.landed_column, "BOOLEAN", "boolean"),
)
ROWS = [
    (5, "hash-e", 20, "2026-01-01", "false"),
    (4, "hash-d", -3, "2026-01-01", "true"),
    (3, "hash-c", None, "infinity", "true"),
    (2, "hash-b", 200, "0044-03-15 (BC)", "false"),
    (1, None, 30, None, None),
]


@dataclass(frozen=True)
class Ruled:
    rules: tuple[Rule, ...]
    id: TableId = USERS
    key: tuple[str, ...] = ("user_id",)
    treatments: Mapping[str, Treatment] = field(default_factory=lambda: {"email": "hash", "age": "keep"})
    partition: str | None = None
    timezone: str = "UTC"


class Counting:
    """A warehouse that remembers what it was asked."""

    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self.warehouse = warehouse
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.warehouse, name)

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        self.asked.append(sql)
        return self.warehouse.query(sql, parameters, limit)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Counting]:
    with DuckDBConfig(path=Path("w.duckdb"), threads=1).open(tmp_path, files=[tmp_path]) as opened:
        chain = Chain(tmp_path / "parts", table=USERS, columns=COLUMNS, key=("user_id",), partition=None)
        opened.load(*chain.next("replace", ROWS))
        yield Counting(opened)


def run(warehouse: Warehouse | Counting, *lines: Any, **table: Any) -> list[RuleResult]:
    return evaluate(warehouse, Ruled(tuple(map(parse_rule, lines)), **table))


def test_all_rules_are_one_scan_and_only_failing_ones_are_sampled(warehouse: Counting) -> None:
    results = run(warehouse, "age between 0 and 150", "user_id not null", "age >= -5")
    assert [(r.rule.text, r.passed, r.rows, r.failing) for r in results] == [
        ("age between 0 and 150", False, 5, 2),
        ("user_id not null", True, 5, 0),
        ("age >= -5", True, 5, 0),
    ]
    assert results[0].rate == pytest.approx(0.4)
    assert results[0].sample == [{"user_id": 2, "age": 200}, {"user_id": 4, "age": -3}], "in the key's order"
    assert len(warehouse.asked) == 2


def test_a_rule_on_a_treated_column_reads_what_the_extraction_found(warehouse: Counting) -> None:
    (result,) = run(warehouse, EMAIL.text)
    assert (result.passed, result.failing, result.unknown) == (False, 2, 1)
    assert result.sample == [{"user_id": 2, "email": "hash-b"}, {"user_id": 5, "email": "hash-e"}]
    assert all("contains(" not in sql for sql in warehouse.asked), (
        "the landed value is a hash: nothing to test"
    )


def test_a_rate_has_its_threshold(warehouse: Counting) -> None:
    under, over = run(warehouse, "null_rate(email) <= 0.2", "null_rate(age) <= 0.1")
    assert (under.passed, under.failing, under.rate, under.sample) == (True, 1, pytest.approx(0.2), [])
    assert (over.passed, over.sample) == (False, [{"user_id": 3, "age": None}])


def test_a_sample_shows_times_python_cannot_hold(warehouse: Counting) -> None:
    (result,) = run(warehouse, "joined between 2000-01-01 and 2100-01-01")
    assert [row["joined"] for row in result.sample] == ["0044-03-15 (BC) 00:00:00+00", "infinity"]


def test_samples_are_bounded_and_may_be_none(warehouse: Counting) -> None:
    table = Ruled((parse_rule("age between 0 and 1"),))
    assert [len(evaluate(warehouse, table, samples=n)[0].sample) for n in (0, 1, 5)] == [0, 1, 4]


def test_only_the_wanted_rules_are_run(warehouse: Counting) -> None:
    rules = tuple(map(parse_rule, ["age >= 0", "user_id not null"]))
    assert [r.rule for r in evaluate(warehouse, Ruled(rules), only={rules[1].name})] == [rules[1]]
    assert evaluate(warehouse, Ruled(()), only=None) == []


def test_a_table_without_key_is_sampled_too(warehouse: Counting) -> None:
    (result,) = run(warehouse, "age <= 150", key=())
    assert result.sample == [{"age": 200}]


def test_what_cannot_be_evaluated_does_not_pass_and_says_why(warehouse: Counting) -> None:
    absent, landed, fine = run(warehouse, "nothing >= 0", 'email matches "x"', "user_id not null")
    assert (absent.passed, fine.passed) == (False, True)
    assert absent.problem is not None
    assert "no column nothing" in absent.problem
    assert landed.problem is not None
    assert "sync --refresh shop/users" in landed.problem
    (unsynced,) = run(warehouse, "age >= 0", id=TableId("shop", "other"))
    assert not unsynced.passed
    assert unsynced.problem is not None
    assert "has not been synced" in unsynced.problem


def test_a_rule_that_cannot_run_leaves_the_others_theirs(warehouse: Counting) -> None:
    text, fine, bad = run(warehouse, "email >= age", "user_id not null", "age >= 0", treatments={})
    assert (fine.passed, bad.passed, bad.failing, bad.problem) == (True, False, 1, None)
    assert not text.passed
    assert text.problem is not None
    assert "email is VARCHAR, age is INTEGER" in text.problem
    assert "hash-e" not in text.problem, "the engine's own words quote the value it could not convert"


def test_an_empty_table_passes(tmp_path: Path) -> None:
    with DuckDBConfig(path=Path("w.duckdb"), threads=1).open(tmp_path, files=[tmp_path]) as opened:
        chain = Chain(tmp_path / "parts", table=USERS, columns=COLUMNS, key=("user_id",), partition=None)
        opened.load(*chain.next("replace", []))
        results = run(opened, "age >= 0", "null_rate(age) <= 0")
        assert [(r.passed, r.rows, r.rate) for r in results] == [(True, 0, 0.0), (True, 0, 0.0)]
