"""Sealed columns of a raw table in clear, for a person who says what for. Nothing else opens a sealed value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data_platform.audit.event import OBJECTS_MAX, Detail, Event, checked_text, is_name
from data_platform.catalog import Table
from data_platform.errors import ConfigurationError
from data_platform.expressions import relation
from data_platform.keystore import Keystore
from data_platform.privacy.documents import NotADocument, strings
from data_platform.privacy.seal import NOBODY, PREFIX, NotOpened, Place, SubjectKey, subject_of, subject_text
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


@dataclass(frozen=True)
class Revealed:
    """Rows in clear. ``erased`` are values whose key was destroyed, which are None. ``unopened`` are values that stayed as they
    landed: they were changed or moved, or look sealed and are not. ``subjects`` are the ids of the people whose values were opened;
    rows that name nobody have none."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    subjects: tuple[str, ...]
    erased: int
    unopened: int


@dataclass(frozen=True)
class Request:
    """``columns`` of ``table``, of the rows of one ``subject`` (its value in clear) or those that ``where``, SQL of the warehouse,
    chooses; at most ``limit`` rows. ``purpose`` is for the record of who read what."""

    table: TableId
    columns: tuple[str, ...]
    purpose: str
    subject: str | None = None
    where: str | None = None
    limit: int | None = None


def reveal(platform: Platform, request: Request) -> Revealed:
    """ConfigurationError where the table seals nothing, the subject has no key or the keystore does not open; QueryFailed where the
    warehouse refuses the question."""
    table = platform.catalog.table(request.table)
    if not table.seals or table.subject is None:
        raise ConfigurationError(
            f"{table.id} has no column with the treatment `seal`, so there is nothing to reveal."
        )
    checked_text(request.purpose, "The purpose")
    keystore = platform.keystore()
    keystore.ready()
    with platform.warehouse(read_only=True) as warehouse:
        quote = warehouse.dialect.quote
        sealed = sealed_columns(platform, table)
        listed = ", ".join(map(quote, request.columns))
        conditions = [f"({request.where}\n)"] if request.where else []
        if request.subject is not None:
            whole = [f"{quote(name)} LIKE '%{_needle(keystore, table, request.subject)}%'" for name in sealed]
            conditions.append(f"({' OR '.join(whole)})")
        place = relation(warehouse.dialect, table.id.raw_schema, table.id.table)
        chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        found = warehouse.query(f"SELECT {listed} FROM {place}{chosen}", (), request.limit)
    opener = _Opener(table, keystore, frozenset(sealed))
    rows = opener.opened(request.columns, found.rows)
    result = Revealed(
        tuple(found.columns),
        tuple(found.types),
        rows,
        tuple(sorted(opener.subjects)),
        opener.erased,
        opener.unopened,
    )
    record(platform, request, result)
    return result


def in_clear(
    platform: Platform, id_: TableId, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[Sequence[Sequence[Any]], frozenset[str]]:
    """Rows of a raw table with what is sealed in them opened, None where the key was destroyed; and the ids of the people whose values
    were opened. Whoever calls this records who reads it."""
    table = platform.catalog.table(id_)
    if not table.seals or not rows:
        return rows, frozenset()
    opener = _Opener(table, platform.keystore(), frozenset(sealed_columns(platform, table)))
    return opener.opened(columns, rows), frozenset(opener.subjects)


def record(platform: Platform, request: Request, result: Revealed) -> None:
    """Record who read what, before anybody sees a value of it. An error where that fails: then nothing is shown."""
    objects = [str(request.table), *(f"{request.table}.{name}" for name in request.columns)]
    details: dict[str, Detail] = {
        "rows": len(result.rows),
        "people": len(result.subjects),
        "erased": result.erased,
        "unopened": result.unopened,
        "by": "subject" if request.subject is not None else "condition",
    }
    named = result.subjects[:OBJECTS_MAX]
    platform.trail.record(
        Event("reveal", tuple(filter(is_name, objects)), request.purpose, subjects=named, details=details)
    )


def _needle(keystore: Keystore, table: Table, subject: str) -> str:
    """What every value that is sealed under the subject's key holds: letters, digits and colons."""
    assert table.subject is not None
    named = table.subject.column
    id = keystore.find(table.subject.kind_of(table.id), subject_text(named, subject))
    if id is None:
        raise ConfigurationError(
            f"{table.id}: no key is kept for this {named}. Nothing of this person was sealed, or the key was destroyed."
        )
    return f"{PREFIX}{id}:"


def sealed_columns(platform: Platform, table: Table) -> list[str]:
    """The landed columns in which something may be sealed: those declared, and documents."""
    head = platform.ledger.state(table.id).head
    landed = head.columns if head is not None else ()
    return [
        c.name
        for c in landed
        if table.treatment(c.name) == "seal" or " [" in c.source_type or c.type == "JSON"
    ]


@dataclass
class _Opener:
    table: Table
    keystore: Keystore
    sealed: frozenset[str]
    erased: int = 0
    unopened: int = 0
    subjects: set[str] = field(default_factory=set)
    _keys: dict[str, SubjectKey | None] = field(default_factory=dict)

    def opened(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
        texts = [
            text
            for row in rows
            for name, text in zip(columns, row, strict=True)
            if name in self.sealed and isinstance(text, str) and PREFIX in text
        ]
        ids = {id for text in texts for id in _ids(text)}
        self._keys = self.keystore.opened(ids)
        return tuple(
            tuple(
                self._column(name, value) if name in self.sealed and isinstance(value, str) else value
                for name, value in zip(columns, row, strict=True)
            )
            for row in rows
        )

    def _column(self, name: str, text: str) -> str | None:
        if PREFIX not in text:
            return text
        if subject_of(text) is not None:
            return self._value((name,), text)
        try:
            pieces: list[str] = []
            copied = 0
            for start, end, path in strings(text):
                value = json.loads(text[start:end])
                if subject_of(value) is not None:
                    pieces += (
                        text[copied:start],
                        json.dumps(self._value((name, *path), value), ensure_ascii=False),
                    )
                    copied = end
            return "".join((*pieces, text[copied:]))
        except NotADocument:
            self.unopened += 1
            return text

    def _value(self, at: tuple[str, ...], text: str) -> str | None:
        id = subject_of(text)
        key = self._keys.get(id or "")
        if id in self._keys and key is None:
            self.erased += 1
            return None
        try:
            if key is None:
                raise NotOpened
            value = key.open(Place(str(self.table.id), at[0], at[1:]), text)
        except NotOpened:
            self.unopened += 1
            return text
        if not key.id.startswith(NOBODY):
            self.subjects.add(key.id)
        return value


def _ids(text: str) -> list[str]:
    if (id := subject_of(text)) is not None:
        return [id]
    try:
        found = (subject_of(json.loads(text[start:end])) for start, end, _ in strings(text))
        return [id for id in found if id is not None]
    except NotADocument:
        return []
