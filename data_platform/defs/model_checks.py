"""The rules and the other checks of dbt models as asset checks of the models, evaluated after dbt has built them.

They are a step of their own, so that dbt's selection knows nothing of them. A run that builds a model evaluates its checks too, whoever
started it. They block nothing: dbt builds all models of a run before.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.catalog.ruled_models import RuledModel
from data_platform.catalog.runs import RunsConfig
from data_platform.defs.check_results import kind_specs, results_of, rule_specs
from data_platform.defs.dbt_run import ModelRelation, Models
from data_platform.defs.failing_rows import ToKeep, keep_rows
from data_platform.defs.last_records import last_materializations
from data_platform.defs.names import pool
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags
from data_platform.quality.checking import Subject
from data_platform.warehouses import WarehouseConfig

STEP = "model_rules"


def model_checks(
    catalog: Catalog, models: Models, warehouse: WarehouseConfig, runs: RunsConfig
) -> list[dg.AssetChecksDefinition]:
    """One op for the checks of all models that the graph holds; none if no model has any."""
    ruled = ruled_models(catalog, models)
    specs = [
        spec
        for key, (model, _) in ruled.items()
        for spec in (
            *rule_specs(key, model.rules, model.owner),
            *kind_specs(key, model.checks, model.owner),
        )
    ]
    if not specs:
        return []

    @dg.multi_asset_check(
        name=STEP, specs=specs, can_subset=True, pool=pool(warehouse), op_tags=step_tags(runs, runs.dbt)
    )
    def model_rules(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected: dict[dg.AssetKey, set[str]] = {}
        for check in context.selected_asset_check_keys:
            selected.setdefault(check.asset_key, set()).add(check.name)
        opened = platform.open()
        to_keep: list[ToKeep] = []
        builds = last_materializations(context.instance, list(selected))
        with opened.warehouse(read_only=True) as held:
            for key, names in sorted(selected.items()):
                model, at = ruled[key]
                subject = _subject(at, builds.get(key))
                yield from results_of(
                    key,
                    model.at(at.schema, at.name),
                    model.checks,
                    subject,
                    names,
                    held,
                    opened.clock(),
                    to_keep,
                )
        keep_rows(context.log, opened, to_keep)

    return [model_rules]


def ruled_models(catalog: Catalog, models: Models) -> Mapping[dg.AssetKey, tuple[RuledModel, ModelRelation]]:
    """The models that the catalog has something to check of, by asset key. A model of a source that the catalog does not have is not in the graph."""
    found = {}
    for key, node in models.nodes.items():
        model, relation = catalog.models.get(node["name"]), models.relation(key)
        if model is not None and relation is not None:
            found[key] = model, relation
    return found


def checked_models(catalog: Catalog, checks: Iterable[dg.AssetsDefinition]) -> dict[dg.AssetKey, RuledModel]:
    """The models that ``checks`` are about. Each model has a name of its own within the project."""
    keys = {key.asset_key for one in checks if one.node_def.name == STEP for key in one.check_keys}
    return {key: catalog.models[key.path[-1]] for key in sorted(keys)}


def _subject(at: ModelRelation, built: dg.EventLogRecord | None) -> Subject:
    """A build is told from the others by its run and by when it ended."""
    if built is None:
        return Subject(at.schema, at.name)
    ended = datetime.fromtimestamp(built.timestamp, tz=UTC)
    return Subject(at.schema, at.name, build=f"{built.run_id} {built.timestamp:.0f}", built_at=ended)
