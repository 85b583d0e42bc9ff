"""The sensor that watches everything else and sends alerts. Runs in every environment."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType

from data_platform.alerts.announce import announce
from data_platform.alerts.channels import open_channels
from data_platform.alerts.config import ui_address
from data_platform.alerts.incidents import Healing, Problem
from data_platform.defs import problems
from data_platform.defs.failed_runs import FinishedRuns, look_at_runs
from data_platform.defs.latest_checks import LatestChecks
from data_platform.defs.resources import PlatformResource
from data_platform.defs.surroundings import echo

NAME = "alerts"
EVERY_SECONDS = 30
KINDS = frozenset({"check", "run", "freshness", "sensor", "schedule"})


@dataclass(frozen=True, slots=True)
class Memory:
    """A cache of records that later ticks of the process need not read again. Losing it only slows one tick."""

    runs: FinishedRuns = field(default_factory=FinishedRuns)
    checks: LatestChecks = field(default_factory=LatestChecks)


def alert_sensor() -> dg.SensorDefinition:
    """The sensor's cursor holds the open incidents. If it cannot be read, they are reported again."""
    memory = Memory()

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports failed checks and runs, stale assets and failing sensors and schedules, once"
        " each, and their recovery. Without a webhook, it prints the messages instead.",
    )
    def alerts(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        opened = platform.open()
        repository = context.repository_def
        if repository is None:
            return dg.SkipReason("the definitions are not loaded")
        now = datetime.now(UTC)
        found, unknown, healed = look(context, repository, now, memory)
        if opened.catalog.left_out:
            unknown |= KINDS  # open incidents of a source that is left out have not recovered
        told = announce(
            context.cursor,
            found,
            now,
            open_channels(opened.environment.alerts.used, opened.environ, echo=partial(echo, context)),
            environment=opened.environment.name,
            ui_url=ui_address(opened.environment.alerts, opened.environ),
            unknown_kinds=unknown,
            healed=healed,
        )
        context.update_cursor(told.cursor)
        if told.error is not None:
            context.log.error(str(told.error))
            return dg.SkipReason(f"{told.pending} message(s) not sent yet: {told.error}")
        return dg.SkipReason(f"{told.open} incident(s) open, {told.told} message(s) sent")

    return alerts


def look(
    context: dg.SensorEvaluationContext, repository: dg.RepositoryDefinition, now: datetime, memory: Memory
) -> tuple[list[Problem], set[str], dict[str, Healing]]:
    """All current problems, the kinds that could not be checked, and what ended earlier problems."""
    instance, graph = context.instance, repository.asset_graph
    fresh = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None]
    healed: dict[str, Healing] = {}

    def runs() -> list[Problem]:
        standing, ended = look_at_runs(instance, memory.runs, partial(_targets, repository), now)
        healed.update(ended)
        return standing

    looks: dict[str, Callable[[], Iterable[Problem]]] = {
        "check": lambda: problems.failed_checks(memory.checks.failed(instance, graph.asset_check_keys, now)),
        "run": runs,
        "freshness": lambda: problems.stale_assets(instance, fresh),
        "sensor": lambda: problems.failing_ticks(instance, InstigatorType.SENSOR, NAME),
        "schedule": lambda: problems.failing_ticks(instance, InstigatorType.SCHEDULE, NAME),
    }
    found: list[Problem] = []
    unknown: set[str] = set()
    for kind, see in looks.items():
        try:
            found += see()
        except Exception:
            # Not knowing is not a recovery: open incidents of this kind stay open.
            context.log.exception(f"could not check for problems of the kind {kind}")
            unknown.add(kind)
    return found, unknown, healed


def _targets(repository: dg.RepositoryDefinition, job: str) -> Collection[dg.AssetKey]:
    if not repository.has_job(job):
        return ()
    return repository.get_job(job).asset_layer.selected_asset_keys
