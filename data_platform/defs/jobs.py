"""Jobs that a person starts: everything at once, or the changes of one source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.job.asset_job import build_asset_job, get_asset_graph_for_job
from dagster._core.definitions.target import ANONYMOUS_ASSET_JOB_PREFIX
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from data_platform.catalog import Catalog, Source
from data_platform.catalog.runs import RunResources, RunsConfig
from data_platform.defs import names
from data_platform.defs.checks import check_keys
from data_platform.defs.run_resources import run_tags
from data_platform.defs.source_checks import source_check_keys
from data_platform.tables import TableId

EVERYTHING = "everything"
# Configured here, an executor accepts no configuration at launch, which could name modules to import.
IN_PROCESS = dg.in_process_executor.configured({})
STEP_PROCESSES = dg.multiprocess_executor.configured(
    # each step is forked from one process per run that has imported everything, so it starts at once
    {"start_method": {"forkserver": {"preload_modules": ["data_platform.defs.build"]}}}
)
LAYERS = (
    "raw",
    "staging",
    "intermediate",
    "marts",
    "snapshots",
    "seeds",
    "published",
    "governance",
    "observability",
)


class WholeGraphJob(UnresolvedAssetJobDefinition):
    """An asset job whose assets may be partitioned in different ways: sources start on different days and
    use different time zones. Dagster's own job refuses that, and then no definition loads.

    This job is resolved like Dagster's implicit job of all assets. If sources differ, it accepts no
    partition; the job of each source does.
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
            tags=self.tags,
            resource_defs=resource_defs,
            allow_different_partitions_defs=True,
        )


def jobs(catalog: Catalog, runs: RunsConfig, *, running: bool) -> list[Any]:
    """Started without a partition, a job reads *changes*; with partitions, it replaces those days.

    If the platform runs unattended, ``everything`` runs each step in its own process: a step that
    runs out of memory then stops no other source. Other runs hold one source or dbt. A run already
    is a process; another one would only add its start. With ``steps: apart``, each step of ``everything`` has a pod.
    """
    everything = WholeGraphJob(
        EVERYTHING,
        selection=dg.AssetSelection.key_prefixes(*([layer] for layer in LAYERS))
        | _at_source(*catalog.sources.values()),
        description="Sync every source, build and test every model, evaluate every check.",
        executor_def=_executor(runs, running),
        tags=run_tags(runs, runs.everything),
    )
    return [everything, *(_source_job(source, runs) for source in catalog.sources.values())]


def _executor(runs: RunsConfig, running: bool) -> dg.ExecutorDefinition:
    if runs.where == "pods" and runs.steps == "apart":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor.configured({})
    return STEP_PROCESSES if running else IN_PROCESS


def _source_tags(source: Source, runs: RunsConfig) -> dict[str, str]:
    return run_tags(runs, runs.sync.get(source.name, RunResources()))


def _source_job(source: Source, runs: RunsConfig) -> Any:
    tables = list(source.tables.values())
    assets = dg.AssetSelection.assets(*(names.raw_key(table.id) for table in tables)).without_checks()
    checks = dg.AssetSelection.checks(*check_keys(tables, completeness=False))
    return dg.define_asset_job(
        names.sync_job(source.name),
        selection=assets | checks,
        description=f"Read the changes of {source.name}.",
        tags={names.SOURCE_TAG: source.name, **_source_tags(source, runs)},
        executor_def=IN_PROCESS,
    )


def _at_source(*sources: Source) -> dg.AssetSelection:
    return dg.AssetSelection.checks(
        *(key for source in sources for key in source_check_keys(source.tables.values()))
    )


def tables_target(source: Source, runs: RunsConfig) -> Any:
    """The one hidden job that the sensor and the schedules of a source start, with any tables and checks.
    Otherwise, Dagster makes a job for each of them, and every process resolves all of these."""
    return dg.define_asset_job(
        f"{ANONYMOUS_ASSET_JOB_PREFIX}_{source.name}",
        selection=dg.AssetSelection.assets(*(names.raw_key(table.id) for table in source.tables.values()))
        | _at_source(source),
        tags=_source_tags(source, runs),
    )


def whole_jobs(catalog: Catalog) -> dict[str, list[TableId]]:
    """The jobs that run without a selection of assets, with the tables they sync."""
    by_source = {
        names.sync_job(source.name): [table.id for table in source.tables.values()]
        for source in catalog.sources.values()
    }
    return {EVERYTHING: list(catalog.table_ids()), **by_source}
