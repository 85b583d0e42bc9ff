"""The results of a table's rules at one load, and their text form: from the command line's sync to the graph."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from data_platform.errors import DataPlatformError
from data_platform.landing.manifest import Manifest
from data_platform.quality.checking import Arrived, CheckResult, Subject
from data_platform.quality.evaluate import RuledTable, RuleResult, evaluate, raw_relation
from data_platform.quality.failures import keep_failures
from data_platform.quality.kinds import wanted
from data_platform.tables import NULL_SLICE
from data_platform.warehouses import Warehouse
from data_platform.words import plural

DAYS_NAMED = 5


class CheckedTable(RuledTable, Protocol):
    @property
    def checks(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """``at`` is the time of the evaluation. ``problem`` says why nothing could be evaluated; then no rule passes."""

    at: str
    rules: tuple[RuleResult, ...] = ()
    checks: Mapping[str, CheckResult] = field(default_factory=dict)
    """The results of the checks that are no rules, by name."""
    problem: str | None = None
    not_kept: str | None = None
    """Why the failing rows are not in ``quality.failures``."""

    @property
    def failing(self) -> list[RuleResult]:
        return [result for result in self.rules if not result.passed]


def arrived(batch: Manifest | None) -> Arrived | None:
    """What came with a batch; None if it is one of chosen slices or without data."""
    if batch is None or batch.kind != "data" or batch.operation == "slice":
        return None
    at = datetime.fromisoformat(batch.snapshot.taken_at)
    return Arrived(batch.batch_id, batch.rows, batch.bytes, at, batch.operation == "refresh")


def evaluate_table(
    warehouse: Warehouse, table: CheckedTable, now: datetime, newest: Manifest | None = None
) -> Evaluated:
    """Evaluate every rule and every other check of ``table``; ``newest`` is its batch that was loaded last. Rules that cannot be
    evaluated raise nothing."""
    at, subject = now.isoformat(timespec="seconds"), Subject.raw(table.id, lambda: arrived(newest))
    try:
        rules = tuple(evaluate(warehouse, table))
        checks = {
            kind.name: kind.evaluate(warehouse, subject, settings, now)
            for kind, settings in wanted(table.checks)
        }
    except DataPlatformError as error:
        return Evaluated(at, problem=str(error))
    return Evaluated(at, rules, checks)


def keep_found(warehouse: Warehouse, table: CheckedTable, evaluated: Evaluated) -> Evaluated:
    """Keep the failing rows for people, and what the checks remember. That they cannot be kept changes nothing of what was found, so it is only said."""
    try:
        now = datetime.fromisoformat(evaluated.at)
        keep_failures(warehouse, raw_relation(table), evaluated.rules, now)
        for result in evaluated.checks.values():
            for entry in result.to_keep:
                entry.keep(warehouse, now)
    except DataPlatformError as error:
        return replace(evaluated, not_kept=str(error))
    return evaluated


def to_text(evaluated: Evaluated) -> str:
    """The result as JSON. Sample values that JSON cannot represent become text."""
    return json.dumps(
        {
            "at": evaluated.at,
            "problem": evaluated.problem,
            "not_kept": evaluated.not_kept,
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
                    "value": result.value,
                    "days": result.days,
                    "days_unknown": result.days_unknown,
                }
                for result in evaluated.rules
            ],
            "checks": {name: _fields(result) for name, result in evaluated.checks.items()},
        },
        default=str,
        ensure_ascii=False,
    )


def _fields(result: CheckResult) -> dict[str, Any]:
    fields = asdict(replace(result, to_keep=()))
    del fields["to_keep"]
    return fields


def from_text(text: str, table: CheckedTable) -> Evaluated:
    """The result from the output of ``to_text``. Rules that are no longer in the catalog are left out."""
    raw = json.loads(text)
    known = {rule.name: rule for rule in table.rules}
    return Evaluated(
        at=raw["at"],
        rules=tuple(_result(known, one) for one in raw["rules"] if one["name"] in known),
        checks={
            name: CheckResult(**result)
            for name, result in raw.get("checks", {}).items()  # an earlier version wrote none
            if name in table.checks
        },
        problem=raw["problem"],
        not_kept=raw.get("not_kept"),
    )


def sentence(result: RuleResult) -> str:
    """A sentence about a result, without a value of a row."""
    if result.problem:
        return result.problem
    return f"{_found(result)}{days_named(result.days or ())}"


def days_named(days: Collection[str]) -> str:
    """The end of a sentence: on which days it is so, the newest first. Empty if there are none."""
    real = sorted((day for day in days if day != NULL_SLICE), reverse=True)
    more = f" and {len(real) - DAYS_NAMED} more" if len(real) > DAYS_NAMED else ""
    text = f", on {plural(len(real), 'day')}: {', '.join(real[:DAYS_NAMED])}{more}" if real else ""
    return text + (", and rows without a day" if text else ", in rows without a day") * (NULL_SLICE in days)


def _found(result: RuleResult) -> str:
    rule = result.rule
    if rule.form == "query":
        return f"`{rule.text}` finds {result.failing:,} rows"
    truth = "is so" if result.passed else "is not so"
    if rule.form == "change" or rule.operator == "equals":
        return f"`{rule.text}` {truth}"
    if rule.form == "figure" and not (rule.per or rule.per_day):
        found = "" if result.value is None else f": it is {result.value:,.12g}"
        return f"`{rule.text}` {truth}{found}"
    what = "groups" if rule.form == "figure" else "rows"
    return f"{result.failing:,} of {result.rows:,} {what} fail `{rule.text}`"


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
