"""A project of the test's own: the repository's catalog and dbt project, its own landing and warehouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage import sql

from data_platform.catalog import load_catalog
from data_platform.defs import dbt_manifest, migrations
from data_platform.defs.build import build
from data_platform.defs.dbt_compiled import compiled_models
from data_platform.errors import ConfigurationError
from data_platform.sandbox.server import PostgresServer
from data_platform.sync import Platform, open_platform
from data_platform_tests.defs.parsed import copy_dbt
from data_platform_tests.repository import copy_catalog

REPOSITORY = Path(__file__).parents[2]
NO_CAPTURE = """
compute_logs: {module: dagster._core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}
"""
"""To capture what a step prints takes four processes a step; `deploy/` and `end_to_end/` have it captured."""


@pytest.fixture(scope="session")
def manifest() -> Path:
    """dbt's manifest of the repository, built once when it is stale."""
    try:
        dbt_manifest.load_manifest(REPOSITORY)
    except ConfigurationError:
        dbt_manifest.build_manifest(REPOSITORY)
    compiled_models(REPOSITORY)  # kept beside the manifest, which tests copy
    return dbt_manifest.manifest_path(REPOSITORY)


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    """As in the location that watches: reading Dagster's migrations takes half of what opening its records does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql, migrations.NAME, migrations.Scripts)
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAGSTER_HOME under the operator's own dagster.yaml (but for ``NO_CAPTURE``), so that the storage is what
    `make dev` has, with all tables and nothing in them. For copying."""
    made = tmp_path_factory.mktemp("dagster")
    (made / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text() + NO_CAPTURE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(made))
        with dg.DagsterInstance.get():
            pass
    return made


@dataclass(frozen=True)
class Project:
    """``run`` executes a job in this process, as the daemon's run worker would."""

    root: Path
    url: str
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    @property
    def repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    def platform(self) -> Platform:
        return open_platform(self.root, "local")

    def run(self, job: str, **arguments: Any) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **arguments
        )

    def sync(
        self, *tables: str, checks: bool = True, raise_on_error: bool = False, **arguments: Any
    ) -> dg.ExecuteInProcessResult:
        """A run of the tables of ``shop`` named, with all their checks or none."""
        keys = {dg.AssetKey(["raw", "shop", table]) for table in tables}
        job = self.definitions.resolve_implicit_global_asset_job_def()
        chosen = {c for c in self.repository.asset_graph.asset_check_keys if c.asset_key in keys and checks}
        subset = job.get_subset(asset_selection=keys, asset_check_selection=chosen)
        return subset.execute_in_process(instance=self.instance, raise_on_error=raise_on_error, **arguments)

    def check(self, *keys: dg.AssetCheckKey) -> dg.ExecuteInProcessResult:
        """A run of checks alone."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection=set(), asset_check_selection=set(keys))
        return subset.execute_in_process(instance=self.instance, raise_on_error=False)

    def execute(self, statement: str) -> None:
        """Run SQL at the source."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return warehouse.query(sql).rows

    def sensor(self, name: str, cursor: str | None = None) -> Any:
        """One tick of a sensor: (what it returned, the cursor after it)."""
        definition = self.repository.get_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            repository_def=self.repository,
            resources={"platform": dict(self.definitions.resources or {})["platform"]},
        )
        data = definition.evaluate_tick(context)
        return data, data.cursor


def copy_project(root: Path) -> Path:
    copy_catalog(root)
    copy_dbt(REPOSITORY, root)
    return root


@pytest.fixture
def project(
    tmp_path: Path, manifest: Path, home: Path, shop_copy: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A fresh project on a database of its own, under the operator's dagster.yaml."""
    root = copy_project(tmp_path / "project")
    monkeypatch.setenv("SHOP_DATABASE_URL", shop_copy)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", "a key that only tests use")
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    monkeypatch.delenv("DATA_PLATFORM_ENV", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(shutil.copytree(home, tmp_path / "dagster")))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as instance:
        yield Project(root, shop_copy, instance, build(load_catalog(root), "local"))


def _settings(url: str) -> str:
    """A dagster.yaml for records in the PostgreSQL database at ``url``."""
    place = url.replace("postgresql://", "postgresql+psycopg2://")
    return f"storage: {{postgres: {{postgres_url: '{place}'}}}}\ntelemetry: {{enabled: false}}\n"


@pytest.fixture(scope="session")
def records(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database with all tables of Dagster and nothing in them: a template."""
    made = tmp_path_factory.mktemp("dagster")
    (made / "dagster.yaml").write_text(_settings(postgres.create_database("dagster_records")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(made))
        with dg.DagsterInstance.get():
            pass
    return "dagster_records"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster's records in both of the storages that are supported."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database("retention", template=request.getfixturevalue("records"))
        (tmp_path / "dagster.yaml").write_text(_settings(url))
    else:
        shutil.copytree(request.getfixturevalue("home"), tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with dg.DagsterInstance.get() as opened:
        yield opened
    if request.param == "postgres":
        request.getfixturevalue("postgres").drop_database("retention")
