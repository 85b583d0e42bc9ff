"""Dagster's SQLite event log with batches: the same files and rows, written in one transaction each.

A backfill of 365 days writes an event a partition when it is planned and one when it is
done. The default storage opens two databases and commits twice an event (14-20 ms on a slow
core); together they take 1 ms each. ``dagster.yaml`` names this class; without it, or with
another storage, everything works the same and backfills take longer. It builds on names that
Dagster keeps to itself, which is why its version is pinned; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster import Field, StringSource
from dagster._core.errors import DagsterHomeNotSetError
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """Takes the place of the default; choosing it switches Dagster's batching of events on."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchingSqliteEventLogStorage:
        return cls(config_value.get("base_dir") or _default_folder(), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Runs of asset events are stored together, anything between them one by one, in order."""
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
    statements = [storage.prepare_insert_event(event) for event in events]
    with storage.run_connection(events[0].run_id) as connection:
        for statement in statements:
            connection.execute(statement)
    with storage.index_transaction() as connection:
        ids = [_inserted(connection.execute(statement)) for statement in statements]
        storage._store_asset_event_tags(connection, events, ids)
        # An asset's own record keeps its last event of each kind only.
        last = {(e.get_dagster_event().asset_key, e.dagster_event_type): n for n, e in enumerate(events)}
        for n in sorted(last.values()):
            storage._store_asset_event(connection, events[n], ids[n])


def _is_asset_event(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _inserted(result: Any) -> int:
    return int(result.inserted_primary_key[0])


def _default_folder() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise DagsterHomeNotSetError(
            "DAGSTER_HOME is not set; it is the folder Dagster keeps its records in."
        )
    return str(Path(home) / "history" / "runs")
