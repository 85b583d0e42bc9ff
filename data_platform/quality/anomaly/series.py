"""A metric's history: one value a day or a load, and what a person said about it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from data_platform.errors import MetricError

Kind = Literal["count", "amount", "signed", "rate", "minutes"]
"""How a metric's values spread. ``count``: whole numbers of 0 and more (rows, distinct values). ``amount``: 0 and
more (a mean price, a quantile). ``signed``: of either sign (a sum with refunds). ``rate``: 0 to 1 (null rate).
``minutes``: a time of day or a duration, in minutes."""
KINDS: tuple[Kind, ...] = ("count", "amount", "signed", "rate", "minutes")

Answer = Literal["", "accepted", "incident"]
"""What a person said about a point: nothing yet, that it is as it should be, or that it was wrong."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement. ``at`` is the day that it describes, or the day of the load. ``value`` is None if the
    metric could not be measured: unknown, which is not zero."""

    at: date
    value: float | None
    answer: Answer = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The history of one metric of one table, oldest point first.

    ``rhythm`` says what one step is: a ``day`` (a day without a point is unknown), or a ``load`` (points follow
    each other whatever their days; ``season`` is the number of loads after which the pattern repeats (7 if there is none), for
    example 24 for hourly loads). The season of days is always the week.
    """

    name: str
    kind: Kind
    points: Sequence[Point] = ()
    rhythm: Literal["day", "load"] = "day"
    season: int = 7

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MetricError(
                f"{self.name}: {self.kind!r} is no kind of metric; use one of {', '.join(KINDS)}."
            )
        if not 4 <= self.season <= 168 or (self.rhythm == "day" and self.season != 7):
            raise MetricError(
                f"{self.name}: a season of {self.season} steps; days repeat after 7, loads after 4 to 168 (7 if they have no pattern)."
            )


@dataclass(frozen=True, slots=True)
class Window:
    """The last steps before a tested one, as arrays of one length, oldest first: values (NaN where unknown),
    and where a person accepted an alarm. Points confirmed as incidents are unknown here."""

    values: np.ndarray
    accepted: np.ndarray


def window(series: Series, tested: Point, blocks: int) -> Window:
    """The ``blocks`` seasons before ``tested``. The tested step itself and everything later is left out."""
    length = blocks * series.season
    values = np.full(length, np.nan)
    accepted = np.zeros(length, dtype=bool)
    for index, point in _placed(series, tested, length):
        value = checked(series, point)
        values[index] = math.nan if point.answer == "incident" else value
        accepted[index] = point.answer == "accepted"
    return Window(values, accepted)


def _placed(series: Series, tested: Point, length: int) -> Iterable[tuple[int, Point]]:
    if series.rhythm == "load":
        earlier = [point for point in series.points if point is not tested]
        start = length - len(earlier)
        return [(start + n, point) for n, point in enumerate(earlier) if start + n >= 0]
    end = tested.at.toordinal()
    steps = ((length - (end - point.at.toordinal()), point) for point in series.points)
    return sorted(((n, point) for n, point in steps if 0 <= n < length), key=lambda pair: pair[0])


def checked(series: Series, point: Point) -> float:
    """The point's value, NaN if it is unknown. Raises ``MetricError`` if the kind of metric has no such value."""
    if point.value is None or math.isnan(point.value):
        return math.nan
    low = -math.inf if series.kind in ("signed", "minutes") else 0.0
    high = 1.0 if series.kind == "rate" else math.inf
    if math.isinf(point.value) or not low <= point.value <= high:
        raise MetricError(
            f"{series.name}: {point.value:g} on {point.at} cannot be a value of kind {series.kind!r}."
            " Correct the metric's kind, or record the value as unknown."
        )
    return float(point.value)
