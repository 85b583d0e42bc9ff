"""A person's rows in a table of the warehouse, by frozen keys: counted, and as conditions of so many values as a statement takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from data_platform.chained.log import groups
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.subjects.place import Place
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.counted import count_rows
from data_platform.warehouses.dialect import Dialect

VALUES_AT_ONCE, TEXTS_AT_ONCE = 500, 50
Matches = Sequence[tuple[Place, Place]]
"""(column, key place): the column holds one of the key place's values."""
Values = Mapping[Place, Collection[str]]


def count_matches(warehouse: Warehouse, held: Relation, matches: Matches, values: Values) -> int:
    """How many rows of ``held`` match; a row that does so twice counts twice."""
    there = {name for name, _ in held.columns}
    tests = conditions(warehouse.dialect, [pair for pair in matches if pair[0].column in there], values)
    return sum(count_rows(warehouse, held.schema, held.name, test) for test in tests)


def conditions(dialect: Dialect, matches: Matches, values: Values) -> list[str]:
    """Conditions that together are true for all rows that match."""
    return [
        condition(dialect, [(column, key)], _given(listed(dialect, some)), {column.column})
        for column, key in matches
        for some in groups(sorted(values[key]), VALUES_AT_ONCE)
    ]


def containing(dialect: Dialect, held: Relation, needles: Sequence[str]) -> list[str]:
    """Conditions for the rows in which a column's text holds one of ``needles``."""
    return [
        f"coalesce({' OR '.join(dialect.contains(dialect.quote(column), one) for one in some)}, false)"
        for column, _ in held.columns
        for some in groups(needles, TEXTS_AT_ONCE)
    ]


def _given(text: str) -> Callable[[Place], str]:
    return lambda _: text


def listed(dialect: Dialect, values: Collection[str]) -> str:
    """The values as they stand in an IN."""
    return ", ".join(map(dialect.literal, sorted(values)))
