"""The results of a table's rules at one load, and their text form: from the command line's sync to the graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from data_platform.errors import DataPlatformError
from data_platform.quality.evaluate import RuledTable, RuleResult, evaluate
from data_platform.quality.newest import Newest, newest_data
from data_platform.warehouses import Warehouse


class NewestData(Protocol):
    @property
    def column(self) -> str: ...
    @property
    def max_age_hours(self) -> float: ...


class CheckedTable(RuledTable, Protocol):
    @property
    def newest_data(self) -> NewestData | None: ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """``at`` is the time of the evaluation. ``problem`` says why nothing could be evaluated; then no rule passes."""

    at: str
    rules: tuple[RuleResult, ...] = ()
    newest: Newest | None = None
    problem: str | None = None

    @property
    def failing(self) -> list[RuleResult]:
        return [result for result in self.rules if not result.passed]


def evaluate_table(warehouse: Warehouse, table: CheckedTable, now: datetime) -> Evaluated:
    """Evaluate every rule of ``table`` and the age of its newest data. Rules that cannot be evaluated raise nothing."""
    at = now.isoformat(timespec="seconds")
    wanted = table.newest_data
    try:
        rules = tuple(evaluate(warehouse, table))
        newest = (
            newest_data(warehouse, table.id, wanted.column, wanted.max_age_hours, now) if wanted else None
        )
    except DataPlatformError as error:
        return Evaluated(at, problem=str(error))
    return Evaluated(at, rules, newest)


def to_text(evaluated: Evaluated) -> str:
    """The result as JSON. Sample values that JSON cannot represent become text."""
    newest = evaluated.newest
    return json.dumps(
        {
            "at": evaluated.at,
            "problem": evaluated.problem,
            "rules": [
                {
                    "name": result.rule.name,
                    "passed": result.passed,
                    "rows": result.rows,
                    "failing": result.failing,
                    "rate": result.rate,
                    "sample": result.sample,
                    "unknown": result.unknown,
                    "problem": result.problem,
                }
                for result in evaluated.rules
            ],
            "newest": newest and [newest.column, newest.newest, newest.age_hours, newest.age_hours_max],
        },
        default=str,
        ensure_ascii=False,
    )


def from_text(text: str, table: CheckedTable) -> Evaluated:
    """The result from the output of ``to_text``. Rules that are no longer in the catalog are left out."""
    raw = json.loads(text)
    known = {rule.name: rule for rule in table.rules}
    return Evaluated(
        at=raw["at"],
        rules=tuple(_result(known, one) for one in raw["rules"] if one["name"] in known),
        newest=Newest(*raw["newest"]) if raw["newest"] and table.newest_data else None,
        problem=raw["problem"],
    )


def sentence(result: RuleResult) -> str:
    """A sentence about a failing rule, without a value of a row."""
    return result.problem or f"{result.failing:,} of {result.rows:,} rows fail `{result.rule.text}`"


def _result(known: Any, one: dict[str, Any]) -> RuleResult:
    return RuleResult(known[one.pop("name")], **one)


def failing_lines(results: Sequence[RuleResult]) -> list[str]:
    """A line for each failing rule, for a terminal."""
    return [
        sentence(result)
        + (" (a warning)" if result.rule.severity == "warn" else "")
        + ("; tables downstream wait" if result.rule.blocking else "")
        for result in results
    ]
