"""Failed runs as problems, from Dagster's records: one for each table or model that the run names, and what
ended earlier ones. ``run_problems.py`` decides whether a failure is still current.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from data_platform.alerts.messages import error_summary, is_own
from data_platform.alerts.problem import Healing, Problem, incident_key
from data_platform.defs import links
from data_platform.defs.causes import RUNS
from data_platform.defs.names import SCHEMA_CHANGED, TOLD_BY_CHECKS
from data_platform.defs.problems import KIND_OF_ASSET
from data_platform.defs.run_problems import RunFact, first_failure, healing_run, standing_failures

LOOK_BACK = timedelta(days=3)
RUNS_MAX = 5_000
"""So many of the newest runs are looked through for a failure that stands, and for what ended it."""
RUNS_BEFORE = 200
"""Runs that began before the first failure may have ended after it: so many of them are read, too."""
RECORDS_AT_A_TIME = 20
STEPS_MAX = 20
ASSETS_MAX = 200
RETRY_STARTS_WITHIN = timedelta(minutes=15)
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
CHECK_FAILED = "DagsterAssetCheckFailedError"
"""Ends a step whose blocking check failed; the check tells it."""


@dataclass(frozen=True, slots=True)
class Made:
    """When an asset was last made, and by which run; None if the command line made it."""

    at: datetime
    run_id: str
    key: dg.AssetKey

    @property
    def link(self) -> str:
        return links.run(self.run_id) if self.run_id else links.asset(self.key)


@dataclass(frozen=True, slots=True)
class Told:
    """The messages of a failed run: a sentence for each asset, and one for the first step that names none. ``schema``
    are the assets that failed because a schema changed."""

    assets: dict[str, str] = field(default_factory=dict)
    step: str | None = None
    schema: frozenset[str] = frozenset()


class FinishedRuns:
    """The runs that ended recently, each read once. A run of many tables lists all of them and all their checks, so
    reading it takes longer than everything else in a tick."""

    def __init__(self) -> None:
        self._known: dict[str, RunFact] = {}

    def newest_first(
        self,
        instance: dg.DagsterInstance,
        targets_of_job: Callable[[str], Collection[dg.AssetKey]],
        now: datetime,
    ) -> list[RunFact]:
        """The runs of the last days; none if none of them failed, because then there is no problem and no recovery."""
        since = now - LOOK_BACK
        newest = instance.get_run_ids(
            dg.RunsFilter(statuses=[SUCCESS, FAILURE], updated_after=since), limit=RUNS_MAX
        )
        failed = set(
            instance.get_run_ids(dg.RunsFilter(statuses=[FAILURE], updated_after=since), limit=RUNS_MAX)
        )
        if failed.isdisjoint(newest):
            return []
        first = max(number for number, run_id in enumerate(newest) if run_id in failed)
        newest = newest[: first + RUNS_BEFORE]
        self._known = {
            run_id: fact
            for run_id in newest
            if (fact := self._known.get(run_id)) is not None and fact.failed == (run_id in failed)
        }
        unknown = [run_id for run_id in newest if run_id not in self._known]
        for start in range(0, len(unknown), RECORDS_AT_A_TIME):
            wanted = dg.RunsFilter(run_ids=unknown[start : start + RECORDS_AT_A_TIME])
            for record in instance.get_run_records(wanted):
                if record.end_time is not None:
                    fact = _run_fact(record, targets_of_job)
                    self._known[fact.run_id] = fact
        known = [self._known[run_id] for run_id in newest if run_id in self._known]
        return sorted(known, key=lambda fact: fact.ended, reverse=True)


def look_at_runs(
    instance: dg.DagsterInstance,
    runs: FinishedRuns,
    targets_of_job: Callable[[str], Collection[dg.AssetKey]],
    now: datetime,
) -> tuple[list[Problem], dict[str, Healing]]:
    """The current failures, and by incident what ended the earlier ones."""
    facts = [
        fact
        for fact in runs.newest_first(instance, targets_of_job, now)
        if not (fact.retried and _retry_is_coming(instance, fact, now))
    ]
    targets = {dg.AssetKey.from_user_string(t) for fact in facts if fact.failed for t in fact.targets}
    made = _made(instance, targets) if targets else {}
    found: list[Problem] = []
    for fact in standing_failures(facts, {name: one.at for name, one in made.items()}):
        found += _problems(instance, facts, fact, made)
    return found, _healed(facts, made)


def _retry_is_coming(instance: dg.DagsterInstance, fact: RunFact, now: datetime) -> bool:
    """Whether Dagster has yet to finish, or to start, the run that takes the place of the failed ``fact``: then this
    failure is no problem yet."""
    run = instance.get_run_by_id(fact.run_id)
    next_ = run.tags.get(AUTO_RETRY_RUN_ID_TAG) if run is not None else None
    if next_ is None:
        return now - fact.ended < RETRY_STARTS_WITHIN
    retry = instance.get_run_by_id(next_)
    return retry is not None and not retry.is_finished


def _problems(
    instance: dg.DagsterInstance, facts: Sequence[RunFact], fact: RunFact, made: Mapping[str, Made]
) -> list[Problem]:
    told = _told(instance, fact.run_id)
    standing = {
        name: why for name, why in told.assets.items() if name not in made or made[name].at <= fact.started
    }
    found: list[Problem] = []
    since = first_failure(facts, fact.line)
    whole = _kind(fact.targets)
    if len(set(standing.values())) == 1 and len(standing) > 1:  # one cause, such as a source that is down
        kind = "schema" if told.schema.issuperset(standing) else whole
        found.append(_problem(fact, fact.line, sorted(standing), next(iter(standing.values())), since, kind))
    else:
        # one each: what fails later than another is told too, and each recovers by itself
        for name, why in standing.items():
            began = first_failure(facts, fact.line, made[name].at if name in made else None)
            kind = "schema" if name in told.schema else _kind([name])
            found.append(_problem(fact, _object(name), [name], why, began, kind))
    if told.step is not None and not standing:
        found.append(_problem(fact, fact.line, fact.targets, told.step, since, whole))
    return found


def _kind(assets: Collection[str]) -> str:
    """Of a run that makes ``assets``."""
    kinds = {KIND_OF_ASSET.get(dg.AssetKey.from_user_string(name), "run") for name in assets}
    return kinds.pop() if len(kinds) == 1 else "run"


def _problem(
    fact: RunFact, object_: str, where: Collection[str], summary: str, since: datetime, kind: str
) -> Problem:
    return Problem(
        kind=kind,
        object=object_,
        where=", ".join(sorted(where)[:5]) or fact.job,
        summary=summary,
        numbers={"run": fact.run_id[:8], "seconds": round((fact.ended - fact.started).total_seconds())},
        since=since,
        link=links.run(fact.run_id),
        assets=tuple(sorted(where)[:ASSETS_MAX]),
    )


def _object(asset: str) -> str:
    """The name of a raw table is the one of the command line: ``shop/orders``."""
    return asset.removeprefix("raw/")


def _healed(facts: Sequence[RunFact], made: Mapping[str, Made]) -> dict[str, Healing]:
    """By incident: the run of the same line that succeeded, or the runs that made the assets since."""
    found = {_object(name): Healing(one.at, one.link) for name, one in made.items()}
    for line in {fact.line for fact in facts if fact.failed}:
        run = healing_run(facts, line)
        if run is not None:
            found[line] = Healing(run.ended, links.run(run.run_id))
            continue
        newest = next(fact for fact in facts if fact.line == line)
        last = [made[target] for target in newest.targets if target in made]
        if last:
            latest = max(last, key=lambda one: one.at)
            found[line] = Healing(latest.at, latest.link)
    return {incident_key(kind, name): healing for name, healing in found.items() for kind in RUNS}


def _told(instance: dg.DagsterInstance, run_id: str) -> Told:
    records = instance.get_records_for_run(
        run_id, of_type=DagsterEventType.STEP_FAILURE, limit=STEPS_MAX
    ).records
    if not records:
        return Told(step="The run ended before a step could fail: see its log.")
    assets: dict[str, str] = {}
    steps: list[str] = []
    changed: set[str] = set()
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        named = _named(event)
        assets |= named or {}
        changed |= _schema_changed(event)
        if named is None:
            steps.append(_why(event))
    return Told(assets, steps[0] if steps else None, frozenset(changed))


def _named(event: DagsterEvent) -> dict[str, str] | None:
    """Our own sentence about each table or model that a step names as failed (``raw.py``, ``dbt_run.py``).
    Empty if the checks report it; None if the step names nothing."""
    data = event.step_failure_data
    if data.error is not None and data.error.cls_name == CHECK_FAILED:
        return {}
    step = event.step_key or ""
    metadata = data.user_failure_data.metadata if data.user_failure_data else None
    if not metadata or not (step.startswith("sync_") or step.startswith("dbt_")):
        return None
    prefix = "raw/" if step.startswith("sync_") else ""
    left_out = (TOLD_BY_CHECKS, SCHEMA_CHANGED)
    return {prefix + name: str(why.value) for name, why in metadata.items() if name not in left_out}


def _schema_changed(event: DagsterEvent) -> set[str]:
    """The raw tables that a step names as changed at their source."""
    failure = event.step_failure_data.user_failure_data
    named = failure.metadata.get(SCHEMA_CHANGED) if failure else None
    return {f"raw/{table}" for table in str(named.value).split(", ")} if named is not None else set()


def _why(event: DagsterEvent) -> str:
    """Our own sentence about a failed step. Messages of other libraries may quote data, so only their class is
    named."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    name = (error.cls_name if error else None) or "an error"
    if error is not None and is_own(name):
        return error_summary(name, error.message)
    if error is not None and name == "Failure":
        return error.message.split(":", 1)[-1].strip()
    return f"The step {event.step_key} failed with {name}: see the run's log."


def _run_fact(record: RunRecord, targets_of_job: Callable[[str], Collection[dg.AssetKey]]) -> RunFact:
    run = record.dagster_run
    ended = datetime.fromtimestamp(record.end_time or 0.0, tz=UTC)
    whole = run.asset_selection is None and run.asset_check_selection is None
    targets = targets_of_job(run.job_name) if whole else (run.asset_selection or ())
    names = sorted(sys.intern(key.to_user_string()) for key in targets)
    checks = sorted(key.to_user_string() for key in run.asset_check_selection or ())
    job = "selected assets" if run.job_name.startswith("__") else run.job_name
    digest = hashlib.sha256("\n".join([*names, *checks]).encode()).hexdigest()[:8]
    return RunFact(
        run_id=run.run_id,
        job=job,
        line=job if whole else f"{job} {digest}",
        targets=frozenset(names),
        failed=run.status == FAILURE,
        retried=run.status == FAILURE and run.tags.get(WILL_RETRY_TAG) == "true",
        started=datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), tz=UTC),
        ended=ended,
    )


def _made(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> dict[str, Made]:
    found = {}
    for record in instance.get_asset_records(list(keys)):
        last = record.asset_entry.last_materialization_record
        if last is not None:
            key = record.asset_entry.asset_key
            at = datetime.fromtimestamp(last.timestamp, tz=UTC)
            found[key.to_user_string()] = Made(at, last.run_id, key)
    return found
