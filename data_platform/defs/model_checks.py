"""The rules of dbt models as asset checks of the models, evaluated in one scan a model after dbt has built them.

They are a step of their own, so that dbt's selection knows nothing of them. A run that builds a model evaluates its rules too, whoever
started it. They block nothing: dbt builds all models of a run before.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator, Mapping

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.catalog.ruled_models import RuledModel
from data_platform.catalog.runs import RunsConfig
from data_platform.defs import shown
from data_platform.defs.checks import ERROR, WARN, rule_facts, rule_metadata
from data_platform.defs.dbt_run import ModelRelation, Models
from data_platform.defs.failing_rows import ToKeep, keep_rows
from data_platform.defs.names import pool
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags
from data_platform.errors import DataPlatformError
from data_platform.quality.evaluate import RuleResult, evaluate_relation
from data_platform.quality.evaluated import sentence
from data_platform.quality.failures import Findings, stale
from data_platform.warehouses import Warehouse, WarehouseConfig

STEP = "model_rules"


def model_checks(
    catalog: Catalog, models: Models, warehouse: WarehouseConfig, runs: RunsConfig
) -> list[dg.AssetChecksDefinition]:
    """One op for the rules of all models that the graph holds; none if no model has a rule."""
    ruled = ruled_models(catalog, models)
    specs = [
        dg.AssetCheckSpec(
            rule.name,
            asset=key,
            description=shown.code(rule.text),
            metadata=rule_facts(rule) | ({"owner": model.owner} if model.owner and not rule.owner else {}),
        )
        for key, (model, _) in ruled.items()
        for rule in model.rules
    ]
    if not specs:
        return []

    @dg.multi_asset_check(
        name=STEP, specs=specs, can_subset=True, pool=pool(warehouse), op_tags=step_tags(runs, runs.dbt)
    )
    def model_rules(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
        opened = platform.open()
        to_keep: list[ToKeep] = []
        with opened.warehouse(read_only=True) as held:
            for key, (model, relation) in ruled.items():
                names = [rule.name for rule in model.rules if (key, rule.name) in selected]
                if names:
                    yield from _evaluated(held, key, model, relation, names, to_keep)
        keep_rows(context.log, opened, to_keep)

    return [model_rules]


def ruled_models(catalog: Catalog, models: Models) -> Mapping[dg.AssetKey, tuple[RuledModel, ModelRelation]]:
    """The models with rules by asset key. A model of a source that the catalog does not have is not in the graph."""
    found = {}
    for key, node in models.nodes.items():
        model, relation = catalog.models.get(node["name"]), models.relation(key)
        if model is not None and relation is not None:
            found[key] = model, relation
    return found


def _evaluated(
    warehouse: Warehouse,
    key: dg.AssetKey,
    model: RuledModel,
    relation: ModelRelation,
    names: list[str],
    to_keep: list[ToKeep],
) -> Iterator[dg.AssetCheckResult]:
    held = model.at(relation.schema, relation.name)
    try:
        results = evaluate_relation(warehouse, held, only=names)
        if stale(warehouse, held, results) is not None:
            to_keep.append(Findings(held, results))
    except DataPlatformError as error:
        results = [
            RuleResult(rule, False, 0, 0, 0.0, problem=str(error))
            for rule in model.rules
            if rule.name in names
        ]
    for result in results:
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=result.rule.name,
            passed=result.passed,
            severity=WARN if result.rule.severity == "warn" else ERROR,
            description=shown.description(sentence(result)),
            metadata=rule_metadata(held.label, result),
        )
