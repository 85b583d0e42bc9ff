"""Judges one step of many series of a kind at once. Vectorised; pure.

``judge_step`` takes arrays and gives arrays; ``detector.py`` gives it the histories of named metrics, and explains.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import date

import numpy as np

from data_platform.quality.anomaly import feedback, scales
from data_platform.quality.anomaly.bands import HOLIDAYS_SEEN, band
from data_platform.quality.anomaly.counts import Band
from data_platform.quality.anomaly.model import BLOCKS, Fit, fit
from data_platform.quality.anomaly.seasons import HOLIDAY, NO_CALENDAR, Calendar, Days
from data_platform.quality.anomaly.series import Kind

OK, ALARM, LEARNING, UNKNOWN = range(4)
LEAST_SEASONS = 3
LEAST_STEPS = 14
ZERO_IS_NOTHING: tuple[Kind, ...] = ("count", "amount", "signed")
CHUNK = 256
"""Series that are judged together: their windows fit the processor's cache."""


@dataclass
class Judged:
    """Arrays of one value a series. ``slow`` marks an alarm that no single step would have raised."""

    status: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slow: np.ndarray
    known: np.ndarray
    known_same: np.ndarray
    month: np.ndarray
    """Which numbering of the month's days shaped the expectation (``seasons.SYSTEMS``), or -1."""
    holiday: np.ndarray
    """Past holidays that shaped the band; -1 if the step is no holiday."""
    accepted: np.ndarray
    """Accepted alarms that moved or widened the band."""


def judge_step(
    kind: Kind,
    history: np.ndarray,
    observed: np.ndarray,
    accepted: np.ndarray | None = None,
    days: Days | None = None,
    season: int = 7,
) -> Judged:
    """Judge ``observed`` (series,) against ``history`` (series, steps), oldest first, NaN where unknown or wrong.

    ``accepted`` marks the alarms that a person accepted, in the shape of ``history``. ``days`` describes the
    window's days and the tested one. The number of steps must be a multiple of ``season``.
    """

    def part(first: int) -> Judged:
        rows = slice(first, first + CHUNK)
        answers = None if accepted is None else accepted[rows]
        return _judge_chunk(kind, history[rows], observed[rows], answers, days, season)

    starts = range(0, len(history), CHUNK)
    if len(starts) < 2:
        return part(0)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy's loops leave the interpreter to the others
        parts = list(pool.map(part, starts))
    return Judged(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Judged)))


def needed(season: int) -> int:
    """Known points that a verdict needs."""
    return max(LEAST_STEPS, LEAST_SEASONS * season)


def judge_panel(
    kind: Kind,
    values: np.ndarray,
    first_day: int,
    start: int,
    calendar: Calendar = NO_CALENDAR,
    accepted: np.ndarray | None = None,
) -> list[Judged]:
    """Judge every day of ``values`` (series, days) from column ``start`` on, each against the days before it.
    ``first_day`` is the ordinal of the first column's date."""
    days = calendar.days(date.fromordinal(first_day), values.shape[1])
    found = []
    for day in range(start, values.shape[1]):
        steps = min(day, BLOCKS * 7) // 7 * 7
        window = slice(day - steps, day)
        around = slice(day - steps, day + 1)
        found.append(
            judge_step(
                kind,
                values[:, window],
                values[:, day],
                None if accepted is None else accepted[:, window],
                days.part(around),
            )
        )
    return found


def _judge_chunk(
    kind: Kind,
    history: np.ndarray,
    observed: np.ndarray,
    accepted: np.ndarray | None,
    days: Days | None,
    season: int,
) -> Judged:
    history = _padded(history, season)
    days = days and days.padded(history.shape[1] + 1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        units = scales.unit(kind, history)
        scaled = scales.forward(kind, history, units).astype(np.float32)  # sorts in half the time
        fitted = fit(scaled, season, days, kind in ZERO_IS_NOTHING)
        answers = np.zeros(len(history), dtype=np.int64)
        widened: feedback.Widened | None = None
        if accepted is not None and accepted.any():
            accepted = _left(accepted, history.shape[1], False)
            scaled, widened, answers = feedback.apply(scaled, accepted, fitted, season)
            fitted = fit(scaled, season, days, kind in ZERO_IS_NOTHING)
        found = band(kind, fitted, units, history, observed, season)
        if widened is not None:
            found = feedback.widen(kind, found, units, widened)
        return _status(kind, fitted, found, observed, days, season, answers)


def _status(
    kind: Kind,
    fitted: Fit,
    found: Band,
    observed: np.ndarray,
    days: Days | None,
    season: int,
    answers: np.ndarray,
) -> Judged:
    series = len(observed)
    holiday = np.full(series, -1)
    low = found.low
    if days is not None and days.special[-1] == HOLIDAY:
        holiday = fitted.special_seen.astype(np.int64)
        unseen = holiday < HOLIDAYS_SEEN
        low = np.where(unseen, -np.inf if kind in ("signed", "minutes") else 0.0, low)
    slow = found.slow_low | found.slow_high
    if days is not None and days.special[-1] == HOLIDAY:
        slow = np.zeros(series, dtype=bool)
    single = (observed < low) | (observed > found.high)
    status = np.where(single | slow, ALARM, OK)
    learning = (fitted.known < needed(season)) | (fitted.known_same < LEAST_SEASONS)
    learning |= np.isnan(found.expected) | np.isnan(found.low) | np.isnan(found.high)
    status = np.where(learning, LEARNING, status)
    status = np.where(np.isnan(observed), UNKNOWN, status)
    return Judged(
        status=status,
        expected=found.expected,
        low=low,
        high=found.high,
        slow=slow & ~single,
        known=fitted.known,
        known_same=fitted.known_same,
        month=fitted.system,
        holiday=holiday,
        accepted=answers,
    )


def _padded(history: np.ndarray, season: int) -> np.ndarray:
    """At least ten blocks and a whole number of them, so that every forecast has its place."""
    blocks = max(10, -(-history.shape[1] // season))
    return _left(history, blocks * season, np.nan)


def _left(values: np.ndarray, steps: int, filler: float | bool) -> np.ndarray:
    missing = steps - values.shape[1]
    if not missing:
        return values
    return np.concatenate([np.full((len(values), missing), filler, dtype=values.dtype), values], axis=1)
