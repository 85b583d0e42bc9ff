"""The dbt models as assets, their tests as checks, run against the environment's warehouse.

dbt runs by itself, after any change of a raw table: see ``automation.py``.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs import dbt_absent, dbt_manifest, dbt_run
from data_platform.defs.automation import follow_raw_changes
from data_platform.defs.consented import consent_checks
from data_platform.defs.dbt_library import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
    dbt_assets,
)
from data_platform.defs.freshness import mart_policy
from data_platform.defs.model_checks import model_checks
from data_platform.defs.names import pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags

LAYERS = ("staging", "intermediate", "marts", "snapshots")


class Translator(DagsterDbtTranslator):
    """Asset keys are ``<layer>/<model>``; a source's key stands in its own ``meta``."""

    def __init__(
        self,
        manifest: Mapping[str, Any],
        gates: frozenset[dg.AssetKey],
        hours: Mapping[dg.AssetKey, float] | None = None,
    ) -> None:
        """``hours`` are the ``freshness_hours`` of the raw tables."""
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))
        self._manifest = manifest
        self._gates = gates
        self._hours = hours or {}

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey([layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self._manifest["nodes"].get(unique_id)
        if node is None or layer(node) != "marts":
            return spec
        raw = self._raw_ancestors.get(unique_id, frozenset())
        policy = mart_policy([self._hours[key] for key in raw if key in self._hours])
        return dg.apply_freshness_policy(spec, policy, overwrite_existing=False)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return layer(dbt_resource_props)

    def get_automation_condition(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.AutomationCondition[Any] | None:
        if dbt_resource_props["resource_type"] == "source":
            return None  # no asset of dbt's
        raw = self._raw_ancestors.get(dbt_resource_props["unique_id"], frozenset())
        return follow_raw_changes(raw & self._gates)

    def _colliding_source_keys(self, manifest: Mapping[str, Any], project: Any) -> set[dg.AssetKey]:
        """Dagster's own makes everything that it would show of each source, to look at its key."""
        seen = Counter(self.get_asset_key(source) for source in manifest["sources"].values())
        return {key for key, times in seen.items() if times > 1}

    @cached_property
    def _raw_ancestors(self) -> Mapping[str, frozenset[dg.AssetKey]]:
        """Per model, the raw tables it is made of, however far up."""
        parents: Mapping[str, list[str]] = self._manifest["parent_map"]
        found: dict[str, frozenset[dg.AssetKey]] = {}

        def ancestors(unique_id: str) -> frozenset[dg.AssetKey]:
            if unique_id not in found:
                if unique_id in self._manifest["sources"]:
                    found[unique_id] = frozenset({self.get_asset_key(self._manifest["sources"][unique_id])})
                else:
                    found[unique_id] = frozenset[dg.AssetKey]().union(
                        *(ancestors(parent) for parent in parents.get(unique_id, []))
                    )
            return found[unique_id]

        return {unique_id: ancestors(unique_id) for unique_id in self._manifest["nodes"]}


def layer(props: Mapping[str, Any]) -> str:
    """The layer a model belongs to: its top folder, or the kind of resource it is."""
    if props["resource_type"] in ("snapshot", "seed"):
        return f"{props['resource_type']}s"
    folder = props["fqn"][1] if len(props["fqn"]) > 2 else "marts"
    return folder if folder in LAYERS else "marts"


def dbt_definitions(catalog: Catalog, environment: str, gates: frozenset[dg.AssetKey]) -> dg.Definitions:
    """Every model, snapshot and test of the catalog's sources. ``gates`` are the raw tables with a blocking check.

    Under ``make dev`` the project is parsed anew, so that an edited model shows at
    once; elsewhere the prebuilt manifest is used and a stale one fails.
    """
    folder = dbt_manifest.dbt_folder(catalog.root)
    warehouse = catalog.environment(environment).warehouse
    target = warehouse.kind  # an output of profiles.yml each
    project = DbtProject(folder, profiles_dir=folder, target=target)
    if project.preparer.using_dagster_dev() and not dbt_manifest.fresh(catalog.root, target):
        dbt_manifest.build_manifest(catalog.root, target, warehouse.dbt_variables(catalog.root))
    whole = dbt_manifest.load_manifest(catalog.root, target)
    absent = dbt_absent.absent(whole, catalog)
    manifest, excluded = dbt_absent.without(whole, absent), dbt_absent.excluded(whole, absent)

    tables = [table for source in catalog.sources.values() for table in source.tables.values()]
    hours = {raw_key(table.id): table.freshness_hours for table in tables}
    translator = Translator(manifest, gates, hours)
    models = dbt_run.Models(manifest, translator)
    # Not a resource of the graph: a run's configuration could name another program, and arguments to it.
    cli = dbt_run.DbtCli(
        project_dir=os.fspath(folder),
        profiles_dir=os.fspath(folder),
        target=target,
        dbt_executable=dbt_manifest.executable(),
        global_config_flags=["--no-use-colors"],  # a browser shows the codes as they are
    )

    runs = catalog.environment(environment).runs

    @dbt_assets(
        manifest=manifest,
        name="dbt_build",
        project=project,
        dagster_dbt_translator=translator,
        pool=pool(warehouse),
        op_tags=step_tags(runs, runs.dbt),
    )
    def dbt_build(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        yield from dbt_run.build(context, cli, platform.open(), models, excluded)

    checks = [
        *model_checks(catalog, models, warehouse, runs),
        *consent_checks(models, warehouse, runs),
    ]
    return dg.Definitions(assets=[dbt_build], asset_checks=checks)


def model_keys(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """The models and snapshots of ``dbt_definitions``."""
    return [
        key
        for assets in definitions.assets or ()
        if isinstance(assets, dg.AssetsDefinition)
        for key in assets.keys
    ]
