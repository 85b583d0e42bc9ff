"""Airflow's REST API as dagster-airlift asks it, with credentials from the environment and errors that say what to do.

Nothing is read or connected to before a tick or a check asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import requests
from dagster_airlift.core import AirflowInstance
from dagster_airlift.core.airflow_instance import AirflowAuthBackend
from dagster_airlift.core.runtime_representations import DagRun

from data_platform.catalog.airflow import AirflowConfig
from data_platform.errors import AirflowUnreachable, ConfigurationError

NAME = "airflow"
TIMEOUT = (5, 20)
"""Seconds to connect, and until the next bytes come."""
ENDED = ("success", "failed")
PAGES_MAX = 50


class Session(requests.Session):
    """With a limit of time on each request, and answers that are no answers as errors."""

    def __init__(self, config: AirflowConfig) -> None:
        super().__init__()
        self.config = config

    def request(self, *args: Any, **named: Any) -> requests.Response:
        named.setdefault("timeout", TIMEOUT)
        try:
            response = super().request(*args, **named)
        except requests.RequestException as error:
            raise AirflowUnreachable(
                f"Airflow does not answer at {self.config.url} ({type(error).__name__}). Its DAGs are observed again once"
                " it does; runs that end meanwhile are not lost."
            ) from None
        if response.status_code in (401, 403):
            raise ConfigurationError(
                f"Airflow at {self.config.url} refuses what is in {' and '.join(self.config.variables())}"
                f" (HTTP {response.status_code}). Give the user the role Viewer, and let `auth_backends` of Airflow's [api]"
                " accept basic_auth."
            )
        if response.status_code == 404 and not response.headers.get("Content-Type", "").startswith(
            ("application/json", "application/problem+json")
        ):
            raise ConfigurationError(
                f"{self.config.url} has no REST API of Airflow 2. Airflow 3 has another one, which dagster-airlift does not"
                " speak."
            )
        return response


class Backend(AirflowAuthBackend):
    """``variables`` gives the environment when it is asked for."""

    def __init__(self, config: AirflowConfig, variables: Callable[[], Mapping[str, str]]) -> None:
        self.config, self.variables = config, variables

    def get_webserver_url(self) -> str:
        return self.config.url

    def get_session(self) -> Session:
        given = self.variables()
        missing = [name for name in self.config.variables() if not given.get(name)]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} of `airflow` in catalog/platform.yaml not set. Put the credentials of a user of"
                " Airflow into .env or the environment."
            )
        session = Session(self.config)
        if self.config.token_env is not None:
            session.headers["Authorization"] = f"Bearer {given[self.config.token_env]}"
        elif self.config.user_env is not None and self.config.password_env is not None:
            session.auth = (given[self.config.user_env], given[self.config.password_env])
        return session


def airflow_instance(config: AirflowConfig, variables: Callable[[], Mapping[str, str]]) -> AirflowInstance:
    return AirflowInstance(auth_backend=Backend(config, variables), name=NAME)


def ended_runs(airflow: AirflowInstance, dags: list[str], since: datetime, until: datetime) -> list[DagRun]:
    """The runs of ``dags`` that succeeded or failed between these times, the last to end last."""
    found: list[DagRun] = []
    for _ in range(PAGES_MAX):
        page, total = airflow.get_dag_runs_batch(
            dags, end_date_gte=since, end_date_lte=until, offset=len(found), states=list(ENDED)
        )
        found += page
        if not page or len(found) >= total:
            break
    return sorted(found, key=lambda run: run.end_date)
