"""Histories for tests: deterministic, daily, of a known pattern."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from data_platform.quality.anomaly.series import Answer, Kind, Point, Series

FIRST = date(2024, 1, 1)  # a Monday


def day(number: int) -> date:
    return FIRST + timedelta(number)


def series(
    value: Callable[[int, date], float | None], days: int, kind: Kind = "count", name: str = "orders: rows"
) -> Series:
    """A point for each of ``days`` days from ``FIRST``."""
    return Series(name, kind, [Point(day(n), value(n, day(n))) for n in range(days)])


def weekly(
    days: int, kind: Kind = "count", level: float = 1000, seed: int = 1, noise: float = 0.05
) -> Series:
    """A weekend of half the rows, and noise."""
    factors = np.exp(np.random.default_rng(seed).normal(0, noise, days))
    values = [level * (0.5 if day(n).weekday() >= 5 else 1) * factors[n] for n in range(days)]
    return series(lambda n, _: float(round(values[n])) if kind == "count" else float(values[n]), days, kind)


def answered(history: Series, answers: dict[int, Answer]) -> Series:
    """``history`` with what a person said about the points of these numbers."""
    points = [
        Point(point.at, point.value, answers.get(n, point.answer)) for n, point in enumerate(history.points)
    ]
    return Series(history.name, history.kind, points, history.rhythm, history.season)


def changed(history: Series, values: dict[int, float | None]) -> Series:
    points = [
        Point(point.at, values.get(n, point.value), point.answer) for n, point in enumerate(history.points)
    ]
    return Series(history.name, history.kind, points, history.rhythm, history.season)
