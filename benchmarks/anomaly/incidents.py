"""Eight kinds of incidents, injected into series of known normal life.

Each says where it is (``start`` to ``end``, the end excluded), until when alarms belong to it (``grace``), and how
large the relative change is where it is largest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_platform.quality.anomaly.series import Kind

Rng = np.random.Generator
KINDS = ("drop", "spike", "duplicate", "late", "nulls", "drift", "shift", "currency")
DRIFT_DAYS = 14
AFTER = 28
"""Days after a lasting change in which alarms still belong to it."""


@dataclass(frozen=True)
class Incident:
    kind: str
    start: int
    end: int
    grace: int
    change: float


def inject(kind: str, metric: Kind, values: np.ndarray, at: int, rng: Rng) -> Incident | None:
    """Change ``values`` in place from day ``at`` on. None if the day has nothing that could change (no rows, or
    no value)."""
    if np.isnan(values[at]):
        return None
    if metric == "rate":
        return _rate(kind, values, at, rng)
    if values[at] == 0:
        return None
    before = values.copy()
    start, end, lasting = _MAKERS[kind](values, at, rng)
    if metric == "count":
        values[start:] = np.round(values[start:])
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.abs(values[start:end] - before[start:end]) / np.abs(before[start:end])
    change = (
        float(np.nanmax(np.where(np.isfinite(changes), changes, np.nan)))
        if np.isfinite(changes).any()
        else 0.0
    )
    if change < 0.05:
        values[:] = before
        return None
    return Incident(kind, start, end, min(end + (AFTER if lasting else 0), len(values)), change)


def _drop(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    values[at] *= 1 - rng.uniform(0.1, 1.0)
    return at, at + 1, False


def _spike(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    values[at] *= 1 + np.exp(rng.uniform(np.log(0.1), np.log(4)))
    return at, at + 1, False


def _duplicate(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A load, or one of its batches, arrives twice."""
    values[at] *= 1 + rng.choice([1.0, 0.5, 0.25])
    return at, at + 1, False


def _late(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A part of a day arrives with the next."""
    part = values[at] * rng.uniform(0.3, 1.0)
    values[at] -= part
    values[at + 1] += part
    return at, at + 2, False


def _nulls(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A column is null in a share of the rows: what is counted or summed over it shrinks for some days."""
    end = at + int(rng.integers(2, 8))
    values[at:end] *= 1 - rng.uniform(0.05, 0.9)
    return at, end, False


def _drift(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A leak that grows for two weeks and is mended."""
    size = rng.uniform(0.2, 0.8) * rng.choice([-1, 1])
    values[at : at + DRIFT_DAYS] *= 1 + size * np.arange(1, DRIFT_DAYS + 1) / DRIFT_DAYS
    return at, at + DRIFT_DAYS, False


def _shift(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A level that stays."""
    values[at:] *= rng.choice([1 - rng.uniform(0.1, 0.8), 1 + rng.uniform(0.1, 1.5)])
    return at, at + DRIFT_DAYS, True


def _currency(values: np.ndarray, at: int, rng: Rng) -> tuple[int, int, bool]:
    """A share of the amounts is in cents, or in another currency, for some days."""
    end = at + int(rng.integers(1, 5))
    factor = rng.choice([100.0, 0.01, 0.85, 1.2, 83.0])
    share = rng.uniform(0.2, 1.0)
    values[at:end] *= 1 + share * (factor - 1)
    return at, end, False


_MAKERS: dict[str, Callable[[np.ndarray, int, Rng], tuple[int, int, bool]]] = {
    "drop": _drop,
    "spike": _spike,
    "duplicate": _duplicate,
    "late": _late,
    "nulls": _nulls,
    "drift": _drift,
    "shift": _shift,
    "currency": _currency,
}


def _rate(kind: str, values: np.ndarray, at: int, rng: Rng) -> Incident | None:
    """Incidents of a null rate, in points; the change is relative to the usual rate, or to 1% if that is less."""
    length = {"drift": DRIFT_DAYS, "shift": len(values) - at, "nulls": int(rng.integers(2, 8))}.get(kind, 1)
    points = np.exp(rng.uniform(np.log(0.003), np.log(0.9)))
    usual = max(float(np.nanmedian(values[max(0, at - 60) : at])), 0.01)
    ramp = np.arange(1, length + 1) / length if kind == "drift" else np.ones(length)
    values[at : at + length] = np.clip(
        values[at : at + length] + points * ramp * (1 - values[at : at + length]), 0, 1
    )
    end = at + min(length, DRIFT_DAYS)
    change = float(points / usual)
    if change < 0.05:
        return None
    return Incident(kind, at, end, min(end + (AFTER if kind == "shift" else 0), len(values)), change)
