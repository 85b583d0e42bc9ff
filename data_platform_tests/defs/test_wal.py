"""The WAL of a source as an asset and its checks, over a real server: shipped, missing, away, dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from data_platform.defs.resources import resources
from data_platform.defs.wal import wal_definitions, wal_key
from data_platform.sync import open_platform
from data_platform_tests.backups.database.wal.live import server
from data_platform_tests.cli.test_wal import PLATFORM, SOURCE

pytestmark = pytest.mark.slow
KEY = wal_key("shop")


class Graph:
    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        catalog = open_platform(root, "local").catalog
        parts = wal_definitions(catalog.sources.values(), running=True)
        self.definitions = dg.Definitions.merge(parts, dg.Definitions(resources=resources(root, "local")))
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, *, checks: bool) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        every = {
            check for check in self.definitions.get_repository_def().asset_graph.asset_check_keys if checks
        }
        subset = job.get_subset(asset_selection=set() if checks else {KEY}, asset_check_selection=every)
        return subset.execute_in_process(instance=self.instance, raise_on_error=False)

    def checked(self) -> dict[str, tuple[bool, str]]:
        found = self.run(checks=True).get_asset_check_evaluations()
        return {one.check_name: (one.passed, one.description or "") for one in found}

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def graph(server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    with server(server_folder / f"wal-defs-{tmp_path.name}") as running:
        (tmp_path / "catalog" / "sources").mkdir(parents=True)
        (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
        (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(SOURCE)
        monkeypatch.setenv("SHOP_DATABASE_URL", running.url("postgres"))
        yield Graph(tmp_path, running.url("postgres"))


def test_the_asset_ships_and_its_checks_name_what_is_wrong(graph: Graph) -> None:
    found = graph.checked()
    assert not found["wal_complete"][0] and "primary: no WAL yet" in found["wal_complete"][1]
    assert not found["slot_backlog"][0] and "There is no slot" in found["slot_backlog"][1]
    graph.execute("create table t as select n, md5(n::text) from generate_series(1, 60000) n")
    assert graph.run(checks=False).success
    event = graph.instance.get_latest_materialization_event(KEY)
    assert event is not None and event.asset_materialization is not None
    said = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert said["received_by"] == "this run"
    assert isinstance(said["rpo_seconds"], float) and said["rpo_seconds"] < 300
    assert isinstance(said["bytes"], int) and said["bytes"] > 1 << 20
    assert all(passed for passed, _ in graph.checked().values())

    graph.execute("insert into t select n, md5(n::text) from generate_series(1, 60000) n")
    assert graph.run(checks=False).success
    segments = sorted((graph.root / ".backups" / "two").rglob("segments/*.zst"))
    segments[len(segments) // 2].unlink()
    found = graph.checked()
    name = segments[len(segments) // 2].name.partition("-")[0]
    assert not found["wal_complete"][0] and f"the segment {name} is missing" in found["wal_complete"][1]
    assert found["slot_backlog"][0]

    graph.execute("select pg_drop_replication_slot('data_platform_wal_shop')")
    assert not graph.checked()["slot_backlog"][0]


def test_wal_that_nobody_ships_and_the_server_holds_back_fails_the_checks(graph: Graph) -> None:
    assert graph.run(checks=False).success
    path = graph.root / "catalog" / "sources" / "shop.yaml"
    path.write_text(SOURCE.replace("{database: {", "{database: {rpo_max_minutes: 0.0001, slot_max_mb: 64, "))
    tight = Graph(graph.root, graph.url)
    for _ in range(5):
        tight.execute("create table big as select n, md5(n::text) from generate_series(1, 120000) n")
        tight.execute("drop table big")
    found = tight.checked()
    assert not found["wal_complete"][0] and "every commit until" in found["wal_complete"][1]
    assert not found["slot_backlog"][0] and "holds back" in found["slot_backlog"][1]


def test_the_schedules_run_the_asset_and_its_checks_apart(graph: Graph) -> None:
    schedules = {one.name: one for one in graph.definitions.get_repository_def().schedule_defs}
    assert set(schedules) == {"wal_shop", "wal_shop_checks"}
    assert all(one.default_status == dg.DefaultScheduleStatus.RUNNING for one in schedules.values())
