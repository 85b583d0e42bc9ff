"""The band in which a value is as expected, and slow changes that no single day shows. Vectorised; pure."""

from __future__ import annotations

import numpy as np

from data_platform.quality.anomaly import scales
from data_platform.quality.anomaly.counts import Band, counted
from data_platform.quality.anomaly.model import ROW, TAIL_SHARE, Fit
from data_platform.quality.anomaly.robust import quantile, sigma
from data_platform.quality.anomaly.series import Kind

WIDTH = 3.8
"""Half of a band, in robust standard deviations. This and the numbers below were chosen on the tuned shapes of
``benchmarks/anomaly`` alone."""
TAIL_POWER = 0.85
"""How much of a series' own heavy tails widens its band: 0 nothing, 1 all."""
WEEK_WIDTH = 4.2
"""The same for a season's median, in deviations of past seasons' medians from their forecasts."""
ROW_WIDTH = 2.4
"""Several steps in a row so far on one side are an alarm."""
LEAST_POINTS = 0.005
"""A rate may differ by half a percentage point."""
NORMAL_TAIL = 1.645
"""Deviations within which nine of ten values of a normal distribution lie."""
HOLIDAYS_SEEN = 2
"""With fewer holidays seen before, a holiday is judged upwards alone."""


def band(
    kind: Kind, fit: Fit, units: np.ndarray, history: np.ndarray, observed: np.ndarray, season: int
) -> Band:
    """``history`` is (series, steps) in the metric's unit, ``observed`` (series,)."""
    scaled = scales.forward(kind, observed, units[:, 0])
    tail = np.maximum(fit.tail, 1.0) ** TAIL_POWER
    few = 1.0 + 1.5 / np.maximum(fit.known_same, 1)
    floor = scales.FLOORS[kind]
    low = fit.expected - np.maximum(WIDTH * fit.spread_low * tail * few, floor) + fit.special_low
    high = fit.expected + np.maximum(WIDTH * fit.spread_high * tail * few, floor) + fit.special_high
    low, high = np.minimum(low, low + fit.before), np.maximum(high, high + fit.before)
    slow_low, slow_high = _slow(fit, scaled, tail, floor, season)
    back = (fit.before != 0) & (
        np.abs(scaled - fit.expected - fit.before) < WIDTH * fit.spread * tail + floor
    )
    slow_low, slow_high = slow_low & ~back, slow_high & ~back
    expected = scales.backward(kind, fit.expected, units[:, 0])
    below, above = scales.backward(kind, low, units[:, 0]), scales.backward(kind, high, units[:, 0])
    if kind == "rate":
        below = np.maximum(np.minimum(below, expected - LEAST_POINTS), 0.0)
        above = np.minimum(np.maximum(above, expected + LEAST_POINTS), 1.0)
    found = Band(expected, below, above, slow_low, slow_high)
    return counted(found, fit, history, observed, season) if kind == "count" else found


def _slow(
    fit: Fit, scaled: np.ndarray, tail: np.ndarray, floor: float, season: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the newest season with the tested step is off its forecast, or this and the last steps all are."""
    today = scaled - fit.expected
    # The newest block was forecast from the blocks before it: the tested step is held against that forecast too.
    newest = fit.residuals[:, 0]
    against = today + fit.ahead_shift
    together = np.concatenate([newest[:, 1:], against[:, None]], axis=1)
    middle = np.median(np.where(np.isnan(together), 0.0, together), axis=1)
    usual = np.maximum(sigma(fit.level_errors), 0.25 * fit.spread)
    usual = np.maximum(usual, quantile(np.abs(fit.level_errors), TAIL_SHARE) / NORMAL_TAIL)
    far = np.maximum(WEEK_WIDTH * usual, floor)
    beyond = np.maximum(fit.spread, floor / 2)
    row = np.nan_to_num(np.concatenate([newest[:, -(ROW - 1) :], today[:, None]], axis=1))
    least = np.maximum(ROW_WIDTH * fit.spread * np.maximum(tail, fit.row_tail), floor)
    low = ((middle < -far) & (today < -beyond)) | (row.max(axis=1) < -least)
    high = ((middle > far) & (today > beyond)) | (row.min(axis=1) > least)
    return low, high
