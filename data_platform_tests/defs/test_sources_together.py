"""Sources that start on other days and keep other time zones stand in one graph, and one that is broken
stops no other."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.sandbox.server import PostgresServer
from data_platform_tests.defs.conftest import Project, copy_project

pytestmark = pytest.mark.slow

SOURCE = """\
source: {name}
kind: postgres
connection: {{url_env: {variable}}}
timezone: {timezone}
start: {start}
schedule: "0 * * * *"
reconcile: "30 3 * * *"
tables:
  visits:
    key: visit_id
    cursor: updated_at
    partition: visited_at
  places: {{key: place_id}}
"""
OTHERS = {
    "crm": ("America/New_York", "2023-01-01"),
    "stock": ("Asia/Kathmandu", "2025-07-01"),
    "later": ("Pacific/Kiritimati", "2999-01-01"),
}
TABLES = """
create table visits(visit_id int primary key, visited_at timestamptz not null, updated_at timestamptz not null);
create table places(place_id int primary key, name text not null);
insert into visits select i, timestamptz '2025-07-01 02:00+00' + i * interval '1 day', now() from generate_series(1, 9) i;
insert into places values (1, 'here'), (2, 'there');
"""


def add_source(root: Path, name: str) -> None:
    timezone, start = OTHERS[name]
    text = SOURCE.format(name=name, variable=f"{name.upper()}_DATABASE_URL", timezone=timezone, start=start)
    (root / "catalog" / "sources" / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_every_definition_loads_whatever_the_sources_start_and_time_zone(
    tmp_path: Path, manifest: Path, environment: str
) -> None:
    root = copy_project(tmp_path / "project")
    for name in OTHERS:
        add_source(root, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        definitions = build(load_catalog(root), environment)
        dg.Definitions.validate_loadable(definitions)
        repository = definitions.get_repository_def()
    everything = repository.get_job("everything")
    raw = {key for key in repository.asset_graph.get_all_asset_keys() if key.path[0] == "raw"}
    assert len({key.path[1] for key in raw}) == len(OTHERS) + 1
    assert raw <= everything.asset_layer.selected_asset_keys
    assert everything.partitions_def is None, "no one partition means the same day in every source"
    for name, (timezone, start) in OTHERS.items():
        days = repository.get_job(f"{name}_changes").partitions_def
        assert isinstance(days, dg.DailyPartitionsDefinition)
        assert (days.timezone, f"{days.start:%Y-%m-%d}") == (timezone, start)


@pytest.fixture
def crm(
    project: Project, postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """The project with a second source, whose days are New York's."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    add_source(project.root, "crm")
    monkeypatch.setenv("CRM_DATABASE_URL", database)
    return Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))


RAW = [
    dg.AssetKey(["raw", "shop", "orders"]),
    dg.AssetKey(["raw", "shop", "products"]),
    dg.AssetKey(["raw", "crm", "visits"]),
    dg.AssetKey(["raw", "crm", "places"]),
]


def rows_of(instance: dg.DagsterInstance, key: dg.AssetKey, day: str) -> object:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day])
    made = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert made is not None
    return made.metadata["rows"].value


def test_one_run_syncs_sources_of_different_days(crm: Project) -> None:
    result = crm.run("everything", asset_selection=RAW)
    assert result.success
    assert crm.rows("select count(*) from raw_crm.visits") == [(9,)]
    assert crm.rows("select count(*) from raw_shop.products") == [(240,)]
    # 02:00 UTC of the 2nd to the 10th is the evening before in New York
    rows = [rows_of(crm.instance, RAW[2], f"2025-07-{day:02}") for day in range(1, 11)]
    assert rows == [1] * 9 + [0]


def test_a_source_that_is_away_stops_no_other(crm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    result = crm.run("everything", asset_selection=RAW)
    assert not result.success
    failed = {event.step_key for event in result.all_events if event.is_step_failure}
    assert failed == {"sync_crm"}
    assert crm.rows("select count(*) from raw_shop.products") == [(240,)]
