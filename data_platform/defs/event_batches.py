"""Many materializations of one asset, or many evaluations of its checks, stored together.

A first sync reports hundreds of days a table: 40 s for four tables of 730 days, were they
stored one by one in Dagster's SQLite event log; 3 s together (``sqlite_storage.py``). PostgreSQL
has a batch of its own; any other storage takes them one at a time.
Other modules decide what is reported, and when.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._time import get_current_timestamp

AT_A_TIME = 1_000
"""Values in a statement."""


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


def store_evaluations(
    instance: dg.DagsterInstance,
    evaluations: Sequence[dg.AssetCheckEvaluation],
    run: dg.DagsterRun | None = None,
    step_key: str | None = None,
) -> None:
    """Store evaluations of partitions in order, as events of ``run`` or of none. One of the same run, check and partition takes
    the place of an earlier one: an index of Dagster's allows only one."""
    if not evaluations:
        return
    entries = [_entry(evaluation, run, step_key) for evaluation in evaluations]
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"{type(storage).__name__} keeps no tables: use SQLite or PostgreSQL")
    rows = [storage._event_to_row(entry) for entry in entries]
    if isinstance(storage, SqliteEventLogStorage):  # one file for the run, and the common one
        with storage.run_connection(entries[0].run_id) as connection:
            connection.execute(Events.insert(), rows)
    with storage.index_transaction() as connection:
        ids = _insert(connection, rows)
        _store_results(connection, storage, evaluations, entries, ids)


def _insert(connection: Any, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The numbers of the stored events, in their order."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events

    numbered = Events.insert().returning(Events.c.id, sort_by_parameter_order=True)
    return [row[0] for row in connection.execute(numbered, list(rows))]


def _store_results(
    connection: Any,
    storage: Any,
    evaluations: Sequence[dg.AssetCheckEvaluation],
    entries: Sequence[EventLogEntry],
    ids: Sequence[int],
) -> None:
    """As Dagster's storage does for one evaluation, which it first looks for among the planned ones."""
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Results
    from dagster_shared.serdes import serialize_value
    from sqlalchemy import delete

    rows = [
        {
            "asset_key": evaluation.asset_key.to_string(),
            "check_name": evaluation.check_name,
            "run_id": entry.run_id,
            "partition": evaluation.partition,
            "execution_status": (Status.SUCCEEDED if evaluation.passed else Status.FAILED).value,
            "evaluation_event": serialize_value(entry),
            "evaluation_event_timestamp": storage._event_insert_timestamp(entry),
            "evaluation_event_storage_id": number,
            "materialization_event_storage_id": target and target.storage_id,
        }
        for evaluation, entry, number in zip(evaluations, entries, ids, strict=True)
        for target in (evaluation.target_materialization_data,)
    ]
    same: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        same.setdefault((row["asset_key"], row["check_name"], row["run_id"]), []).append(row["partition"])
    for (asset, check, run), days in same.items():
        ours = (Results.c.asset_key == asset, Results.c.check_name == check, Results.c.run_id == run)
        for start in range(0, len(days), AT_A_TIME):
            some = Results.c.partition.in_(days[start : start + AT_A_TIME])
            connection.execute(delete(Results).where(*ours, some))
    connection.execute(Results.insert(), rows)


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


def _entry(
    event: dg.AssetMaterialization | dg.AssetCheckEvaluation, run: dg.DagsterRun | None, step_key: str | None
) -> EventLogEntry:
    job_name = run.job_name if run else RUNLESS_JOB_NAME
    data: Any
    kind, data = DagsterEventType.ASSET_CHECK_EVALUATION, event
    if isinstance(event, dg.AssetMaterialization):
        kind, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    return EventLogEntry(
        user_message="",
        level=logging.INFO,
        job_name=job_name,
        run_id=run.run_id if run else RUNLESS_RUN_ID,
        error_info=None,
        timestamp=get_current_timestamp(),
        step_key=step_key,
        dagster_event=DagsterEvent(
            event_type_value=kind.value, job_name=job_name, step_key=step_key, event_specific_data=data
        ),
    )
