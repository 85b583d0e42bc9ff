"""Jobs a person starts: everything at once, or one source's changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.job.asset_job import build_asset_job, get_asset_graph_for_job
from dagster._core.definitions.target import ANONYMOUS_ASSET_JOB_PREFIX
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from data_platform.catalog import Catalog, Source
from data_platform.defs import names
from data_platform.defs.checks import check_keys
from data_platform.tables import TableId

EVERYTHING = "everything"
# Configured here, an executor takes nothing from whoever launches a run: it could name modules to import.
IN_PROCESS = dg.in_process_executor.configured({})
STEP_PROCESSES = dg.multiprocess_executor.configured(
    # forked from a process that has imported everything, once a run: a step starts at once
    {"start_method": {"forkserver": {"preload_modules": ["data_platform.defs.build"]}}}
)
LAYERS = ("raw", "staging", "intermediate", "marts", "snapshots", "seeds")


class WholeGraphJob(UnresolvedAssetJobDefinition):
    """An asset job whose assets may be partitioned in different ways: sources start on different days and
    keep different time zones. Dagster's own refuses them, and with the job every definition.

    It is resolved the way Dagster resolves its implicit job of all assets. Where sources differ, the job
    takes no partition; each source's own job does.
    """

    def resolve(
        self,
        asset_graph: AssetGraph,
        default_executor_def: dg.ExecutorDefinition | None = None,
        resource_defs: Mapping[str, dg.ResourceDefinition] | None = None,
    ) -> dg.JobDefinition:
        return build_asset_job(
            self.name,
            asset_graph=get_asset_graph_for_job(
                asset_graph, self.selection, allow_different_partitions_defs=True
            ),
            description=self.description,
            executor_def=self.executor_def or default_executor_def,
            resource_defs=resource_defs,
            allow_different_partitions_defs=True,
        )


def jobs(catalog: Catalog, *, running: bool) -> list[Any]:
    """Started without a partition, a job reads *changes*; with one, it replaces those days.

    Where the platform runs by itself, ``everything`` gives each step a process of its own: one that
    runs out of memory takes no other source with it. Other runs hold one source or dbt, and a run
    is a process already; a process more would only cost its start.
    """
    everything = WholeGraphJob(
        EVERYTHING,
        selection=dg.AssetSelection.key_prefixes(*([layer] for layer in LAYERS)),
        description="Sync every source, build and test every model, evaluate every check.",
        executor_def=STEP_PROCESSES if running else IN_PROCESS,
    )
    return [everything, *(_source_job(source) for source in catalog.sources.values())]


def _source_job(source: Source) -> Any:
    tables = list(source.tables.values())
    assets = dg.AssetSelection.assets(*(names.raw_key(table.id) for table in tables)).without_checks()
    checks = dg.AssetSelection.checks(*check_keys(tables, completeness=False))
    return dg.define_asset_job(
        names.sync_job(source.name),
        selection=assets | checks,
        description=f"Read what changed in {source.name}.",
        tags={names.SOURCE_TAG: source.name},
        executor_def=IN_PROCESS,
    )


def tables_target(source: Source) -> Any:
    """What the sensor and the schedules of a source start, whatever tables and checks they choose: one hidden job.
    Dagster makes one of its own for each of them otherwise, and every process resolves them all."""
    return dg.define_asset_job(
        f"{ANONYMOUS_ASSET_JOB_PREFIX}_{source.name}",
        selection=dg.AssetSelection.assets(*(names.raw_key(table.id) for table in source.tables.values())),
    )


def whole_jobs(catalog: Catalog) -> dict[str, list[TableId]]:
    """The jobs that run without a selection of assets, and the tables they sync."""
    by_source = {
        names.sync_job(source.name): [table.id for table in source.tables.values()]
        for source in catalog.sources.values()
    }
    return {EVERYTHING: list(catalog.table_ids()), **by_source}
