"""Figures of a raw table by which it is judged: rows, nulls, different values, sums, means. One scan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

Metric = Literal["rows", "rows_added", "null_rate", "distinct", "sum", "mean"]
_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?\d*|(BIG)?NUMERIC|NUMBER|DECIMAL|FLOAT\d*|DOUBLE( PRECISION)?|REAL)\b",
    re.I,
)
"""The engines' types of numbers, each with whatever follows in parentheses."""


class Measure(NamedTuple):
    """What is measured; ``column`` is empty for a figure of whole rows."""

    metric: Metric
    column: str = ""

    @property
    def label(self) -> str:
        return f"{self.metric} of {self.column}" if self.column else self.metric.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Measured:
    """By day, and under None for the whole table, the value of each measure; None where it has none."""

    days: Mapping[date, Mapping[Measure, float | None]] = field(default_factory=dict)
    whole: Mapping[Measure, float | None] = field(default_factory=dict)


def measure_days(
    warehouse: Warehouse, table: TableId, by: str, columns: Sequence[str], first: date, last: date
) -> Measured:
    """The figures of each UTC day of the column ``by`` from ``first`` to ``last``. From the first day with rows on,
    a day without any has no rows, and no other figure."""
    dialect = warehouse.dialect
    instant = dialect.micros(dialect.quote(by))
    low, high = _micros(first), _micros(last + timedelta(1))
    names = ["moment", *(f"c{number}" for number in range(len(columns)))]
    inner = ", ".join(
        f"{sql} AS {name}" for sql, name in zip([instant, *map(dialect.quote, columns)], names, strict=True)
    )
    measures = _measures(warehouse, table, columns)
    figures = ", ".join(_sql(warehouse, one, columns) for one in measures)
    rows = warehouse.query(
        f"SELECT (moment - mod(moment, {_DAY})) / {_DAY}, {figures}"
        f" FROM (SELECT {inner} FROM {relation(dialect, table.raw_schema, table.table)}) AS found"
        f" WHERE moment >= {low} AND moment < {high} GROUP BY (moment - mod(moment, {_DAY})) / {_DAY}"
    ).rows
    found = {(_EPOCH + timedelta(round(float(row[0])))).date(): _values(measures, row[1:]) for row in rows}
    if not found:
        return Measured()
    start = min(found)
    nothing: Mapping[Measure, float | None] = {one: 0.0 if one.metric == "rows" else None for one in measures}
    days = [start + timedelta(number) for number in range((last - start).days + 1)]
    return Measured({day: found.get(day, nothing) for day in days})


def measure_whole(warehouse: Warehouse, table: TableId, columns: Sequence[str]) -> Measured:
    """The figures of all rows."""
    dialect = warehouse.dialect
    measures = _measures(warehouse, table, columns)
    inner = ", ".join(f"{dialect.quote(column)} AS c{number}" for number, column in enumerate(columns)) or "1 AS one"  # fmt: skip
    figures = ", ".join(_sql(warehouse, one, columns) for one in measures)
    row = warehouse.query(
        f"SELECT {figures} FROM (SELECT {inner} FROM {relation(dialect, table.raw_schema, table.table)}) AS found"
    ).rows[0]
    return Measured(whole=_values(measures, row))


def is_number(type_: str) -> bool:
    """Whether an engine's type, in the words of ``describe``, is one whose values can be summed."""
    return _NUMBER.match(type_) is not None


def _measures(warehouse: Warehouse, table: TableId, columns: Sequence[str]) -> list[Measure]:
    described = warehouse.describe(table.raw_schema, table.table)
    held = dict(described[0].columns) if described else {}
    found = [Measure("rows")]
    for column in columns:
        found += [Measure("null_rate", column), Measure("distinct", column)]
        if is_number(held.get(column, "")):
            found += [Measure("sum", column), Measure("mean", column)]
    return found


def _sql(warehouse: Warehouse, measure: Measure, columns: Sequence[str]) -> str:
    """``null_rate`` is counted here and divided later, for engines divide differently."""
    if measure.metric == "rows":
        return "count(*)"
    column = f"c{columns.index(measure.column)}"
    number = warehouse.dialect.try_cast(column, "number")
    return {
        "null_rate": f"count({column})",
        "distinct": f"count(DISTINCT {column})",
        "sum": f"sum({number})",
        "mean": f"avg({number})",
    }[measure.metric]


def _values(measures: Sequence[Measure], row: Sequence[object]) -> dict[Measure, float | None]:
    values = {one: None if value is None else float(str(value)) for one, value in zip(measures, row, strict=True)}  # fmt: skip
    rows = values[Measure("rows")] or 0.0
    for one, value in values.items():
        if one.metric == "null_rate":
            values[one] = (rows - (value or 0.0)) / rows if rows else None
        elif not rows and one.metric in ("distinct", "sum", "mean"):
            values[one] = None
    return values


def _micros(day: date) -> int:
    return (datetime.combine(day, time(), UTC) - _EPOCH) // timedelta(microseconds=1)
