"""An Airflow beside the graph: what definitions hold without asking it, and what is said when it is not there."""

from __future__ import annotations

import json
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_airlift.core.runtime_representations import DagRun

from data_platform.catalog import Catalog
from data_platform.catalog.airflow import AirflowConfig
from data_platform.defs import airflow
from data_platform.defs.airflow_client import Backend
from data_platform.defs.build import build
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform_tests.catalog.documents import PLATFORM, mistakes, write
from data_platform_tests.repository import shop_alone

URL = "http://127.0.0.1:9"
BLOCK = {
    "url": URL,
    "user_env": "AIRFLOW_USER",
    "password_env": "AIRFLOW_PASSWORD",
    "dags": {
        "nightly": {"tasks": {"load": ["raw/shop/products"], "report": ["legacy/report"]}},
        "weekly.cleanup": {},
    },
}
REPORT = dg.AssetKey(["legacy", "report"])
PRODUCTS = dg.AssetKey(["raw", "shop", "products"])
NIGHTLY = dg.AssetKey(["airflow", "nightly"])


def beside(block: dict[str, Any], url: str = URL) -> Catalog:
    catalog = shop_alone()
    config = AirflowConfig.model_validate({**block, "url": url})
    environment = catalog.environment("local").model_copy(update={"airflow": config})
    return catalog.model_copy(update={"environments": {"local": environment}})


@pytest.fixture(scope="module")
def repository(manifest: Path) -> dg.RepositoryDefinition:
    """Nothing answers at the URL, and no variable is set: definitions ask neither."""
    return build(beside(BLOCK), "local").get_repository_def()


def spec(repository: dg.RepositoryDefinition, key: dg.AssetKey) -> dg.AssetSpec:
    return repository.assets_defs_by_key[key].get_asset_spec(key)


@pytest.mark.slow
def test_dags_and_what_their_tasks_make_are_assets_without_asking_airflow(
    repository: dg.RepositoryDefinition,
) -> None:
    observed = {key for key in repository.assets_defs_by_key if key.path[0] in ("airflow", "legacy")}
    assert observed == {NIGHTLY, dg.AssetKey(["airflow", "weekly.cleanup"]), REPORT}
    assert not any(repository.assets_defs_by_key[key].is_executable for key in observed)
    assert {dep.asset_key for dep in spec(repository, NIGHTLY).deps} == {REPORT, PRODUCTS}
    assert {key.name for key in repository.asset_graph.get_check_keys_for_assets({NIGHTLY})} == {"last_run"}
    assert "airflow" in {sensor.name for sensor in repository.sensor_defs}


@pytest.mark.slow
def test_an_asset_of_our_own_stays_as_it_is_and_knows_its_task(repository: dg.RepositoryDefinition) -> None:
    """A proxied task finds by this entry what it is to launch."""
    usual = build(shop_alone(), "local").get_repository_def()
    mine, before = spec(repository, PRODUCTS), spec(usual, PRODUCTS)
    entry = {"dagster-airlift/task-mapping": [{"dag_id": "nightly", "task_id": "load"}]}
    assert mine.metadata == {**before.metadata, **entry}
    assert mine == before.replace_attributes(metadata=mine.metadata)
    assert repository.assets_defs_by_key[PRODUCTS].is_executable
    assert set(usual.assets_defs_by_key) < set(repository.assets_defs_by_key)
    assert not [name for name in (s.name for s in usual.sensor_defs) if name == "airflow"]


@pytest.mark.slow
def test_a_task_that_makes_what_is_not_there_is_a_mistake(manifest: Path) -> None:
    wrong = {**BLOCK, "dags": {"nightly": {"tasks": {"load": ["raw/shop/product"]}}}}
    with pytest.raises(
        ConfigurationError,
        match=r"raw/shop/product, which is no asset of this graph\. Did you mean raw/shop/products",
    ):
        build(beside(wrong), "local")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_airlift.constants", None)
    with pytest.raises(ConfigurationError, match="needs the extra `airflow`"):
        airflow.with_airflow(dg.Definitions(), AirflowConfig.model_validate(BLOCK), dict, running=True)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{url: 'https://me:secret@airflow.example', token_env: T}", "holds a URL with a secret in it"),
        ("{url: 'ftp://airflow.example', token_env: T}", "must be a URL such as"),
        ("{url: 'https://airflow.example'}", "needs `user_env` and `password_env`, or `token_env` alone"),
        ("{url: 'https://airflow.example', user_env: U}", "needs `user_env` and `password_env`"),
        ("{url: 'https://airflow.example', token_env: T, dags: {'a b': {}}}", "dags"),
    ],
)
def test_a_mistake_in_the_block_is_told(tmp_path: Path, block: str, said: str) -> None:
    found = mistakes(
        write(tmp_path, "  orders: {key: order_id}\n", platform=f"{PLATFORM}    airflow: {block}\n")
    )
    assert any(said in mistake and "platform.yaml:5" in mistake for mistake in found), found
    assert not any("secret@" in mistake for mistake in found)


def test_variables_are_read_when_airflow_is_asked() -> None:
    given: dict[str, str] = {}
    backend = Backend(AirflowConfig.model_validate(BLOCK), lambda: given)
    with pytest.raises(ConfigurationError, match="AIRFLOW_USER and AIRFLOW_PASSWORD of `airflow`"):
        backend.get_session()
    given |= {"AIRFLOW_USER": "dagster", "AIRFLOW_PASSWORD": "a password"}
    assert backend.get_session().auth == ("dagster", "a password")
    token = AirflowConfig.model_validate({"url": URL, "token_env": "TOKEN"})
    assert Backend(token, lambda: {"TOKEN": "abc"}).get_session().headers["Authorization"] == "Bearer abc"


@pytest.mark.slow
def test_a_tick_with_airflow_down_fails_says_so_and_keeps_its_place(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        repository = build(beside(BLOCK, url), "local").get_repository_def()
        monkeypatch.setenv("AIRFLOW_USER", "dagster")
        monkeypatch.setenv("AIRFLOW_PASSWORD", "a password")
        place = json.dumps({"airlift": None, "told": {}, "until": "2026-01-01T00:00:00+00:00"})
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance, cursor=place, repository_def=repository)
            with pytest.raises(DataPlatformError, match=f"Airflow does not answer at {url}") as caught:
                repository.get_sensor_def("airflow")(context)
            assert context.cursor == place
    assert caught.value.retryable and "a password" not in str(caught.value)


def ended(dag: str, state: str, minute: int, run: str = "run") -> DagRun:
    at = (datetime(2026, 11, 30, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()
    return DagRun(webserver_url=URL, dag_id=dag, run_id=run, metadata={"state": state, "end_date": at})


def test_only_the_last_run_of_a_dag_counts_and_is_told_once() -> None:
    runs = [ended("a", "success", 3, "late"), ended("a", "failed", 1), ended("b", "failed", 2)]
    told, known = airflow.evaluations(runs, {})
    assert {one.asset_key.path[-1]: one.passed for one in told} == {"a": True, "b": False}
    assert airflow.evaluations(runs, known) == ([], known)
    again, later = airflow.evaluations([ended("b", "success", 5)], known)  # the same run, cleared
    assert [(one.asset_key.path[-1], one.passed) for one in again] == [("b", True)]
    assert later["a"] == known["a"] and later["b"] > known["b"]
