"""What a detector found, missed and invented."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.anomaly.dataset import Labelled

LARGE = 0.30
MONTH = 30


@dataclass
class Grade:
    """``found`` and ``total`` count incidents, ``false`` and ``normal`` days outside of incidents."""

    found: int = 0
    total: int = 0
    found_large: int = 0
    total_large: int = 0
    false: int = 0
    normal: int = 0

    @property
    def precision(self) -> float:
        """Of what was reported, the share that is an incident: each counts once, however many days it lasts."""
        return self.found / (self.found + self.false) if self.found + self.false else float("nan")

    @property
    def recall(self) -> float:
        return self.found / self.total if self.total else float("nan")

    @property
    def recall_large(self) -> float:
        return self.found_large / self.total_large if self.total_large else float("nan")

    @property
    def false_a_month(self) -> float:
        return MONTH * self.false / self.normal if self.normal else float("nan")

    def __iadd__(self, other: Grade) -> Grade:
        for name in ("found", "total", "found_large", "total_large", "false", "normal"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass
class Result:
    """One detector over all series: a grade for each group (``split``, ``shape``, ``incident``)."""

    name: str
    grades: dict[tuple[str, str], Grade] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)
    series_days: int = 0
    seconds: float = 0.0
    note: str = ""

    def at(self, group: str, name: str) -> Grade:
        return self.grades.setdefault((group, name), Grade())

    @property
    def a_minute(self) -> float:
        return 60 * self.series_days / self.seconds if self.seconds else float("nan")


def grade(result: Result, series: Iterable[Labelled], alarms: np.ndarray, start: int) -> None:
    """Add what ``alarms`` (series, days) say of ``series``."""
    for one, row in zip(series, alarms, strict=True):
        result.series[one.split] = result.series.get(one.split, 0) + 1
        result.series_days += len(row) - start
        inside = np.zeros(len(row), dtype=bool)
        total = Grade()
        for incident in one.incidents:
            inside[incident.start : incident.grace] = True
            found = bool(row[incident.start : incident.end].any())
            large = incident.change >= LARGE
            counted = Grade(found, 1, found and large, int(large))
            total += counted
            by_kind = result.at(f"incident, {one.split}", incident.kind)
            by_kind += counted
        total += Grade(false=int((row & ~inside)[start:].sum()), normal=int((~inside)[start:].sum()))
        for group, name in (("split", one.split), ("shape", one.shape)):
            held = result.at(group, name)
            held += total
