"""Whether each expected day has its rows by a deadline. One query; the caller gives the time.

A day that is filled later, or an old day that is filled again, does not stand in for one that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from data_platform.quality.calendars import Place, public_holidays
from data_platform.quality.checking import CheckResult, Renewed, Subject, stopped
from data_platform.quality.newest import holds_days
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.words import plural
from data_platform.yaml_fields import ColumnName, Model

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHOWN = 10
AHEAD_DAYS = 40
"""Longer than any run of days without work, so that a next expected day is found."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone; write its IANA name, such as UTC or Europe/Berlin") from None
    return name


class ArrivesSettings(Model):
    """A check that each expected day has its rows by a deadline."""

    column: ColumnName = Field(description="The time or date column whose day counts.")
    by: str = Field(
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description='The time of day of the deadline, such as "09:00".',
    )
    days_later: int = Field(
        default=1,
        ge=0,
        le=31,
        description="How many days after the day the deadline is. Default 1: the next day.",
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC",
        description="Time zone of the deadline, and of the days of a column that holds times: an IANA name.",
    )
    weekdays: tuple[Weekday, ...] = Field(
        default=WEEKDAYS,
        min_length=1,
        description="The days of the week on which rows are expected. Default: all of them.",
    )
    holidays: Place | None = Field(
        default=None,
        description="Country, or country and region, on whose public holidays no rows are expected: DE, or DE-BY.",
    )
    closed: tuple[date, ...] = Field(default=(), description="Further days on which no rows are expected.")
    rows_min: int = Field(default=1, ge=1, description="How many rows a day has at least. Default 1.")
    lookback_days: int = Field(
        default=7, ge=1, le=92, description="How many days back are looked at. Default 7."
    )

    @model_validator(mode="after")
    def _some(self) -> ArrivesSettings:
        if self.days_later == 0 and self.by == "00:00":
            raise ValueError(
                "the deadline is the first moment of the day itself; set days_later, or a later `by`"
            )
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def expects(self, day: date) -> bool:
        if WEEKDAYS[day.weekday()] not in self.weekdays or day in self.closed:
            return False
        return self.holidays is None or day not in public_holidays(self.holidays, day.year)

    def deadline(self, day: date) -> datetime:
        """In UTC."""
        hour, minute = map(int, self.by.split(":"))
        at = datetime.combine(day + timedelta(self.days_later), time(hour, minute), self.zone)
        return at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    rows: int
    deadline: datetime


class Arrives:
    """``quality.checking.LapsingKind``."""

    name = "arrives"
    model = ArrivesSettings
    description = "A check that each expected day has its rows by a deadline, on the days of a calendar."
    severity: Literal["error", "warn"] = "error"
    of_models = True
    why_clear = "its days are counted"

    def columns(self, settings: ArrivesSettings) -> Mapping[str, str]:
        return {"column": settings.column}

    def times(self, settings: ArrivesSettings) -> Collection[str]:
        return (settings.column,)

    def says(self, settings: ArrivesSettings, code: Callable[[str], str]) -> str:
        return (
            f"Each expected day of {code(settings.column)} has at least {plural(settings.rows_min, 'row')} by"
            f" {settings.by} ({settings.timezone}) {plural(settings.days_later, 'day')} later."
        )

    def evaluate(
        self, warehouse: Warehouse, subject: Subject, settings: ArrivesSettings, now: datetime
    ) -> CheckResult:
        days = counted(warehouse, subject, settings, now)
        due = [one for one in days if one.deadline <= now]
        late = [one for one in due if one.rows < settings.rows_min]
        facts: dict[str, Any] = {"days_due": len(due), "days_missing": len(late)}
        if late:
            return _missing(settings, [one.day for one in late], facts, subject.renewed(warehouse))
        next_ = min(one.deadline for one in days if one.rows < settings.rows_min)
        text = f"{plural(len(due), 'expected day')} of `{settings.column}` had rows in time."
        return CheckResult(True, text, facts, next_.isoformat())

    def lapsed(
        self, settings: ArrivesSettings, facts: Mapping[str, Any], now: datetime, renewed: Renewed
    ) -> CheckResult:
        since = datetime.fromisoformat(str(facts["good_until"]))
        late = [day for day in expected(settings, now) if since <= settings.deadline(day) <= now]
        return _missing(settings, late, {"days_missing": len(late)}, renewed)


def expected(settings: ArrivesSettings, now: datetime) -> Iterator[date]:
    """The expected days around ``now``, in order: those of ``lookback_days``, and the next ones."""
    today = now.astimezone(settings.zone).date()
    first = today - timedelta(settings.lookback_days + settings.days_later)
    for number in range(settings.lookback_days + settings.days_later + AHEAD_DAYS):
        if settings.expects(day := first + timedelta(number)):
            yield day


def counted(
    warehouse: Warehouse, subject: Subject, settings: ArrivesSettings, now: datetime
) -> Sequence[Day]:
    """The rows of each expected day around ``now``, in one scan; without days before the table's first row."""
    days = list(expected(settings, now))
    dialect = warehouse.dialect
    zone = UTC if holds_days(warehouse, subject, settings.column) else settings.zone
    bounds = [(_micros(day, zone), _micros(day + timedelta(1), zone)) for day in days]
    instant = dialect.micros(dialect.quote(settings.column))
    counts = ", ".join(dialect.count_where(f"moment >= {start} AND moment < {end}") for start, end in bounds)
    rows = warehouse.query(
        f"SELECT min(moment), {counts} FROM (SELECT {instant} AS moment"
        f" FROM {relation(dialect, subject.schema, subject.name)}) AS found"
    ).rows[0]
    first, found = rows[0], zip(days, bounds, rows[1:], strict=True)
    return [
        Day(day, int(count or 0), settings.deadline(day))
        for day, (_, end), count in found
        if first is None or int(first) < end
    ]


def _missing(
    settings: ArrivesSettings, late: Sequence[date], facts: Mapping[str, Any], renewed: Renewed
) -> CheckResult:
    side, sentence = stopped(settings.deadline(late[-1]), renewed)
    shown = ", ".join(day.isoformat() for day in late[-SHOWN:])
    more = f" and {len(late) - SHOWN:,} earlier ones" if len(late) > SHOWN else ""
    least = "no rows" if settings.rows_min == 1 else f"fewer than {settings.rows_min:,} rows"
    return CheckResult(
        False,
        f"{plural(len(late), 'expected day')} of `{settings.column}` had {least} by {settings.by}"
        f" ({settings.timezone}): {shown}{more}. {sentence}",
        {**facts, "newest_missing": late[-1].isoformat(), "stopped": side},
    )


def _micros(day: date, zone: Any) -> int:
    start = datetime.combine(day, time(), zone)
    return int((start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
