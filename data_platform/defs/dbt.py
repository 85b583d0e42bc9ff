"""The dbt models as assets, their tests as checks, run against the environment's warehouse.

dbt runs by itself, after any change of a raw table: see ``automation.py``.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from packaging.version import Version

from data_platform.catalog import Catalog
from data_platform.defs import dbt_manifest
from data_platform.defs.automation import follow_raw_changes
from data_platform.defs.materializations import quoted
from data_platform.defs.names import WAREHOUSE_POOL
from data_platform.defs.resources import PlatformResource
from data_platform.sync import Platform
from data_platform.warehouses import Warehouse

LAYERS = ("staging", "intermediate", "marts", "snapshots")
PATH_VARIABLE = "DATA_PLATFORM_DUCKDB_PATH"
"""What ``dbt/profiles.yml`` reads the warehouse's file from."""


class Translator(DagsterDbtTranslator):
    """Asset keys are ``<layer>/<model>``; a source's key stands in its own ``meta``."""

    def __init__(self, manifest: Mapping[str, Any], gates: frozenset[dg.AssetKey]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))
        self._manifest = manifest
        self._gates = gates

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey([layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return layer(dbt_resource_props)

    def get_automation_condition(self, dbt_resource_props: Mapping[str, Any]) -> dg.AutomationCondition[Any]:
        raw = self._raw_ancestors.get(dbt_resource_props["unique_id"], frozenset())
        return follow_raw_changes(raw & self._gates)

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
    """Every model, snapshot and test. ``gates`` are the raw tables with a blocking check.

    Under ``dagster dev`` the project is parsed anew, so that an edited model shows at
    once; elsewhere the prebuilt manifest is used and a stale one fails.
    """
    folder = dbt_manifest.dbt_folder(catalog.root)
    project = DbtProject(folder, profiles_dir=folder, target=environment)
    if project.preparer.using_dagster_dev() and not dbt_manifest.fresh(catalog.root):
        dbt_manifest.build_manifest(catalog.root)
    manifest = dbt_manifest.load_manifest(catalog.root)

    translator = Translator(manifest, gates)
    relations = model_relations(manifest, translator)

    @dbt_assets(
        manifest=manifest,
        name="dbt_build",
        project=project,
        dagster_dbt_translator=translator,
        pool=WAREHOUSE_POOL,
    )
    def dbt_build(
        context: dg.AssetExecutionContext, dbt: DbtCli, platform: PlatformResource
    ) -> Iterator[Any]:
        opened = platform.open()
        path = opened.catalog.root / opened.environment.warehouse.path
        with environment_variable(PATH_VARIABLE, str(path)):
            yield from described(context, dbt.cli(["build"], context=context).stream(), opened, relations)

    resource = DbtCli(
        project_dir=os.fspath(folder),
        profiles_dir=os.fspath(folder),
        target=environment,
        dbt_executable=dbt_manifest.executable(),
    )
    return dg.Definitions(assets=[dbt_build], resources={"dbt": resource})


class DbtCli(DbtCliResource):
    """dbt as a child process and nothing of it in this one.

    Dagster's own resource asks the executable for its version (3 CPU-s) and builds an adapter
    here (5 CPU-s) to read row counts with, which spins on a core until dbt is done and keeps the
    warehouse's file open afterwards. ``described`` reads them over one connection instead.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class ModelRelation:
    """Where a model is in the warehouse; ``descriptions`` are its documented columns."""

    schema: str
    name: str
    is_view: bool
    descriptions: Mapping[str, str]


def model_relations(manifest: Mapping[str, Any], translator: Translator) -> dict[dg.AssetKey, ModelRelation]:
    return {
        translator.get_asset_key(node): ModelRelation(
            node["schema"],
            node["alias"],
            node["config"]["materialized"] == "view",
            {name: column.get("description") or "" for name, column in node["columns"].items()},
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "snapshot", "seed")
    }


def described(
    context: dg.AssetExecutionContext,
    events: Iterable[Any],
    platform: Platform,
    relations: Mapping[dg.AssetKey, ModelRelation],
) -> Iterator[Any]:
    """dbt's events, once dbt is done and has let go of the file, with rows and columns added.
    A failed dbt still gets its events reported before the failure is raised."""
    done: list[Any] = []
    failure: Exception | None = None
    try:
        done.extend(events)
    except Exception as error:
        failure = error
    if any(isinstance(event, dg.Output) for event in done):
        with platform.warehouse(read_only=True) as warehouse:
            for event in done:
                relation = None
                if isinstance(event, dg.Output):
                    relation = relations.get(context.asset_key_for_output(event.output_name))
                metadata = relation_metadata(warehouse, relation) if relation else {}
                yield event.with_metadata({**event.metadata, **metadata}) if metadata else event
    else:
        yield from done
    if failure is not None:
        raise failure


def relation_metadata(warehouse: Warehouse, relation: ModelRelation) -> dict[str, Any]:
    """Columns, and rows of what is no view; nothing where the model is not there."""
    found = warehouse.describe(relation.schema, relation.name)
    if not found:
        return {}
    columns = [
        dg.TableColumn(name, type_, relation.descriptions.get(name) or None)
        for name, type_ in found[0].columns
    ]
    metadata: dict[str, Any] = {
        "dagster/table_name": f"{relation.schema}.{relation.name}",
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }
    if not relation.is_view:
        count = f"SELECT count(*) FROM {quoted(relation.schema)}.{quoted(relation.name)}"
        metadata["dagster/row_count"] = int(warehouse.query(count).rows[0][0])
    return metadata


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """``name`` set for the block: dbt's process inherits it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
