"""The sensor that ends the passing results of checks whose time is over, such as that the newest row is recent.

A check is evaluated after each load. If loads stop, or bring nothing, the last result would stay green. It says until when
it holds; no load since then means that it has become false, so neither the warehouse nor the source is asked.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.catalog.ruled_models import RuledModel
from data_platform.defs.check_results import GOOD_UNTIL, kind_result
from data_platform.defs.event_batches import stored_together
from data_platform.defs.holdings import KnownHoldings
from data_platform.defs.last_records import last_materializations
from data_platform.defs.latest_checks import LatestChecks
from data_platform.defs.names import raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_history import busy_tables
from data_platform.quality.checking import LapsingKind, Renewed
from data_platform.quality.kinds import wanted
from data_platform.tables import TableId

EVERY_SECONDS = 60


class Lapsing(NamedTuple):
    """A check whose passing results end. ``table`` is the raw table that it is of, None for a model."""

    kind: LapsingKind
    settings: Any
    table: TableId | None


def lapses_sensor(
    catalog: Catalog,
    whole: Mapping[str, Collection[TableId]],
    models: Mapping[dg.AssetKey, RuledModel],
) -> dg.SensorDefinition:
    """Runs in every environment: it starts nothing and only reports to the graph."""
    checks = lapsing(catalog, models)
    latest, held = LatestChecks(), KnownHoldings()

    @dg.sensor(
        name="lapsed_checks",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails checks of the age of data once their time is over, though nothing was loaded since.",
    )
    def lapsed_checks(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        now = datetime.now(UTC)
        facts = ended(context.instance, latest, checks, now)
        if facts:  # a run that loads such a table evaluates its checks itself
            busy = busy_tables(context.instance, whole)
            facts = {key: one for key, one in facts.items() if checks[key].table not in busy}
        if not facts:
            return dg.SkipReason("no check's time is over")
        of_models = {key.asset_key for key in facts if checks[key].table is None}
        built = {
            key: datetime.fromtimestamp(record.timestamp, tz=UTC)
            for key, record in last_materializations(context.instance, of_models).items()
        }
        reads = held.of(platform.open()).reads
        with stored_together(context.instance):
            for evaluation in evaluations(checks, facts, reads, built, now):
                context.instance.report_runless_asset_event(evaluation)
        return dg.SkipReason(f"ended {', '.join(sorted(key.to_user_string() for key in facts))}")

    return lapsed_checks


def lapsing(catalog: Catalog, models: Mapping[dg.AssetKey, RuledModel]) -> dict[dg.AssetCheckKey, Lapsing]:
    """The checks whose passing results end, by key."""
    checked: list[tuple[dg.AssetKey, Mapping[str, Any], TableId | None]] = [
        (raw_key(table.id), table.checks, table.id)
        for source in catalog.sources.values()
        for table in source.tables.values()
    ]
    checked += [(key, model.checks, None) for key, model in models.items()]
    return {
        dg.AssetCheckKey(key, kind.name): Lapsing(kind, settings, table)
        for key, checks, table in checked
        for kind, settings in wanted(checks)
        if isinstance(kind, LapsingKind)
    }


def ended(
    instance: dg.DagsterInstance,
    latest: LatestChecks,
    keys: Collection[dg.AssetCheckKey],
    now: datetime,
) -> dict[dg.AssetCheckKey, dict[str, Any]]:
    """The facts of each check of ``keys`` whose last result passed and has ended."""
    found = {}
    for key, record in latest.passed(instance, keys, now).items():
        event = record.event.dagster_event if record.event else None
        evaluation = event.event_specific_data if event else None
        if isinstance(evaluation, dg.AssetCheckEvaluation):
            facts = {name: value.value for name, value in evaluation.metadata.items()}
            until = facts.get(GOOD_UNTIL)
            if isinstance(until, str) and datetime.fromisoformat(until) < now:
                found[key] = facts
    return found


def evaluations(
    checks: Mapping[dg.AssetCheckKey, Lapsing],
    facts: Mapping[dg.AssetCheckKey, Mapping[str, Any]],
    reads: Mapping[TableId, str],
    built: Mapping[dg.AssetKey, datetime],
    now: datetime,
) -> Iterator[dg.AssetCheckEvaluation]:
    for key, known in facts.items():
        kind, settings, table = checks[key]
        at = reads.get(table) if table is not None else None
        read = Renewed(datetime.fromisoformat(at) if at else None)
        renewed = read if table is not None else Renewed(built.get(key.asset_key), built=True)
        found = kind.lapsed(settings, known, now, renewed)
        result = kind_result(key.asset_key, kind, found)
        yield dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=False,
            metadata={**result.metadata, "evaluated_at": now.isoformat(timespec="seconds")},
            severity=result.severity,
            description=result.description,
        )
