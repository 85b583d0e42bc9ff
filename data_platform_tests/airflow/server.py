"""A real Airflow 2 on this machine: webserver and scheduler on SQLite, from the environment that `make airflow` made."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_platform_tests.deploy.production import REPOSITORY, free_port

INSTALLED = REPOSITORY / ".airflow"
DAGS = Path(__file__).parent / "dags"
USER = PASSWORD = "dagster"
"""Of the user that `make airflow` created; it is reached on this machine alone."""


class Airflow:
    def __init__(self, home: Path, dagster_url: str) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "PATH": f"{INSTALLED / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
            "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "DAGSTER_URL": dagster_url,
        }

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [str(INSTALLED / "bin" / "airflow"), *command],
                env=self.environ,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.home.glob("*.log"))


@contextmanager
def running(home: Path, dagster_url: str) -> Iterator[Airflow]:
    """Its processes are started, and may not answer yet."""
    home.mkdir()
    shutil.copy(INSTALLED / "home" / "airflow.db", home / "airflow.db")
    shutil.copytree(DAGS, home / "dags")
    airflow = Airflow(home, dagster_url)
    processes = [
        airflow.start("webserver", "--hostname", "127.0.0.1", "--port", str(airflow.port)),
        airflow.start("scheduler", "--skip-serve-logs"),  # it would listen on every address
    ]
    try:
        yield airflow
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
