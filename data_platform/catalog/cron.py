"""Whether a scheduler can run a cron line: it has five fields, and its day exists. And when it runs next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta

_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_problem(line: str) -> str | None:
    """The mistake in ``line`` and what to write instead, or None."""
    fields = line.split()
    if len(fields) != len(_FIELDS):
        return (
            "must be a cron line of five fields, minute hour day month weekday:"
            ' "0 * * * *" is every hour, "30 3 * * *" every day at 03:30'
        )
    values: list[set[int]] = []
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        found = _values(text.lower(), low, high, names)
        if found is None:
            return f"the {name} of the cron line must be {low} to {high}, as 5, 1-5, 1,3 or */2"
        values.append(found)
    days, months = values[2], values[3]
    if fields[4] == "*" and not any(min(days) <= _DAYS[month - 1] for month in months):
        return "the cron line never runs: none of its months has that day"
    return None


def upcoming(line: str, after: datetime) -> Iterator[datetime]:
    """The times after ``after`` at which a valid ``line`` runs, in its time zone, without end."""
    fields = line.lower().split()
    minutes, hours, days, months, weekdays = (
        _values(text, low, high, names) or set()
        for text, (_, low, high, names) in zip(fields, _FIELDS, strict=True)
    )
    weekdays = {day % 7 for day in weekdays}  # both 0 and 7 are Sunday
    either = fields[2] != "*" and fields[4] != "*"
    times = [time(hour, minute, tzinfo=after.tzinfo) for hour in sorted(hours) for minute in sorted(minutes)]
    day = after.date()
    while True:
        by_month, by_week = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and (by_month or by_week if either else by_month and by_week):
            yield from (at for at in (datetime.combine(day, clock) for clock in times) if at > after)
        day += timedelta(days=1)


def _values(text: str, low: int, high: int, names: tuple[str, ...]) -> set[int] | None:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        step = int(match["step"] or 1)
        if match["first"] == "*":
            first, last = low, high
            if match["last"]:
                return None
        else:
            first = _number(match["first"], names, low)
            last = _number(match["last"], names, low) if match["last"] else high if match["step"] else first
        if not low <= first <= last <= high or not 1 <= step <= high:
            return None
        values |= set(range(first, last + 1, step))
    return values


def _number(text: str, names: tuple[str, ...], low: int) -> int:
    if text in names:
        return names.index(text) + low
    return int(text) if text.isascii() and text.isdigit() else -1
