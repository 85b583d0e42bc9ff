"""The independent grader: a full read of the source at the very snapshot a sync exported.

It shares nothing with what it grades but the snapshot's name: rows, slices, hashes and versions
are asked of the server or computed here, never taken from the platform's own code or horizon.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from data_platform.sources.postgres.session import SourceSession
from data_platform.sync import Platform
from data_platform_tests.exactness.mirror import mirrored
from data_platform_tests.sync.conftest import HASH_KEY

Row = tuple[Any, ...]
Rows = Mapping[Any, Row]
"""Rows by key, every column of each and its version last."""


class Inexact(AssertionError):
    """The warehouse is not what the source held. Nothing else counts as a mutant's death."""


Query = Callable[[str], Sequence[Row]]
"""Asks the warehouse that is graded."""


@dataclass(frozen=True)
class Kind:
    """A table as the oracle knows it: ``columns`` in the order of its rows, the key first."""

    name: str
    columns: tuple[str, ...]
    partition: str | None = None
    timezone: str = "UTC"
    hashed: tuple[str, ...] = ()


@dataclass
class Look:
    """One snapshot of a sync: the rows of each table it was to read, and each row's slice.

    ``taken_at`` is what the platform calls the snapshot, to find the batch that came of it.
    """

    thread: int
    taken_at: str
    rows: dict[str, Rows] = field(default_factory=dict)
    slices: dict[str, Mapping[Any, str]] = field(default_factory=dict)


class Oracle:
    """Every snapshot that a sync in this process took while ``watching``, in order."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self.looks: list[Look] = []
        self.begun: Callable[[], None] | None = None
        """Called once a snapshot was taken and read here, before the sync reads anything."""
        self._past: dict[str, dict[Any, set[Row]]] = {}

    @contextmanager
    def watching(self) -> Iterator[Oracle]:
        begin = SourceSession.begin

        def watched(session: SourceSession, tables: Any, **options: Any) -> Any:
            wanted = list(tables)
            snapshot = begin(session, wanted, **options)
            look = Look(threading.get_ident(), snapshot.taken_at)
            names = [name for name, *_ in wanted if name in self.kinds and name not in session.errors]
            with psycopg.connect(session.conninfo, autocommit=True) as connection:
                connection.execute("begin transaction isolation level repeatable read, read only")
                connection.execute(f"set transaction snapshot '{session.exported}'")
                for name in names:
                    look.rows[name], look.slices[name] = _read(connection, self.kinds[name])
            self.looks.append(look)
            for name in names:
                self._remember(name, look.rows[name])
            if self.begun is not None:
                self.begun()
            return snapshot

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SourceSession, "begin", watched)
            yield self

    def last(self, table: str, since: int = 0) -> Look:
        """The last snapshot, from the ``since``-th on, in which ``table`` was to be read."""
        return next(look for look in reversed(self.looks[since:]) if table in look.rows)

    def at(self, table: str, taken_at: str) -> Look:
        """The snapshot the platform calls ``taken_at``."""
        return next(x for x in reversed(self.looks) if x.taken_at == taken_at and table in x.rows)

    def grade_changes(self, query: Query, table: str, look: Look) -> None:
        """No row of the snapshot is missing or stale; what else is there was deleted since it was last exact."""
        held, expected = landed(query, self.kinds[table]), look.rows[table]
        _same(table, {key: held.get(key) for key in expected}, expected)
        past = self._past.get(table, {})
        invented = {k: row for k, row in held.items() if k not in expected and row not in past.get(k, ())}
        if invented:
            raise Inexact(f"{table}: rows the source never held since it was last exact: {_shown(invented)}")

    def grade_slices(self, query: Query, table: str, look: Look, slices: Sequence[str]) -> None:
        """The slices read are those of the snapshot, deletes included, and no key stands twice anywhere."""
        kind = self.kinds[table]
        held, expected, days = landed(query, kind), look.rows[table], look.slices[table]
        inside = {key: row for key, row in expected.items() if days[key] in slices}
        _same(table, {key: held.get(key) for key in inside}, inside)
        gone = {k: held[k] for k in in_slices(query, kind, slices) if k not in inside}
        if gone:
            raise Inexact(f"{table}: rows that the slices read do not hold at the source: {_shown(gone)}")

    def grade_exact(self, query: Query, table: str, look: Look) -> None:
        """Every row and nothing else; what was deleted before may not be seen again."""
        _same(table, landed(query, self.kinds[table]), look.rows[table])
        self._past[table] = {}
        self._remember(table, look.rows[table])

    def _remember(self, table: str, rows: Rows) -> None:
        past = self._past.setdefault(table, {})
        for key, row in rows.items():
            past.setdefault(key, set()).add(row)


@contextmanager
def warehouse(platform: Platform) -> Iterator[Query]:
    """Opened once for as many questions as there are."""
    with platform.warehouse(read_only=True) as opened:
        if opened.dialect.name == "duckdb":
            yield lambda sql: opened.query(sql).rows
            return
        with mirrored(opened) as copy:
            yield lambda sql: copy.execute(sql).fetchall()


def landed(query: Query, kind: Kind) -> Rows:
    """The warehouse's rows by key; Inexact when a key stands on more than one."""
    found: dict[Any, Row] = {}
    for row in query(f"select {', '.join(kind.columns)}, _source_xmin from raw_shop.{kind.name}"):
        if row[0] in found:
            raise Inexact(f"{kind.name}: the key {row[0]} stands on more than one row")
        found[row[0]] = row
    return found


def in_slices(query: Query, kind: Kind, slices: Sequence[str]) -> list[Any]:
    """The warehouse's keys in ``slices``; the server's own days would miss the rows it no longer holds."""
    wanted = ", ".join(f"'{slice_}'" for slice_ in slices)
    local = f"cast({kind.partition} at time zone '{kind.timezone}' as date)"  # as every engine here says it
    day = f"coalesce(cast({local} as varchar(10)), 'null')"
    return [row[0] for row in query(f"select id from raw_shop.{kind.name} where {day} in ({wanted})")]


def _read(connection: Any, kind: Kind) -> tuple[Rows, Mapping[Any, str]]:
    day = "'all'"
    if kind.partition:
        day = f"coalesce((({kind.partition} at time zone '{kind.timezone}')::date)::text, 'null')"
    rows, slices = {}, {}
    statement = f"select {', '.join(kind.columns)}, xmin::text::bigint, {day} from {kind.name}"
    for *values, slice_ in connection.execute(statement):
        for name in kind.hashed:
            place = kind.columns.index(name)
            values[place] = _hashed(values[place])
        if values[0] in rows:
            raise AssertionError(f"{kind.name}: the source holds the key {values[0]} twice")
        rows[values[0]] = tuple(values)
        slices[values[0]] = slice_
    return rows, slices


def _hashed(email: str | None) -> str | None:
    """What the documentation says becomes of an e-mail address under ``hash``."""
    if email is None:
        return None
    return hmac.new(HASH_KEY.encode(), email.strip().lower().encode(), hashlib.sha256).hexdigest()


def _same(table: str, held: Mapping[Any, Row | None], expected: Rows) -> None:
    missing = {key: row for key, row in expected.items() if held.get(key) is None}
    stale = {
        key: (row, held[key]) for key, row in expected.items() if key not in missing and held[key] != row
    }
    extra = {key: held[key] for key in held if key not in expected}
    if missing or stale or extra:
        raise Inexact(
            f"{table}: {len(missing)} row(s) missing: {_shown(missing)}; {len(stale)} stale (source, warehouse):"
            f" {_shown(stale)}; {len(extra)} that the source does not hold: {_shown(extra)}"
        )


def _shown(rows: Mapping[Any, Any]) -> str:
    return "; ".join(str(row) for row in list(rows.values())[:3]) or "none"
