"""Sources of two kinds in one deployment: PostgreSQL, which has days and counts its rows, and a log without either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.defs import names
from data_platform.defs.build import build
from data_platform.errors import CatalogError
from data_platform.sources import kinds
from data_platform.tables import TableId
from data_platform_tests.contracts.toy_source import kind as toy_kind
from data_platform_tests.contracts.toy_source.log import Log
from data_platform_tests.defs.conftest import Project, copy_project

pytestmark = pytest.mark.slow

CLICKS, PAGES = TableId("web", "clicks"), TableId("web", "pages")
WEEKLY = "0 6 * * 1"
KIND = "data_platform_tests.contracts.toy_source.kind"


def add_logs(root: Path, folder: Path, **keys: Any) -> None:
    """A second source: two logs, of which one is read on Mondays."""
    source = {
        "source": "web",
        "kind": "log",
        "connection": {"folder": str(folder), "step": 5},
        "start": "2026-01-01",
        "schedule": "0 * * * *",
        "tables": {
            "clicks": {"key": "id", "partition": "at", "rules": ["page not null"]},
            "pages": {"key": "id", "schedule": WEEKLY, "freshness_hours": 200},
        },
        **keys,
    }
    (root / "catalog" / "sources" / "web.yaml").write_text(yaml.safe_dump(source))


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(kinds.MODULES, "log", KIND)  # type: ignore[arg-type]
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "system").write_text("toy-1")
    Log(folder, "clicks").make("first", {"id": "BIGINT", "page": "VARCHAR", "at": "TIMESTAMP"})
    Log(folder, "pages").make("second", {"id": "BIGINT", "title": "VARCHAR"})
    for n in range(1, 13):
        Log(folder, "clicks").append({"id": n, "page": f"/{n}", "at": f"2026-01-{n:02} 12:00:00"})
    Log(folder, "pages").append({"id": 1, "title": "home"})
    return folder


@pytest.fixture
def both(project: Project, logs: Path) -> Iterator[Project]:
    add_logs(project.root, logs)
    made = build(load_catalog(project.root), "local")
    yield Project(project.root, project.url, project.instance, made)


def test_the_graph_has_what_each_kind_can(tmp_path: Path, manifest: Path, logs: Path) -> None:
    root = copy_project(tmp_path / "project")
    add_logs(root, logs)
    definitions = build(load_catalog(root), "local")
    graph = definitions.get_repository_def().asset_graph
    clicks, orders = graph.get(names.raw_key(CLICKS)), graph.get(dg.AssetKey(["raw", "shop", "orders"]))
    assert clicks.partitions_def is None, "a log gives no day by itself, though the rows have one"
    assert isinstance(orders.partitions_def, dg.DailyPartitionsDefinition)
    checks = {key.name for key in graph.asset_check_keys if key.asset_key == clicks.key}
    assert checks == {"page_not_null"}
    assert dg.AssetCheckKey(orders.key, "complete") in graph.asset_check_keys
    source, table = graph.get(names.source_key(CLICKS)), graph.get(dg.AssetKey(["source", "shop", "orders"]))
    assert (source.kinds, table.kinds) == ({"log"}, {"postgres"})
    assert "dagster/table_name" not in source.metadata
    assert source.metadata["deletes"] == "read together with the changes"
    assert table.metadata["dagster/table_name"] == "public.orders"
    assert source.description == "clicks of a log"


def test_a_table_with_a_schedule_of_its_own_is_read_by_it_alone(
    tmp_path: Path, manifest: Path, logs: Path
) -> None:
    root = copy_project(tmp_path / "project")
    add_logs(root, logs)
    repository = build(load_catalog(root), "local").get_repository_def()
    of_web = {s.name: s for s in repository.schedule_defs if s.name.startswith("web")}
    assert {name: s.cron_schedule for name, s in of_web.items()} == {
        "web_changes": "0 * * * *",
        "web_changes_at_0_6_x_x_1": WEEKLY,
    }
    selected = {
        name: [key for request in s.evaluate_tick(dg.build_schedule_context()).run_requests or ()
               for key in request.asset_selection or ()]
        for name, s in of_web.items()
    }  # fmt: skip
    assert selected == {
        "web_changes": [names.raw_key(CLICKS)],
        "web_changes_at_0_6_x_x_1": [names.raw_key(PAGES)],
    }
    assert repository.get_sensor_def("web_probe").minimum_interval_seconds == 300, "as its kind says"
    assert repository.get_sensor_def("shop_probe").minimum_interval_seconds == 60


def test_a_schedule_that_could_compare_nothing_is_a_mistake(tmp_path: Path, logs: Path) -> None:
    root = copy_project(tmp_path / "project")
    add_logs(root, logs, reconcile="30 3 * * *", tables={"clicks": {"key": "id", "schedule": "weekly"}})
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    told = "\n".join(caught.value.mistakes)
    assert "reconcile: compares whole tables with the source, and a log counts none of these" in told
    assert "tables.clicks.schedule: must be a cron line" in told


def test_both_are_synced_by_one_run(both: Project) -> None:
    raw = [names.raw_key(CLICKS), names.raw_key(PAGES), dg.AssetKey(["raw", "shop", "products"])]
    result = both.run("everything", asset_selection=raw)
    assert result.success
    assert both.rows("select count(*), max(id) from raw_web.clicks") == [(12, 12)]
    assert both.rows("select count(*) from raw_shop.products") == [(240,)]
    event = both.instance.get_latest_materialization_event(raw[0])
    assert event is not None and event.asset_materialization is not None
    made = event.asset_materialization
    assert made.partition is None
    assert (made.metadata["rows"].value, made.metadata["batches"].value) == (12, 3)


def test_the_probe_syncs_what_it_looks_at_and_leaves_the_rest_to_its_schedule(both: Project) -> None:
    data, _ = both.sensor("web_probe")
    (request,) = data.run_requests
    assert request.asset_selection == [names.raw_key(CLICKS)]
    assert [key.name for key in request.asset_check_keys] == ["page_not_null"]


def test_what_waits_in_quarantine_is_a_check_that_warns(
    project: Project, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    can = replace(toy_kind.KIND.capabilities, rejects=True)
    monkeypatch.setattr(toy_kind, "KIND", replace(toy_kind.KIND, capabilities=can))
    Log(logs, "pages").append({"id": 2}, broken="title is no text")
    add_logs(project.root, logs)
    made = build(load_catalog(project.root), "local")
    both = Project(project.root, project.url, project.instance, made)
    raw = names.raw_key(PAGES)
    check = dg.AssetCheckKey(raw, names.QUARANTINE)

    def last() -> dg.AssetCheckEvaluation:
        record = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
        assert record.event is not None and record.event.dagster_event is not None
        return record.event.dagster_event.asset_check_evaluation_data

    assert both.run("everything", asset_selection=[raw]).success
    found = last()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["records_waiting"].value == 1
    assert "data-platform quarantine show web/pages" in (found.description or "")
    both.sensor("report_batches")
    Log(logs, "pages").append({"id": 3}, broken="title is no text")
    assert run(["sync", "web/pages", "--root", str(both.root)]) == 0
    both.sensor("report_batches")
    assert last().metadata["records_waiting"].value == 2, "the command line's is reported too"
    assert run(["sync", "--refresh", "web/pages", "--root", str(both.root)]) == 0
    assert both.check(check).success
    assert last().metadata["records_waiting"].value == 2, "a whole read rejects them again"


def test_the_command_line_holds_both(both: Project, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*words: str) -> Any:
        capsys.readouterr()
        run([*words, "--root", str(both.root), "--json"])
        told = capsys.readouterr()
        assert told.out, told.err
        return json.loads(told.out)

    checked = command("validate", "--connect")
    assert (checked["ok"], checked["sources"]) == (True, 2), checked
    synced = {one["table"]: one for one in command("sync", "web", "shop/products", "--verify")["tables"]}
    assert (synced["web/clicks"]["rows"], synced["web/clicks"]["complete"]) == (12, None)
    assert (synced["shop/products"]["rows"], synced["shop/products"]["complete"]) == (240, True)
    found = {one["table"]: one for one in command("status", "web", "shop/products")["tables"]}
    assert (found["web/clicks"]["rows"], found["web/clicks"]["freshness"]) == (12, "fresh")
    assert found["web/clicks"]["reconciled_at"] is not None, "its deletes come with the changes"
    assert found["web/pages"]["freshness_hours"] == 200
    told = {one["check"]: one["state"] for one in command("doctor")["checks"]}
    assert told["source web: logs"] == "ok"
    assert any(name.startswith("source shop") for name in told)


def test_a_file_of_any_kind_is_drafted_by_the_keys_of_its_connection(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_project(tmp_path / "project")

    def discover(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["discover", "--source", "web", "--root", str(root), *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    code, text = discover("--kind", "log", "--set", f"folder={logs}")
    assert code == 0 and set(yaml.safe_load(text)["tables"]) == {"clicks", "pages"}, text
    assert discover("--kind", "log", "--set", f"folder={logs}", "--write")[0] == 0
    assert set(load_catalog(root).source("web").tables) == {"clicks", "pages"}
    for words, why in (
        (("--kind", "log"), "`folder`: is missing"),
        (
            ("--kind", "log", "--set", "step=no", "--set", "folder=x"),
            "`step`: Input should be a valid integer",
        ),
        (("--kind", "log", "--set", "account=1"), "has no key `account`. It has folder, from_rows, step"),
        (("--kind", "lag", "--set", "folder=x"), "'lag' is not a kind of source. Known: postgres"),
        ((), "`url_env`: is missing"),
    ):
        code, text = discover(*words)
        assert code == 2 and why in text, text
    code, text = discover("--kind", "log", "--set", "hunter2")
    assert code == 2 and "must be KEY=VALUE" in text and "hunter2" not in text
