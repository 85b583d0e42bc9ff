"""DAGs of an Airflow beside the platform: observed as assets, with a check on their last run; and tasks that are proxied.

The assets come from the catalog alone, so definitions load with Airflow down. dagster-airlift's own builder asks
Airflow for its DAGs when definitions load; of it, the sensor is used, which turns runs into materializations.
An asset that the platform makes itself is never reported as made by Airflow: only a run of the platform's does that.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from data_platform.catalog.airflow import AirflowConfig
from data_platform.defs.resources import PlatformResource
from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from dagster_airlift.core import AirflowInstance
    from dagster_airlift.core.runtime_representations import DagRun

GROUP = "airflow"
LAST_RUN = "last_run"
SENSOR = "airflow"
EVERY_SECONDS = 30
FIRST_LOOK = timedelta(days=7)
"""How far back the last run of each DAG is looked for at first."""
MADE_HERE = (
    "source",
    "raw",
    "staging",
    "intermediate",
    "marts",
    "snapshots",
    "seeds",
    "backup",
    "restore_drill",
)
"""How names begin that only the platform's own assets have."""


def dag_key(dag: str) -> dg.AssetKey:
    return dg.AssetKey([GROUP, dag])


def with_airflow(
    definitions: dg.Definitions,
    config: AirflowConfig,
    variables: Callable[[], Mapping[str, str]],
    *,
    running: bool,
) -> dg.Definitions:
    """``definitions`` with the DAGs, what their tasks make, and one sensor. ConfigurationError where the extra is not
    installed, or a task makes what is not there."""
    try:
        from dagster_airlift.constants import PEERED_DAG_MAPPING_METADATA_KEY, TASK_MAPPING_METADATA_KEY
    except ImportError:
        raise ConfigurationError(
            "`airflow` in catalog/platform.yaml needs the extra `airflow`: pip install 'data-platform[airflow]'."
        ) from None
    from data_platform.defs.airflow_client import airflow_instance

    own = {spec.key for spec in definitions.resolve_all_asset_specs()}
    tasks = _tasks(config)
    _refuse_unknown(tasks, own)

    def mapping(key: dg.AssetKey) -> dict[str, Any]:
        return {TASK_MAPPING_METADATA_KEY: [{"dag_id": dag, "task_id": task} for dag, task in tasks[key]]}

    observed = [
        dg.AssetSpec(
            key, group_name=GROUP, kinds={"airflow"}, metadata=mapping(key), description=_made_by(tasks[key])
        )
        for key in sorted(set(tasks) - own)
    ]
    dags = [
        dg.AssetSpec(
            dag_key(name),
            group_name=GROUP,
            kinds={"airflow", "dag"},
            deps=sorted({_key(asset) for assets in dag.tasks.values() for asset in assets}),
            metadata={
                PEERED_DAG_MAPPING_METADATA_KEY: [{"dag_id": name}],
                "Airflow": dg.MetadataValue.url(f"{config.url}/dags/{name}"),
            },
            description=f"The DAG {name} of Airflow, which runs it. Each of its successful runs is a materialization.",
        )
        for name, dag in config.dags.items()
    ]
    proxied = set(tasks) & own
    mapped = definitions.map_resolved_asset_specs(
        func=lambda spec: spec.merge_attributes(metadata=mapping(spec.key)) if spec.key in proxied else spec
    )
    instance = partial(airflow_instance, config, variables)
    added = dg.Definitions(
        assets=[*observed, *dags],
        asset_checks=[_check(name, instance) for name in config.dags],
        sensors=[_sensor([*observed, *dags], list(config.dags), instance, running=running)],
    )
    return dg.Definitions.merge(mapped, added)


def _key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))


def _tasks(config: AirflowConfig) -> dict[dg.AssetKey, list[tuple[str, str]]]:
    """Each asset that tasks make, with their DAGs and ids."""
    found: dict[dg.AssetKey, list[tuple[str, str]]] = defaultdict(list)
    for dag, settings in config.dags.items():
        for task, assets in settings.tasks.items():
            for asset in assets:
                found[_key(asset)].append((dag, task))
    return dict(found)


def _refuse_unknown(tasks: Mapping[dg.AssetKey, Any], own: Collection[dg.AssetKey]) -> None:
    names = [key.to_user_string() for key in own]
    for key in tasks:
        if key not in own and key.path[0] in (*MADE_HERE, GROUP):
            near = get_close_matches(key.to_user_string(), names, n=1)
            raise ConfigurationError(
                f"`airflow` in catalog/platform.yaml: a task makes {key.to_user_string()}, which is no asset of this graph."
                + (
                    f" Did you mean {near[0]}?"
                    if near
                    else f" Names that begin with {key.path[0]}/ are the platform's own."
                )
            )


def _made_by(tasks: Collection[tuple[str, str]]) -> str:
    return f"Made by {', '.join(f'the task {task} of the DAG {dag}' for dag, task in tasks)} in Airflow."


def _check(dag: str, instance: "Callable[[], AirflowInstance]") -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dag_key(dag),
        name=LAST_RUN,
        description="The last run of the DAG that ended did not fail. The sensor evaluates it with each run.",
    )
    def last_run(platform: PlatformResource) -> dg.AssetCheckResult:
        now = datetime.now(UTC)
        runs = ended(instance(), [dag], now - FIRST_LOOK, now)
        if not runs:
            return dg.AssetCheckResult(
                passed=False,
                description=f"Airflow has no run of {dag} that ended within {FIRST_LOOK.days} days.",
            )
        told = evaluation(runs[-1])
        return dg.AssetCheckResult(passed=told.passed, metadata=told.metadata, description=told.description)

    return last_run


def ended(airflow: "AirflowInstance", dags: list[str], since: datetime, until: datetime) -> "list[DagRun]":
    from data_platform.defs.airflow_client import ended_runs

    return ended_runs(airflow, dags, since, until)


def evaluation(run: "DagRun") -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dag_key(run.dag_id),
        check_name=LAST_RUN,
        passed=run.state == "success",
        severity=dg.AssetCheckSeverity.ERROR,
        description=None
        if run.state == "success"
        else f"The run {run.run_id} of the DAG {run.dag_id} failed in Airflow.",
        metadata={
            "run": dg.MetadataValue.url(run.url),
            "state": run.state,
            "ended": dg.MetadataValue.timestamp(run.end_date),
        },
    )


def evaluations(
    runs: "Collection[DagRun]", told: Mapping[str, str]
) -> tuple[list[dg.AssetCheckEvaluation], dict[str, str]]:
    """An evaluation of each DAG whose last run is another than the one in ``told`` (when it ended, by DAG), and the next
    ``told``. A run that is cleared and ends again is told again."""
    last = {run.dag_id: run for run in sorted(runs, key=lambda run: run.end_date)}
    news = {dag: run for dag, run in last.items() if told.get(dag, "") < run.end_date.isoformat()}
    return [evaluation(run) for run in news.values()], {
        **told,
        **{dag: run.end_date.isoformat() for dag, run in news.items()},
    }


def _sensor(
    specs: list[dg.AssetSpec], dags: list[str], instance: "Callable[[], AirflowInstance]", *, running: bool
) -> dg.SensorDefinition:
    # of its own, so that a tick goes through the assets of Airflow, not through all tables of all sources
    small: list[dg.RepositoryDefinition] = []

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        asset_selection=dg.AssetSelection.groups(GROUP),
        description="Reports runs of Airflow's DAGs: materializations of what succeeded, and whether the last run failed.",
    )
    def airflow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from dagster_airlift.core.sensor.sensor_builder import build_airflow_polling_sensor

        if not small:
            small.append(dg.Definitions(assets=specs).get_repository_def())
        asked = instance()
        cursor = json.loads(context.cursor) if context.cursor else {}
        now = datetime.now(UTC)
        since = datetime.fromisoformat(cursor["until"]) if "until" in cursor else now - FIRST_LOOK
        checks, told = evaluations(ended(asked, dags, since, now), cursor.get("told", {}))
        inner = dg.build_sensor_context(
            instance=context.instance, cursor=cursor.get("airlift"), repository_def=small[0]
        )
        result = build_airflow_polling_sensor(mapped_assets=specs, airflow_instance=asked)(inner)
        context.update_cursor(
            json.dumps(
                {
                    "airlift": inner.cursor,
                    "told": {dag: told[dag] for dag in dags if dag in told},
                    "until": now.isoformat(),
                }
            )
        )
        return dg.SensorResult(asset_events=[*_events(result), *checks])

    return airflow


def _events(result: Any) -> Iterator[Any]:
    yield from result.asset_events or ()
