"""Runs whose process is gone: what the launcher says of them, and that a child ends with its parent."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher import DefaultRunLauncher, WorkerStatus
from dagster._grpc.server import DagsterApiServer
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import serialize_value

from data_platform.defs.orphans import end_with_parent
from data_platform.defs.run_launcher import STOPPING, WatchingRunLauncher

RUN: Any = SimpleNamespace(run_id="one")


class Server:
    """A code server that knows of these runs, or does not answer."""

    def __init__(self, *runs: str, answers: bool = True) -> None:
        self.runs, self.answers = runs, answers

    def get_current_runs(self) -> str:
        if not self.answers:
            raise DagsterUserCodeUnreachableError("no answer")
        return serialize_value(
            GetCurrentRunsResult(current_runs=list(self.runs), serializable_error_info=None)
        )


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (Server("one", "two"), WorkerStatus.RUNNING),
        (Server("two"), WorkerStatus.NOT_FOUND),
        (Server(), WorkerStatus.NOT_FOUND),
        (Server(answers=False), WorkerStatus.RUNNING),
        (None, WorkerStatus.RUNNING),
    ],
)
def test_only_a_server_that_answers_can_say_that_a_run_is_gone(
    server: Server | None, status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchingRunLauncher, "_get_grpc_client_for_termination", lambda self, run_id: server)
    launcher = WatchingRunLauncher(lost_after_seconds=0)
    assert launcher.supports_check_run_worker_health
    assert launcher.check_run_worker_health(RUN).status == status


def test_a_run_is_given_up_only_once_the_new_server_has_answered_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    server = Server()
    monkeypatch.setattr(WatchingRunLauncher, "_get_grpc_client_for_termination", lambda self, run_id: server)
    monkeypatch.setattr("data_platform.defs.run_launcher.time.monotonic", lambda: now)
    launcher = WatchingRunLauncher(lost_after_seconds=60)
    seen = []
    for now, server.answers in [(0, True), (50, False), (70, True), (110, True), (130, True)]:  # noqa: B007
        seen.append(launcher.check_run_worker_health(RUN).status)
    assert seen == [WorkerStatus.RUNNING] * 4 + [WorkerStatus.NOT_FOUND]


@pytest.mark.parametrize(
    ("message", "raised"),
    [
        ("Tried to start a run on a server after telling it to shut down", DagsterUserCodeUnreachableError),
        ("The job is not there", DagsterLaunchFailedError),
    ],
)
def test_a_run_that_a_stopping_server_refuses_goes_back_into_the_queue(
    message: str, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, context: Any) -> None:
        raise DagsterLaunchFailedError(message)

    monkeypatch.setattr(DefaultRunLauncher, "launch_run", refuse)
    with pytest.raises(raised):
        WatchingRunLauncher().launch_run(SimpleNamespace())  # type: ignore[arg-type]
    assert STOPPING in inspect.getsource(DagsterApiServer.StartRun)


def _child(folder: str) -> None:
    end_with_parent()
    Path(folder, "child").write_text(str(os.getpid()))
    time.sleep(600)


def _parent(folder: str) -> None:
    context = multiprocessing.get_context("spawn")
    context.Process(target=_child, args=(folder,)).start()
    time.sleep(600)


@pytest.mark.slow
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(str(tmp_path),))
    parent.start()
    written = tmp_path / "child"
    child: psutil.Process | None = None
    try:
        until = time.monotonic() + 120
        while not (written.exists() and written.read_text()):
            assert time.monotonic() < until and parent.is_alive()
            time.sleep(0.1)
        child = psutil.Process(int(written.read_text()))
        assert parent.pid is not None
        os.kill(parent.pid, signal.SIGKILL)
        child.wait(120)
    finally:
        parent.kill()
        if child is not None and child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            child.kill()


def test_a_process_of_its_own_is_not_watched() -> None:
    end_with_parent()
    assert "data_platform.defs.orphans" not in {t.name for t in threading.enumerate()}
