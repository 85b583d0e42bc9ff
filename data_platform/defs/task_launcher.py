"""Starts each run as a task of Amazon ECS, and lets nobody who launches a run choose more than its cores and memory.

Dagster's own launcher takes a command, roles and variables from tags, which the launchpad accepts of everybody who
reaches the UI; on Kubernetes its settings can refuse such tags, and on ECS they cannot. ``deploy/ecs/dagster.yaml``
names this one.
"""

from __future__ import annotations

from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.launcher import LaunchRunContext
from dagster._core.storage.dagster_run import DagsterRun
from dagster_aws.ecs import EcsRunLauncher

from data_platform.defs.run_resources import TASK_CPU, TASK_MEMORY

PREFIX = "ecs/"
CHOSEN = {TASK_CPU, TASK_MEMORY}
WRITTEN = {"ecs/task_arn", "ecs/cluster"}
"""By the launcher: which task is the run's. A run that is started again brings those of the run before."""


class TaskRunLauncher(EcsRunLauncher):
    """``EcsRunLauncher`` that refuses runs with tags that change what is executed."""

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        refused = refused_tags(run)
        if refused:
            raise DagsterLaunchFailedError(
                f"The run has tags that would change what is executed: {', '.join(refused)}. Launch it without them; only"
                f" {TASK_CPU} and {TASK_MEMORY} may be given."
            )
        if WRITTEN & set(run.tags):
            # until the new task is known, to end this run must not end another's task
            self._instance.add_run_tags(run.run_id, dict.fromkeys(WRITTEN, ""))
        super().launch_run(context)


def refused_tags(run: DagsterRun) -> list[str]:
    return sorted(tag for tag in run.tags if tag.startswith(PREFIX) and tag not in CHOSEN | WRITTEN)
