"""What is wrong now, as Dagster's own records tell: checks, runs, freshness, ticks.

Reads the instance and returns ``Problem``s; what to tell about them is ``alerts``'s.
Only latest records are read, never the event log by cursor, which the default
SQLite storage does not allow. No text of a row gets into a problem: numbers and
our own sentences do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.events import DagsterEventType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, TickStatus
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.dagster_run import RunRecord

from data_platform.alerts.incidents import Number, Problem
from data_platform.defs.run_problems import RunFact, standing_failures

RUNS_LOOK_BACK = timedelta(days=3)
RUNS_MAX = 200
CHECK_HISTORY = 5
OWN_ERRORS = ("Failure", "ConfigurationError", "CatalogError")
Status = AssetCheckExecutionRecordStatus


def failed_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> Iterator[Problem]:
    storage = instance.event_log_storage
    latest = storage.get_latest_asset_check_execution_by_key(keys)
    for key, record in latest.items():
        evaluated: AssetCheckExecutionRecord | None = record
        if record.status == Status.PLANNED:
            # Running, or skipped: the evaluation before it still holds.
            history = storage.get_asset_check_execution_history(key, limit=CHECK_HISTORY)
            evaluated = next((r for r in history if r.status != Status.PLANNED), None)
        if evaluated is not None and evaluated.status == Status.FAILED:
            yield _check_problem(key, evaluated)


def _check_problem(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> Problem:
    asset = key.asset_key.to_user_string()
    evaluation = (
        record.event.dagster_event.event_specific_data
        if record.event and record.event.dagster_event
        else None
    )
    numbers: dict[str, Number] = {}
    summary = ""
    if isinstance(evaluation, dg.AssetCheckEvaluation):
        numbers["severity"] = evaluation.severity.value.lower()
        for name, value in evaluation.metadata.items():
            plain = value.value
            if isinstance(plain, int | float) and not isinstance(plain, bool):
                numbers[name.rsplit("/", 1)[-1].replace("_", " ")] = round(plain, 4)
        summary = evaluation.description or ""
        if evaluation.blocking:
            summary += " What follows the table waits."
    return Problem(
        kind="check",
        object=f"{asset}: {key.name}",
        where=asset,
        summary=summary.strip() or f"The check {key.name} failed.",
        numbers=numbers,
        since=datetime.fromtimestamp(record.create_timestamp, tz=UTC),
        link=f"/assets/{'/'.join(key.asset_key.path)}?view=checks&checkDetail={key.name}",
    )


def failed_runs(
    instance: dg.DagsterInstance, targets_of_job: Callable[[str], Collection[dg.AssetKey]], now: datetime
) -> Iterator[Problem]:
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    wanted = dg.RunsFilter(statuses=finished, updated_after=now - RUNS_LOOK_BACK)
    records = instance.get_run_records(wanted, limit=RUNS_MAX)
    facts = sorted(
        (_run_fact(record, targets_of_job) for record in records if record.end_time is not None),
        key=lambda fact: fact.ended,
        reverse=True,
    )
    failed = [fact for fact in facts if fact.failed]
    made = (
        _made(instance, {dg.AssetKey.from_user_string(t) for fact in failed for t in fact.targets})
        if failed
        else {}
    )
    for fact in standing_failures(facts, made):
        standing = {
            table: why
            for table, why in _failed_tables(instance, fact).items()
            if made.get(f"raw/{table}", fact.started) <= fact.started
        }
        if len(set(standing.values())) == 1 and len(standing) > 1:  # one cause, such as a source that is down
            yield _run_problem(fact, fact.line, fact.targets, next(iter(standing.values())))
        elif standing:
            # a table each: one that fails later than another is told too, and each recovers by itself
            for table, why in standing.items():
                yield _run_problem(fact, table, [f"raw/{table}"], why)
        else:
            yield _run_problem(fact, fact.line, fact.targets, _why(instance, fact.run_id))


def _run_problem(fact: RunFact, object_: str, where: Collection[str], summary: str) -> Problem:
    return Problem(
        kind="run",
        object=object_,
        where=", ".join(sorted(where)[:5]) or fact.job,
        summary=summary,
        numbers={"run": fact.run_id[:8], "seconds": round((fact.ended - fact.started).total_seconds())},
        since=fact.ended,
        link=f"/runs/{fact.run_id}",
    )


def _failed_tables(instance: dg.DagsterInstance, fact: RunFact) -> dict[str, str]:
    """Our own sentence about each table that a sync's run says it failed on (``raw.py``)."""
    found: dict[str, str] = {}
    records = instance.get_records_for_run(
        fact.run_id, of_type=DagsterEventType.STEP_FAILURE, limit=20
    ).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None or not (event.step_key or "").startswith("sync_"):
            continue
        failure = event.step_failure_data.user_failure_data
        for table, why in (failure.metadata if failure and failure.metadata else {}).items():
            found[table] = str(why.value)
    return found


def _run_fact(record: RunRecord, targets_of_job: Callable[[str], Collection[dg.AssetKey]]) -> RunFact:
    run = record.dagster_run
    ended = datetime.fromtimestamp(record.end_time or 0.0, tz=UTC)
    whole = run.asset_selection is None and run.asset_check_selection is None
    targets = targets_of_job(run.job_name) if whole else (run.asset_selection or ())
    names = sorted(key.to_user_string() for key in targets)
    checks = sorted(key.to_user_string() for key in run.asset_check_selection or ())
    job = "selected assets" if run.job_name.startswith("__") else run.job_name
    digest = hashlib.sha256("\n".join([*names, *checks]).encode()).hexdigest()[:8]
    return RunFact(
        run_id=run.run_id,
        job=job,
        line=job if whole else f"{job} {digest}",
        targets=frozenset(names),
        failed=run.status == dg.DagsterRunStatus.FAILURE,
        started=datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), tz=UTC),
        ended=ended,
    )


def _made(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> Mapping[str, datetime]:
    found = {}
    for record in instance.get_asset_records(list(keys)):
        last = record.asset_entry.last_materialization_record
        if last is not None:
            name = record.asset_entry.asset_key.to_user_string()
            found[name] = datetime.fromtimestamp(last.timestamp, tz=UTC)
    return found


def _why(instance: dg.DagsterInstance, run_id: str) -> str:
    """Our own sentence about a failed step; another's message may quote data, so only its kind."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE, limit=1).records
    event = records[0].event_log_entry.dagster_event if records else None
    if event is None:
        return "The run ended before a step could fail: see its log."
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    name = (error.cls_name if error else None) or "an error"
    if error is not None and error.cls_name in OWN_ERRORS:
        return error.message.split(":", 1)[-1].strip()
    return f"The step {event.step_key} failed with {name}: see the run's log."


def stale_assets(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> Iterator[Problem]:
    for key, record in instance.get_freshness_state_records(keys).items():
        if record.freshness_state == FreshnessState.FAIL:
            yield Problem(
                kind="freshness",
                object=key.to_user_string(),
                where=key.to_user_string(),
                summary="It was not made within the time its freshness policy allows.",
                numbers={},
                since=record.updated_at,
                link=f"/assets/{'/'.join(key.path)}",
            )


def failing_ticks(instance: dg.DagsterInstance, kind: InstigatorType, own: str) -> Iterator[Problem]:
    """Running sensors or schedules whose last finished tick failed, without the sensor ``own``."""
    for state in instance.all_instigator_state(instigator_type=kind):
        if not state.is_running or state.name == own:
            continue
        ticks = instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            limit=1,
            statuses=[TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE],
        )
        if ticks and ticks[0].status == TickStatus.FAILURE:
            error = ticks[0].error
            yield Problem(
                kind=_kind(kind),
                object=state.name,
                where=state.name,
                summary=f"Its last tick failed with {_root_class(error)}: see the ticks in the UI.",
                numbers={"failures in a row": ticks[0].failure_count} if ticks[0].failure_count > 1 else {},
                since=datetime.fromtimestamp(ticks[0].timestamp, tz=UTC),
                link=_tick_link(state),
            )


def _kind(kind: InstigatorType) -> str:
    return "schedule" if kind == InstigatorType.SCHEDULE else "sensor"


def _root_class(error: object) -> str:
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return getattr(error, "cls_name", None) or "an error"


def _tick_link(state: InstigatorState) -> str:
    repository = state.origin.repository_origin
    location = repository.code_location_origin.location_name
    folder = "schedules" if state.instigator_type == InstigatorType.SCHEDULE else "sensors"
    return f"/locations/{repository.repository_name}@{location}/{folder}/{state.name}"
