"""Failing rows in a table for people: capped, masked, replaced at each evaluation, gone when the rule passes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.quality.evaluate import FAILURES_MAX, RuledRelation, evaluate_relation
from data_platform.quality.failures import TABLE, keep_failures, query_for
from data_platform.quality.rules import parse_rule
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform.warehouses.journal import JOURNAL_SCHEMA, read

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    with DuckDBConfig(path=Path("w.duckdb"), threads=1).open(tmp_path, files=[tmp_path]) as opened:
        opened.connection.execute("CREATE SCHEMA marts")
        opened.connection.execute(
            "CREATE TABLE marts.facts AS SELECT i AS id, i % 2 AS kind, repeat('x', i) AS note, DATE '2026-01-01' + i::INT AS day,"
            " 'secret' AS other FROM range(250) t(i)"
        )
        yield opened


def evaluated(warehouse: DuckDBWarehouse, *texts: Any) -> int:
    table = RuledRelation("marts", "facts", ("id",), tuple(map(parse_rule, texts)))
    return keep_failures(warehouse, table, evaluate_relation(warehouse, table), NOW)


def kept(warehouse: DuckDBWarehouse) -> dict[str, int]:
    found = read(warehouse, TABLE)
    return {str(rule): sum(one["rule"] == rule for one in found) for rule in {one["rule"] for one in found}}


def test_failing_rows_are_kept_with_key_and_tested_columns(warehouse: DuckDBWarehouse) -> None:
    assert evaluated(warehouse, "note != 'xxx'", "day <= 2026-01-03", "kind >= 0") == 1 + FAILURES_MAX
    assert kept(warehouse) == {"note_ne_xxx": 1, "day_lte_2026_01_03": FAILURES_MAX}
    (row,) = read(warehouse, TABLE, {"rule": "note_ne_xxx"})
    assert row == {
        "table_name": "marts.facts",
        "rule": "note_ne_xxx",
        "found_at": NOW,
        "position": 1,
        "row_key": '{"id": 3}',
        "row_values": '{"note": "xxx"}',
    }
    shown = warehouse.query(query_for("marts.facts", "day_lte_2026_01_03")).rows
    assert [json.loads(one[4])["id"] for one in shown] == list(range(3, 3 + FAILURES_MAX)), (
        "the first ones by key"
    )
    assert all("secret" not in str(one) for one in shown), "only the key and what the rule tests"


def test_they_are_replaced_and_go_when_the_rule_passes_or_is_gone(warehouse: DuckDBWarehouse) -> None:
    evaluated(warehouse, "id <= 247", "kind = 0", "day <= 2026-01-03")
    warehouse.connection.execute("DELETE FROM marts.facts WHERE id = 248")
    assert evaluated(warehouse, "id <= 247", "kind = 0", "day <= 2026-01-03") == 1 + 2 * FAILURES_MAX
    assert kept(warehouse)["id_lte_247"] == 1
    warehouse.connection.execute("DELETE FROM marts.facts WHERE id = 249")
    evaluated(warehouse, "id <= 247", "kind = 0")
    assert kept(warehouse) == {"kind_eq_0": FAILURES_MAX}


def test_a_rule_that_could_not_be_evaluated_keeps_what_was_found(warehouse: DuckDBWarehouse) -> None:
    evaluated(warehouse, "note != 'xxx'", "kind = 0")
    warehouse.connection.execute("ALTER TABLE marts.facts DROP COLUMN note; UPDATE marts.facts SET kind = 0")
    assert evaluated(warehouse, "note != 'xxx'", "kind = 0") == 0
    assert kept(warehouse) == {"note_ne_xxx": 1}


def test_nothing_is_written_where_all_is_well(warehouse: DuckDBWarehouse) -> None:
    assert evaluated(warehouse, "id >= 0", "row_count() >= 1") == 0
    assert warehouse.describe(JOURNAL_SCHEMA) == []


def test_long_and_odd_values_are_shown_as_text(warehouse: DuckDBWarehouse) -> None:
    evaluated(
        warehouse,
        {"rule": "note = ''", "where": "id = 249"},
        {"query": "SELECT 'nan'::DOUBLE AS a, [1, 2] AS b, day FROM {table} LIMIT 1", "name": "odd"},
    )
    rows = {str(one["rule"]): json.loads(str(one["row_values"])) for one in read(warehouse, TABLE)}
    assert rows["odd"] == {"a": "nan", "b": "[1, 2]", "day": "2026-01-01"}
    assert len(next(values["note"] for name, values in rows.items() if name != "odd")) == 200


def test_very_long_rows_are_fewer_and_each_rule_is_replaced_whole(warehouse: DuckDBWarehouse) -> None:
    """Two evaluations at once would mix what takes several transactions."""
    wide = ", ".join(f"repeat('y', 200) AS c{number}" for number in range(20))
    rules = [{"query": f"SELECT id, {wide} FROM {{table}}", "name": f"wide_{number}"} for number in range(4)]
    for _ in range(2):
        total = evaluated(warehouse, *rules)
        held = kept(warehouse)
        assert set(held) == {f"wide_{number}" for number in range(4)} and sum(held.values()) == total
        assert len(set(held.values())) == 1 and 20 < held["wide_0"] < FAILURES_MAX
    written: list[list[str]] = []

    class Watched:
        def keep(self, table: Any, statements: Sequence[str]) -> None:
            written.append(list(statements))
            warehouse.keep(table, statements)

        def __getattr__(self, name: str) -> Any:
            return getattr(warehouse, name)

    evaluated(Watched(), *rules)  # type: ignore[arg-type]
    assert len(written) == 4
    assert all([one.split()[0] for one in each] == ["DELETE", "INSERT"] for each in written)
