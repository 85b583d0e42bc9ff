"""The platform beside a real Airflow 2: a DAG is observed, then one of its tasks is proxied and made by Dagster.

On demand, `make test-airflow`: both sides are started, which takes minutes on a slow machine. The tests are steps of
one migration, in their order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import requests
import yaml
from dagster_airlift.core import AirflowInstance

from data_platform.catalog.airflow import AirflowConfig
from data_platform.defs.airflow_client import airflow_instance
from data_platform.errors import ConfigurationError
from data_platform.sandbox.server import PostgresServer
from data_platform_tests.airflow.server import INSTALLED, PASSWORD, USER, Airflow, running
from data_platform_tests.deploy.production import (
    LOCATION,
    Production,
    free_port,
    instance_variables,
    wait,
    write_home,
    write_project,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NIGHTLY, BROKEN = dg.AssetKey(["airflow", "nightly"]), dg.AssetKey(["airflow", "broken"])
REPORT, PRODUCTS = dg.AssetKey(["legacy", "report"]), dg.AssetKey(["raw", "shop", "products"])
BLOCK = {
    "user_env": "AIRFLOW_USER",
    "password_env": "AIRFLOW_PASSWORD",
    "dags": {
        "nightly": {"tasks": {"load": ["raw/shop/products"], "report": ["legacy/report"]}},
        "broken": {},
    },
}


@dataclass(frozen=True)
class Both:
    production: Production
    airflow: Airflow
    api: AirflowInstance

    def materialized(self, key: dg.AssetKey) -> int:
        return len(self.production.instance.fetch_materializations(key, limit=10).records)

    def last_run_check(self, dag: dg.AssetKey) -> str | None:
        key = dg.AssetCheckKey(dag, "last_run")
        found = self.production.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return found[0].status.value if found else None

    def operator(self, task: str) -> str:
        """The class of a task of the DAG, as Airflow has read it last."""
        found = {info.task_id: info for info in self.api.get_task_infos(dag_id="nightly")}
        return str(found[task].metadata["class_ref"]["class_name"]) if task in found else ""

    def run(self, dag: str) -> str:
        """Trigger the DAG and wait for its end; its state."""
        run_id = self.api.trigger_dag(dag)

        def ended() -> str | None:
            run = self.api.get_dag_run(dag, run_id)
            return run.state if run.finished else None

        return str(wait(ended, f"{dag} to end; {self.airflow.log()}"))


def project_beside(root: Path, data: Path, url: str) -> Path:
    write_project(root, data)
    platform = root / "catalog" / "platform.yaml"
    text = platform.read_text()
    block = yaml.safe_dump({"url": url, **BLOCK}, default_flow_style=True, width=10_000).strip()
    place = "    automation: running\n"
    assert text.count(place) == 1
    platform.write_text(text.replace(place, f"{place}    airflow: {block}\n"))
    return root


@pytest.fixture(scope="module", autouse=True)
def asked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--airflow"):
        pytest.skip("on demand: `make test-airflow`")
    assert (INSTALLED / ".installed").exists(), "Airflow is not installed: `make airflow`"


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
    shop: str,
    manifest: Path,
) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("beside")
    instance = instance_variables(postgres.create_database("dagster_airflow"))
    code, web = free_port(), free_port()
    home = write_home(folder / "dagster", code)
    with (
        running(folder / "airflow", f"http://127.0.0.1:{web}") as airflow,
        pytest.MonkeyPatch.context() as patch,
    ):
        root = project_beside(folder / "project", folder / "data", airflow.url)
        given = {
            **instance,
            "AIRFLOW_USER": USER,
            "AIRFLOW_PASSWORD": PASSWORD,
            "DAGSTER_HOME": str(home),
            "DATA_PLATFORM_ENV": "prod",
            "DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken",
            "DATA_PLATFORM_LEDGER_KEY": "another key of a test, long enough to be taken",
            "SHOP_DATABASE_URL": shop,
        }
        for name in ("DAGSTER_HOME", *instance):
            patch.setenv(name, given[name])
        environ = {**os.environ, **given, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        production = Production(folder, root, home, code, environ)
        started: list[subprocess.Popen[bytes]] = []
        command = [
            "python",
            "-m",
            "data_platform.defs.webserver",
            "--workspace",
            str(home / "workspace.yaml"),
        ]
        try:
            production.start_code(root)
            production.switch_off()
            production.start_daemon()
            started.append(
                production._start("webserver", [*command, "--host", "127.0.0.1", "--port", str(web)], root)
            )
            config = AirflowConfig.model_validate({**BLOCK, "url": airflow.url})
            api = airflow_instance(config, lambda: given)
            made = Both(production, airflow, api)
            wait(lambda: answers(f"http://127.0.0.1:{web}/server_info"), production.log("webserver"))
            wait(lambda: dags_of(api) >= {"nightly", "broken"}, f"Airflow to know its DAGs; {airflow.log()}")
            yield made
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)
            production.stop()
            postgres.drop_database("dagster_airflow")


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def dags_of(api: AirflowInstance) -> set[str]:
    try:
        return {dag.dag_id for dag in api.list_dags()}
    except Exception:  # it is starting
        return set()


def start_sensor(production: Production) -> None:
    with production.workspace() as context:
        location = context.create_request_context().get_code_location(LOCATION)
        (sensor,) = [
            one for one in location.get_repository("__repository__").get_sensors() if one.name == "airflow"
        ]
        production.instance.start_sensor(sensor)


def test_another_password_is_refused_with_the_variables_to_look_at(both: Both) -> None:
    config = AirflowConfig.model_validate({**BLOCK, "url": both.airflow.url})
    api = airflow_instance(config, lambda: {"AIRFLOW_USER": USER, "AIRFLOW_PASSWORD": "not this one"})
    with pytest.raises(
        ConfigurationError, match="refuses what is in AIRFLOW_USER and AIRFLOW_PASSWORD"
    ) as caught:
        api.list_dags()
    assert "not this one" not in str(caught.value)


def test_a_dag_is_observed(both: Both) -> None:
    """Its runs are materializations of its asset and of what its tasks make there, and nothing else is."""
    start_sensor(both.production)
    assert both.run("nightly") == "success"
    assert both.run("broken") == "failed"
    wait(lambda: both.materialized(NIGHTLY), f"the run to be seen; {both.production.log('daemon')}")
    wait(lambda: both.last_run_check(BROKEN), "the failed run to be seen")
    assert both.materialized(REPORT) == both.materialized(NIGHTLY) >= 1
    assert both.last_run_check(BROKEN) == "FAILED" and both.last_run_check(NIGHTLY) == "SUCCEEDED"
    assert both.materialized(BROKEN) == 0
    assert both.materialized(PRODUCTS) == 0, "Airflow says that it loaded them, and the warehouse has none"
    assert both.production.instance.get_runs() == [], "to observe starts nothing"


def test_a_task_is_proxied_and_made_by_dagster(both: Both) -> None:
    assert both.operator("load") == "PythonOperator"
    state = both.airflow.home / "dags" / "proxied_state" / "nightly.yaml"
    state.write_text(state.read_text().replace("id: load\n    proxied: false", "id: load\n    proxied: true"))
    wait(lambda: both.operator("load") == "DefaultProxyTaskToDagsterOperator", "Airflow to read the file")
    before = both.materialized(REPORT)
    assert both.run("nightly") == "success", both.airflow.log()
    (run,) = both.production.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS, both.production.told(run.run_id)
    assert run.tags["dagster-airlift/airflow-task-id"] == "load"
    assert run.asset_selection == {PRODUCTS}
    assert both.materialized(PRODUCTS) == 1
    assert both.production.rows("SELECT count(*) > 0 FROM raw_shop.products") == [(True,)]
    wait(lambda: both.materialized(REPORT) > before, "what stays in Airflow to be observed still")
    assert both.materialized(PRODUCTS) == 1, "and what Dagster made is not reported twice"
