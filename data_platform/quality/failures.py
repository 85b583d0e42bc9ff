"""The rows that break a rule, in a table that people open: ``quality.failures``.

Values are those of the warehouse, so a treated column appears as it landed. The rows of a rule are replaced each time it is evaluated, and
go when it passes or is gone from the catalog. Of a rule that could not be evaluated, what was found before stays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from data_platform.quality.evaluate import RuledRelation, RuleResult
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import JOURNAL_SCHEMA, TRANSACTION_MAX, JournalTable, Row, keep, read

TABLE = JournalTable(
    "failures",
    {
        "table_name": "text",
        "rule": "text",
        "found_at": "timestamp",
        "position": "bigint",
        "row_key": "text",
        "row_values": "text",
    },
)
"""``row_key`` and ``row_values`` are JSON objects: the key of the row, and the columns that its rule tests."""
VALUE_MAX = 200
"""Characters of one value."""
RULE_MAX = TRANSACTION_MAX // 3
"""Characters of what is kept in one transaction: quoting makes at most twice as many of them."""


class Findings(NamedTuple):
    """What the rules of a relation found."""

    table: RuledRelation
    results: Sequence[RuleResult]

    def keep(self, warehouse: Warehouse, now: datetime) -> None:
        keep_failures(warehouse, self.table, self.results, now)


def query_for(table: str, rule: str) -> str:
    """The statement that shows the kept rows; a rule's name and a relation's need no escapes."""
    return f"SELECT * FROM {JOURNAL_SCHEMA}.{TABLE.name} WHERE table_name = '{table}' AND rule = '{rule}' ORDER BY position"


def stale(warehouse: Warehouse, table: RuledRelation, results: Sequence[RuleResult]) -> list[str]:
    """The rules whose kept rows are not what ``results`` found: what ``keep_failures`` replaces. None of them if nothing
    need be written."""
    known = {str(one["rule"]) for one in read(warehouse, TABLE, {"table_name": table.label})}
    found = {result.rule.name for result in results if result.problem is None}
    gone = known - {rule.name for rule in table.rules}
    failing = {result.rule.name for result in results if result.failures}
    return sorted(gone | (known & found) | failing)


def keep_failures(
    warehouse: Warehouse, table: RuledRelation, results: Sequence[RuleResult], found_at: datetime
) -> int:
    """Replace what was kept of ``table`` by what ``results`` found; how many rows are kept of them.

    The rows of a rule are replaced in one transaction, so that two evaluations at once leave those of one of them."""
    found = {result.rule.name: _rows(table, result, found_at) for result in results}
    for rules in _together({name: found.get(name, []) for name in stale(warehouse, table, results)}):
        rows = [row for rule in rules for row in found.get(rule, [])]
        keep(warehouse, TABLE, rows, replacing={"table_name": table.label, "rule": rules})
    return sum(map(len, found.values()))


def _together(rows: Mapping[str, Sequence[Row]]) -> Iterator[list[str]]:
    """The rules, in groups of which each fits into one transaction."""
    group: list[str] = []
    size = 0
    for rule, some in rows.items():
        added = sum(map(_size, some))
        if group and size + added > RULE_MAX:
            yield group
            group, size = [], 0
        group.append(rule)
        size += added
    if group:
        yield group


def _size(row: Row) -> int:
    return len(str(row["row_key"])) + len(str(row["row_values"]))


def _rows(table: RuledRelation, result: RuleResult, found_at: datetime) -> list[Row]:
    """Only the first ones where they are too long for one transaction."""
    rows: list[Row] = [
        {
            "table_name": table.label,
            "rule": result.rule.name,
            "found_at": found_at,
            "position": position,
            "row_key": _json({name: failing[name] for name in table.key if name in failing}),
            "row_values": _json({name: value for name, value in failing.items() if name not in table.key}),
        }
        for position, failing in enumerate(result.failures, 1)
    ]
    sizes = accumulate(map(_size, rows))
    return [row for row, size in zip(rows, sizes, strict=True) if size <= RULE_MAX or row is rows[0]]


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in values.items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_MAX else f"{text[: VALUE_MAX - 1]}…"
