"""A production instance in miniature: code server and daemon as real processes, Dagster's records in a
real PostgreSQL, settings from deploy/, and a project of the test's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import psutil
import psycopg
import yaml

from data_platform_tests.defs.parsed import copy_dbt
from data_platform_tests.repository import copy_catalog

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
BIN = Path(sys.executable).parent
LOCATION = "data_platform"
POOL = "warehouse"
PATIENCE = 240
"""Seconds after which a wait gives up: a limit for what hangs, not a measure of anything."""

LOST_AFTER = 30
"""Seconds until a run is given up; by then the daemon must have loaded the new code server's definitions."""

LAUNCH = """
mutation($job: String!, $tags: [ExecutionTag!]) {launchPipelineExecution(executionParams: {
    mode: "default", executionMetadata: {tags: $tags}, selector: {pipelineName: $job,
    repositoryName: "__repository__", repositoryLocationName: "data_platform"}})
  {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}
"""
BACKFILL = """
mutation($params: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $params)
  {__typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}}
"""


@cache
def schema() -> Any:
    """The UI's GraphQL; seconds of a slow core to build."""
    from dagster_graphql.schema import create_schema

    return create_schema()


def wait(ready: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := ready():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_project(root: Path, data: Path) -> Path:
    """The repository's catalog, its environment ``prod`` on folders of the test's own, and dbt."""
    copy_catalog(root)
    platform = root / "catalog" / "platform.yaml"
    text = platform.read_text()
    assert "/var/lib/data-platform" in text
    platform.write_text(text.replace("/var/lib/data-platform", str(data)))
    shop = root / "catalog" / "sources" / "shop.yaml"
    # a test that holds a lock lets nobody give up on it
    shop.write_text(shop.read_text().replace("lock_timeout_seconds: 30", "lock_timeout_seconds: 900"))
    copy_dbt(REPOSITORY, root, data / "warehouse.duckdb")
    return root


def write_home(home: Path, port: int) -> Path:
    """DAGSTER_HOME from deploy/, with pauses that a test can wait for."""
    home.mkdir()
    settings = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    settings["run_monitoring"] |= {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 2}
    settings["run_launcher"]["config"] |= {"lost_after_seconds": LOST_AFTER}
    settings["run_queue"] |= {"user_code_failure_retry_delay": 2}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
    del workspace["load_from"][1:]  # what watches costs a process, and is tested elsewhere
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    return home


def instance_variables(url: str) -> dict[str, str]:
    """What compose.yaml gives its services, for the database at ``url``."""
    parts = urlsplit(url)
    return {
        "DAGSTER_POSTGRES_HOST": str(parts.hostname),
        "DAGSTER_POSTGRES_PORT": str(parts.port),
        "DAGSTER_POSTGRES_DB": parts.path.lstrip("/"),
        "DAGSTER_POSTGRES_USER": str(parts.username),
        "DAGSTER_POSTGRES_PASSWORD": str(parts.password),
    }


class Production:
    def __init__(self, folder: Path, root: Path, home: Path, port: int, environ: Mapping[str, str]) -> None:
        self.folder, self.root, self.home, self.port = folder, root, home, port
        self.environ = dict(environ)
        self.code: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None
        self.instance = dg.DagsterInstance.from_config(str(home))
        self._loaded = ExitStack()
        self._workspace: Any = None

    # ---- processes

    def _start(self, name: str, command: Sequence[str], root: Path) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=root,
                env={**self.environ, "DATA_PLATFORM_HOME": str(root)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_code(self, root: Path) -> None:
        """A code server with the project at ``root``, on the one address."""
        self._forget_definitions()
        command = ["dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--location-name", LOCATION, "--module-name", "data_platform.definitions"]
        self.code = self._start("code", command, root)
        wait(self.answers, f"the code server; {self.log('code')}")

    def start_daemon(self) -> None:
        command = ["dagster-daemon", "run", "--workspace", str(self.home / "workspace.yaml")]
        self.daemon = self._start("daemon", command, self.root)

    def answers(self) -> bool:
        assert self.code is not None
        assert self.code.poll() is None, self.log("code")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def run_processes(self) -> list[psutil.Process]:
        """The processes of runs, and of steps: what multiprocessing started below the code server."""
        assert self.code is not None
        children = psutil.Process(self.code.pid).children(recursive=True)
        return [child for child in children if "resource_tracker" not in command_line(child)]

    def step_processes(self) -> list[psutil.Process]:
        """Those of steps alone: forked from the process that a run keeps for the purpose."""
        server = "multiprocessing.forkserver"
        return [
            child
            for child in self.run_processes()
            if server in command_line(child) and server in command_line(psutil.Process(child.ppid()))
        ]

    def said(self, name: str, text: str) -> int:
        """How often ``text`` stands in the log so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace").count(text)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def stop(self) -> None:
        self._forget_definitions()
        for process in (self.daemon, self.code):
            if process is None:
                continue
            family = []
            if psutil.pid_exists(process.pid):
                family = psutil.Process(process.pid).children(recursive=True)
            for one in family:
                kill(one)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        self.instance.dispose()

    # ---- what a person does in the UI

    def workspace(self) -> Any:
        """The definitions of the code server, loaded once for each: as in the UI, which keeps them until they change."""
        from dagster._core.workspace.context import WorkspaceProcessContext
        from dagster._core.workspace.load_target import WorkspaceFileTarget

        if self._workspace is None:
            target = WorkspaceFileTarget([str(self.home / "workspace.yaml")])
            self._workspace = self._loaded.enter_context(WorkspaceProcessContext(self.instance, target))
        return self._workspace.create_request_context()

    def _forget_definitions(self) -> None:
        self._loaded.close()
        self._workspace = None

    def ask(self, query: str, **variables: Any) -> Any:
        asked = schema().execute_async(query, context_value=self.workspace(), variable_values=variables)
        answer = asyncio.run(asked).formatted
        assert "errors" not in answer, answer
        return next(iter(answer["data"].values()))

    def switch_off(self) -> None:
        """Sensors and schedules: the tests alone start runs."""
        repository = self.workspace().get_code_location(LOCATION).get_repository("__repository__")
        for sensor in repository.get_sensors():
            self.instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
        for schedule in repository.get_schedules():
            self.instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)

    def launch(self, job: str, **tags: str) -> str:
        """Queue a run; the daemon starts it."""
        given = [{"key": f"dagster/{name}", "value": value} for name, value in tags.items()]
        launched = self.ask(LAUNCH, job=job, tags=given)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def backfill(self, asset: str, days: Sequence[str]) -> str:
        params = {"assetSelection": [{"path": asset.split("/")}], "partitionNames": list(days)}
        launched = self.ask(BACKFILL, params=params)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    # ---- what became of it

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        def finished() -> dg.DagsterRunStatus | None:
            assert self.daemon is not None and self.daemon.poll() is None, self.log("daemon")
            run = self.instance.get_run_by_id(run_id)
            return run.status if run and run.is_finished else None

        status: dg.DagsterRunStatus = wait(finished, f"run {run_id} to end; {self.log('daemon')}")
        return status

    def told(self, run_id: str) -> str:
        """The run's messages, for a failed assertion and for what they must say."""
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))

    def slot_held_by(self) -> set[str]:
        info = self.instance.event_log_storage.get_concurrency_info(POOL)
        return {slot.run_id for slot in info.claimed_slots}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Opens the warehouse for writing, so that a lock somebody left would show."""
        import duckdb

        with duckdb.connect(str(self.folder / "data" / "warehouse.duckdb")) as warehouse:
            return warehouse.execute(sql).fetchall()

    def execute(self, statement: str) -> None:
        """SQL at the source."""
        with psycopg.connect(self.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
