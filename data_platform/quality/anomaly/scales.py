"""The scale on which a kind of metric is judged, and back. Vectorised over series; pure.

On its scale a weekday or a growing business shifts a metric by the same amount whatever its size: the logarithm
for counts and amounts, the arc sine of the root for rates, the inverse hyperbolic sine for sums of either sign.
"""

from __future__ import annotations

import numpy as np

from data_platform.quality.anomaly.robust import median
from data_platform.quality.anomaly.series import Kind

FLOORS: dict[Kind, float] = {"count": 0.10, "amount": 0.10, "signed": 0.10, "rate": 0.03, "minutes": 0.25}
"""The least deviation that can be an alarm, on the scale: about 10% of a count, 15 minutes of a time."""


def unit(kind: Kind, history: np.ndarray) -> np.ndarray:
    """What each series is measured in, from its own history: shape (series, 1). It makes amounts and signed sums
    independent of their currency; counts, rates and minutes have a natural unit."""
    if kind == "count":
        return np.ones((len(history), 1))
    if kind in ("rate", "minutes"):
        return np.full((len(history), 1), 1.0 if kind == "rate" else 60.0)
    typical = median(np.abs(history))
    with np.errstate(invalid="ignore"):
        nonzero = median(np.where(history != 0, np.abs(history), np.nan))
    typical = np.where(typical > 0, typical, nonzero)
    typical = np.where(np.isfinite(typical) & (typical > 0), typical, 1.0)
    return typical[:, None] * (0.02 if kind == "amount" else 0.5)


def forward(kind: Kind, values: np.ndarray, units: np.ndarray) -> np.ndarray:
    if kind in ("count", "amount"):
        return np.log1p(values / units)
    if kind == "signed":
        return np.arcsinh(values / units)
    if kind == "rate":
        return np.arcsin(np.sqrt(values))
    return values / units


def backward(kind: Kind, scaled: np.ndarray, units: np.ndarray) -> np.ndarray:
    if kind in ("count", "amount"):
        return np.maximum(np.expm1(np.minimum(scaled, 500.0)), 0.0) * units
    if kind == "signed":
        return np.sinh(np.clip(scaled, -500.0, 500.0)) * units
    if kind == "rate":
        return np.sin(np.clip(scaled, 0.0, np.pi / 2)) ** 2
    return scaled * units
