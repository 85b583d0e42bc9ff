"""Keeps out what was erased, or is older than its table's rule, and comes again: a source that still has the row, a late delivery, a log that is read again.

Every kind of source writes its parts through ``LandedColumns.select``; there the rows of whom the log of erasures names are
left out, and those that are beyond the limits in the log of retention. A sync whose reading began before a request was written is refused at its commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from data_platform.catalog import Table
from data_platform.chained.log import Log
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import BatchConflict
from data_platform.privacy.erasure.frozen import Frozen, Keys, condition
from data_platform.privacy.retention.requests import fold as applications
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.sources.reading import Hanging, LandedColumns, Outdated, SourceTable, Unwanted
from data_platform.sql import quoted
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.came import Came
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.erasing.rows import Matches, Values
from data_platform.sync.platform import Platform
from data_platform.sync.retention.book import Book as RetentionBook
from data_platform.sync.retention.limits import Expired, in_force
from data_platform.tables import TableId


@dataclass(frozen=True)
class Seen:
    """How far a log was read: so many blocks."""

    log: Log
    blocks: int

    def asked_since(self, about: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> bool:
        """Whether a request was written since, one that is ``about`` something."""
        if self.log.last() == self.blocks:
            return False
        later = (entry for block in self.log.blocks(self.blocks) for entry in block.entries)
        return any(entry.body["event"] == "asked" and about(entry.body) for entry in later)


@dataclass(frozen=True)
class Door:
    """``values`` are the keys of everybody who was erased, ``hanging`` the links to tables with such rows, within a source, by which new rows hang
    on others that never land. Of rows that are left out by a link, and that others may hang on by one of ``parents``, ``came`` notes the keys,
    for the ``kinds`` of people whose links these are. ``expired`` is what is beyond the limits that were applied. ``erasures`` and
    ``retention`` say how far the logs were read."""

    erasures: Seen | None = None
    values: dict[Place, frozenset[str]] = field(default_factory=dict)
    matches: dict[TableId, tuple[tuple[Place, Place], ...]] = field(default_factory=dict)
    hanging: Mapping[TableId, Sequence[tuple[Place, SourceTable, Place]]] = field(default_factory=dict)
    parents: Mapping[TableId, Place] = field(default_factory=dict)
    kinds: Mapping[TableId, Sequence[str]] = field(default_factory=dict)
    came: Came = field(default_factory=Came)
    retention: Seen | None = None
    expired: Mapping[TableId, Sequence[Expired]] = field(default_factory=dict)

    def without(self, landed: LandedColumns, block: Table) -> LandedColumns:
        """``landed`` without the rows of whom was erased and those that are older than is kept. A source that counts what it has does not
        give such rows, so nothing is noted of it."""
        table, types = block.id, {column.name: column.type for column in landed.columns}
        matches = self.matches.get(table, ())
        own, noting = self.parents.get(table), self.came.noting(table)
        tests, functions, blank = [], landed.functions, []
        if own is not None and own.column in types and table in self.kinds and not block.proved:
            links = condition(DIALECT, [pair for pair in matches if pair[0] != own], _values_of, types)
            key = f"coalesce(CAST({quoted(own.column)} AS VARCHAR), '')"
            tests.append(condition(DIALECT, [pair for pair in matches if pair[0] == own], _values_of, types))
            tests.append(f"{noting.name}(CASE WHEN {links} THEN {key} END) IS NOT NULL")
            functions = (*functions, noting)
        elif matches:
            tests.append(condition(DIALECT, matches, _values_of, types))
        for one in self.expired.get(table, ()):
            rows = one.rows(DIALECT, types)
            if rows is not None and one.limit.blank:
                blank.append((rows, one.limit.only(tuple(types)).blank))
            elif rows is not None:
                tests.append(rows)
        without = f"({' OR '.join(tests)})" if tests else ""
        setup = (*landed.setup, *_variables(matches, self.values))
        return replace(landed, setup=setup, functions=functions, without=without, blank=tuple(blank))

    def unwanted(self, table: TableId) -> tuple[Unwanted | Outdated | Hanging, ...]:
        """The same for the source, which counts and measures without them, and knows what hangs on rows that never landed."""
        found: list[Unwanted | Outdated | Hanging] = list(_unwanted(self.matches.get(table, ()), self.values))
        found += self._hanging(table)
        for one in self.expired.get(table, ()):
            limit = one.limit
            if not limit.blank:
                kept = _unwanted(one.spared.matches.get(table, ()), one.spared.values)
                found.append(Outdated(limit.by, limit.before, limit.timezone, tuple(kept)))
        return tuple(found)

    def _hanging(self, table: TableId) -> Iterator[Hanging]:
        for child, parent, key in self.hanging.get(table, ()):
            new = [pair for pair in self.matches.get(key.table, ()) if pair[0] != key]
            by: tuple[Unwanted | Hanging, ...] = (
                *_unwanted(new, self.values),
                *self._hanging(key.table),
            )
            if by:
                yield Hanging(child.column, child.path, parent, key.column, by)

    def remember(self, platform: Platform, table: TableId) -> None:
        """Write down the keys of rows of ``table`` that were left out, before the batch without them is committed: no later read need
        give them again."""
        if table not in self.kinds or table not in self.parents:
            return
        key = self.parents[table]
        if new := self.came.unwritten(table) - self.values.get(key, frozenset()):
            Book(platform).came(self.kinds[table], Frozen({key: new}))
            self.came.wrote(table, new)

    def check(self, table: TableId) -> None:
        """BatchConflict where somebody was erased, or a limit of the table was applied, since the reading began: such rows may be among those
        that were read."""
        if self.erasures is not None and self.erasures.asked_since():
            raise BatchConflict(
                f"Somebody is being erased since {table} was read. This batch is dropped, for it may hold rows that must not come"
                " again; run the sync again."
            )
        if self.retention is not None and self.retention.asked_since(
            lambda body: str(table) in body["limits"]
        ):
            raise BatchConflict(
                f"Older rows of {table} leave by its `retention` since it was read. This batch is dropped, for it may hold some of them; run"
                " the sync again."
            )


def door_of(platform: Platform, *, whole: bool = False) -> Door:
    """What must not come in. Without kinds of people and rules of retention in the catalog nothing is asked. ``whole`` reads and checks all
    of the log of erasures, not only what came since it was read last."""
    door = _erased(platform, whole) if platform.catalog.subjects else Door()
    if not platform.catalog.ruled_by_retention():
        return door
    log = RetentionBook(platform).log
    blocks = list(log.blocks())
    entries = [entry for block in blocks for entry in block.entries]
    seen = Seen(log, len(blocks))
    return replace(door, retention=seen, expired=in_force(platform, applications(entries)))


def _erased(platform: Platform, whole: bool) -> Door:
    book = Book(platform)
    known = book.known(whole=whole)
    values: dict[Place, set[str]] = {}
    matches: dict[TableId, dict[tuple[Place, Place], None]] = {}
    parents: dict[TableId, Place] = {}
    kinds: dict[TableId, list[str]] = {}
    for kind, frozen in known.erased.items():
        for place, keys in frozen.values.items():
            values.setdefault(place, set()).update(keys)
            matches.setdefault(place.table, {})[place, place] = None
        subject = platform.catalog.subjects.get(kind)
        if subject is not None:
            keyed = keys_of(platform, subject)
            parents |= {key.table: key for _, key in _keyed_links(subject, keyed)}
            for table in subject.tables:
                found = frozen.matches(subject, keyed, table)
                matches.setdefault(table, {}).update(dict.fromkeys(found))
                if any(column != keyed.get(table) for column, _ in found):
                    kinds.setdefault(table, []).append(kind)
    frozen_values = {place: frozenset(keys) for place, keys in values.items()}
    by_table = {table: tuple(found) for table, found in matches.items()}
    return Door(
        Seen(book.log, known.block),
        frozen_values,
        by_table,
        _links(platform, known.erased),
        parents=parents,
        kinds=kinds,
    )


def _links(
    platform: Platform, kinds: Iterable[str]
) -> Mapping[TableId, Sequence[tuple[Place, SourceTable, Place]]]:
    """By table, what leads from its rows to one row of another table of the same source."""
    found: dict[TableId, list[tuple[Place, SourceTable, Place]]] = {}
    for subject in (platform.catalog.subjects[kind] for kind in kinds if kind in platform.catalog.subjects):
        for child, key in _keyed_links(subject, keys_of(platform, subject)):
            if key.table.source == child.table.source:
                found.setdefault(child.table, []).append((child, platform.catalog.table(key.table), key))
    return found


def _keyed_links(subject: Subject, keys: Keys) -> list[tuple[Place, Place]]:
    """(column, key place): the links that lead to one row."""
    return [(link.child, link.parent) for link in subject.links if keys.get(link.parent.table) == link.parent]


def _unwanted(matches: Matches, values: Values) -> list[Unwanted]:
    return [Unwanted(column.column, column.path, frozenset(values[key])) for column, key in matches]


def _variables(matches: Matches, values: Values) -> tuple[tuple[str, list[Any]], ...]:
    return tuple(
        (f"SET VARIABLE {_variable(key)} = ?::VARCHAR[]", [sorted(values[key])])
        for key in dict.fromkeys(key for _, key in matches)
    )


def _values_of(key: Place) -> str:
    return f"SELECT unnest(getvariable('{_variable(key)}'))"


def _variable(place: Place) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", str(place).lower())
    return f"erased_{name}"
