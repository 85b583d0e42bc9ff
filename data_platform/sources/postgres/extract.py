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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import SourceError, SourceUnreachable, StoreFull, UnsupportedType, ValueNotKept
from data_platform.sources.postgres.connection import redact
from data_platform.sources.postgres.introspect import Leaf, Relation
from data_platform.sources.postgres.types import literal, quote

if TYPE_CHECKING:
    import duckdb

PAGES_PER_UNIT = 16_384
"""128 MB of heap: a unit is large enough to make its start-up (about 30 ms) vanish and
small enough that two readers finish close together and a part stays handy."""

READER_MEMORY = "192MB"
PARQUET = (
    "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 4096,"
    " ROW_GROUP_SIZE_BYTES '48MB'"
)
"""Level 1 and a dictionary that gives up early (by default it hashes a fifth of a row group of
unique values first) take a fifth of the reader's CPU time away and add 7% to the file."""


@dataclass(frozen=True, slots=True)
class Projection:
    """One landed column: ``server`` is evaluated by PostgreSQL and aliased to ``name``,
    ``engine`` by DuckDB over that alias. ``server`` is None for what the engine
    derives from other columns alone."""

    name: str
    server: str | None
    engine: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One part to read: the FROM clause's relation and a predicate, in server SQL."""

    relation: str
    predicate: str


@dataclass
class Read:
    """One table's read: its units and, once ``done``, the parts that have rows, or the error."""

    label: str
    projections: Sequence[Projection]
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

    def finish_unit(self, path: Path | None, rows: int, error: Exception | None) -> None:
        with self._lock:
            if path is not None and rows:
                self.parts.append((path, rows))
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


def whole_table_units(relation: Relation, *, split: bool) -> list[Unit]:
    """Units that cover every row once. ``split`` allows ctid ranges (PostgreSQL 14+ scans
    just the range; before, each range would read the whole table)."""
    if not relation.leaves:
        return [Unit(name(relation.schema, relation.name), "true")]
    units: list[Unit] = []
    for leaf in relation.leaves:
        units.extend(_leaf_units(leaf, only=relation.kind == "p", split=split))
    return units


def _leaf_units(leaf: Leaf, *, only: bool, split: bool) -> list[Unit]:
    relation = (
        f"only {name(leaf.schema, leaf.name)}" if only and leaf.kind == "r" else name(leaf.schema, leaf.name)
    )
    if leaf.kind != "r" or not split or leaf.pages <= PAGES_PER_UNIT // 8:
        return [Unit(relation, "true")]
    count = max(2, -(-leaf.pages // PAGES_PER_UNIT))
    step = -(-leaf.pages // count)
    bounds = [
        f"ctid >= '({n * step},0)'::tid and ctid < '({(n + 1) * step},0)'::tid" for n in range(count - 1)
    ]
    # the last range is open: the size is the file's before the snapshot
    return [Unit(relation, b) for b in [*bounds, f"ctid >= '({(count - 1) * step},0)'::tid"]]


def name(schema: str, relation: str) -> str:
    return f"{quote(schema)}.{quote(relation)}"


@cache
def extension_path() -> str:
    """The signed extension of the installed wheel: nothing is downloaded at run time."""
    import duckdb
    import duckdb_extension_postgres_scanner as wheel

    folder = Path(str(wheel.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    return str(folder / "postgres_scanner.duckdb_extension")


class Readers:
    """Up to ``connections`` readers over one exported snapshot.

    ``setup`` are statements with parameters run in each engine first (the
    keyed-hash pads live in engine variables, so that no key stands in SQL).
    """

    def __init__(
        self,
        conninfo: str,
        snapshot: str,
        *,
        connections: int,
        setup: Sequence[tuple[str, list[Any]]] = (),
        on_progress: Callable[[str, int], None] | None = None,
    ) -> None:
        self._conninfo, self._snapshot, self._setup = conninfo, snapshot, setup
        self._connections = connections
        self._on_progress = on_progress
        self._work: queue.SimpleQueue[tuple[Read, int] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def start(self, reads: Sequence[Read]) -> None:
        """Queue every unit of ``reads`` and start as many readers as there is work for."""
        units = 0
        for read in reads:
            read.begin()
            for number in range(len(read.units)):
                self._work.put((read, number))
                units += 1
        for _ in range(min(self._connections, units)):
            thread = threading.Thread(target=self._run, name="postgres-reader", daemon=True)
            self._threads.append(thread)
            thread.start()
        for _ in self._threads:
            self._work.put(None)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Take no further unit and wait for those under way: their files are about to be removed."""
        self._stopped.set()
        self.join()

    def _run(self) -> None:
        engine: duckdb.DuckDBPyConnection | None = None
        failure: Exception | None = None
        try:
            engine = self._open()
        except Exception as error:  # every unit this reader would have taken must still end
            failure = SourceUnreachable(
                f"A reader could not join the source's snapshot: {redact(str(error), self._conninfo)}."
                " Run the sync again."
            )
        try:
            while (item := self._work.get()) is not None:
                read, number = item
                if failure or read.error or engine is None or self._stopped.is_set():
                    read.finish_unit(None, 0, failure)
                    continue
                read.start_unit()
                path = read.folder / f"part-{number:04d}.parquet"
                try:
                    rows = self._copy(engine, read, read.units[number], path)
                except Exception as error:
                    path.unlink(missing_ok=True)
                    read.finish_unit(None, 0, self._readable(error, read))
                    if _connection_lost(error):
                        failure = read.error
                    else:  # the server's transaction is aborted: join the snapshot anew
                        engine.close()
                        engine = None
                        try:
                            engine = self._open()
                        except Exception as reopen:
                            failure = SourceUnreachable(
                                f"A reader lost the source's snapshot: {redact(str(reopen), self._conninfo)}."
                            )
                else:
                    read.finish_unit(path, rows, None)
                    if self._on_progress:
                        self._on_progress(read.label, read.rows)
        finally:
            if engine is not None:
                engine.close()

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
            },
        )
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(f"LOAD {literal(extension_path())}")
        engine.execute(f"ATTACH {literal(self._conninfo)} AS source (TYPE postgres, READ_ONLY)")
        for statement, parameters in self._setup:
            engine.execute(statement, parameters)
        engine.execute("BEGIN TRANSACTION")
        engine.execute(
            "CALL postgres_execute('source', ?)", [f"SET TRANSACTION SNAPSHOT {literal(self._snapshot)}"]
        )
        return engine

    def _copy(self, engine: duckdb.DuckDBPyConnection, read: Read, unit: Unit, path: Path) -> int:
        columns = ", ".join(
            f"{p.server} as {quote(p.name)}" for p in read.projections if p.server is not None
        )
        server = f"select {columns} from {unit.relation} where {unit.predicate}"
        engine_columns = ", ".join(f"{p.engine} AS {quote(p.name)}" for p in read.projections)
        result = engine.execute(
            f"COPY (SELECT {engine_columns} FROM postgres_query('source', {literal(server)}))"
            f" TO {literal(str(path))} ({PARQUET})"
        ).fetchone()
        return int(result[0]) if result else 0

    def _readable(self, error: Exception, read: Read) -> Exception:
        text = redact(str(error), self._conninfo)
        kind = type(error).__name__
        if "value-not-kept:" in text:
            column = text.split("value-not-kept:", 1)[1].split()[0]
            if "NaN value-not-kept:" in text:
                return ValueNotKept(
                    f"{read.label}: the numeric column {column} holds NaN, which no DECIMAL can keep. Find it"
                    f" with `WHERE {column} = 'NaN'` and correct it at the source, or land it as text:"
                    f" `as: {{{column}: text}}`."
                )
            return ValueNotKept(
                f"{read.label}: the column {column} holds a timestamp beyond the year 294246, which the"
                f" engine cannot keep. Land it as text: `as: {{{column}: text}}`."
            )
        if "multidimensional" in text.lower() or "dimension" in text.lower():
            return UnsupportedType(
                f"{read.label}: an array column holds arrays of several dimensions. Land it as text:"
                " `as: {column: text}`."
            )
        if "No space left" in text:
            return StoreFull(
                f"{read.label}: the disk of the landing store is full. Nothing was committed; free space"
                " and run the sync again."
            )
        if _connection_lost(error):
            return SourceUnreachable(
                f"{read.label}: the connection to the source was lost. Run the sync again."
            )
        if "canceling statement due to statement timeout" in text:
            return SourceUnreachable(
                f"{read.label}: the read took longer than statement_timeout_seconds and was cancelled."
            )
        return SourceError(f"{read.label}: the read failed ({kind}): {_shorten(text)}.")


def _connection_lost(error: Exception) -> bool:
    text = str(error)
    return any(
        sign in text
        for sign in (
            "server closed the connection",
            "terminating connection",
            "connection to server",
            "no connection",
        )
    )


def _shorten(text: str) -> str:
    """The engine's message without the statement and without quoted values."""
    import re

    text = re.split(r"(?:\bLINE \d+:|DETAIL:|CONTEXT:|Failed to execute query)", text, maxsplit=1)[0]
    return re.sub(r'"[^"]{40,}"|\'[^\']*\'', "…", text).strip()[:300].rstrip(".:")
