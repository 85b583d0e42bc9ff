"""The sensor that watches everything else and sends alerts. Runs in every environment."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType

from data_platform.alerts.announce import Announcement, announce, outward
from data_platform.alerts.book import Book
from data_platform.alerts.changes import Notes
from data_platform.alerts.config import ui_address
from data_platform.alerts.copies import copy
from data_platform.alerts.heartbeat import Heart
from data_platform.alerts.problem import Healing, Problem
from data_platform.defs import causes, links, names, problems, silence, watch
from data_platform.defs.failed_runs import FinishedRuns, look_at_runs
from data_platform.defs.latest_checks import LatestChecks
from data_platform.defs.resources import PlatformResource
from data_platform.defs.surroundings import echo
from data_platform.errors import DataPlatformError
from data_platform.sync import Platform

NAME = "alerts"
EVERY_SECONDS = 30
KINDS: dict[str, frozenset[str]] = {
    "checks": frozenset({"check", "anomaly", "freshness", "quarantine", "backup", "drill"}),
    "runs": frozenset({"run", "schema", "backup", "drill"}),
    "freshness": frozenset({"freshness"}),
    "sensors": frozenset({"sensor"}),
    "schedules": frozenset({"schedule"}),
    "daemons": frozenset({"daemon"}),
    "changes": frozenset({"schema"}),
}
"""What is looked at, and the kinds of problem that may be found there."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A cache of records that later ticks of the process need not read again. Losing it only slows one tick."""

    runs: FinishedRuns = field(default_factory=FinishedRuns)
    checks: LatestChecks = field(default_factory=LatestChecks)
    awake: silence.Awake = field(default_factory=silence.Awake)
    heart: Heart = field(default_factory=Heart)
    notes: Notes = field(default_factory=Notes)


def alert_sensor() -> dg.SensorDefinition:
    """The open incidents are kept in the landing store (``alerts/book.py``); the sensor's cursor holds a copy."""
    memory = Memory()

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports failed checks and runs, stale assets, failing sensors and schedules and silent daemons, once"
        " each, and their recovery. What has no channel is printed.",
    )
    def alerts(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        opened = platform.open()
        repository = context.repository_def
        if repository is None:
            return dg.SkipReason("the definitions are not loaded")
        now = datetime.now(UTC)
        config = opened.environment.alerts
        found, unknown, healed = look(context, repository, now, memory, opened)
        left_out = bool(opened.catalog.left_out)
        if left_out:
            unknown |= set().union(
                *KINDS.values()
            )  # open incidents of a source that is left out have not recovered
        if (unheard := memory.heart.problem) is not None:
            found.append(unheard)
        sent = announce(
            Book(NAME, opened.store, opened.signer, context.cursor),
            found,
            now,
            outward(config, opened.environ, echo=partial(echo, context)),
            environment=opened.environment.name,
            ui_url=ui_address(config, opened.environ),
            unknown_kinds=unknown,
            healed=healed,
        )
        context.update_cursor(sent.cursor)
        _list_watched(context, opened)
        if not sent.undelivered and (left_out or not unknown):
            memory.heart.beat(config.heartbeat, opened.environ, now)
        return said(context, sent)

    return alerts


def _list_watched(context: dg.SensorEvaluationContext, platform: Platform) -> None:
    """What the sensor ``watch`` has open appears in ``alerts list``, where that sensor cannot reach the store itself."""
    try:
        cursor = watch.copy_of(context.instance)
        if cursor is not None:
            copy(platform.store, platform.signer, watch.NAME, cursor)
    except (DataPlatformError, OSError) as error:
        context.log.warning(f"`alerts list` may lack what the sensor `{watch.NAME}` reports: {error}")


def said(context: dg.SensorEvaluationContext, sent: Announcement) -> dg.SkipReason:
    """What a tick shows."""
    if sent.trouble is not None:
        context.log.warning(f"The book of alerts is kept in the cursor alone: {sent.trouble}")
    if sent.error is not None:
        context.log.error(str(sent.error))
        return dg.SkipReason(f"{sent.pending} message(s) not sent yet: {sent.error}")
    return dg.SkipReason(f"{sent.open} incident(s) open, {sent.sent} message(s) sent")


def look(
    context: dg.SensorEvaluationContext,
    repository: dg.RepositoryDefinition,
    now: datetime,
    memory: Memory,
    platform: Platform,
) -> tuple[list[Problem], set[str], dict[str, Healing]]:
    """All current problems, the kinds that could not be checked, and what ended earlier problems."""
    instance, graph = context.instance, repository.asset_graph
    fresh = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None]
    healed: dict[str, Healing] = {}
    began = memory.awake.since(now)

    def runs() -> list[Problem]:
        standing, ended = look_at_runs(instance, memory.runs, partial(_targets, repository), now)
        healed.update(ended)
        return standing

    def sensors() -> Iterable[Problem]:
        yield from problems.failing_ticks(instance, InstigatorType.SENSOR, NAME)
        intervals = {
            one.name: one.minimum_interval_seconds or EVERY_SECONDS for one in repository.sensor_defs
        }
        yield from silence.silent_sensors(instance, intervals, NAME, began, now)

    looks: dict[str, Callable[[], Iterable[Problem]]] = {
        "checks": lambda: problems.failed_checks(memory.checks.failed(instance, graph.asset_check_keys, now)),
        "runs": runs,
        "freshness": lambda: problems.stale_assets(instance, fresh),
        "sensors": sensors,
        "schedules": lambda: problems.failing_ticks(instance, InstigatorType.SCHEDULE, NAME),
        "daemons": lambda: silence.silent_daemons(instance, began, now),
        "changes": lambda: [
            change.problem(links.asset(names.raw_key(change.table)))
            for change in memory.notes.current(platform.store, platform.signer, now)
        ],
    }
    found: list[Problem] = []
    unknown: set[str] = set()
    for subject, see in looks.items():
        try:
            found += see()
        except Exception:
            # Not knowing is not a recovery: open incidents of these kinds stay open.
            context.log.exception(f"could not look for problems of {subject}")
            unknown |= KINDS[subject]
    return causes.explained(found, graph), unknown, healed


def _targets(repository: dg.RepositoryDefinition, job: str) -> Collection[dg.AssetKey]:
    if not repository.has_job(job):
        return ()
    return repository.get_job(job).asset_layer.selected_asset_keys
