"""Figures of a relation by which it is judged: rows, nulls, different values, sums, means, quantiles. One scan.

A quantile is the nearest rank, a value of the data. It is counted by ``row_number`` and not by an engine's own function: these
interpolate, approximate (BigQuery) or refuse to be beside a DISTINCT (Redshift).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from data_platform.quality.checking import Subject
from data_platform.quality.rules.sql import value_sql
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?\d*|(BIG)?NUMERIC|NUMBER|DECIMAL|FLOAT\d*|DOUBLE( PRECISION)?|REAL)\b",
    re.I,
)
"""The engines' types of numbers, each with whatever follows in parentheses."""
GROUPS_MAX = 12
_OF_GROUPS = ("rows", "sum")
_QUANTILES = {0.0: "smallest", 0.5: "median", 1.0: "largest"}
_PARTS = 1_000_000
"""A share is compared with ranks in millionths, as whole numbers, so that no engine rounds."""


class Measure(NamedTuple):
    """What is measured: ``rows``, ``null_rate``, ``distinct``, ``sum``, ``mean``, ``smallest``, ``median``, ``quantile 0.95``,
    ``largest``. ``column`` is a column or a computed value; it is empty for a figure of whole rows."""

    metric: str
    column: str = ""

    @property
    def label(self) -> str:
        return f"{self.metric} of {self.column}" if self.column else self.metric.replace("_", " ")


class Asked(NamedTuple):
    """What is measured beside the number of rows. ``computed``: by name, a value of a row in DuckDB's SQL. ``quantiles``: shares from 0
    to 1, of each number."""

    columns: Sequence[str] = ()
    computed: Mapping[str, str] = {}
    quantiles: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """By day, and of the whole relation, the value of each measure; None where it has none."""

    days: Mapping[date, Mapping[Measure, float | None]] = field(default_factory=dict)
    whole: Mapping[Measure, float | None] = field(default_factory=dict)


def measure_days(
    warehouse: Warehouse, subject: Subject, by: str, asked: Asked, first: date, last: date
) -> Measured:
    """The figures of each UTC day of the column ``by`` from ``first`` to ``last``. From the first day with rows on,
    a day without any has no rows, and no other figure. ``UnsupportedExpression`` if the engine has no words for a computed value."""
    scan = _Scan(warehouse, subject, asked)
    rows = warehouse.query(scan.by_day(by, *_bounds(first, last))).rows
    return _filled({_day(row[0]): _values(scan.figures, row[1:]) for row in rows}, list(scan.figures), last)


def measure_groups(
    warehouse: Warehouse, subject: Subject, by: str, split: str, asked: Asked, first: date, last: date
) -> dict[str, Measured]:
    """By the text of the column ``split``: the rows and the sums of each day, as ``measure_days`` has them, of the ``GROUPS_MAX`` groups with
    the most rows. Rows with NULL in ``split`` belong to none."""
    scan = _Scan(warehouse, subject, asked)
    kept = {one: sql for one, sql in scan.figures.items() if one.metric in _OF_GROUPS}
    found: dict[str, dict[date, dict[Measure, float | None]]] = {}
    for day, group, *row in warehouse.query(scan.by_group(by, split, kept, *_bounds(first, last))).rows:
        found.setdefault(str(group), {})[_day(day)] = _values(kept, row)
    return {group: _filled(days, list(kept), last) for group, days in sorted(found.items())}


def measure_whole(warehouse: Warehouse, subject: Subject, asked: Asked) -> Measured:
    """The figures of all rows."""
    scan = _Scan(warehouse, subject, asked)
    return Measured(whole=_values(scan.figures, warehouse.query(scan.whole()).rows[0]))


def is_number(type_: str) -> bool:
    """Whether an engine's type, in the words of ``describe``, is one whose values can be summed."""
    return _NUMBER.match(type_) is not None


def quantile(share: float) -> str:
    """The name of the metric."""
    return _QUANTILES.get(share, f"quantile {share:g}")


class _Scan:
    """One statement. Within it, ``c0`` is the first value as it is, ``v0`` as a number, ``r0`` its rank among its day's and ``n0`` how many
    there are."""

    def __init__(self, warehouse: Warehouse, subject: Subject, asked: Asked) -> None:
        dialect = self.dialect = warehouse.dialect
        self.source = relation(dialect, subject.schema, subject.name)
        described = warehouse.describe(subject.schema, subject.name)
        held = dict(described[0].columns) if described else {}
        self.values_of = [dialect.quote(column) for column in asked.columns]
        self.values_of += [value_sql(text, dialect) for text in asked.computed.values()]
        names = [*asked.columns, *asked.computed]
        numbers = [n for n, name in enumerate(names) if name in asked.computed or is_number(held.get(name, ""))]  # fmt: skip
        self.figures: dict[Measure, str] = {Measure("rows"): "count(*)"}
        for n, name in enumerate(names):
            self.figures |= {
                Measure("null_rate", name): f"count(c{n})",  # divided later: engines divide differently
                Measure("distinct", name): f"count(DISTINCT c{n})",
            }
            if n in numbers:
                self.figures |= {Measure("sum", name): f"sum(v{n})", Measure("mean", name): f"avg(v{n})"}
                for share in sorted(set(asked.quantiles)):
                    self.figures[Measure(quantile(share), name)] = _quantile(share, n)
        self.numbers = numbers
        self.ranked = numbers if any(0 < share < 1 for share in asked.quantiles) else []

    def by_day(self, by: str, low: int, high: int) -> str:
        found = self._within(by, low, high)
        figures = ", ".join(self.figures.values())
        return f"SELECT day_, {figures} FROM ({self._ranked(found, 'PARTITION BY day_ ')}) AS found GROUP BY day_"

    def by_group(self, by: str, split: str, kept: Mapping[Measure, str], low: int, high: int) -> str:
        found = self._within(by, low, high, split)
        most = f"SELECT group_ FROM ({found}) AS counted GROUP BY group_ ORDER BY count(*) DESC, group_ LIMIT {GROUPS_MAX}"
        return (
            f"SELECT day_, group_, {', '.join(kept.values())} FROM ({found}) AS found"
            f" WHERE group_ IN (SELECT group_ FROM ({most}) AS most) GROUP BY day_, group_"
        )

    def whole(self) -> str:
        inner = ", ".join(self._values()) or "1 AS one"
        found = (
            f"SELECT {', '.join(self._columns()) or 'one'} FROM (SELECT {inner} FROM {self.source}) AS held"
        )
        return f"SELECT {', '.join(self.figures.values())} FROM ({self._ranked(found, '')}) AS found"

    def _within(self, by: str, low: int, high: int, split: str | None = None) -> str:
        """The rows of these instants, each with its day, and with its group if they are ``split``."""
        quote = self.dialect.quote
        inner = [f"{self.dialect.micros(quote(by))} AS moment", *self._values()]
        outer, met = [f"moment - mod(moment, {_DAY}) AS day_", *self._columns()], ""
        if split is not None:
            inner.append(f"{self.dialect.try_cast(quote(split), 'text')} AS group_")
            outer.append("group_")
            met = " AND group_ IS NOT NULL"
        return (
            f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {self.source}) AS held"
            f" WHERE moment >= {low} AND moment < {high}{met}"
        )

    def _values(self) -> list[str]:
        return [f"{sql} AS c{n}" for n, sql in enumerate(self.values_of)]

    def _columns(self) -> list[str]:
        numbers = [f"{self.dialect.try_cast(f'c{n}', 'number')} AS v{n}" for n in self.numbers]
        return [*(f"c{n}" for n in range(len(self.values_of))), *numbers]

    def _ranked(self, found: str, partition: str) -> str:
        if not self.ranked:
            return found
        ranks = ", ".join(
            f"row_number() OVER ({partition}ORDER BY CASE WHEN v{n} IS NULL THEN 1 ELSE 0 END, v{n}) AS r{n},"
            f" count(v{n}) OVER ({partition.strip()}) AS n{n}"
            for n in self.ranked
        )
        return f"SELECT valued.*, {ranks} FROM ({found}) AS valued"


def _quantile(share: float, n: int) -> str:
    """Of values in their order, the first one that has at least this share of them up to it."""
    if share in (0, 1):
        return f"{'max' if share else 'min'}(v{n})"
    return f"min(CASE WHEN r{n} * {_PARTS} >= n{n} * {round(share * _PARTS)} THEN v{n} END)"


def _values(measures: Iterable[Measure], row: Sequence[object]) -> dict[Measure, float | None]:
    values = {one: _number(value) for one, value in zip(measures, row, strict=True)}
    rows = values[Measure("rows")] or 0.0
    for one, value in values.items():
        if one.metric == "null_rate":
            values[one] = (rows - (value or 0.0)) / rows if rows else None
        elif not rows and one.metric != "rows":
            values[one] = None
    return values


def _filled(
    found: Mapping[date, Mapping[Measure, float | None]], measures: Iterable[Measure], last: date
) -> Measured:
    """Every day from the first one with rows on."""
    if not found:
        return Measured()
    start = min(found)
    nothing = {one: 0.0 if one.metric == "rows" else None for one in measures}
    days = [start + timedelta(number) for number in range((last - start).days + 1)]
    return Measured({day: found.get(day, nothing) for day in days})


def _number(value: object) -> float | None:
    """None for what is no finite number either."""
    number = None if value is None else float(str(value))
    return number if number is not None and math.isfinite(number) else None


def _day(micros: object) -> date:
    return (_EPOCH + timedelta(microseconds=round(float(str(micros))))).date()


def _bounds(first: date, last: date) -> tuple[int, int]:
    return _micros(first), _micros(last + timedelta(1))


def _micros(day: date) -> int:
    return (datetime.combine(day, time(), UTC) - _EPOCH) // timedelta(microseconds=1)
