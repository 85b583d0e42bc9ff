"""Where a person's rows are: counted, and read whole for an export. No value of a row is in what ``find`` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_platform.catalog.subject_file import treatment_of
from data_platform.errors import ConfigurationError
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.privacy.subjects.rows import Seed, Selection, select
from data_platform.privacy.treatments import hash_value
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

Asked = Mapping[str, Sequence[str]]
"""By the name of a lookup, the values that somebody typed."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """``by``: the lookups and links by which its rows are found."""

    table: TableId
    rows: int
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """``absent`` are tables that have no raw table yet, ``untagged`` the rows that are found as well when the tag is left out of an
    address such as name+tag@company.example; they may be somebody else's."""

    subject: Subject
    tables: tuple[FoundTable, ...]
    absent: tuple[TableId, ...]
    untagged: int = 0

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def chosen(platform: Platform, name: str | None, asked: Asked) -> Subject:
    """The kind of people that is meant: ``name``, or the one that has all lookups of ``asked``."""
    subjects = platform.catalog.subjects
    if not subjects:
        raise ConfigurationError(
            "catalog/subjects.yaml is not there, so nobody can be found. Write down in it by what a person is found and which rows"
            " belong to a person: docs/subjects.md."
        )
    if name is None:
        fitting = [one for one in subjects.values() if asked.keys() <= one.lookups.keys()]
        if len(fitting) > 1:
            raise ConfigurationError(
                f"Several kinds of people can be found so: {', '.join(one.name for one in fitting)}. Choose one with --kind."
            )
        name = fitting[0].name if fitting else next(iter(subjects))
    subject = platform.catalog.subject(name)
    if unknown := [lookup for lookup in asked if lookup not in subject.lookups]:
        raise ConfigurationError(
            f"A {subject.name} cannot be found by {unknown[0]!r}. catalog/subjects.yaml has the lookups {', '.join(subject.lookups)}."
        )
    return subject


def find(platform: Platform, subject: Subject, asked: Asked) -> Found:
    """The tables that hold rows of whom ``asked`` names, and how many."""
    with platform.warehouse(read_only=True) as warehouse:
        here = held(warehouse, subject)
        counted = _count(platform, warehouse, here, asked)
        plain = {lookup: tuple(map(without_tag, values)) for lookup, values in asked.items()}
        other = (
            _count(platform, warehouse, here, plain)
            if plain != {k: tuple(v) for k, v in asked.items()}
            else {}
        )
    by = {table: _by(here, table, asked) for table in here.tables}
    tables = tuple(FoundTable(table, counted.get(table, 0), by[table]) for table in here.tables)
    absent = tuple(table for table in subject.tables if table not in by)
    return Found(subject, tables, absent, max(0, sum(other.values()) - sum(counted.values())) if other else 0)


def without_tag(value: str) -> str:
    """An address without what is behind a plus sign before its @; any other text as it is."""
    name, at, domain = value.rpartition("@")
    return f"{name.partition('+')[0]}{at}{domain}" if at and not name.startswith("+") else value


def held(warehouse: Warehouse, subject: Subject) -> Subject:
    """What of ``subject`` the warehouse has tables for. ConfigurationError for a column that is not there."""
    columns = {(one.schema, one.name): {name for name, _ in one.columns} for one in warehouse.describe()}
    known = {
        table: columns[table.raw_schema, table.table]
        for table in subject.tables
        if (table.raw_schema, table.table) in columns
    }
    for place in sorted(subject.places):
        if place.table in known and place.column not in known[place.table]:
            raise ConfigurationError(
                f"{place.table.raw_name} has no column {place.column}, which catalog/subjects.yaml names as {place}. It has"
                f" {', '.join(sorted(known[place.table]))}."
            )
    return subject.within(known)


def selection(platform: Platform, warehouse: Warehouse, subject: Subject, asked: Asked) -> Selection:
    """The rows of whom ``asked`` names, each of its values by every column of its lookup."""
    seeds = [
        Seed(place, as_landed(platform, place, value))
        for lookup, values in asked.items()
        for place in subject.lookups[lookup]
        for value in values
    ]
    dialect = warehouse.dialect
    return select(
        subject,
        seeds,
        dialect,
        lambda table: relation(dialect, table.raw_schema, table.table),
        lambda place: _treatment(platform, place) == "keep",
    )


def _count(platform: Platform, warehouse: Warehouse, subject: Subject, asked: Asked) -> dict[TableId, int]:
    rows = selection(platform, warehouse, subject, asked)
    if not rows.parts:
        return {}
    counting = rows.counting()
    answer = warehouse.query(counting.sql, counting.bound)
    return {rows.parts[int(n)].table: int(count) for n, count in answer.rows}


def as_landed(platform: Platform, place: Place, value: str) -> str:
    """A value that somebody typed, treated as the column is."""
    if _treatment(platform, place) == "hash":
        return hash_value(place.name, value, platform.hash_key())
    return value


def _treatment(platform: Platform, place: Place) -> str:
    return treatment_of(place, platform.catalog.table(place.table))


def _by(subject: Subject, table: TableId, asked: Asked) -> tuple[str, ...]:
    lookups = [
        f"{lookup}: {place.dotted}"
        for lookup in asked
        for place in subject.lookups[lookup]
        if place.table == table
    ]
    return (*lookups, *(f"{link.child.dotted} = {link.parent}" for link in subject.links_of(table)))
