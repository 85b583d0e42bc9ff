"""Synthetic daily metrics, by seed: fourteen shapes of normal life, without incidents.

``HELD_OUT`` shapes were never used to choose a rule or a number of the detector. They are generated, as the others
are, by code that was written before the detector was tuned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from data_platform.quality.anomaly import seasons
from data_platform.quality.anomaly.seasons import Calendar
from data_platform.quality.anomaly.series import Kind

FIRST = date(2023, 1, 2)  # a Monday
DAYS = 500
CALENDAR = Calendar("GB", "ENG")
WEEKDAY = np.array([(FIRST + timedelta(n)).weekday() for n in range(DAYS)])
STEP = np.arange(DAYS)
DAY = np.array([(FIRST + timedelta(n)).day for n in range(DAYS)])
LAST = np.array([(FIRST + timedelta(n + 1)).day == 1 for n in range(DAYS)])
HOLIDAY = CALENDAR.days(FIRST, DAYS).special == seasons.HOLIDAY

Rng = np.random.Generator


@dataclass(frozen=True)
class Shape:
    """``make`` gives one series of ``DAYS`` values."""

    name: str
    title: str
    kind: Kind
    make: Callable[[Rng], np.ndarray]
    held_out: bool = False

    @property
    def split(self) -> str:
        return "held out" if self.held_out else "tuned"


def _level(rng: Rng, low: float = 200, high: float = 200_000) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _week(rng: Rng, weekend: float) -> np.ndarray:
    """A factor for each day: five working days that differ a little, and a weekend."""
    factors = np.exp(np.concatenate([rng.normal(0, 0.12, 5), weekend + rng.normal(0, 0.1, 2)]))
    return factors[WEEKDAY]


def _noise(rng: Rng, sigma: float, freedom: float = 8) -> np.ndarray:
    """Factors with somewhat heavier tails than a normal distribution's."""
    drawn = rng.standard_t(freedom, DAYS) * np.sqrt((freedom - 2) / freedom)
    return np.exp(sigma * drawn)


def _counted(rng: Rng, mean: np.ndarray) -> np.ndarray:
    return rng.poisson(np.maximum(mean, 0)).astype(float)


def weekly(rng: Rng) -> np.ndarray:
    mean = _level(rng) * _week(rng, rng.uniform(-1.5, 0.5)) * _noise(rng, rng.uniform(0.03, 0.1))
    return _counted(rng, mean)


def flat(rng: Rng) -> np.ndarray:
    """A table of few changes: its number of rows."""
    changes = (rng.random(DAYS) < 0.03) * rng.integers(0, 4, DAYS)
    return np.round(_level(rng, 50, 50_000)) + np.cumsum(changes).astype(float)


def monthly(rng: Rng) -> np.ndarray:
    """Bills at the month's first and last days."""
    lift = np.zeros(DAYS)
    lift[DAY == 1] = rng.uniform(0.5, 2)
    lift[DAY == 2] = rng.uniform(0, 0.8)
    lift[LAST] = rng.uniform(0.3, 1.5)
    mean = _level(rng) * _week(rng, rng.uniform(-1, 0)) * np.exp(lift) * _noise(rng, rng.uniform(0.04, 0.1))
    return _counted(rng, mean)


def growing(rng: Rng) -> np.ndarray:
    growth = np.exp(rng.uniform(-0.002, 0.005) * STEP)
    mean = _level(rng, 200, 20_000) * growth * _week(rng, rng.uniform(-1, 0.3))
    return _counted(rng, mean * _noise(rng, rng.uniform(0.04, 0.1)))


def intermittent(rng: Rng) -> np.ndarray:
    """A few rows a day, often none."""
    mean = rng.uniform(0.3, 6) * np.exp(rng.uniform(-0.5, 0.2) * (WEEKDAY >= 5))
    shape = rng.uniform(1.5, 8)
    return rng.poisson(mean * rng.gamma(shape, 1 / shape, DAYS)).astype(float)


def heavy(rng: Rng) -> np.ndarray:
    """An amount with campaigns: some days far above the rest, by nature."""
    lift = (rng.random(DAYS) < 0.03) * rng.uniform(0.1, 0.5, DAYS)
    return (
        _level(rng)
        * _week(rng, rng.uniform(-0.8, 0.3))
        * np.exp(lift)
        * _noise(rng, rng.uniform(0.08, 0.15), 4)
    )


def null_rate(rng: Rng) -> np.ndarray:
    rows = np.maximum(_level(rng, 500, 50_000) * _week(rng, -0.5), 1)
    share = np.clip(rng.choice([0.0, rng.uniform(0.002, 0.3)], p=[0.3, 0.7]) * _noise(rng, 0.1), 0, 1)
    return rng.binomial(rows.astype(int), share) / rows.astype(int)


def closed(rng: Rng) -> np.ndarray:
    """No trade at weekends and on public holidays, more on the day after."""
    open_ = (WEEKDAY < 5) & ~HOLIDAY
    after = np.concatenate([[False], HOLIDAY[:-1]]) & open_
    mean = _level(rng) * _week(rng, 0) * open_ * np.exp(0.25 * after) * _noise(rng, rng.uniform(0.04, 0.1))
    return _counted(rng, mean)


def payday(rng: Rng) -> np.ndarray:
    """Held out. Wages on the last working day and on the 15th; rent on the 5th."""
    working = (WEEKDAY < 5) & ~HOLIDAY
    months = np.array([(FIRST + timedelta(n)).strftime("%Y%m") for n in range(DAYS)])
    lift = np.zeros(DAYS)
    for month in np.unique(months):
        inside = np.flatnonzero((months == month) & working)
        lift[inside[-1]] = 1.0
    lift = (
        lift * rng.uniform(0.5, 1.5) + (DAY == 15) * rng.uniform(0.3, 1) + (DAY == 5) * rng.uniform(-0.6, 0.6)
    )
    return _level(rng) * _week(rng, rng.uniform(-1, 0)) * np.exp(lift) * _noise(rng, rng.uniform(0.04, 0.1))


def wandering(rng: Rng) -> np.ndarray:
    """Held out. A level that goes its own way, and days that lean on the day before."""
    walk = np.cumsum(rng.normal(0, rng.uniform(0.005, 0.02), DAYS))
    lean = np.zeros(DAYS)
    drawn = rng.normal(0, rng.uniform(0.03, 0.08), DAYS)
    for n in range(1, DAYS):
        lean[n] = 0.5 * lean[n - 1] + drawn[n]
    return _counted(rng, _level(rng) * _week(rng, rng.uniform(-1, 0.3)) * np.exp(walk + lean))


def yearly(rng: Rng) -> np.ndarray:
    """Held out. A year's season with a December peak, and a week's."""
    angle = 2 * np.pi * (STEP - rng.uniform(0, 365)) / 365.25
    day_of_year = np.array([(FIRST + timedelta(n)).timetuple().tm_yday for n in range(DAYS)])
    december = np.exp(-(((day_of_year - 345) / 12) ** 2)) * rng.uniform(0.3, 1)
    season = np.exp(rng.uniform(0.1, 0.5) * np.sin(angle) + december)
    mean = _level(rng) * season * _week(rng, rng.uniform(-1, 0.5)) * _noise(rng, rng.uniform(0.04, 0.1))
    return _counted(rng, mean)


def signed(rng: Rng) -> np.ndarray:
    """Held out. Sales less refunds: mostly above zero, below it on some days."""
    sales = (
        _level(rng, 1_000, 500_000) * _week(rng, rng.uniform(-1, 0.3)) * _noise(rng, rng.uniform(0.05, 0.12))
    )
    refunds = rng.uniform(0.05, 0.4) * np.median(sales) * _noise(rng, 0.4)
    return sales - refunds


def biweekly(rng: Rng) -> np.ndarray:
    """Held out. A large batch every second Monday."""
    batch = (WEEKDAY == 0) & (STEP // 7 % 2 == 0)
    mean = _level(rng) * _week(rng, rng.uniform(-1, 0)) * np.exp(rng.uniform(0.3, 1.2) * batch)
    return _counted(rng, mean * _noise(rng, rng.uniform(0.04, 0.1)))


def launch(rng: Rng) -> np.ndarray:
    """Held out. Much at the start, then less and less."""
    decline = rng.uniform(0.1, 0.5) + np.exp(-STEP / rng.uniform(40, 150))
    mean = _level(rng, 1_000, 100_000) * decline * _week(rng, rng.uniform(-0.5, 0.5))
    return _counted(rng, mean * _noise(rng, rng.uniform(0.04, 0.1)))


SHAPES: tuple[Shape, ...] = (
    Shape("weekly", "a week's pattern", "count", weekly),
    Shape("flat", "flat, rare changes", "count", flat),
    Shape("monthly", "peaks at the month's ends", "count", monthly),
    Shape("growing", "growth or decline", "count", growing),
    Shape("intermittent", "a few a day, often none", "count", intermittent),
    Shape("heavy", "heavy tails and campaigns", "amount", heavy),
    Shape("null_rate", "a null rate", "rate", null_rate),
    Shape("closed", "closed at weekends and on holidays", "count", closed),
    Shape("payday", "last working day, 15th, 5th", "amount", payday, held_out=True),
    Shape("wandering", "a wandering level", "count", wandering, held_out=True),
    Shape("yearly", "a year's season", "count", yearly, held_out=True),
    Shape("signed", "sales less refunds", "signed", signed, held_out=True),
    Shape("biweekly", "a batch every second Monday", "count", biweekly, held_out=True),
    Shape("launch", "much at first, then less and less", "count", launch, held_out=True),
)
HELD_OUT = tuple(shape.name for shape in SHAPES if shape.held_out)
