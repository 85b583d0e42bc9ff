"""Days that differ from their neighbours: public holidays and positions in the month. Pure.

``calendars.py`` knows the dates of public holidays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from data_platform.errors import ConfigurationError
from data_platform.quality.calendars import public_holidays

SYSTEMS = (
    "day of the month",
    "day from the month's end",
    "business day",
    "business day from the month's end",
)
NO_POSITION = -1
ORDINARY, HOLIDAY, AFTER_HOLIDAY = range(3)


@dataclass(frozen=True)
class Days:
    """Some days in a row. ``special``: one of ``ORDINARY``, ``HOLIDAY``, ``AFTER_HOLIDAY`` for each. ``positions``:
    four numberings of the days within their months (``SYSTEMS``), each 0 to 30, shape (4, days); a day that is not
    a business day has ``NO_POSITION`` in the last two."""

    special: np.ndarray
    positions: np.ndarray
    _last: dict[int, Days] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def members(self) -> list[np.ndarray]:
        """For each numbering, the days of each position but the last day, padded with -1: shape (31, most of one)."""
        return [_members(positions[:-1]) for positions in self.positions]

    def part(self, days: slice) -> Days:
        return Days(self.special[days], self.positions[:, days])

    def last(self, steps: int) -> Days:
        """The last ``steps`` days before the last one, and that."""
        if steps not in self._last:
            self._last[steps] = self.part(slice(-(steps + 1), None))
        return self._last[steps]

    def padded(self, count: int) -> Days:
        """``count`` days, ordinary ones put before the first."""
        missing = count - len(self.special)
        return Days(
            np.pad(self.special, (missing, 0)),
            np.pad(self.positions, ((0, 0), (missing, 0)), constant_values=NO_POSITION),
        )


@dataclass(frozen=True)
class Calendar:
    """Where a company's days are counted. ``country`` is an ISO 3166 code (``GB``), ``region`` one of its
    subdivisions (``SCT``); without a country no day is a holiday. ``closed`` adds days of the company's own."""

    country: str = ""
    region: str = ""
    closed: Mapping[date, str] = field(default_factory=dict)

    def holiday(self, day: date) -> str:
        """The holiday's name, or an empty string."""
        if day in self.closed:
            return self.closed[day]
        if not self.country:
            return ""
        return _public(self.country, self.region, day.year).get(day, "")

    def days(self, first: date, count: int) -> Days:
        """What is special about each of ``count`` days from ``first``."""
        holiday = [bool(self.holiday(first + timedelta(n))) for n in range(-1, count)]
        special = [
            HOLIDAY if now else AFTER_HOLIDAY if before else ORDINARY for before, now in pairwise(holiday)
        ]
        positions = np.full((len(SYSTEMS), count), NO_POSITION, dtype=np.int64)
        for n in range(count):
            day = first + timedelta(n)
            positions[:, n] = _month(self, day.year, day.month)[day.day - 1]
        return Days(np.array(special), positions)

    def __hash__(self) -> int:
        return hash((self.country, self.region, tuple(sorted(self.closed.items()))))


NO_CALENDAR = Calendar()


def _members(positions: np.ndarray) -> np.ndarray:
    groups = [np.flatnonzero(positions == place) for place in range(31)]
    members = np.full((31, max(1, max(map(len, groups)))), NO_POSITION)
    for place, group in enumerate(groups):
        members[place, : len(group)] = group
    return members


def _public(country: str, region: str, year: int) -> Mapping[date, str]:
    try:
        return public_holidays(f"{country}-{region}" if region else country, year)
    except ValueError:
        raise ConfigurationError(
            f"No public holidays are known for {country!r}{f', region {region!r}' if region else ''}."
            " Use an ISO 3166 code such as GB or US, or leave the country out."
        ) from None


@lru_cache(maxsize=1024)
def _month(calendar: Calendar, year: int, month: int) -> list[tuple[int, int, int, int]]:
    first = date(year, month, 1)
    count = (date(year + month // 12, month % 12 + 1, 1) - first).days
    days = [first + timedelta(n) for n in range(count)]
    working = [n for n, day in enumerate(days) if day.weekday() < 5 and not calendar.holiday(day)]
    number = {n: index for index, n in enumerate(working)}
    return [
        (n, count - 1 - n, number[n], len(working) - 1 - number[n])
        if n in number
        else (n, count - 1 - n, NO_POSITION, NO_POSITION)
        for n in range(count)
    ]
