"""Counts scatter at least as the root of their mean does; small ones are judged by their mean alone. Vectorised; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_platform.quality.anomaly.model import PROFILE_BLOCKS, Fit
from data_platform.quality.anomaly.robust import mean

SMALL = 20.0
"""Below this mean the logarithm says little."""
BLOCKS = 8
"""Blocks of history that a small count's mean and variance are taken from."""
WIDTH, SMALL_WIDTH, RUN_WIDTH = 3.3, 4.0, 3.6
"""Half of the band, in deviations: of counts that are judged by their pattern, too, of small ones, and of sums."""
OFTEN = 0.3
"""Where so large a share of the days has none, the mean judges larger counts, too."""
LEAST_MEAN = 0.05
LEANS_ON_ZERO = 6.0
"""A mean of fewer variances than this has no lower end: zero is usual."""


@dataclass
class Band:
    """Per series, in the metric's own unit. ``slow_low`` and ``slow_high`` say that the newest season as a whole, or
    three steps in a row, lie below or above."""

    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slow_low: np.ndarray
    slow_high: np.ndarray


@dataclass
class _Mean:
    """Per series: the mean of the last blocks and of the tested step's place in the season, whichever says more;
    whether all places are alike; the variance in units of the mean; and whether none is as usual as some."""

    all_: np.ndarray
    taken: np.ndarray
    alike: np.ndarray
    over: np.ndarray
    often_none: np.ndarray


def counted(found: Band, fit: Fit, history: np.ndarray, observed: np.ndarray, season: int) -> Band:
    """The band of counts, at least as wide as chance alone makes it. Small counts have one of their own."""
    average = _mean(history, season)
    small = ((average.taken < SMALL) & (found.expected < SMALL)) | average.often_none
    expected = np.where(small, average.taken, found.expected)
    over = np.where(small, average.over, 1.0)
    low, high = _ends(expected, over, np.where(small, SMALL_WIDTH, WIDTH))
    closed = small & (fit.special_low < 0)
    slow_low, slow_high = _runs(average, over, history, observed, season)
    return Band(
        expected=expected,
        low=np.where(closed, 0.0, np.where(small, low, np.minimum(found.low, low))),
        high=np.where(small, high, np.maximum(found.high, high)),
        slow_low=np.where(small, slow_low, found.slow_low),
        slow_high=np.where(small, slow_high, found.slow_high),
    )


def _mean(history: np.ndarray, season: int) -> _Mean:
    recent = history[:, -BLOCKS * season :]
    same = history[:, -PROFILE_BLOCKS * season :: season]
    all_, same_mean = mean(recent), mean(same)
    count = np.maximum(np.count_nonzero(~np.isnan(same), axis=1), 1)
    alike = np.abs(same_mean - all_) < 3 * np.sqrt(np.maximum(all_, LEAST_MEAN) / count)
    places = recent.reshape(len(recent), -1, season)
    center = np.where(alike[:, None], all_[:, None], mean(places.transpose(0, 2, 1)))
    apart = (places - center[:, None, :]).reshape(len(recent), -1) ** 2
    variance = mean(np.sort(apart, axis=1)[:, :-1])  # without the largest, which may be an incident
    over = np.maximum(np.nan_to_num(variance / np.maximum(all_, LEAST_MEAN), nan=1.0), 1.0)
    none = np.count_nonzero(same == 0, axis=1) / count
    return _Mean(all_, np.where(alike, all_, same_mean), alike, over, (none > OFTEN) & (none < 1 - OFTEN / 2))


def _runs(
    average: _Mean, over: np.ndarray, history: np.ndarray, observed: np.ndarray, season: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the sum of the last steps is lower or higher than chance makes it: a week of zeros, say."""
    low, high = np.zeros(len(history), dtype=bool), np.zeros(len(history), dtype=bool)
    for steps in (3, season):
        total = mean(np.concatenate([history[:, -(steps - 1) :], observed[:, None]], axis=1)) * steps
        bottom, top = _ends(average.all_ * steps, over, RUN_WIDTH)
        low |= (total < bottom) & (observed <= average.taken)
        high |= (total > top) & (observed > average.taken)
    return low & average.alike, high & average.alike


def _ends(average: np.ndarray, over: np.ndarray, width: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of a negative binomial distribution whose variance is ``over`` times its mean, by Cornish and
    Fisher."""
    root = width * np.sqrt(average * over)
    skew = (2 * over - 1) * (width**2 - 1) / 6
    low = np.where(average < LEANS_ON_ZERO * over, 0.0, average - root + skew)
    return np.maximum(low, 0.0), average + root + skew
