"""Where runs are executed, and what they get of the machine: the block ``runs`` of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from data_platform.yaml_fields import Frozen, FrozenDict, Model

MEBIBYTES = {"Mi": 1, "Gi": 1024}


class RunResources(Model):
    """``{cpu: 2, memory: 4Gi}``: what a run, or a step, asks for."""

    cpu: float | None = Field(
        default=None,
        gt=0,
        le=256,
        description="Cores. In Kubernetes they are requested, without a limit. Default: what the launcher's settings say.",
    )
    memory: str | None = Field(
        default=None,
        pattern=r"^[1-9][0-9]{0,5}(Mi|Gi)$",
        description="Memory, such as 512Mi or 4Gi. What takes more is killed. Default: what the launcher's settings say.",
    )

    @property
    def mebibytes(self) -> int | None:
        return int(self.memory[:-2]) * MEBIBYTES[self.memory[-2:]] if self.memory else None


class RunsConfig(Model):
    where: Literal["machine", "pods", "tasks"] = Field(
        default="machine",
        description="`machine`: runs are processes of this machine. `pods`: each is a job of Kubernetes. `tasks`: each is a"
        " task of Amazon ECS. Pods and tasks share no disk, so stores and warehouse must be services. `dagster.yaml` names"
        " the launcher.",
    )
    steps: Literal["together", "apart"] = Field(
        default="together",
        description="With `pods`: whether the steps of `everything` run in the run's pod, or each in a pod of its own.",
    )
    everything: RunResources = Field(
        default=RunResources(), description="Resources of a run of the job `everything`."
    )
    dbt: RunResources = Field(default=RunResources(), description="Resources of runs that build dbt models.")
    sync: Annotated[Mapping[str, RunResources], Frozen] = Field(
        default_factory=FrozenDict, description="Resources of the syncs of a source, by its name."
    )
