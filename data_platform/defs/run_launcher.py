"""Starts each run as a process of the code server, and notices when that process is gone.

Dagster's own launcher does the first and not the second. A code server that is killed with
its runs (out of memory, a container replaced) leaves them "started" until ``max_runtime_seconds``,
and the warehouse's pool slot with them. With this one, run monitoring asks the code server.
A run that comes while the code server lets its last ones end waits for the next server.
``deploy/dagster.yaml`` names it; a laptop does without.
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import deserialize_value

STOPPING = "after telling it to shut down"
"""How a code server refuses a run once it was told to stop; Dagster's own words."""


class WatchingRunLauncher(DefaultRunLauncher):
    """``DefaultRunLauncher`` with the health check that run monitoring looks for."""

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
        """Not found when the code server answers and does not know the run.

        A server that does not answer proves nothing: it may be busy, or about to come back. A run
        that no code server started (``make demo``) is not ours to judge.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no code server started this run")
        try:
            known = deserialize_value(client.get_current_runs(), GetCurrentRunsResult).current_runs
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if run.run_id in known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was restarted and the run's process went with it"
        )
