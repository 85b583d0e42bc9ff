"""Keeps out what was erased and comes again: a source that still has the row, a late delivery, a log that is read again.

Every kind of source writes its parts through ``LandedColumns.select``; there the rows of whom the log of erasures names are
left out. A sync whose reading began before a request was written is refused at its commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data_platform.chained.log import Log
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import BatchConflict
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.erasure.requests import fold
from data_platform.privacy.retention.rule import Limit
from data_platform.privacy.subjects.place import Place
from data_platform.sources.reading import LandedColumns, Outdated, Unwanted
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.erasing.rows import Matches, Values
from data_platform.sync.platform import Platform
from data_platform.sync.retention.book import limits_in_force
from data_platform.sync.retention.limits import Spared, spared
from data_platform.tables import TableId


@dataclass(frozen=True)
class Door:
    """``values`` are the keys of everybody who was erased. ``blocks`` and ``entries`` say how far the log was read. ``limits`` are those
    of retention, which rows of ``spared`` people pass."""

    log: Log | None = None
    blocks: int = 0
    entries: int = 0
    values: dict[Place, frozenset[str]] = field(default_factory=dict)
    matches: dict[TableId, tuple[tuple[Place, Place], ...]] = field(default_factory=dict)
    limits: Mapping[TableId, Limit] = field(default_factory=dict)
    spared: Spared = field(default_factory=Spared)

    def without(self, landed: LandedColumns, table: TableId) -> LandedColumns:
        """``landed`` without the rows of whom was erased and those that are older than is kept."""
        columns = {column.name: column.type for column in landed.columns}
        matches, limit = self.matches.get(table, ()), self.limits.get(table)
        tests = [condition(DIALECT, matches, _values_of("erased"), columns)] if matches else []
        setup = _variables("erased", matches, self.values)
        blank = None
        if limit is not None and limit.by in columns:
            there, kept = limit.only(tuple(columns)), self.spared.matches.get(table, ())
            stay = condition(DIALECT, kept, _values_of("spared"), columns) if kept else ""
            setup += _variables("spared", kept, self.spared.values)
            old = there.condition(DIALECT, columns[limit.by], stay)
            if not limit.blank:
                tests.append(old)
            elif there.blank:
                blank = (old, there.blank)
        without = f"({' OR '.join(tests)})" if tests else ""
        return replace(landed, setup=(*landed.setup, *setup), without=without, blank=blank)

    def unwanted(self, table: TableId) -> tuple[Unwanted | Outdated, ...]:
        """The same for the source, which counts and measures without them."""
        found: list[Unwanted | Outdated] = list(_unwanted(self.matches.get(table, ()), self.values))
        limit = self.limits.get(table)
        if limit is not None and not limit.blank:
            kept = _unwanted(self.spared.matches.get(table, ()), self.spared.values)
            found.append(Outdated(limit.by, limit.before, limit.timezone, tuple(kept)))
        return tuple(found)

    def check(self, table: TableId) -> None:
        """BatchConflict where somebody was erased since the reading began: its rows may be among those that were read."""
        if self.log is None or self.log.last() == self.blocks:
            return
        if any(entry.body["event"] == "asked" for entry in self.log.entries(after=self.entries)):
            raise BatchConflict(
                f"Somebody is being erased since {table} was read. This batch is dropped, for it may hold rows that must not come"
                " again; run the sync again."
            )


def door_of(platform: Platform) -> Door:
    """What must not come in. Without kinds of people and rules of retention in the catalog nothing is asked."""
    limits = limits_in_force(platform)
    kept = spared(platform) if limits else Spared()
    if not platform.catalog.subjects:
        return Door(limits=limits)
    book = Book(platform)
    blocks = book.log.last()
    entries = list(book.log.entries()) if blocks else []
    keys_by_subject = {name: keys_of(platform, one) for name, one in platform.catalog.subjects.items()}
    values: dict[Place, set[str]] = {}
    matches: dict[TableId, dict[tuple[Place, Place], None]] = {}
    for request in fold(entries).requests.values():
        frozen, _ = book.opened(request.sealed)
        for place, keys in frozen.values.items():
            values.setdefault(place, set()).update(keys)
            matches.setdefault(place.table, {})[place, place] = None
        subject = platform.catalog.subjects.get(request.subject)
        for table in subject.tables if subject else ():
            found = frozen.matches(subject, keys_by_subject[subject.name], table) if subject else ()
            matches.setdefault(table, {}).update(dict.fromkeys(found))
    frozen_values = {place: frozenset(keys) for place, keys in values.items()}
    by_table = {table: tuple(found) for table, found in matches.items()}
    read = entries[-1].number if entries else 0
    return Door(book.log, blocks, read, frozen_values, by_table, limits, kept)


def _unwanted(matches: Matches, values: Values) -> list[Unwanted]:
    return [Unwanted(column.column, column.path, frozenset(values[key])) for column, key in matches]


def _variables(prefix: str, matches: Matches, values: Values) -> tuple[tuple[str, list[Any]], ...]:
    return tuple(
        (f"SET VARIABLE {_variable(prefix, key)} = ?::VARCHAR[]", [sorted(values[key])])
        for key in dict.fromkeys(key for _, key in matches)
    )


def _values_of(prefix: str) -> Callable[[Place], str]:
    return lambda key: f"SELECT unnest(getvariable('{_variable(prefix, key)}'))"


def _variable(prefix: str, place: Place) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", str(place).lower())
    return f"{prefix}_{name}"
