"""Keeps out what was erased and comes again: a source that still has the row, a late delivery, a log that is read again.

Every kind of source writes its parts through ``LandedColumns.select``; there the rows of whom the log of erasures names are
left out. A sync whose reading began before a request was written is refused at its commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from data_platform.chained.log import Log
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import BatchConflict
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.erasure.requests import fold
from data_platform.privacy.subjects.place import Place
from data_platform.sources.reading import LandedColumns, Unwanted
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


@dataclass(frozen=True)
class Door:
    """``values`` are the keys of everybody who was erased. ``blocks`` and ``entries`` say how far the log was read."""

    log: Log | None = None
    blocks: int = 0
    entries: int = 0
    values: dict[Place, frozenset[str]] = field(default_factory=dict)
    matches: dict[TableId, tuple[tuple[Place, Place], ...]] = field(default_factory=dict)

    def without(self, landed: LandedColumns, table: TableId) -> LandedColumns:
        """``landed`` without the rows of whom was erased."""
        matches = self.matches.get(table)
        if not matches:
            return landed
        columns = {column.name for column in landed.columns}
        setup = tuple(
            (f"SET VARIABLE {_variable(key)} = ?::VARCHAR[]", [sorted(self.values[key])])
            for key in dict.fromkeys(key for _, key in matches)
        )
        rows = condition(
            DIALECT, matches, lambda key: f"SELECT unnest(getvariable('{_variable(key)}'))", columns
        )
        return replace(landed, setup=(*landed.setup, *setup), without=rows)

    def unwanted(self, table: TableId) -> tuple[Unwanted, ...]:
        """The same for the source, which counts and measures without them."""
        return tuple(
            Unwanted(column.column, column.path, self.values[key])
            for column, key in self.matches.get(table, ())
        )

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
    """What must not come in. Without kinds of people in the catalog nothing is asked."""
    if not platform.catalog.subjects:
        return Door()
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
    return Door(book.log, blocks, entries[-1].number if entries else 0, frozen_values, by_table)


def _variable(place: Place) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", str(place).lower())
    return f"erased_{name}"
