"""The rows of a relation that may be read: without those of people who were erased, and those beyond the limits of retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from data_platform.sources.postgres.config import settings_of
from data_platform.sources.postgres.introspect import Relation, SourceColumn
from data_platform.sources.postgres.types import qualified, quote
from data_platform.sources.reading import Hanging, Outdated, Prior, Unwanted
from data_platform.sql import literal

ROW = "read_row"
"""What the relation is called whose rows are read, and with a number behind it the tables that they hang on."""


def from_clause(relation: Relation) -> str:
    """What follows FROM to see each row of ``relation`` once. Whoever reads, counts or looks for changes
    uses this form: without ONLY, the rows of the tables that inherit from it would be seen here and there."""
    return filtered(relation, place_of(relation))


def place_of(relation: Relation) -> str:
    """The relation itself, to lock it or to ask the server's catalog about it."""
    only = "only " if relation.children else ""
    return only + qualified(relation.schema, relation.name)


def filtered(relation: Relation, place: str) -> str:
    """The rows of ``place``, which is the relation or a part of it, that may be read."""
    if not relation.without:
        return place
    readable = relation.readable
    columns = [quote(name) for name in relation.column_names if readable is None or name in readable]
    system = ["ctid", "xmin", "tableoid"] if relation.has_xmin else []
    return f"(select {', '.join((*system, *columns))} from {place} as {ROW} where not {relation.without}) as wanted"


def wanted(relation: Relation, prior: Prior) -> Relation:
    """``relation`` without the rows that must not be read."""
    return replace(relation, without=_condition(relation, prior.unwanted)) if prior.unwanted else relation


def _condition(relation: Relation, unwanted: Sequence[Unwanted | Outdated | Hanging]) -> str:
    """True for rows that must not be read, and never NULL."""
    tests = [test for one in unwanted if (test := _test(relation, one))]
    return f"({' or '.join(tests)})" if tests else ""


def _test(relation: Relation, one: Unwanted | Outdated | Hanging) -> str:
    column = relation.column(one.column)
    if column is None:
        return ""
    if isinstance(one, Hanging):
        refers = relation.references.get(one.column)
        return _hanging(ROW, one, 1, by_key=refers == (settings_of(one.parent).relation[1], one.key))
    if isinstance(one, Unwanted):
        return _listed(ROW, one)
    spared = _condition(relation, one.spared)
    test = f"coalesce({quote(one.column)} < {bound(column, one.before, one.timezone)}, false)"
    return f"({test} and not {spared})" if spared else test


def _listed(row: str, one: Unwanted) -> str:
    values = ", ".join(map(literal, sorted(one.values)))
    return f"coalesce({_text(row, one.column, one.path)} = any(array[{values}]), false)"


def _hanging(row: str, one: Hanging, depth: int, *, by_key: bool = False) -> str:
    """``by_key``: a foreign key says that both columns compare as they are, so that the parent's index serves."""
    parent = f"{ROW}_{depth}"
    key = f"{parent}.{quote(one.key)}"
    same = (
        f"{key} = {row}.{quote(one.column)}"
        if by_key
        else f"{key}::text = {_text(row, one.column, one.path)}"
    )
    tests = [
        _listed(parent, by) if isinstance(by, Unwanted) else _hanging(parent, by, depth + 1) for by in one.by
    ]
    place = qualified(*settings_of(one.parent).relation)
    return f"exists (select from {place} as {parent} where {same} and ({' or '.join(tests)}))"


def _text(row: str, column: str, path: Sequence[str]) -> str:
    if path:
        keys = ", ".join(map(literal, path))
        return f"{row}.{quote(column)}::jsonb #>> array[{keys}]"
    return f"{row}.{quote(column)}::text"


def bound(column: SourceColumn, day: date, timezone: str) -> str:
    """The first value of ``column`` on ``day`` in ``timezone``."""
    if column.base == "date":
        return f"date {literal(day.isoformat())}"
    if column.base == "timestamptz":
        return _first_instant(day, timezone)
    return f"timestamp {literal(day.isoformat())}"


def _first_instant(day: date, timezone: str) -> str:
    """Of a midnight that comes twice, since clocks go back over it, PostgreSQL takes the second; the day begins with the first."""
    if not 1 < day.year < 9999:
        return f"(timestamp {literal(day.isoformat())} at time zone {literal(timezone)})"
    first = datetime.combine(day, time.min, ZoneInfo(timezone)).astimezone(UTC)
    return f"timestamptz {literal(first.isoformat())}"
