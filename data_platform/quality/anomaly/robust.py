"""Medians that skip unknown values. Vectorised; pure.

NumPy's ``nanmedian`` walks row by row for short rows, which is a hundred times slower than one sort of all.
"""

from __future__ import annotations

import numpy as np

TO_SIGMA = 1.4826
"""A normal distribution's standard deviation in units of its median absolute deviation."""


def median(values: np.ndarray) -> np.ndarray:
    """The median along the last axis without NaN; NaN where nothing is known."""
    return quantile(values, 0.5)


def quantile(values: np.ndarray, share: float) -> np.ndarray:
    """The quantile along the last axis without NaN, interpolated; NaN where nothing is known."""
    return _quantile(values, share)[0]


def median_and_known(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median along the last axis without NaN, and how many values are known."""
    return _quantile(values, 0.5)


def _quantile(values: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    length = values.shape[-1]
    ordered = np.sort(values, axis=-1).reshape(-1, length)  # NaN last
    place = share * (length - 1)
    low = int(place)
    found = _between(ordered[:, low], ordered[:, min(low + 1, length - 1)], place - low)
    known = np.full(len(ordered), length)
    rows = np.flatnonzero(np.isnan(ordered[:, -1]))
    if len(rows):
        some = ordered[rows]
        known[rows] = length - np.count_nonzero(np.isnan(some), axis=1)
        last = np.maximum(known[rows] - 1, 0)
        places = share * last
        lows = places.astype(np.int64)
        at = np.arange(len(rows))
        found[rows] = _between(some[at, lows], some[at, np.minimum(lows + 1, last)], places - lows)
    return found.reshape(values.shape[:-1]), known.reshape(values.shape[:-1])


def _between(below: np.ndarray, above: np.ndarray, part: np.ndarray | float) -> np.ndarray:
    return below + (above - below) * part


def sigma(values: np.ndarray) -> np.ndarray:
    """A robust standard deviation around zero, along the last axis."""
    return TO_SIGMA * median(np.abs(values))


def mean(values: np.ndarray) -> np.ndarray:
    """The mean along the last axis without NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
