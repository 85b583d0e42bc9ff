"""Reading relations into Parquet parts under one exported snapshot, memory bounded.

A reader thread owns one DuckDB instance with one thread and one server
connection that joined the exported snapshot; it takes units of work (one
relation, one ctid range, one part file) from a queue. Side by side they read
several tables, or several ranges of a large one. What to select is decided by
the caller; what becomes of the parts is the landing's.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import DataPlatformError, SourceUnreachable
from data_platform.sources.parquet import PARQUET
from data_platform.sources.postgres import pieces
from data_platform.sources.postgres.connection import unreachable
from data_platform.sources.postgres.question import Question
from data_platform.sources.postgres.read_errors import Asked, Why, does_not_fit, not_kept, of_the_engine
from data_platform.sources.postgres.settings import check_place, place
from data_platform.sources.postgres.types import literal, quote
from data_platform.sources.postgres.units import Unit
from data_platform.sources.postgres.unreachable import NO_SERVER_CONNECTION, cause
from data_platform.sources.reading import LandedColumns, prepare

if TYPE_CHECKING:
    import duckdb

    from data_platform.sources.postgres.session import SourceSession

READER_MEMORY = "192MB"
PAUSES_SECONDS = (0.05, 0.2, 0.5, 1.0)
"""Before each further try of a read that failed for something of the moment. No lock is waited for meanwhile."""


@dataclass
class Read:
    """One table's read: its units and, once ``done``, the parts that have rows, or the error.

    ``server`` is what PostgreSQL evaluates, as (alias, SQL), ``landed`` what DuckDB makes of those aliases.
    ``suspects`` are server predicates, by column, for values that would land as an infinity: asked only of parts
    that hold one."""

    label: str
    server: Sequence[tuple[str, str]]
    landed: LandedColumns
    suspects: Sequence[tuple[str, str]]
    units: Sequence[Unit]
    folder: Path
    rows_estimate: int = 0
    parts: list[tuple[Path, int]] = field(default_factory=list)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)
    started: float | None = None
    ended: float = 0.0
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.parts)

    @property
    def seconds(self) -> float:
        """From its first unit's start to its last one's end."""
        return self.ended - self.started if self.started is not None else 0.0

    def start_unit(self) -> None:
        with self._lock:
            if self.started is None:
                self.started = time.monotonic()

    def finish_unit(self, parts: Sequence[tuple[Path, int]], error: Exception | None) -> None:
        with self._lock:
            self.parts += [(path, rows) for path, rows in parts if rows]
            if error is not None and self.error is None:
                self.error = error
            self._left -= 1
            if self._left == 0:
                self.parts.sort()
                self.ended = time.monotonic()
                self.done.set()

    def begin(self) -> None:
        self._left = len(self.units)
        if not self.units:
            self.done.set()


@cache
def extension_path() -> str:
    """The extension of the installed wheel: nothing is downloaded at run time."""
    import duckdb
    import duckdb_extension_postgres_scanner as wheel

    folder = Path(str(wheel.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    return str(folder / "postgres_scanner.duckdb_extension")


class Readers:
    """Up to ``connections`` readers over the snapshot that ``session`` exported.

    On a standby there is one reader, under a snapshot of its own: there
    PostgreSQL may export one without what is in progress, and a reader that imports it marks living
    rows as dead there, for everybody. What else must be known under that snapshot is its to ``ask``.

    Each engine is made ready for ``landed`` first (the keyed-hash pads live in engine variables, so that no key
    stands in SQL).
    """

    def __init__(
        self,
        session: SourceSession,
        *,
        connections: int,
        landed: Sequence[LandedColumns] = (),
        on_progress: Callable[[str, int], None] | None = None,
    ) -> None:
        self._session, self._conninfo, self._landed = session, session.conninfo, landed
        self._snapshot = None if session.server.standby else session.exported
        self._asked = Asked(session, self._snapshot)
        self._connections = connections if self._snapshot is not None else 1
        self._on_progress = on_progress
        self._locks: tuple[str, ...] = ()
        self._work: queue.SimpleQueue[tuple[Read, int] | Question | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._all_open = threading.Barrier(1)
        self._stopped = threading.Event()

    def start(self, reads: Sequence[Read]) -> None:
        """Queue every unit of ``reads`` and start as many readers as there is work for."""
        units = 0
        self._locks = tuple(dict.fromkeys(unit.table for read in reads for unit in read.units))
        for read in reads:
            read.begin()
            for number in range(len(read.units)):
                self._work.put((read, number))
                units += 1
        count = min(self._connections, units) if self._snapshot is not None else 1
        self._all_open = threading.Barrier(max(1, count))
        for _ in range(count):
            thread = threading.Thread(target=self._run, name="postgres-reader", daemon=True)
            self._threads.append(thread)
            thread.start()
        if self._snapshot is not None:  # or else there may be questions yet
            self._end()

    def ask(self, server: str) -> list[tuple[Any, ...]]:
        """The rows of a statement in server SQL under the snapshot of the one reader, after what it has to
        read. Columns of ``numeric`` would lose digits on the way: select them as text."""
        question = Question(server)
        self._work.put(question)
        return question.answer.result()

    def join(self) -> None:
        if self._snapshot is None:
            self._end()
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                thread.join()

    def _end(self) -> None:
        for _ in self._threads:
            self._work.put(None)

    def stop(self) -> None:
        """Take no further unit and wait for those under way: their files are about to be removed."""
        self._stopped.set()
        self._all_open.abort()
        self._end()  # `start` may have been interrupted before it said so
        self.join()

    def _run(self) -> None:
        engine: duckdb.DuckDBPyConnection | None = None
        failure: Exception | None = None
        try:
            engine = self._open_locked()
        except Exception as error:  # every unit this reader would have taken must still end
            failure = self._not_opened(error)
        with suppress(threading.BrokenBarrierError):
            self._all_open.wait()  # once a row was read, whoever comes to ALTER a table holds up no reader
        try:
            while (item := self._work.get()) is not None:
                if isinstance(item, Question):
                    failure = item.put_to(engine, failure, self._asked, READER_MEMORY) or failure
                    continue
                read, number = item
                if failure or read.error or engine is None or self._stopped.is_set():
                    read.finish_unit([], failure)
                    continue
                read.start_unit()
                engine, problem, lost = self._read(engine, read, number)
                failure = lost or failure
                if problem is None and self._on_progress:
                    self._on_progress(read.label, read.rows)
        finally:
            if engine is not None:
                _close(engine)

    def _read(
        self, engine: duckdb.DuckDBPyConnection | None, read: Read, number: int
    ) -> tuple[duckdb.DuckDBPyConnection | None, Exception | None, Exception | None]:
        """Read one unit, in pieces where it does not fit. (the engine to go on with; what kept this unit
        from being read; what keeps this reader from reading any other)"""
        todo = [(read.units[number], read.folder / f"part-{number:04d}.parquet")]
        parts: list[tuple[Path, int]] = []
        problem: Exception | None = None
        lost: Exception | None = None
        tried: Counter[int] = (
            Counter()
        )  # a lock may be gone when the server is asked who held it: each counts apart
        while todo and problem is None and engine is not None:
            unit, path = todo.pop()
            began = time.monotonic()
            try:
                parts.append((path, self._copy(engine, read, unit, path)))
                continue
            except Exception as raised:
                path.unlink(missing_ok=True)
                too_large = does_not_fit(raised)
                why = self._why(raised, read, unit, time.monotonic() - began)
                problem = why.error
            # The server's transaction is aborted, or the connection was lost: join the snapshot anew. What
            # cannot be joined any more is lost to every table; what can was this table's trouble alone.
            _close(engine)
            engine = None
            if again := self._snapshot is not None and tried[why.tries] < why.tries:
                self._stopped.wait(PAUSES_SECONDS[min(tried.total(), len(PAUSES_SECONDS) - 1)])
                tried[why.tries] += 1
            if self._stopped.is_set():
                lost = problem
                break
            try:
                engine = self._open_locked()
                if again:
                    todo.append((unit, path))
                    problem = None
                whole = self._snapshot is not None or not parts  # or the pieces would be of two snapshots
                if too_large and whole and (smaller := self._smaller(engine, unit, path)):
                    todo += smaller
                    problem = None
            except Exception as raised:
                lost = self._not_opened(raised)
                problem = problem or lost
        read.finish_unit([] if problem else parts, problem)
        return engine, problem, lost

    def _why(self, error: Exception, read: Read, unit: Unit, took: float) -> Why:
        """What to tell of ``error``; who was told to stop asks nobody."""
        if found := of_the_engine(error, read.label, READER_MEMORY):
            return Why(found)
        if self._stopped.is_set():
            return Why(SourceUnreachable(f"{read.label}: the read was stopped."))
        return self._asked.why(error, _server_sql(read, unit), f"{read.label}: the read", took)

    def _open_locked(self) -> duckdb.DuckDBPyConnection:
        """An engine that holds the tables it may come to read. Whoever waits to ALTER one of them meanwhile
        waits for the session that took the snapshot; a reader that came later would queue behind
        them, and nobody would get on. So it waits for none: a table that is not to be had now gives way."""
        engine = self._open()
        blocks = " ".join(
            f"begin lock table {relation} in access share mode nowait; exception when others then null; end;"
            for relation in self._locks
        )
        try:
            self._order(engine, f"do {literal(f'begin {blocks} end')}")
        except Exception:  # a database without PL/pgSQL
            _close(engine)
            return self._open()
        return engine

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        engine = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,
                "memory_limit": READER_MEMORY,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # pip has held its wheel against the lock file's hash: to check the signature of its 42 MB
                # again takes a quarter of a second of every reader
                "allow_unsigned_extensions": True,
            },
        )
        try:
            engine.execute("SET TimeZone = 'UTC'")
            engine.execute(f"LOAD {literal(extension_path())}")
            if self._session.pooled:
                # The extension's own pool runs DISCARD ALL on what it takes back: in transaction mode that is
                # another client's connection by then, with that client's advisory locks.
                engine.execute("SET pg_pool_max_connections = 0")
            engine.execute(f"ATTACH {literal(self._conninfo)} AS source (TYPE postgres, READ_ONLY)")
            prepare(engine, self._landed)
            engine.execute("BEGIN TRANSACTION")
            # the extension runs all that follows on the one server connection of this transaction
            if self._snapshot is not None:
                self._order(engine, f"SET TRANSACTION SNAPSHOT {literal(self._snapshot)}")
            self._order(engine, self._session.settings.statement())
            found = self._rows(engine, self._session.settings.question())
            self._session.settings.check(found, isolation="repeatable read")
            check_place(
                place(partial(self._rows, engine)),
                self._session.place,
                source=self._session.source,
                exported=self._snapshot is not None,
            )
        except BaseException:
            _close(engine)
            raise
        return engine

    def _order(self, engine: duckdb.DuckDBPyConnection, server: str) -> None:
        engine.execute("CALL postgres_execute('source', ?)", [server])

    def _rows(self, engine: duckdb.DuckDBPyConnection, server: str) -> list[tuple[Any, ...]]:
        return engine.execute(f"SELECT * FROM postgres_query('source', {literal(server)})").fetchall()

    def _not_opened(self, error: Exception) -> DataPlatformError:
        """For a reader that did not come to where it could read."""
        if isinstance(error, DataPlatformError):
            return error
        what = f"Joining the snapshot of the source {self._session.source!r}"
        if ended := self._session.ended(what):
            return ended
        text = str(error).replace(self._conninfo, "")
        if "Unable to connect" in text:
            return unreachable(self._session.target, text)
        if self._session.pooled and "server closed the connection" in text:  # all that the engine passes on
            text = NO_SERVER_CONNECTION
        return SourceUnreachable(f"{what} failed: {cause(text)}. Run the sync again.")

    def _copy(self, engine: duckdb.DuckDBPyConnection, read: Read, unit: Unit, path: Path) -> int:
        server = _server_sql(read, unit)
        landed = read.landed.select(f"postgres_query('source', {literal(server)})")
        result = engine.execute(
            f"COPY ({landed}) TO {literal(str(path))} ({PARQUET}{', RETURN_STATS' if read.suspects else ''})"
        ).fetchone()
        if not read.suspects:
            return int(result[0]) if result else 0
        if result:
            infinite = [s for s in read.suspects if "infinity" in str(result[4].get(quote(s[0])))]
            self._ask(engine, read, unit, infinite)
        return int(result[1]) if result else 0

    def _smaller(self, engine: duckdb.DuckDBPyConnection, unit: Unit, path: Path) -> list[tuple[Unit, Path]]:
        """``unit`` in pieces of fewer rows, none where it cannot be cut."""
        cut = pieces.predicates(partial(self._rows, engine), unit.table, unit.relation, unit.predicate)
        return [
            (replace(unit, predicate=predicate), path.with_stem(f"{path.stem}-{number:05d}"))
            for number, predicate in enumerate(cut)
        ]

    def _ask(
        self, engine: duckdb.DuckDBPyConnection, read: Read, unit: Unit, infinite: Sequence[tuple[str, str]]
    ) -> None:
        """ValueNotKept when an infinity that was read is none at the source."""
        for name, suspect in infinite:
            server = f"select 1 from {unit.relation} where ({unit.predicate}) and {suspect} limit 1"
            if self._rows(engine, server):
                raise not_kept(read.label, name, "year")


def _server_sql(read: Read, unit: Unit) -> str:
    columns = ", ".join(f"{sql} as {quote(name)}" for name, sql in read.server)
    return f"select {columns} from {unit.relation} where {unit.predicate}"


def _close(engine: duckdb.DuckDBPyConnection) -> None:
    """Ends the transaction by a statement, which may fail: left to the engine's own end, the rollback on a
    connection that is lost would end the whole process."""
    with suppress(Exception):
        engine.execute("ROLLBACK")
    engine.close()
