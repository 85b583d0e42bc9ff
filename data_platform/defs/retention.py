"""How long Dagster's records are kept: runs, their events and logs, evaluations of checks and of automation.

Dagster itself removes ticks only (``retention`` in dagster.yaml). What still says something is kept whatever
its age: the last materialization of each asset and of each of its days, and the last result of each check.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from data_platform.defs.last_records import FINISHED, index_transaction

NAME = "tidy_records"
EVERY_SECONDS = 600
RUN_DAYS = 14
RUNS_MAX = 1500
EVALUATION_HOURS = 6
"""Dagster keeps what its automation thought of each asset for 30 days, whatever ``retention`` says."""
RUNS_AT_A_TIME = 50
SECONDS_MAX = 25.0
"""Dagster ends a tick after 60 s; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Runs that ended longer ago than ``run_days`` go, and those beyond the newest ``runs_max``."""

    run_days: float = RUN_DAYS
    runs_max: int = RUNS_MAX
    evaluation_hours: float = EVALUATION_HOURS


def retention_sensor() -> dg.SensorDefinition:
    """Runs in every environment."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Removes runs older than {RUN_DAYS} days or beyond the newest {RUNS_MAX:,}, and other old records"
        " of Dagster's. The last materialization of each asset and day stays, and the last result of each check.",
    )
    def tidy_records(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        removed = tidy(context.instance, datetime.now(UTC))
        return dg.SkipReason(f"{removed} run(s) removed")

    return tidy_records


def tidy(instance: dg.DagsterInstance, now: datetime, limits: Limits | None = None) -> int:
    """Remove what ``limits`` say; returns how many runs went."""
    limits = limits or Limits()
    began = time.monotonic()
    schedules: Any = instance.schedule_storage
    if schedules.supports_auto_materialize_asset_evaluations:
        schedules.purge_asset_evaluations((now - timedelta(hours=limits.evaluation_hours)).timestamp())
    cutoff = now - timedelta(days=limits.run_days)
    _remove_check_evaluations(instance, cutoff)
    _remove_events(instance, [""], before=cutoff)  # of the command line: they belong to no run
    _sweep_logs(instance, cutoff)
    removed = 0
    while time.monotonic() - began < SECONDS_MAX:
        runs = _old_runs(instance, cutoff, limits.runs_max)
        for run_id in runs:
            instance.run_storage.delete_run(run_id)  # the run first: its files alone would be made anew
        _remove_events(instance, runs)
        for run_id in runs:
            _remove_files(instance, run_id)
        removed += len(runs)
        if len(runs) < RUNS_AT_A_TIME:
            break
    return removed


def _old_runs(instance: dg.DagsterInstance, cutoff: datetime, runs_max: int) -> list[str]:
    """The oldest finished runs that may go, a few at a time."""
    old = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=cutoff)
    found = [
        r.dagster_run.run_id for r in instance.get_run_records(old, limit=RUNS_AT_A_TIME, ascending=True)
    ]
    too_many = instance.get_runs_count() - runs_max
    if len(found) < RUNS_AT_A_TIME and too_many > 0:
        finished = dg.RunsFilter(statuses=FINISHED_STATUSES)
        more = instance.get_run_records(finished, limit=min(too_many, RUNS_AT_A_TIME), ascending=True)
        found = list(dict.fromkeys([*found, *(r.dagster_run.run_id for r in more)]))
    return found[:RUNS_AT_A_TIME]


def _remove_events(
    instance: dg.DagsterInstance, runs: Collection[str], before: datetime | None = None
) -> None:
    """The events of ``runs`` but the last materialization of each asset and day."""
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import and_, delete, exists, or_, select

    if not runs:
        return
    doomed: Any = Events.c.run_id.in_(list(runs))
    if before is not None:
        doomed = and_(doomed, Events.c.timestamp < before.astimezone(UTC).replace(tzinfo=None))
    newer = Events.alias("newer")
    made = dg.DagsterEventType.ASSET_MATERIALIZATION.value
    same_day = or_(
        newer.c.partition == Events.c.partition,
        and_(newer.c.partition.is_(None), Events.c.partition.is_(None)),
    )
    last = select(Events.c.id).where(
        doomed,
        Events.c.dagster_event_type == made,
        ~exists().where(
            newer.c.asset_key == Events.c.asset_key,
            newer.c.dagster_event_type == made,
            newer.c.id > Events.c.id,
            same_day,
        ),
    )
    with index_transaction(instance) as connection:
        kept = [row[0] for row in connection.execute(last)]
        going = and_(doomed, Events.c.id.not_in(kept)) if kept else doomed
        connection.execute(delete(Tags).where(Tags.c.event_id.in_(select(Events.c.id).where(going))))
        connection.execute(delete(Events).where(going))
    if before is not None:
        _remove_from_file(instance, "", before)


def _remove_check_evaluations(instance: dg.DagsterInstance, cutoff: datetime) -> None:
    """Old ones but the last of each check, and the last that finished."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import delete, func, select

    each = (Table.c.asset_key, Table.c.check_name, Table.c.partition)
    last = select(func.max(Table.c.id)).group_by(*each)
    finished = last.where(Table.c.execution_status.in_(FINISHED))
    with index_transaction(instance) as connection:
        kept = {row[0] for query in (last, finished) for row in connection.execute(query)}
        old = select(Table.c.id).where(Table.c.create_timestamp < cutoff.astimezone(UTC).replace(tzinfo=None))
        going = [row[0] for row in connection.execute(old) if row[0] not in kept]
        for start in range(0, len(going), 500):
            connection.execute(delete(Table).where(Table.c.id.in_(going[start : start + 500])))


def _remove_files(instance: dg.DagsterInstance, run_id: str) -> None:
    """What a run leaves beside the tables: its own event log where it is SQLite's, and its output."""
    with suppress(OSError):
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    path = _own_file(instance, run_id)
    if path is not None:
        for one in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            one.unlink(missing_ok=True)


def _remove_from_file(instance: dg.DagsterInstance, run_id: str, before: datetime) -> None:
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import delete

    path = _own_file(instance, run_id)
    if path is None or not path.exists():
        return
    storage: Any = instance.event_log_storage
    with storage.run_connection(run_id) as connection:
        connection.execute(
            delete(Events).where(Events.c.timestamp < before.astimezone(UTC).replace(tzinfo=None))
        )


def _own_file(instance: dg.DagsterInstance, run_id: str) -> Path | None:
    """SQLite keeps a file a run beside the common one."""
    from dagster._core.storage.event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return None
    return Path(storage.path_for_shard(run_id))


def _sweep_logs(instance: dg.DagsterInstance, cutoff: datetime) -> None:
    """Output of ticks, which no run owns."""
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return
    for file in Path(manager._base_dir).rglob("*"):
        with suppress(OSError):
            if file.is_file() and file.stat().st_mtime < cutoff.timestamp():
                file.unlink()
