"""What breaks a rule, by the day of its rows: a SELECT of (day, how many)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from data_platform.quality.rule_groups import Held, groups
from data_platform.quality.rules import Rule
from data_platform.tables import NULL_SLICE


def days_failing(rule: Rule, held: Held, bad: str | None) -> str | None:
    """Of what fails: rows, or the days themselves of a rule ``per day``. ``bad`` is the condition of a failing row, for a rule that
    single rows answer. None if the table has no days, or if what breaks the rule is of none."""
    if held.partition is None or held.partition not in held.columns:
        return None
    if rule.kind != "table":
        return None if bad is None else _by_day(_day(held), f"{held.raw} t", bad)
    if not (rule.by_day):
        return None
    broken = groups(rule, held, [held.partition])
    day = held.dialect.quote(held.partition) if rule.per_day else _day(held)  # there it is a day already
    return _by_day(day, f"{broken.source} g", broken.bad)


def days_unknown(rule: Rule, held: Held) -> str:
    """Of the rows that landed before the rule was added."""
    return _by_day(_day(held), f"{held.raw} t", f"{held.dialect.quote(rule.landed_column)} IS NULL")


def by_slice(rows: Iterable[tuple[Any, ...]]) -> dict[str, int]:
    """The rows of such a SELECT."""
    return {_slice(day): int(number) for day, number in rows}


def _day(held: Held) -> str:
    partition = held.partition or ""
    return held.dialect.day(held.dialect.quote(partition), held.columns[partition], held.timezone)


def _by_day(day: str, source: str, chosen: str) -> str:
    return f"SELECT {day} AS day_, count(*) AS n FROM {source} WHERE {chosen} GROUP BY 1 ORDER BY 1"


def _slice(day: Any) -> str:
    if day is None:
        return NULL_SLICE
    return day.isoformat()[:10] if isinstance(day, date) else str(day)
