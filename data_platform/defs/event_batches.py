"""Many materializations of one asset, stored together.

A first sync reports hundreds of days a table. Dagster's SQLite event log opens
two databases and commits twice an event (14 ms each on a slow core, so 40 s for
four tables of 730 days); the same rows in one transaction each take 1 ms an
event. Any other storage goes through Dagster's own call, one event at a time.
What is reported, and when, is decided elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._time import get_current_timestamp

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage


def store_materializations(
    instance: dg.DagsterInstance,
    materializations: Sequence[dg.AssetMaterialization],
    run: dg.DagsterRun | None = None,
    step_key: str | None = None,
) -> None:
    """Store ``materializations`` of one asset in order, as events of ``run`` or of none."""
    if not materializations:
        return
    if len({event.asset_key for event in materializations}) > 1:
        raise ValueError("materializations are stored together for one asset at a time")
    entries = [_entry(event, run, step_key) for event in materializations]
    # 2 CPU-s of imports that loading the definitions does not need.
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if type(storage) is SqliteEventLogStorage:
        _store_in_sqlite(storage, entries)
    else:
        for entry in entries:
            instance.handle_new_event(entry)


def _entry(event: dg.AssetMaterialization, run: dg.DagsterRun | None, step_key: str | None) -> EventLogEntry:
    job_name = run.job_name if run else RUNLESS_JOB_NAME
    return EventLogEntry(
        user_message="",
        level=logging.INFO,
        job_name=job_name,
        run_id=run.run_id if run else RUNLESS_RUN_ID,
        error_info=None,
        timestamp=get_current_timestamp(),
        step_key=step_key,
        dagster_event=DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=job_name,
            step_key=step_key,
            event_specific_data=StepMaterializationData(event),
        ),
    )


def _store_in_sqlite(storage: SqliteEventLogStorage, entries: Sequence[EventLogEntry]) -> None:
    """What ``SqliteEventLogStorage.store_event`` does for each, in one transaction a file."""
    statements = [storage.prepare_insert_event(entry) for entry in entries]
    with storage.run_connection(entries[0].run_id) as connection:
        for statement in statements:
            connection.execute(statement)
    with storage.index_transaction() as connection:
        ids = [_inserted(connection.execute(statement)) for statement in statements]
        storage._store_asset_event_tags(connection, entries, ids)
        # The asset's own record keeps its last event only.
        storage._store_asset_event(connection, entries[-1], ids[-1])


def _inserted(result: Any) -> int:
    return int(result.inserted_primary_key[0])
