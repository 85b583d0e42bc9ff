"""Starts each run as a process of the code server, and notices when that process is gone.

Dagster's own launcher does the first and not the second. A code server that is killed with
its runs (out of memory, a container replaced) leaves them "started" until ``max_runtime_seconds``,
and the warehouse's pool slot with them. With this one, run monitoring asks the code server.
It says so only once the new code server has answered for a while: the daemon gives up for good
on a retry that comes before it has loaded the definitions anew.
A run that comes while the code server lets its last ones end waits for the next server.
``deploy/dagster.yaml`` names it; a laptop does without.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dagster import DagsterRun, Field, IntSource
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import ConfigurableClassData, deserialize_value

STOPPING = "after telling it to shut down"
"""How a code server refuses a run once it was told to stop; Dagster's own words."""


class WatchingRunLauncher(DefaultRunLauncher):
    """``DefaultRunLauncher`` with the health check that run monitoring looks for.

    A run is lost when the code server has not known it for ``lost_after_seconds``.
    """

    def __init__(
        self, inst_data: ConfigurableClassData | None = None, lost_after_seconds: float = 60
    ) -> None:
        super().__init__(inst_data)
        self._lost_after_seconds = lost_after_seconds
        self._unknown_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {"lost_after_seconds": Field(IntSource, default_value=60)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> WatchingRunLauncher:
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        try:
            super().launch_run(context)
        except DagsterLaunchFailedError as error:
            if STOPPING not in str(error):
                raise
            # the queue takes such a run back, and fails any other
            raise DagsterUserCodeUnreachableError("The code server is stopping.") from error

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Not found when the code server answers and has not known the run for a while.

        A server that does not answer proves nothing: it may be busy, or about to come back. A run
        that no code server started (``make demo``) is not ours to judge.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no code server started this run")
        try:
            known = deserialize_value(client.get_current_runs(), GetCurrentRunsResult).current_runs
        except DagsterUserCodeUnreachableError:
            self._unknown_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if run.run_id in known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        since = self._unknown_since.setdefault(run.run_id, time.monotonic())
        if time.monotonic() - since < self._lost_after_seconds:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not know the run")
        del self._unknown_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was restarted and the run's process went with it"
        )
