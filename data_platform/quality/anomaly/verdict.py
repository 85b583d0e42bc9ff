"""What was found about one value, in numbers that explain it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from data_platform.quality.anomaly.plot import draw, markdown
from data_platform.quality.anomaly.series import Kind, Point
from data_platform.words import plural

Status = Literal["ok", "alarm", "learning", "unknown"]


@dataclass(frozen=True, slots=True)
class Basis:
    """What an expectation rests on: known points before the tested one, those at its own place in the season, and
    in words what shaped it (``Mondays``, ``the last business day of the month``)."""

    points: int
    alike: int
    shaped_by: tuple[str, ...] = ()
    accepted: int = 0

    def __str__(self) -> str:
        words = f"{plural(self.points, 'point')}, {self.alike} of them alike"
        if self.shaped_by:
            words += f" ({'; '.join(self.shaped_by)})"
        if self.accepted:
            words += f", {plural(self.accepted, 'accepted alarm')}"
        return words


@dataclass(frozen=True, slots=True)
class Verdict:
    """``alarm`` if the value lies outside of ``low`` to ``high``, or if it belongs to a slow change
    (``slow``). ``learning`` while the history is too short, ``unknown`` if there is no value: neither is a pass. ``expected``,
    ``low`` and ``high`` are in the metric's own unit and None while learning."""

    status: Status
    metric: str
    kind: Kind
    at: date
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None
    slow: bool
    basis: Basis
    reason: str
    recent: tuple[Point, ...] = field(default=(), repr=False)

    @property
    def change(self) -> float | None:
        """The observed value relative to the expected one: -0.3 is 30% less. None if nothing or 0 is expected."""
        if self.observed is None or not self.expected:
            return None
        return (self.observed - self.expected) / abs(self.expected)

    def plot(self) -> str:
        """An SVG image of the last points, the band and the tested value."""
        return draw(
            self.recent, self.at, self.observed, self.expected, self.low, self.high, self.status == "alarm"
        )

    def markdown(self) -> str:
        """The reason, and the plot as an image that needs no other file."""
        return f"{self.reason}\n\n{markdown(self.plot(), f'{self.metric} until {self.at}')}"

    def facts(self) -> dict[str, Any]:
        """The numbers, for metadata and JSON."""
        return {
            "status": self.status,
            "metric": self.metric,
            "at": self.at.isoformat(),
            "observed": self.observed,
            "expected": self.expected,
            "low": self.low,
            "high": self.high,
            "change": self.change,
            "slow": self.slow,
            "points": self.basis.points,
            "points_alike": self.basis.alike,
            "shaped_by": list(self.basis.shaped_by),
            "reason": self.reason,
        }


def explain(
    status: Status,
    kind: Kind,
    observed: float | None,
    expected: float | None,
    low: float | None,
    high: float | None,
    slow: bool,
    basis: Basis,
    needed: int,
) -> str:
    """One sentence that says what was found, and on what it rests."""
    if status == "unknown" or observed is None:
        return "The metric could not be measured, so nothing is known about this value."
    seen = spoken(kind, observed)
    if status == "learning" or expected is None or low is None or high is None:
        return f"Learning: {seen}, with {plural(basis.points, 'point')} before it; {needed} are needed for a verdict."
    usual = f"{spoken(kind, expected)} expected, {spoken(kind, low)} to {spoken(kind, high)} usual"
    rests = f"from {basis}"
    if status == "ok":
        return f"{seen} is usual: {usual}, {rests}."
    side = "below" if observed < expected else "above"
    if slow:
        return (
            f"{seen}{_percent(observed, expected)} is within the day's range ({usual}), but the newest values together"
            f" are further {side} what was expected than before, {rests}."
        )
    return f"{seen} is {side} the usual range{_percent(observed, expected)}: {usual}, {rests}."


def _percent(observed: float, expected: float) -> str:
    if not expected or not math.isfinite(observed / expected):
        return ""
    change = (observed - expected) / abs(expected)
    return f" ({change:+.0%})" if abs(change) < 10 else f" ({observed / expected:,.0f} times)"


def spoken(kind: Kind, value: float) -> str:
    """A value as people write it."""
    if kind == "rate":
        return f"{100 * value:.3g}%"
    if kind == "minutes":
        return f"{value:,.0f} min"
    if math.isinf(value):
        return "any" if value < 0 else "any more"
    if kind == "count" or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.1f}"
    return f"{value:,.4g}"
