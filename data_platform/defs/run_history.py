"""Which tables are busy and which failed, according to Dagster's runs. Only reads the instance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from data_platform.defs.names import raw_key, table_of
from data_platform.defs.probing import Attempt
from data_platform.tables import TableId

LOOK_BACK = timedelta(days=1)
PAGE = 100
"""Runs asked for at a time. All are: a queued run that is left out would be requested once more at every tick."""


def busy_tables(instance: dg.DagsterInstance, whole: Mapping[str, Collection[TableId]]) -> set[TableId]:
    """The tables of every queued or active run, however it was started.

    ``whole`` maps the jobs that run without a selection of assets to their tables.
    """
    unfinished = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
    return {
        table for record in _records(instance, unfinished) for table in tables_of(record.dagster_run, whole)
    }


def failures(
    instance: dg.DagsterInstance,
    tables: Collection[TableId],
    whole: Mapping[str, Collection[TableId]],
    now: datetime,
) -> list[Attempt]:
    """Failed runs of the last day since each table was last materialized.

    A run that failed for another table brought this one its rows, so it does not count.
    """
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - LOOK_BACK)
    records = list(_records(instance, wanted))
    if not any(True for r in records for _ in tables_of(r.dagster_run, whole)):
        return []
    done = last_materialized(instance, tables)
    return [
        Attempt(table, datetime.fromtimestamp(record.end_time, tz=now.tzinfo))
        for record in records
        for table in tables_of(record.dagster_run, whole)
        if table in tables
        and record.end_time is not None
        and done.get(table, 0.0) < (record.start_time or record.end_time)
    ]


def _records(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> Iterator[dg.RunRecord]:
    """Every run that is ``wanted``, the newest first."""
    cursor: str | None = None
    while records := instance.get_run_records(wanted, limit=PAGE, cursor=cursor):
        yield from records
        cursor = records[-1].dagster_run.run_id
        if len(records) < PAGE:
            return


def tables_of(run: dg.DagsterRun, whole: Mapping[str, Collection[TableId]]) -> Iterable[TableId]:
    if run.asset_selection is not None:
        return [table for key in run.asset_selection if (table := table_of(key))]
    return whole.get(run.job_name, ())


def last_materialized(instance: dg.DagsterInstance, tables: Collection[TableId]) -> dict[TableId, float]:
    """Unix seconds of each table's last materialization, where there is one."""
    found: dict[TableId, float] = {}
    for record in instance.get_asset_records([raw_key(t) for t in tables]):
        last = record.asset_entry.last_materialization_record
        table = table_of(record.asset_entry.asset_key)
        if last is not None and table is not None:
            found[table] = last.timestamp
    return found
