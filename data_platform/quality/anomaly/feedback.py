"""What accepted alarms change: the level, if the values after them kept to it; otherwise the width. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_platform.quality.anomaly import scales
from data_platform.quality.anomaly.counts import Band
from data_platform.quality.anomaly.model import Fit
from data_platform.quality.anomaly.robust import median
from data_platform.quality.anomaly.series import Kind

BEFORE = 28
DECIDING = 4
"""So many values, the accepted ones included, say whether an accepted value was a new level."""
KEEPS = 0.5
"""A new level keeps at least this share of the accepted deviation."""
REMEMBERED = 90
"""Steps for which an accepted deviation that did not last widens the band."""
WIDER = 1.5
"""The most by which one accepted deviation widens its side of the band."""


@dataclass
class Widened:
    """On the scale, per series: how far accepted values may still be a new level (``both_low`` at most 0), and how
    far they widen the band: the deviation to reach, and the factor at most."""

    both_low: np.ndarray
    both_high: np.ndarray
    reach_low: np.ndarray
    reach_high: np.ndarray
    factor_low: np.ndarray
    factor_high: np.ndarray

    @classmethod
    def nothing(cls, series: int) -> Widened:
        low, high, reach_low, reach_high = np.zeros((4, series))
        factor_low, factor_high = np.ones((2, series))
        return cls(low, high, reach_low, reach_high, factor_low, factor_high)


def apply(
    scaled: np.ndarray, accepted: np.ndarray, fitted: Fit, season: int
) -> tuple[np.ndarray, Widened, np.ndarray]:
    """The history moved to levels that a person accepted, how the band widens, and how many answers counted."""
    series = len(scaled)
    widened = Widened.nothing(series)
    counted = accepted.sum(axis=1)
    scaled = scaled.copy()
    for row in np.flatnonzero(counted).tolist():
        profile = _profile(scaled[row], season)
        for first, last in _runs(accepted[row], season):
            _answer(scaled[row], profile, first, last, widened, row)
    return scaled, widened, counted


def widen(kind: Kind, found: Band, units: np.ndarray, widened: Widened) -> Band:
    unit = units[:, 0]
    expected, low, high = (
        scales.forward(kind, side, unit) for side in (found.expected, found.low, found.high)
    )
    below, above = expected - low, high - expected
    below = np.maximum(below, np.minimum(widened.reach_low, below * widened.factor_low)) - widened.both_low
    above = np.maximum(above, np.minimum(widened.reach_high, above * widened.factor_high)) + widened.both_high
    pending = (widened.both_low < 0) | (widened.both_high > 0)
    return Band(
        expected=found.expected,
        low=np.where(
            (widened.both_low < 0) | (widened.reach_low > 0),
            scales.backward(kind, expected - below, unit),
            found.low,
        ),
        high=np.where(
            (widened.both_high > 0) | (widened.reach_high > 0),
            scales.backward(kind, expected + above, unit),
            found.high,
        ),
        slow_low=found.slow_low & ~pending,
        slow_high=found.slow_high & ~pending,
    )


def _profile(row: np.ndarray, season: int) -> np.ndarray:
    """What each step's place in the season adds, in the shape of ``row``."""
    blocks = row.reshape(-1, season)
    places = np.nan_to_num(median((blocks - median(blocks)[:, None]).T))
    return np.tile(places, len(blocks))


def _runs(accepted: np.ndarray, season: int) -> list[tuple[int, int]]:
    """First and last step of each group of accepted steps, oldest first; a season without one ends a group."""
    steps = np.flatnonzero(accepted)
    cuts = np.flatnonzero(np.diff(steps) > season)
    starts = steps[np.concatenate([[0], cuts + 1])]
    ends = steps[np.concatenate([cuts, [len(steps) - 1]])]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _answer(
    row: np.ndarray, profile: np.ndarray, first: int, last: int, widened: Widened, index: int
) -> None:
    """Apply one group of accepted steps to ``row``, in place, or to the band."""
    flat = row - profile
    base = median(flat[max(0, first - BEFORE) : first])
    deviation = float(median(flat[first : last + 1]) - base)
    since = flat[first:]
    known = int(np.count_nonzero(~np.isnan(since)))
    if not np.isfinite(deviation) or not deviation:
        return
    if known < DECIDING:
        if deviation < 0:
            widened.both_low[index] = min(widened.both_low[index], deviation)
        else:
            widened.both_high[index] = max(widened.both_high[index], deviation)
        return
    kept = float(median(since[: 2 * BEFORE]) - base)
    if kept / deviation >= KEEPS:
        row[:first] += kept
        return
    if len(row) - last > REMEMBERED:
        return
    reach, factor = (
        (widened.reach_low, widened.factor_low)
        if deviation < 0
        else (widened.reach_high, widened.factor_high)
    )
    reach[index] = max(reach[index], 1.05 * abs(deviation))
    factor[index] *= WIDER
