"""A separate code location that reports when the other one cannot load.

A mistake in ``catalog/platform.yaml``, in the code or in a model keeps every definition from loading, the sensor
``alerts`` too. This location imports neither the graph nor dbt, and reads of the catalog what can be read.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType, SensorInstigatorData

from data_platform.alerts.announce import announce, outward
from data_platform.alerts.book import Book
from data_platform.alerts.config import ui_address
from data_platform.alerts.copies import copy
from data_platform.alerts.problem import SUMMARY_CHARACTERS, Problem, clip
from data_platform.catalog import Catalog, load_catalog, project_root
from data_platform.catalog.settings import alerts_of
from data_platform.defs import links, problems
from data_platform.defs.surroundings import echo, variables
from data_platform.errors import CatalogError, ConfigurationError, DataPlatformError
from data_platform.landing.signing import Signer

NAME = "watch"
WATCHED = "alerts"
EVERY_SECONDS = 20
SILENT_AFTER = timedelta(seconds=60)
ASLEEP_AFTER = timedelta(minutes=5)
COPIED_EVERY = timedelta(minutes=5)


class Silence:
    """Whether the watched sensor has stopped ticking, while the daemon goes on and ticks this one.

    Both are asked in turn, so a slow turn delays both: silent is what missed two turns of ours. After a
    pause of the daemon's own, or of the machine, the watched sensor gets its time again.
    """

    def __init__(self) -> None:
        self.own: deque[datetime] = deque(maxlen=3)
        self.began: datetime | None = None

    def since(self, now: datetime, last: datetime | None) -> datetime | None:
        """Since when nothing was heard; None while it is no silence. ``last`` is the newest tick."""
        if self.began is None or now - self.own[-1] > ASLEEP_AFTER:
            self.began = now
        self.own.append(now)
        heard = max(last or self.began, self.began)
        silent = len(self.own) == 3 and heard < self.own[0] + timedelta(microseconds=1)
        return heard if silent and now - heard > SILENT_AFTER else None


@dg.definitions
def defs() -> dg.Definitions:
    from data_platform.defs import migrations
    from data_platform.private_files import keep_private

    keep_private()
    migrations.install()
    return dg.Definitions(sensors=[watch_sensor(Silence())])


def watch_sensor(silence: Silence) -> dg.SensorDefinition:
    listing = Listing()

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports mistakes in the catalog, and definitions that do not load, in which case nothing else runs.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        root, found, catalog = look_at_catalog(now)
        environ = variables(root) if root else dict(os.environ)
        environment = environ.get("DATA_PLATFORM_ENV") or "local"
        config = alerts_of(root or Path(), environment)
        quiet = look_at_alerts(context.instance, silence, now)
        sent = announce(
            # the cursor alone keeps it: the store is named by the catalog, which may be what is broken
            Book(NAME, None, cursor=context.cursor),
            # a catalog that cannot be read is why the alerts are silent: one message is enough
            found or quiet,
            now,
            outward(config, environ, echo=partial(echo, context)),
            environment=environment,
            ui_url=ui_address(config, environ),
        )
        context.update_cursor(sent.cursor)
        if catalog is not None:
            listing.copy(catalog, environment, environ, sent.cursor, now)
        if sent.error is not None:
            context.log.error(str(sent.error))
            return dg.SkipReason(f"{sent.pending} message(s) not sent yet: {sent.error}")
        return dg.SkipReason(f"{sent.open} incident(s) open, {sent.sent} message(s) sent")

    return watch


@dataclass(slots=True)
class Listing:
    """The copy of the incidents that ``data-platform alerts list`` shows. In production the daemon has neither the store nor
    its key; there the sensor ``alerts`` makes the copy as long as it ticks (``copy_of``)."""

    cursor: str | None = None
    at: datetime | None = None

    def copy(
        self, catalog: Catalog, environment: str, environ: Mapping[str, str], cursor: str, now: datetime
    ) -> None:
        if cursor == self.cursor and self.at is not None and now - self.at < COPIED_EVERY:
            return
        try:
            chosen = catalog.environment(environment)
            signer = Signer.of(chosen.signing, environment, environ)
            copy(chosen.landing.open(catalog.root, environ), signer, NAME, cursor)
        except (DataPlatformError, OSError):
            return
        self.cursor, self.at = cursor, now


def copy_of(instance: dg.DagsterInstance) -> str | None:
    """The cursor of the sensor ``watch``, from Dagster's records."""
    found = [
        state.instigator_data
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        if state.name == NAME and isinstance(state.instigator_data, SensorInstigatorData)
    ]
    newest = max(found, key=lambda data: data.last_tick_timestamp or 0.0, default=None)
    return newest.cursor if newest is not None else None


def look_at_catalog(now: datetime) -> tuple[Path | None, list[Problem], Catalog | None]:
    """The project, a problem for each file of its catalog that has a mistake, and what of the catalog can be read."""
    try:
        root = project_root()
    except ConfigurationError as error:
        return None, [_problem("catalog/platform.yaml", str(error), now)], None
    catalog = None
    try:
        catalog = load_catalog(root, whole=False)
        mistakes: Iterable[str] = catalog.left_out
    except CatalogError as error:
        mistakes = error.mistakes
    except Exception as error:  # a defect of ours must not silence the sensor that reports defects
        return root, [_problem("catalog", f"It cannot be read: {type(error).__name__}.", now)], None
    by_file: dict[str, list[str]] = {}
    for mistake in mistakes:
        file, _, rest = mistake.partition(":")
        by_file.setdefault(file, []).append(f"line {rest}")
    return root, [_problem(file, _sentence(told), now) for file, told in by_file.items()], catalog


def _sentence(mistakes: list[str]) -> str:
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    todo = f"{more}. Left out until it is corrected: `data-platform validate`."
    return clip(mistakes[0].rstrip("."), SUMMARY_CHARACTERS - len(todo)) + todo


def _problem(file: str, summary: str, now: datetime) -> Problem:
    return Problem("catalog", file, file, summary, {}, now, links.LOCATIONS)


def look_at_alerts(instance: dg.DagsterInstance, silence: Silence, now: datetime) -> list[Problem]:
    """A problem if the sensor that reports everything else is missing or does not work; none if it is switched off."""
    states = [
        s for s in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR) if s.name == WATCHED
    ]
    newest = [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=1)]
    last = max((datetime.fromtimestamp(tick.timestamp, tz=UTC) for tick in newest), default=None)
    since = silence.since(now, last)
    if states and not any(state.is_running for state in states):
        return []
    if since is not None:
        return [
            Problem(
                "location",
                "data_platform",
                "every sensor, schedule and alert",
                "The definitions do not load, or the code server does not answer, so nothing starts automatically."
                " The page of code locations shows the error.",
                {},
                since,
                links.LOCATIONS,
            )
        ]
    return list(_failing(instance))


def _failing(instance: dg.DagsterInstance) -> Iterator[Problem]:
    for problem in problems.failing_ticks(instance, InstigatorType.SENSOR, NAME):
        if problem.object == WATCHED:
            yield problem
