"""Many materializations of one asset, stored together.

A first sync reports hundreds of days a table: 40 s for four tables of 730 days, were they
stored one by one in Dagster's SQLite event log; 3 s together (``sqlite_storage.py``). PostgreSQL
has a batch of its own; any other storage takes them one at a time.
Other modules decide what is reported, and when.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._time import get_current_timestamp


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

    from data_platform.defs.sqlite_storage import store_together

    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        store_together(storage, entries)
    else:
        storage.store_event_batch(entries)


@contextmanager
def stored_together(instance: dg.DagsterInstance) -> Iterator[None]:
    """What this thread stores of no run while this is open is there at once or not at all, for a commit a file instead of
    several an event. So it is in our SQLite storage; any other goes on storing one event after the other."""
    from data_platform.defs.sqlite_storage import BatchingSqliteEventLogStorage

    storage = instance.event_log_storage
    if isinstance(storage, BatchingSqliteEventLogStorage):
        with storage.run_connection(RUNLESS_RUN_ID), storage.index_connection():
            yield
    else:
        yield


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
