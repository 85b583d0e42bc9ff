"""The age of a relation's newest row, according to one of its columns. One query; the caller gives the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from data_platform.quality.checking import CheckResult, Renewed, Subject, stopped
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.yaml_fields import ColumnName, Model


class NewestDataSettings(Model):
    """A check of the age of the newest data, whatever the time of the last sync."""

    column: ColumnName = Field(
        description="The time or date column whose greatest value is the time of the newest data."
    )
    max_age_hours: float = Field(gt=0, le=24 * 366, description="The age in hours at which the check fails.")


class NewestData:
    """``quality.checking.CheckKind``."""

    name = "newest_data"
    model = NewestDataSettings
    description = "A check of how old the newest data is, independent of the last sync."
    severity: Literal["error", "warn"] = "warn"
    of_models = True
    why_clear = "its age is what is checked"

    def columns(self, settings: NewestDataSettings) -> Mapping[str, str]:
        return {"column": settings.column}

    def times(self, settings: NewestDataSettings) -> Collection[str]:
        return (settings.column,)

    def says(self, settings: NewestDataSettings, code: Callable[[str], str]) -> str:
        return f"The newest {code(settings.column)} is at most {settings.max_age_hours:g} hours old."

    def evaluate(
        self, warehouse: Warehouse, subject: Subject, settings: NewestDataSettings, now: datetime
    ) -> CheckResult:
        found = newest_data(warehouse, subject, settings.column, settings.max_age_hours, now)
        facts = {
            "newest": found.newest or "none",
            "age_hours": "unknown" if found.age_hours is None else round(found.age_hours, 2),
            "age_hours_max": found.age_hours_max,
        }
        if found.good_until is None:
            return CheckResult(found.passed, found.text, facts)
        if found.passed:
            return CheckResult(True, found.text, facts, found.good_until.isoformat())
        return _with_reason(
            CheckResult(False, found.text, facts), found.good_until, subject.renewed(warehouse)
        )

    def lapsed(
        self,
        settings: NewestDataSettings,
        facts: Mapping[str, Any],
        now: datetime,
        renewed: Renewed,
    ) -> CheckResult:
        newest = datetime.fromisoformat(str(facts["newest"]))
        good_until = datetime.fromisoformat(str(facts["good_until"]))
        age = (now - good_until).total_seconds() / 3600 + settings.max_age_hours
        found = Newest(settings.column, newest.isoformat(), age, settings.max_age_hours)
        told = {"newest": found.newest, "age_hours": round(age, 2), "age_hours_max": settings.max_age_hours}
        return _with_reason(CheckResult(False, found.text, told), good_until, renewed)


def _with_reason(result: CheckResult, needed: datetime, renewed: Renewed) -> CheckResult:
    side, sentence = stopped(needed, renewed)
    return CheckResult(False, f"{result.text} {sentence}", {**result.facts, "stopped": side})


@dataclass(frozen=True, slots=True)
class Newest:
    """``newest`` is an ISO instant in UTC, None if the column holds no value; ``age_hours``
    is negative for a row with a future time."""

    column: str
    newest: str | None
    age_hours: float | None
    age_hours_max: float
    good_until: datetime | None = None
    """When it is too old, in UTC."""

    @property
    def passed(self) -> bool:
        return self.age_hours is not None and self.age_hours <= self.age_hours_max

    @property
    def text(self) -> str:
        if self.age_hours is None:
            return f"No row has a value in `{self.column}`, so its age is unknown."
        return (
            f"The newest `{self.column}` is {self.age_hours:.1f} hours old;"
            f" at most {self.age_hours_max:g} are allowed."
        )


def newest_data(
    warehouse: Warehouse, subject: Subject, column: str, age_hours_max: float, now: datetime
) -> Newest:
    """The age of the newest ``column`` (a date or a time) of a relation at ``now`` (with a zone).

    A date counts as the end of its day: data of today is not old."""
    dialect = warehouse.dialect
    micros = dialect.micros(f"max({dialect.quote(column)})")
    raw = relation(dialect, subject.schema, subject.name)
    found = warehouse.query(f"SELECT {micros} FROM {raw}").rows[0][0]
    if found is None:
        return Newest(column, None, None, age_hours_max)
    newest = datetime.fromtimestamp(found / 1_000_000, tz=UTC)
    days = holds_days(warehouse, subject, column)
    counted_from = newest + timedelta(days=1) if days else newest
    age_hours = (now - counted_from).total_seconds() / 3600
    return Newest(
        column,
        newest.isoformat(),
        max(age_hours, 0.0) if days else age_hours,
        age_hours_max,
        counted_from + timedelta(hours=age_hours_max),
    )


def holds_days(warehouse: Warehouse, subject: Subject, column: str) -> bool:
    described = warehouse.describe(subject.schema, subject.name)
    return any(dict(one.columns).get(column, "").upper().endswith("DATE") for one in described)
