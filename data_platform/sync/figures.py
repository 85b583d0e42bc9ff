"""The business figures of the status page, computed in the warehouse: one value a day, over the newest year."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from difflib import get_close_matches

from data_platform.errors import DataPlatformError
from data_platform.observability.config import FigureConfig
from data_platform.observability.trust import Series
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.dialect import relation

DAYS = 365
_NUMBER = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER|[0-9]+)?|(BIG)?(DECIMAL|NUMERIC)|NUMBER|FLOAT[0-9]*|DOUBLE( PRECISION)?|REAL"
)
"""The number types of all engines, without their precision."""


def compute(warehouse: Warehouse, figure: FigureConfig) -> Series:
    """The series of ``figure``; with a sentence in ``error`` where it cannot be computed. A day without a row is zero: nothing
    was sold on it."""
    bare = Series(figure.name, figure.relation, figure.unit, figure.description)
    schema, _, name = figure.relation.partition(".")
    try:
        found = warehouse.describe(schema, name)
        problem = _problem(figure, found)
        if problem:
            return _failed(bare, problem)
        quote = warehouse.dialect.quote
        day = quote(figure.day)
        value = f"sum({quote(figure.sum)})" if figure.sum else "count(*)"
        rows = warehouse.query(
            f"SELECT {day}, {value} FROM {relation(warehouse.dialect, schema, name)}"
            f" WHERE {day} <= {warehouse.dialect.today()} GROUP BY {day} ORDER BY {day} DESC LIMIT {DAYS}"
        ).rows
        values = {date.fromisoformat(str(at)[:10]): float(number or 0) for at, number in rows}
    except DataPlatformError:
        return _failed(bare, f"the warehouse could not compute it from {figure.relation}")
    except (ValueError, TypeError):
        return _failed(bare, f"`{figure.day}` of {figure.relation} holds a day that no calendar has")
    return Series(bare.name, bare.relation, bare.unit, bare.description, _filled(values))


def _failed(bare: Series, why: str) -> Series:
    return Series(bare.name, bare.relation, bare.unit, bare.description, error=why)


def _problem(figure: FigureConfig, found: list[Relation]) -> str | None:
    """Why the figure cannot be computed from the relation as it is. A day must be a date: over instants each row would be a
    value of its own."""
    if not found:
        return f"the warehouse has no {figure.relation} yet"
    types = dict(found[0].columns)
    for column in (figure.day, figure.sum):
        if column is not None and column not in types:
            near = get_close_matches(column, types, n=1)
            return f"{figure.relation} has no column `{column}`" + (
                f"; did you mean `{near[0]}`?" if near else ""
            )
    if _plain(types[figure.day]) != "DATE":
        return f"`{figure.day}` of {figure.relation} is no date column"
    if figure.sum and not _NUMBER.fullmatch(_plain(types[figure.sum])):
        return f"`{figure.sum}` of {figure.relation} is no number column"
    return None


def _plain(type_: str) -> str:
    return type_.upper().partition("(")[0].strip()


def _filled(values: dict[date, float]) -> tuple[tuple[date, float], ...]:
    """Every day from the first to the last, at most ``DAYS`` of them."""
    finite = {day: value for day, value in values.items() if math.isfinite(value)}
    if not finite:
        return ()
    last = max(finite)
    first = max(min(finite), last - timedelta(days=DAYS - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return tuple((day, finite.get(day, 0.0)) for day in days)
