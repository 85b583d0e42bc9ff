"""Dagster's SQLite event log with batches: the same files and rows, written in one transaction each.

A backfill of 365 days writes an event a partition when it is planned and one when it is
done; a run of 500 tables plans and evaluates 2,000 checks. The default storage opens two databases and
commits twice an event (14-20 ms on a slow core); together they take 1 ms each. ``dagster.yaml`` names this class; without it, or with
another storage, everything works the same and backfills take longer. It builds on names that
Dagster keeps to itself, which is why its version is pinned; a test compares the two.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from dagster import Field, StringSource
from dagster._core.errors import DagsterHomeNotSetError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as EventsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.pool import NullPool, QueuePool

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"
INDEXED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS}
"""What the common file holds too."""
FILES_OPEN = 4
"""The common one, and those of the newest runs."""


class _File(NamedTuple):
    engine: Engine
    identity: tuple[int, int] | None


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """Takes the place of the default; choosing it switches Dagster's batching of events on.

    The default makes an engine for each statement: it compiles the same SQL anew, opens the file, and folds its
    log back in when it closes it again, which was most of the 0.2 CPU-s that a run took for a table with four
    checks. Here a file stays open, and what is stored inside of another storing shares its transaction.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._held: dict[str, Connection] = {}
        self._outputs: list[EventLogEntry] = []
        self._tables: set[str] = set()
        self._process = os.getpid()
        super().__init__(base_dir, inst_data)
        self._db_lock: Any = threading.RLock()
        os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            held = self._held.get(shard)
            if held is not None:
                yield held
                return
            if self._outputs and not self._held:
                self._store_outputs()
            with self._engine(shard).connect() as connection, connection.begin():
                self._held[shard] = connection
                try:
                    yield connection
                finally:
                    del self._held[shard]

    def _engine(self, shard: str) -> Engine:
        if self._process != os.getpid():  # a file that was open when a process forked is the parent's
            self._process, self._files, self._held = os.getpid(), OrderedDict(), {}
        path = self.path_for_shard(shard)
        file = self._files.pop(shard, None)
        if file is not None and file.identity != _identity(path):  # removed, or another was put in its place
            file.engine.dispose()
            self._initialized_dbs.discard(shard)
            file = None
        if file is None:
            address = self.conn_string_for_shard(shard)
            waiting = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            if shard not in self._initialized_dbs:
                self._initdb(create_engine(address, poolclass=NullPool, connect_args=waiting))
                self._initialized_dbs.add(shard)
            engine = create_engine(
                address,
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=0,
                connect_args={**waiting, "check_same_thread": False},
            )
            file = _File(engine, _identity(path))
        self._files[shard] = file
        while len(self._files) > FILES_OPEN:
            oldest = next(name for name in self._files if name not in self._held and name != shard)
            self._files.pop(oldest).engine.dispose()
        return file.engine

    def has_table(self, table_name: str) -> bool:
        """Asked for each event of a check; a table that is there stays."""
        if table_name not in self._tables:
            with self.index_connection() as connection:
                if not connection.dialect.has_table(connection, table_name):
                    return False
            self._tables.add(table_name)
        return True

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        """Asked for each event of an asset, of the tables' definition each time."""
        column = f"asset_keys.{column_name}"
        if column not in self._tables:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._tables.add(column)
        return True

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            self._store_outputs()
            while self._files:
                self._files.popitem()[1].engine.dispose()

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchingSqliteEventLogStorage:
        return cls(config_value.get("base_dir") or _default_folder(), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """In one transaction a file. That a step has an output is a line of the run's log and nothing else: it
        waits for what comes right after it, which is what the output is, or for whoever reads."""
        with self._db_lock:
            if event.is_dagster_event and event.dagster_event_type == DagsterEventType.STEP_OUTPUT:
                if self._outputs and self._outputs[0].run_id != event.run_id:
                    self._store_outputs()
                self._outputs.append(event)
                return
            self._store_with_outputs(event)

    def _store_with_outputs(self, event: EventLogEntry) -> None:
        if self._outputs and self._outputs[0].run_id != event.run_id:
            self._store_outputs()
        before, self._outputs = self._outputs, []
        indexed = event.is_dagster_event and event.dagster_event_type in INDEXED
        with self.run_connection(event.run_id), self.index_connection() if indexed else nullcontext():
            for one in (*before, event):
                super().store_event(one)

    def _store_outputs(self) -> None:
        waiting, self._outputs = self._outputs, []
        if waiting:
            with self.run_connection(waiting[0].run_id):
                for one in waiting:
                    super().store_event(one)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """In order, in one transaction a file."""
        if not events:
            return
        with self.run_connection(events[0].run_id), self.index_connection():
            together: list[EventLogEntry] = []
            for event in events:
                if _is_asset_event(event) and (not together or together[0].run_id == event.run_id):
                    together.append(event)
                    continue
                store_together(self, together)
                together = []
                self.store_event(event)
            store_together(self, together)


def store_together(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    """What ``SqliteEventLogStorage.store_event`` does for each of ``events`` (asset events of one
    run), in one transaction a file."""
    if not events:
        return
    rows = [storage._event_to_row(event) for event in events]
    with storage.run_connection(events[0].run_id) as connection:
        connection.execute(EventsTable.insert(), rows)
    with storage.index_transaction() as connection:
        connection.execute(EventsTable.insert(), rows)
        # the transaction is the file's only writer: its numbers follow each other
        newest: int = connection.execute(select(func.max(EventsTable.c.id))).scalar_one()
        ids = range(newest - len(rows) + 1, newest + 1)
        storage._store_asset_event_tags(connection, events, ids)
        # An asset's own record keeps its last event of each kind only.
        last = {(e.get_dagster_event().asset_key, e.dagster_event_type): n for n, e in enumerate(events)}
        for n in sorted(last.values()):
            storage._store_asset_event(connection, events[n], ids[n])


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_asset_event(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _default_folder() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise DagsterHomeNotSetError(
            "DAGSTER_HOME is not set; it is the folder Dagster keeps its records in."
        )
    return str(Path(home) / "history" / "runs")
