"""The current problems according to Dagster's records: checks, freshness, ticks. ``failed_runs.py`` adds runs.

Reads the instance and returns ``Problem``s; what to tell about them is ``alerts``'s.
Only latest records are read, never the event log by cursor, which the default
SQLite storage does not allow. No text of a row gets into a problem: numbers and
our own sentences do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.scheduler.instigation import InstigatorType, TickStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster_shared.error import SerializableErrorInfo

from data_platform.alerts.messages import error_summary, is_own
from data_platform.alerts.problem import Number, Problem
from data_platform.defs import links, names, shown

KIND_OF_ASSET: Mapping[dg.AssetKey, str] = {
    names.BACKUP: "backup",
    names.DRILL: "drill",
    names.ARCHIVE: "backup",
    names.COLD: "backup",
    names.TIERS: "backup",
    names.COPIES: "backup",
    names.ARCHIVE_DRILL: "drill",
}
"""What goes wrong with these assets, a run or a check, is a kind of its own."""
WAITING = "records_waiting"
KIND_OF_CHECK: Mapping[str, str] = {
    names.QUARANTINE: "quarantine",
    names.ANOMALIES: "anomaly",
    names.FRESHNESS: "freshness",
    names.NEWEST_DATA: "freshness",
    names.ARRIVES: "freshness",
}


def failed_checks(records: Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]) -> Iterator[Problem]:
    """One for each failed evaluation of ``records`` (``latest_checks.py``)."""
    for key, record in records.items():
        yield _check_problem(key, record)


def _check_problem(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> Problem:
    asset = key.asset_key.to_user_string()
    evaluation = (
        record.event.dagster_event.event_specific_data
        if record.event and record.event.dagster_event
        else None
    )
    numbers: dict[str, Number] = {}
    summary, severity = "", "error"
    if isinstance(evaluation, dg.AssetCheckEvaluation):
        severity = evaluation.severity.value.lower()
        numbers["severity"] = severity
        for name, value in evaluation.metadata.items():
            plain = value.value
            if isinstance(plain, int | float) and not isinstance(plain, bool):
                numbers[name.rsplit("/", 1)[-1].replace("_", " ")] = round(plain, 4)
        summary = shown.plain(evaluation.description or "")
        if evaluation.blocking:
            summary += " Downstream assets wait."
    return Problem(
        kind=_kind_of_check(key),
        object=f"{asset}: {key.name}",
        where=asset,
        summary=summary.strip() or f"The check {key.name} failed.",
        numbers=numbers,
        since=datetime.fromtimestamp(record.create_timestamp, tz=UTC),
        link=links.check(key),
        severity="warn" if severity == "warn" else "error",
        assets=(asset,),
        amount=_amount(evaluation),
    )


def _amount(evaluation: object) -> int:
    """The records that wait in quarantine; of other checks, how many rows fail is no reason to report them again."""
    found = evaluation.metadata.get(WAITING) if isinstance(evaluation, dg.AssetCheckEvaluation) else None
    return found.value if found is not None and isinstance(found.value, int) else 0


def _kind_of_check(key: dg.AssetCheckKey) -> str:
    if key.asset_key in KIND_OF_ASSET:
        return KIND_OF_ASSET[key.asset_key]
    return KIND_OF_CHECK.get(key.name, "check")


def stale_assets(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> Iterator[Problem]:
    for key, record in instance.get_freshness_state_records(keys).items():
        if record.freshness_state == FreshnessState.FAIL:
            yield Problem(
                kind="freshness",
                object=key.to_user_string(),
                where=key.to_user_string(),
                summary="It was not updated within the time that its freshness policy allows.",
                numbers={},
                since=record.updated_at,
                link=links.asset(key),
                assets=(key.to_user_string(),),
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
            yield Problem(
                kind=_kind(kind),
                object=state.name,
                where=state.name,
                summary=_tick_summary(ticks[0].error),
                numbers={"failures in a row": ticks[0].failure_count} if ticks[0].failure_count > 1 else {},
                since=datetime.fromtimestamp(ticks[0].timestamp, tz=UTC),
                link=links.instigator(state),
            )


def _kind(kind: InstigatorType) -> str:
    return "schedule" if kind == InstigatorType.SCHEDULE else "sensor"


def _tick_summary(error: SerializableErrorInfo | None) -> str:
    """Our own sentence about the error that ended a tick. It names the source and what to do."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None or not error.cls_name:
        return "Its last tick failed: see the ticks in the UI."
    if is_own(error.cls_name):
        return error_summary(error.cls_name, error.message)
    return f"Its last tick failed with {error.cls_name}: see the ticks in the UI."
