"""The status page as an asset: after the builds and each hour, what of the data can be believed is examined and written down.

It also keeps what only the graph knows (models, results of checks, times of builds) in the landing store, for
`data-platform health`.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG

from data_platform.alerts.config import ui_address
from data_platform.defs import shown
from data_platform.defs.automation import follow_raw_changes
from data_platform.defs.backup import LAST_GOOD_DRILL
from data_platform.defs.last_records import last_materializations
from data_platform.defs.latest_checks import Result, results
from data_platform.defs.names import NOT_EVALUATED, STATUS_PAGE, pool
from data_platform.defs.resources import PlatformResource
from data_platform.observability.config import StatusPageConfig
from data_platform.observability.record import Built, GraphRecord, Model
from data_platform.observability.trust import Check, Health
from data_platform.observability.words import rest, verdict
from data_platform.sync import Platform
from data_platform.sync import health as examining
from data_platform.warehouses import WarehouseConfig
from data_platform.web.status import PATH

HOURLY = "0 * * * *"
DURATION = "Execution Duration"
"""Under which dagster-dbt says how many seconds a model took."""
_FAILED_TO_RUN = ("error", "runtime error")


def status_page_definitions(
    config: StatusPageConfig,
    warehouse: WarehouseConfig,
    after: Iterable[dg.AssetKey],
    graph: Sequence[dg.Definitions],
) -> dg.Definitions:
    """``after`` are the assets that the page is about; ``graph`` is everything that holds models and checks."""

    @dg.asset(
        key=STATUS_PAGE,
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in sorted(set(after))],
        pool=pool(warehouse),
        op_tags={PRIORITY_TAG: "-10"},  # after the checks of the run, which it cannot depend on
        group_name="observability",
        kinds={"html"},
        description=f"{f'The page {config.path}' if config.path else 'A record'}: what of the data can be believed, and if not, since when and why; the business figures,"
        " each with its trust. `data-platform health` says the same in a terminal.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=config.stale_hours)),
        automation_condition=follow_raw_changes(())
        | (dg.AutomationCondition.cron_tick_passed(HOURLY) & ~dg.AutomationCondition.in_progress()),
    )
    def status_page(context: dg.AssetExecutionContext, platform: PlatformResource) -> Any:
        opened = platform.open()
        health, path = refresh(context.instance, opened, graph)
        counts = health.counts
        written: dict[str, Any] = {}
        if path is not None:
            served = f"{ui_address(opened.environment.alerts, opened.environ)}{PATH}"
            written = {"path": str(path), "bytes": path.stat().st_size, "page": dg.MetadataValue.url(served)}
        return dg.MaterializeResult(
            metadata={
                "answer": shown.description(f"{verdict(health)} {rest(health)}".strip()),
                **written,
                "can_be_believed": counts["ok"],
                "with_care": counts["warn"],
                "not_known": counts["unknown"],
                "cannot_be_believed": counts["bad"],
                "findings": shown.table(
                    ("what", "aspect", "why", "since"),
                    [
                        (
                            ", ".join(one.labels),
                            one.aspect,
                            one.text,
                            one.since.isoformat() if one.since else "",
                        )
                        for one in health.findings
                    ],
                ),
            }
        )

    return dg.Definitions(assets=[status_page])


def refresh(
    instance: dg.DagsterInstance, platform: Platform, graph: Sequence[dg.Definitions]
) -> tuple[Health, Path | None]:
    """Examine everything, keep what the graph knows, and write the page if the environment has a place for it."""
    record = look(instance, platform, graph)
    health = examining.examine(platform, record)
    examining.keep(platform, examining.with_history(record, health))
    config = platform.environment.status_page
    if config is not None and config.path is None:
        return health, None
    return health, examining.write_page(platform, health)


def look(instance: dg.DagsterInstance, platform: Platform, graph: Sequence[dg.Definitions]) -> GraphRecord:
    """What Dagster's records say of the models and checks of ``graph``."""
    before = examining.recorded(platform)
    keys = {key for assets in _assets(graph) for key in assets.check_keys} | {LAST_GOOD_DRILL}
    found = results(instance, keys)
    checks: dict[str, list[Check]] = {}
    for key in sorted(keys):
        asset = key.asset_key.to_user_string()
        checks.setdefault(asset, []).append(_check(key, found.get(key)))
    models = _models(graph)
    built = last_materializations(instance, list(models))
    return GraphRecord(
        at=platform.clock().astimezone(UTC),
        models=tuple(models.values()),
        checks={asset: tuple(some) for asset, some in checks.items()},
        built={
            models[key].relation.lower(): Built(_instant(record.timestamp), _seconds(record))
            for key, record in built.items()
        },
        history=before.history if before else {},
    )


def _assets(graph: Sequence[dg.Definitions]) -> list[dg.AssetsDefinition]:
    found = [one for part in graph for one in (*(part.assets or ()), *(part.asset_checks or ()))]
    return [one for one in found if isinstance(one, dg.AssetsDefinition)]


def _models(graph: Sequence[dg.Definitions]) -> dict[dg.AssetKey, Model]:
    """The dbt models of ``graph``, by key."""
    specs = [(spec, _node(spec)) for assets in _assets(graph) for spec in assets.specs]
    checks: dict[dg.AssetKey, list[str]] = {}
    for assets in _assets(graph):
        for key in assets.check_keys:
            checks.setdefault(key.asset_key, []).append(key.name)
    found = {}
    for spec, (node, manifest) in specs:
        if node is None:
            continue
        named = {**manifest["sources"], **manifest["nodes"]}
        parents = [named[id_] for id_ in manifest["parent_map"].get(node["unique_id"], ()) if id_ in named]
        found[spec.key] = Model(
            relation=f"{node['schema']}.{node['alias']}",
            asset=spec.key.to_user_string(),
            view=node["config"]["materialized"] == "view",
            domain=str(node["config"].get("group") or ""),
            owner=next(iter(spec.owners), None),
            upstream=tuple(
                f"{one['schema']}.{one.get('alias') or one.get('identifier') or one['name']}"
                for one in parents
            ),
            tests=tuple(sorted(checks.get(spec.key, ()))),
        )
    return found


def _node(spec: dg.AssetSpec) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """The node of dbt's manifest that ``spec`` is of, and the manifest; None for any other asset."""
    wrapper, id_ = spec.metadata.get("dagster_dbt/manifest"), spec.metadata.get("dagster_dbt/unique_id")
    if wrapper is None or id_ is None:
        return None, {}
    manifest = wrapper.manifest
    return manifest["nodes"].get(id_), manifest


def _check(key: dg.AssetCheckKey, result: Result | None) -> Check:
    if result is None:
        return Check(key.name, "unknown")
    at, since = _instant(result.at), _instant(result.since)
    if result.passed:
        return Check(key.name, "passed", at=at)
    evaluation = result.evaluation
    if evaluation is None:
        return Check(key.name, "failed", at=at, since=since)
    warns = evaluation.severity == dg.AssetCheckSeverity.WARN
    return Check(
        key.name,
        "unknown" if _lost(evaluation) else "failed",
        "warn" if warns else "error",
        at,
        since,
        shown.plain(evaluation.description or ""),
    )


def _lost(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether the check said that it could not be evaluated: dbt, by the status of its test."""
    values = {name: value.value for name, value in evaluation.metadata.items()}
    return bool(values.get(NOT_EVALUATED)) or values.get("status") in _FAILED_TO_RUN


def _seconds(record: dg.EventLogRecord) -> float | None:
    made = record.asset_materialization
    value = made.metadata[DURATION].value if made is not None and DURATION in made.metadata else None
    return float(value) if isinstance(value, int | float) else None


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=UTC)
