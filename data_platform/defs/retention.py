"""How long Dagster's records are kept: runs, their events and logs, evaluations of checks and of automation.

Dagster itself removes only ticks (``retention`` in dagster.yaml). Current records are kept at any age: the last
materialization of each asset and of each of its days, and the last result of each check.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

import time
from collections.abc import Callable, Collection, Iterator, Sequence
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
EVALUATIONS_AT_A_TIME = 2000
KEPT_AT_A_TIME = 10_000
"""SQLite takes 32,766 values in a statement unless it was built for more."""
SECONDS_MAX = 25.0
"""Dagster ends a tick after 60 s; the next one goes on."""
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION.value


@dataclass(frozen=True, slots=True)
class Limits:
    """Runs are removed if they ended more than ``run_days`` ago or are not among the newest ``runs_max``."""

    run_days: float = RUN_DAYS
    runs_max: int = RUNS_MAX
    evaluation_hours: float = EVALUATION_HOURS


def retention_sensor() -> dg.SensorDefinition:
    """Runs in every environment."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Removes runs that are older than {RUN_DAYS} days or not among the newest {RUNS_MAX:,}, and other old"
        " records of Dagster. It keeps the last materialization of each asset and day, and the last result of each check.",
    )
    def tidy_records(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        removed = tidy(context.instance, datetime.now(UTC))
        return dg.SkipReason(f"{removed} run(s) removed")

    return tidy_records


def tidy(instance: dg.DagsterInstance, now: datetime, limits: Limits | None = None) -> int:
    """Remove records beyond ``limits``; returns the number of removed runs."""
    limits = limits or Limits()
    began = time.monotonic()
    schedules: Any = instance.schedule_storage
    if schedules.supports_auto_materialize_asset_evaluations:
        schedules.purge_asset_evaluations((now - timedelta(hours=limits.evaluation_hours)).timestamp())
    cutoff = now - timedelta(days=limits.run_days)
    _remove_check_evaluations(instance, cutoff, began + SECONDS_MAX / 2)
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
    """The oldest finished runs that may be removed, a few at a time, by number only: the whole record of a run
    lists every table and check that it selected."""
    from dagster._core.storage.runs.schema import RunsTable as Runs
    from sqlalchemy import func, select

    storage: Any = instance.run_storage
    finished = Runs.c.status.in_([status.value for status in FINISHED_STATUSES])
    oldest = select(Runs.c.run_id).where(finished).order_by(Runs.c.id)
    old = oldest.where(Runs.c.update_timestamp < _naive(cutoff)).limit(RUNS_AT_A_TIME)
    with storage.connect() as connection:
        found = [row[0] for row in connection.execute(old)]
        too_many = connection.execute(select(func.count(Runs.c.id))).scalar_one() - runs_max
        if len(found) < RUNS_AT_A_TIME and too_many > 0:
            more = connection.execute(oldest.limit(min(too_many, RUNS_AT_A_TIME)))
            found = list(dict.fromkeys([*found, *(row[0] for row in more)]))
    return found[:RUNS_AT_A_TIME]


def _remove_events(
    instance: dg.DagsterInstance, runs: Collection[str], before: datetime | None = None
) -> None:
    """The events of ``runs``, except the last materialization of each asset and day."""
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import and_, delete, or_, select

    if not runs:
        return
    doomed: Any = Events.c.run_id.in_(list(runs))
    if before is not None:
        doomed = and_(doomed, Events.c.timestamp < _naive(before))
    # one probe of an index each: the days of an asset, and what belongs to no day
    same_day = _newer(lambda newer: newer.c.partition == Events.c.partition)
    same_whole = _newer(lambda newer: newer.c.partition.is_(None))
    last = select(Events.c.id).where(
        doomed,
        _found_by_run(Events.c.dagster_event_type) == MADE,
        or_(Events.c.partition.is_(None), ~same_day),
        or_(Events.c.partition.is_not(None), ~same_whole),
    )
    with index_transaction(instance) as connection:
        kept = [row[0] for row in connection.execute(last.order_by(Events.c.id))]
        for between in _all_but(kept):
            going = and_(doomed, between)
            connection.execute(delete(Tags).where(Tags.c.event_id.in_(select(Events.c.id).where(going))))
            connection.execute(delete(Events).where(going))
    if before is not None:
        _remove_from_file(instance, "", before)


def _all_but(kept: Sequence[int]) -> Iterator[Any]:
    """Conditions that together select every event except those ``kept``, in ascending order. There are several,
    because a statement may hold a limited number of values, and tables of many days keep more events."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import and_

    after = 0
    while len(kept) > KEPT_AT_A_TIME:
        some, kept = kept[:KEPT_AT_A_TIME], kept[KEPT_AT_A_TIME:]
        yield and_(Events.c.id > after, Events.c.id < some[-1], Events.c.id.not_in(some))
        after = some[-1]
    yield and_(Events.c.id > after, Events.c.id.not_in(kept))


def _newer(same: Callable[[Any], Any]) -> Any:
    """Whether a newer materialization of the same asset is the ``same``."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import exists

    newer = Events.alias()
    return exists().where(
        newer.c.asset_key == Events.c.asset_key,
        newer.c.dagster_event_type == MADE,
        newer.c.id > Events.c.id,
        same(newer),
    )


def _found_by_run(event_type: Any) -> Any:
    """``event_type`` as no index knows it: a planner would walk every event of the type for those of a few runs."""
    from sqlalchemy import func

    return func.coalesce(event_type, "")


def _remove_check_evaluations(instance: dg.DagsterInstance, cutoff: datetime, until: float) -> None:
    """Old evaluations, except the last one and the last finished one of each check. The scan starts at the oldest and
    ends with the last old one: numbers ascend with time."""
    after: int | None = 0
    while after is not None and time.monotonic() < until:
        after = _remove_some_evaluations(instance, cutoff, after)


def _remove_some_evaluations(instance: dg.DagsterInstance, cutoff: datetime, after: int) -> int | None:
    """Of the next evaluations; returns the last one looked at, None where the next is not old."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import delete, exists, or_, select

    newer = Table.alias("newer")
    superseded = exists().where(
        newer.c.asset_key == Table.c.asset_key,
        newer.c.check_name == Table.c.check_name,
        newer.c.partition.is_not_distinct_from(Table.c.partition),
        newer.c.id > Table.c.id,
        or_(Table.c.execution_status.not_in(FINISHED), newer.c.execution_status.in_(FINISHED)),
    )
    following = select(Table.c.id, Table.c.create_timestamp).where(Table.c.id > after)
    with index_transaction(instance) as connection:
        looked = connection.execute(following.order_by(Table.c.id).limit(EVALUATIONS_AT_A_TIME)).all()
        old = [row[0] for row in looked if row[1] < _naive(cutoff)]
        if old:
            going = select(Table.c.id).where(Table.c.id > after, Table.c.id.in_(old), superseded)
            connection.execute(
                delete(Table).where(Table.c.id.in_([row[0] for row in connection.execute(going)]))
            )
    return looked[-1][0] if looked and old and len(looked) == EVALUATIONS_AT_A_TIME else None


def _naive(instant: datetime) -> datetime:
    """As Dagster's tables hold it: UTC without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def _remove_files(instance: dg.DagsterInstance, run_id: str) -> None:
    """The files of a run: its own event log, if that is in SQLite, and its output."""
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
        connection.execute(delete(Events).where(Events.c.timestamp < _naive(before)))


def _own_file(instance: dg.DagsterInstance, run_id: str) -> Path | None:
    """SQLite keeps one file for each run, in addition to the common file."""
    from dagster._core.storage.event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return None
    return Path(storage.path_for_shard(run_id))


def _sweep_logs(instance: dg.DagsterInstance, cutoff: datetime) -> None:
    """The output of ticks, which belongs to no run."""
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return
    for file in Path(manager._base_dir).rglob("*"):
        with suppress(OSError):
            if file.is_file() and file.stat().st_mtime < cutoff.timestamp():
                file.unlink()
