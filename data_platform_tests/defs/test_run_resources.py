"""Cores and memory of the catalog are the tags that Dagster's launchers read, on every way a run begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.target import ANONYMOUS_ASSET_JOB_PREFIX
from dagster_k8s.job import get_user_defined_k8s_config

from data_platform.catalog import Catalog
from data_platform.catalog.runs import RunResources, RunsConfig
from data_platform.defs.build import build
from data_platform.defs.run_resources import run_tags, step_tags
from data_platform_tests.repository import shop_alone

BIG = RunResources(cpu=2, memory="8Gi")
SMALL = RunResources(cpu=0.5, memory="512Mi")
RUNS: dict[str, Any] = {"everything": RunResources(memory="1Gi"), "dbt": BIG, "sync": {"shop": SMALL}}


def resources(tags: Any) -> dict[str, Any]:
    """What dagster-k8s reads of the tags."""
    found = get_user_defined_k8s_config(tags).container_config.get("resources", {})
    return dict(found)


def test_a_pod_asks_for_both_and_is_limited_in_memory_alone() -> None:
    tags = run_tags(RunsConfig(where="pods"), SMALL)
    assert resources(tags) == {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    assert resources(run_tags(RunsConfig(where="pods"), RunResources(cpu=1))) == {
        "requests": {"cpu": "1000m"}
    }
    assert run_tags(RunsConfig(where="pods"), RunResources()) == {}


def test_a_task_asks_in_units_and_mebibytes() -> None:
    assert run_tags(RunsConfig(where="tasks"), SMALL) == {"ecs/cpu": "512", "ecs/memory": "512"}
    assert run_tags(RunsConfig(where="tasks"), BIG) == {"ecs/cpu": "2048", "ecs/memory": "8192"}


def test_one_machine_has_no_tags_and_only_steps_apart_have_their_own() -> None:
    assert run_tags(RunsConfig(), BIG) == {}
    assert step_tags(RunsConfig(where="pods"), BIG) == {}
    assert step_tags(RunsConfig(where="pods", steps="apart"), BIG) == run_tags(RunsConfig(where="pods"), BIG)


def in_pods(steps: str) -> Catalog:
    catalog = shop_alone()
    local = catalog.environment("local")
    environment = local.model_copy(update={"runs": RunsConfig(where="pods", steps=steps, **RUNS)})  # type: ignore[arg-type]
    return catalog.model_copy(update={"environments": {"local": environment}})


@pytest.mark.slow
def test_every_way_a_run_begins_has_them(manifest: Path) -> None:
    definitions = build(in_pods("together"), "local")
    repository = definitions.get_repository_def()
    small, whole = (
        run_tags(RunsConfig(where="pods"), SMALL),
        {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}},
    )
    assert resources(repository.get_job("shop_changes").tags) == resources(small)
    assert resources(repository.get_job("everything").tags) == whole
    hidden = repository.get_job(f"{ANONYMOUS_ASSET_JOB_PREFIX}_shop")
    assert resources(hidden.tags) == resources(small), "the probe's and the schedules'"
    (sensor,) = [s for s in repository.sensor_defs if isinstance(s, dg.AutomationConditionSensorDefinition)]
    assert resources(sensor.run_tags) == {
        "requests": {"cpu": "2000m", "memory": "8Gi"},
        "limits": {"memory": "8Gi"},
    }
    steps = {node.name: node.tags for node in repository.get_job("everything").nodes}
    assert not any("dagster-k8s/config" in tags for tags in steps.values())


@pytest.mark.slow
def test_steps_apart_are_pods_with_resources_of_their_own(manifest: Path) -> None:
    job = build(in_pods("apart"), "local").get_repository_def().get_job("everything")
    assert job.executor_def.name == "k8s"
    steps = {node.name: resources(node.tags) for node in job.nodes}
    assert steps["sync_shop"]["limits"] == {"memory": "512Mi"}
    assert steps["dbt_build"]["limits"] == {"memory": "8Gi"}
    assert json.dumps(steps), "plain values"
