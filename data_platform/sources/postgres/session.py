"""One look at a PostgreSQL source: observe, lock, take one snapshot, and read under it.

A session holds the coordinating connection for one sync or probe. Order
matters and is kept here: the activity is read before the snapshot, the tables
are locked (ACCESS SHARE) before it too, and everything after reads under it.
No lock is waited for while another is held: see ``locks.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, TypeVar

from data_platform.errors import DataPlatformError, SourceError, SourceUnreachable, TableLocked
from data_platform.sources.postgres import locks, together
from data_platform.sources.postgres.clock import Observation, observe
from data_platform.sources.postgres.connected import Connected
from data_platform.sources.postgres.connection import Target
from data_platform.sources.postgres.introspect import Relation, read_relations
from data_platform.sources.postgres.position import Seen
from data_platform.sources.postgres.rows import from_clause
from data_platform.sources.postgres.server_errors import LOCK_CODES
from data_platform.sources.postgres.settings import Place, place, transaction
from data_platform.sources.postgres.together import Wanted
from data_platform.sources.postgres.types import quote

NOT_THERE = ("42P01", "3F000")
"""SQLSTATEs of a relation or schema that does not exist."""
LOOK_SECONDS = 5
"""How long who only looks tries again to look at what is locked, for all tables together."""
LOOKED_AT_ONCE = 100
"""Tables that one transaction looks at: who comes to ALTER one of them meanwhile waits for some milliseconds."""
DENIED = "42501"
_OVER = object()

T = TypeVar("T")

_SAME_FILE = """
select coalesce(bool_and(c.relfilenode = pg_relation_filenode(c.oid)), true)
from pg_class c where c.relkind = 'r'
  and (c.oid = %(oid)s or c.oid in (select relid from pg_partition_tree(%(oid)s)))
"""
"""pg_class shows a table's file as of the snapshot, the function the present one."""


class SourceSession(Connected):
    """``with SourceSession(...) as session``; ``relations`` and ``errors`` say, per name asked
    for in ``begin``, what can be read and what cannot."""

    place: Place
    """Where the snapshot was taken: readers must be there too."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.relations: dict[str, Relation] = {}
        self.errors: dict[str, DataPlatformError] = {}
        self._locked: set[str] = set()
        self._denied: dict[str, DataPlatformError] = {}
        self.observation: Observation | None = None
        self.snapshot: Seen | None = None
        self.exported = ""
        self.reader: Callable[[str], list[tuple[Any, ...]]] | None = None
        self._began = time.monotonic()

    def begin(self, tables: Iterable[Wanted], *, observe_activity: bool) -> Seen:
        """Lock and describe ``tables``, then take the snapshot.

        A table that is missing, not permitted or locked lands in ``errors`` and
        does not keep the others from being read.
        """
        wanted = list(tables)
        try:
            if observe_activity:
                with transaction(self._connection, self.settings):
                    self.observation = observe(self._connection)
            execute = self._connection.execute
            self._begin_locked(wanted)
            text, xmin, taken, exported = execute(
                "select pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " clock_timestamp(), pg_export_snapshot()"
            ).fetchone()
            self.settings.check(execute(self.settings.question()), isolation="repeatable read")
            self.place = place(execute)
            self._describe([w for w in wanted if w[0] not in self.errors])
        except Exception as error:
            raise self.failure(error, f"Taking a snapshot of {self.source!r}") from None
        self.exported = exported
        self._began = time.monotonic()
        self.snapshot = self._snapshot(text, xmin, taken)
        return self.snapshot

    def observe(self, *, activity: bool) -> Seen:
        """The numbers of a snapshot that is not kept, for who only looks."""
        with self.asking(f"Looking at {self.source!r}") as connection:
            if activity:
                self.observation = observe(connection)
            text, xmin, taken = connection.execute(
                "select pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " clock_timestamp()"
            ).fetchone()
        self.snapshot = self._snapshot(text, xmin, taken)
        return self.snapshot

    def look(
        self, tables: Iterable[Wanted], act: Callable[[str, Relation], T], *, seconds: float
    ) -> dict[str, T | DataPlatformError]:
        """What ``act`` makes of each table and its relation, or why there is nothing.

        A table has a short transaction of its own, which waits for no lock. What is locked is tried again
        until ``seconds`` have passed for all together. A lost connection is raised: it hits every table.
        """
        left = {table: (schema, relation) for table, schema, relation in tables}
        done: dict[str, T | DataPlatformError] = {}
        pauses = locks.Patience(seconds).pauses()
        while True:
            for table, (schema, relation) in left.items():
                done[table] = self._look_at(table, schema, relation, act)
            left = {table: left[table] for table in left if isinstance(done[table], TableLocked)}
            if not left or next(pauses, _OVER) is _OVER:
                break
        for table, who in self._in_the_way([(t, *where) for t, where in left.items()]).items():
            done[table] = TableLocked(f"{'.'.join(left[table])} is locked: {who}. Try again once it is done.")
        return done

    def glance(
        self, tables: Sequence[Wanted], question: Callable[[str, Relation], str | None]
    ) -> dict[str, list[tuple[Any, ...]]]:
        """By name, the answer to ``question`` (a statement) about each of many tables.

        ``LOOKED_AT_ONCE`` of them share a transaction of some milliseconds that waits for no lock. What has no
        question, or could not be described or asked, is left out: ``look`` tells why.
        """
        found: dict[str, list[tuple[Any, ...]]] = {}
        for start in range(0, len(tables), LOOKED_AT_ONCE):
            some = tables[start : start + LOOKED_AT_ONCE]
            try:
                with transaction(self._connection, self.settings, "repeatable read"):
                    described = together.describe(self._connection, some)
                    known = {w[0]: one for w, one in described if isinstance(one, Relation)}
                    asked = {name: sql for name, one in known.items() if (sql := question(name, one))}
                    answers = dict(together.ask_each(self._connection, asked))
            except Exception as error:
                if self._connection.closed:
                    raise self.failure(error, f"Looking at {self.source!r}") from None
                continue
            found |= {name: rows for name, rows in answers.items() if not isinstance(rows, Exception)}
        return found

    def permitted(self, table: str, relation: Relation) -> Relation:
        """``relation``, where this user may read it as a sync would: for ``look``."""
        if relation.readable is not None and not relation.readable:
            raise SourceError(
                f"Reading {relation.schema}.{relation.name} is not permitted. GRANT SELECT on it (and USAGE on its"
                " schema) to the sync's user."
            )
        return relation

    def described(self, schema: str, name: str) -> Relation | None:
        """A relation as the present transaction sees it; None if it is not there."""
        ((_, found),) = together.describe(self._connection, [(name, schema, name)])
        return found if isinstance(found, Relation) else None

    def execute(self, statement: str, *, what: str) -> list[tuple[Any, ...]]:
        """Rows of a statement under the snapshot; a failure leaves the session usable."""
        try:
            if self.reader is not None:
                return self.reader(statement)
            return together.ask(self._connection, [statement])[0]
        except Exception as error:
            raise self.failure(error, what) from None

    def execute_each(
        self, statements: Mapping[str, str], *, what: Callable[[str], str]
    ) -> dict[str, list[tuple[Any, ...]] | DataPlatformError]:
        """By name, the rows of each of ``statements`` under the snapshot, or its failure, of ``what(name)``.

        Those that are sent together have their ``statement_timeout`` each, and fail each by itself.
        """
        found: dict[str, list[tuple[Any, ...]] | DataPlatformError] = {}
        name = next(iter(statements), "")
        try:
            for name, rows in together.ask_each(self._connection, statements):
                found[name] = self.failure(rows, what(name)) if isinstance(rows, Exception) else rows
        except Exception as error:
            raise self.failure(error, what(name)) from None
        return found

    def under_snapshot(self, what: str) -> Asking:
        """As a connection, for what asks under the snapshot that rows are read under."""
        return Asking(self, what)

    def read_under(self) -> Seen:
        """The snapshot that rows are read under. A standby's reader has one of its own, later than
        ``snapshot``; the watermark stays with the earlier one."""
        assert self.snapshot is not None
        if self.reader is None:
            return self.snapshot
        ((text, taken),) = self.reader(
            "select pg_current_snapshot()::text, (clock_timestamp() at time zone 'UTC')::text"
        )
        taken_at = f"{taken.replace(' ', 'T')}+00:00"
        return replace(self.snapshot, text=text, taken_at=taken_at)

    @property
    def age_seconds(self) -> float:
        """How long the snapshot has been held."""
        return time.monotonic() - self._began

    def _begin_locked(self, wanted: Sequence[Wanted]) -> None:
        """A transaction that holds all of ``wanted``; without what was not to be had in time, which is in
        ``errors``. Between two tries nothing is held."""
        execute = self._connection.execute
        seconds = self.target.lock_timeout_seconds
        pauses = locks.Patience(seconds).pauses()
        who: dict[str, str] = {}
        last = False
        while True:
            with transaction(self._connection, self.settings):
                found = locks.find(self._connection, wanted)
                hidden = {table: f for table, f in found.items() if f.kind in ("v", "m", "f")}
                busy = locks.in_the_way(
                    self._connection, hidden, ("m", "f")
                )  # which LOCK TABLE does not take
            execute(
                f"begin transaction isolation level repeatable read, read only; {self.settings.statement()}"
            )
            failed = self._lock([w for w in wanted if w[0] in found and found[w[0]].kind in locks.LOCKABLE])
            blocked = {t for t, error in failed.items() if getattr(error, "sqlstate", None) in LOCK_CODES}
            blocked |= set(busy)
            if not blocked or last:
                break
            execute("rollback")
            with transaction(self._connection, self.settings):
                who.update(locks.in_the_way(self._connection, {t: found[t] for t in blocked}))
            last = next(pauses, _OVER) is _OVER
        for table, schema, relation in wanted:
            if table in blocked:
                self.errors[table] = TableLocked(
                    f"{schema}.{relation} could not be locked within lock_timeout_seconds"
                    f" ({seconds:g} s): {who.get(table, 'another session holds it')}."
                    " Nothing of it was read; it will be at the next sync."
                )
            elif table in failed and getattr(failed[table], "sqlstate", None) not in NOT_THERE:
                problem = self.failure(failed[table], f"Locking {schema}.{relation} to read it")
                # where some columns are granted, describing it tells
                denied = getattr(failed[table], "sqlstate", None) == DENIED
                (self._denied if denied else self.errors)[table] = problem

    def _lock(self, wanted: Sequence[Wanted]) -> Mapping[str, Exception]:
        """Lock ``wanted`` without waiting for any; those that could not be had, and why."""
        if not wanted:
            return {}
        names = {table: f"{quote(schema)}.{quote(relation)}" for table, schema, relation in wanted}
        if self._lock_some(names.values()) is None:
            self._locked = set(names)
            return {}
        failed = {t: error for t, name in names.items() if (error := self._lock_some([name])) is not None}
        self._locked = set(names) - set(failed)
        return failed

    def _lock_some(self, names: Iterable[str]) -> Exception | None:
        execute = self._connection.execute
        execute("savepoint lock")
        problem: Exception | None = None
        try:
            execute(f"lock table {', '.join(names)} in access share mode nowait")
        except Exception as error:
            if self._connection.closed:
                raise
            execute("rollback to savepoint lock")
            problem = error
        execute("release savepoint lock")
        return problem

    def _in_the_way(self, wanted: Sequence[Wanted]) -> dict[str, str]:
        if not wanted:
            return {}
        with self.asking(f"Asking {self.source!r} who holds a lock") as connection:
            return locks.in_the_way(connection, locks.find(connection, wanted))

    def _look_at(
        self, table: str, schema: str, relation: str, act: Callable[[str, Relation], T]
    ) -> T | DataPlatformError:
        import psycopg

        try:
            with transaction(self._connection, self.settings, "repeatable read"):
                (found,) = read_relations(self._connection, [(schema, relation)])
                if isinstance(found, DataPlatformError):
                    raise found
                return act(table, found)
        except (DataPlatformError, psycopg.Error) as error:
            problem = self.failure(error, f"Describing {schema}.{relation}")
            if self._connection.closed:
                raise problem from None
            return problem

    def _snapshot(self, text: str, xmin: int, taken: Any) -> Seen:
        return Seen(
            self.server.system_identifier,
            self.server.timeline,
            xmin,
            text,
            taken.astimezone(UTC).isoformat(timespec="microseconds"),
        )

    def _lock_by_reading(self, found: Relation) -> None:
        """The lock of a table of which some columns alone are granted: LOCK TABLE would need them all. A read
        takes it after the snapshot, so what a TRUNCATE or a rewrite did in between has to be looked for."""
        execute = self._connection.execute
        execute(f"select from {from_clause(found)} limit 0")
        (same,) = execute(_SAME_FILE, {"oid": found.oid}).fetchone()
        if not same:
            raise SourceUnreachable(
                f"{found.schema}.{found.name} was emptied or rewritten while the snapshot was taken. Nothing was read;"
                " it will be at the next sync."
            )

    def _describe(self, wanted: Sequence[Wanted]) -> None:
        for (table, schema, relation), found in together.describe(self._connection, wanted):
            problem = found if isinstance(found, Exception) else self._not_held(table, found)
            if problem is None and not isinstance(found, Exception):
                self.relations[table] = found
            elif isinstance(problem, DataPlatformError):
                self.errors[table] = problem
            elif problem is not None:
                self.errors[table] = self.failure(problem, f"Describing {schema}.{relation}")

    def _not_held(self, table: str, found: Relation) -> Exception | None:
        """Why ``found`` cannot be read as it is described: nothing keeps a change out of it."""
        if table in self._denied:
            if not found.readable:
                return self._denied[table]
            try:
                with together.savepoint(self._connection):
                    self._lock_by_reading(found)
            except Exception as error:
                if self._connection.closed:
                    raise
                return error
        elif found.kind in locks.LOCKABLE and table not in self._locked:
            return SourceUnreachable(
                f"{found.schema}.{found.name} was made while the snapshot was taken, so nothing keeps a change out of"
                " it. Nothing was read; it will be at the next sync."
            )
        return None


def changed_since(xmin: int) -> str:
    """True for rows whose version may be newer than a snapshot with this ``xmin``.

    ``age()`` compares modulo 2**32 as 32-bit arithmetic, so the test costs no
    conversion and is right across wraparound while ``xmin`` is less than 2**31 old.
    """
    return f"age(xmin) <= age('{xmin % 2**32}'::xid)"


@dataclass(frozen=True)
class Asking:
    """As a connection, for what asks by ``execute`` alone; ``what`` is being done, should it fail."""

    session: SourceSession
    what: str

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.session.execute(statement, what=self.what)
