"""Cores and memory of runs and steps, as the tags that the launchers of pods and tasks read."""

from __future__ import annotations

import json
from collections.abc import Mapping

from data_platform.catalog.runs import RunResources, RunsConfig

POD_TAG = "dagster-k8s/config"
TASK_CPU, TASK_MEMORY = "ecs/cpu", "ecs/memory"
UNITS_A_CORE = 1024
"""Of ECS."""


def run_tags(runs: RunsConfig, resources: RunResources) -> dict[str, str]:
    """Tags of a run; on one machine all runs share what there is, and none has any."""
    if runs.where == "pods":
        return _pod(resources)
    if runs.where == "tasks":
        return _task(resources)
    return {}


def step_tags(runs: RunsConfig, resources: RunResources) -> dict[str, str]:
    """Tags of an op whose step has a pod of its own."""
    return _pod(resources) if runs.where == "pods" and runs.steps == "apart" else {}


def _pod(resources: RunResources) -> dict[str, str]:
    asked: Mapping[str, str | None] = {
        "cpu": None if resources.cpu is None else f"{round(resources.cpu * 1000)}m",
        "memory": resources.memory,
    }
    requests = {name: value for name, value in asked.items() if value is not None}
    if not requests:
        return {}
    # A core that is idle may be used by others: no limit. Memory that is not there kills somebody else.
    limits = {name: value for name, value in requests.items() if name == "memory"}
    return {
        POD_TAG: json.dumps(
            {
                "container_config": {
                    "resources": {"requests": requests, **({"limits": limits} if limits else {})}
                }
            }
        )
    }


def _task(resources: RunResources) -> dict[str, str]:
    tags = {}
    if resources.cpu is not None:
        tags[TASK_CPU] = str(round(resources.cpu * UNITS_A_CORE))
    if resources.mebibytes is not None:
        tags[TASK_MEMORY] = str(resources.mebibytes)
    return tags
