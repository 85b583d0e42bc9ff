"""Which rows are a person's, by values that are found once and then stay the same, whatever was deleted in between.

A *key place* is a table's key, where it is one column that lands in clear. Only values of key places are frozen: an address
may have been another person's before, or may be again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_platform.errors import ConfigurationError
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.tables import TableId
from data_platform.warehouses.dialect import Dialect

Keys = Mapping[TableId, Place]
"""The key places of the tables that have one."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """``values`` are a person's keys, as text, by key place."""

    values: Mapping[Place, frozenset[str]]

    @property
    def count(self) -> int:
        return sum(map(len, self.values.values()))

    def matches(self, subject: Subject, keys: Keys, table: TableId) -> list[tuple[Place, Place]]:
        """(column of ``table``, key place): a row goes whose column holds one of the key place's values."""
        return [(column, key) for column, key in _pairs(subject, keys, table) if self.values.get(key)]


def wanted(subject: Subject, keys: Keys) -> dict[TableId, Place]:
    """The key places whose values must be known: those that other tables link to, and those of tables whose rows are found in
    another way than by such a link. ConfigurationError for a table of the latter without one."""
    needed = {}
    for table in _needed(subject, keys):
        if table not in keys:
            raise ConfigurationError(
                f"Rows of {table} are found by values that may be another person's later, and it has no key of one column that"
                f" lands in clear, so a {subject.name} cannot be erased for good. Give it such a `key` in the catalog, or a link to"
                " a table that has one."
            )
        needed[table] = keys[table]
    return needed


def holders(subject: Subject, keys: Keys) -> list[tuple[Place, Place]]:
    """(column, key place): the columns of raw tables that hold the values of key places whose values are frozen, such as a link's."""
    known = {keys[table] for table in _needed(subject, keys) if table in keys}
    return [pair for table in subject.tables for pair in _pairs(subject, keys, table) if pair[1] in known]


def _needed(subject: Subject, keys: Keys) -> Iterator[TableId]:
    hard = {link for link in subject.links if keys.get(link.parent.table) == link.parent}
    parents = {link.parent.table for link in hard}
    looked_up = {place.table for places in subject.lookups.values() for place in places}
    for table in subject.tables:
        soft = table in looked_up or any(link not in hard for link in subject.links_of(table))
        if table in parents or soft:
            yield table


def _pairs(subject: Subject, keys: Keys, table: TableId) -> Iterator[tuple[Place, Place]]:
    """(column of ``table``, key place) for its own key and for each link to a key place."""
    if (own := keys.get(table)) is not None:
        yield own, own
    for link in subject.links_of(table):
        if keys.get(link.parent.table) == link.parent:
            yield link.child, link.parent


def condition(
    dialect: Dialect,
    matches: Sequence[tuple[Place, Place]],
    values_of: Callable[[Place], str],
    columns: Collection[str],
) -> str:
    """SQL that is true for the rows that go and never NULL. ``values_of`` gives a query of a key place's values; a place whose column
    is not among ``columns`` matches nothing."""
    tests = [
        f"coalesce({_text(dialect, column)} IN ({values_of(key)}), false)"
        for column, key in matches
        if column.column in columns
    ]
    return f"({' OR '.join(tests)})" if tests else "false"


def _text(dialect: Dialect, place: Place) -> str:
    column = dialect.quote(place.column)
    return dialect.json_text(column, place.path) if place.path else dialect.try_cast(column, "text")


def tables_of(subject: Subject, keys: Keys, frozen: Frozen) -> Iterator[TableId]:
    """The tables that may hold rows of the person, those that others follow from last."""
    for table in reversed(subject.tables):
        if frozen.matches(subject, keys, table):
            yield table


def to_json(frozen: Frozen, needles: Collection[str]) -> bytes:
    """What a request hides: the keys, and the texts that must not be found anywhere afterwards."""
    values = {str(place): sorted(values) for place, values in sorted(frozen.values.items())}
    return json.dumps({"values": values, "needles": sorted(needles)}, ensure_ascii=False).encode()


def from_json(data: bytes) -> tuple[Frozen, tuple[str, ...]]:
    read = json.loads(data)
    values = {Place.parse(place): frozenset(keys) for place, keys in read["values"].items()}
    return Frozen(values), tuple(read["needles"])
