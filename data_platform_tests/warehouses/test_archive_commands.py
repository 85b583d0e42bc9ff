"""Backups of warehouses behind a connection by the assets of the graph and by the commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import dagster as dg
import duckdb
import pytest

from data_platform.cli.app import run
from data_platform.defs.backup import BACKUP, DRILL, backup_definitions
from data_platform.defs.resources import resources
from data_platform.sync import open_platform
from data_platform.sync.backup import hold_drills
from data_platform_tests.warehouses.archive_places import Place, chain_of, load, place

__all__ = ["place"]
pytestmark = pytest.mark.slow
SHOP = """\
source: shop
kind: postgres
owner: team:data
connection: {url_env: SHOP_URL}
start: 2026-01-01
tables: {orders: {key: id}}
"""


def a_project(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the warehouse and a backup store, as the working folder."""
    environment = {
        "landing": {"kind": "local", "path": ".data/landing"},
        "warehouse": place.config.model_dump(mode="json", exclude_none=True),  # type: ignore[attr-defined]
        "backups": {"store": {"kind": "local", "path": ".data/backups"}, "start": "2026-11-01"},
    }
    (place.root / "catalog/sources").mkdir(parents=True)
    (place.root / "catalog/platform.yaml").write_text(json.dumps({"environments": {"local": environment}}))
    (place.root / "catalog/sources/shop.yaml").write_text(SHOP)
    monkeypatch.chdir(place.root)
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("DATA_PLATFORM_HOME", "DATA_PLATFORM_ENV"):
        monkeypatch.delenv(name, raising=False)


def test_the_assets_make_one_and_hold_the_drill(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    a_project(place, monkeypatch)
    config = open_platform(place.root, "local").environment.backups
    assert config is not None
    made = dg.Definitions.merge(
        backup_definitions(config, place.config, [], running=False),
        dg.Definitions(resources=resources(place.root, "local")),
    )
    job = made.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        today = datetime.now(UTC).date().isoformat()
        for key, partition in ((BACKUP, today), (DRILL, None)):
            subset = job.get_subset(asset_selection={key}, asset_check_selection=set())
            assert subset.execute_in_process(instance=instance, partition_key=partition).success
        event = instance.get_latest_materialization_event(DRILL)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["mismatches"].value == 0
    assert place.root.joinpath(".data/backups/warehouse/manifests").exists()


def test_the_commands_make_one_verify_it_and_restore_it_into_a_file_and_into_the_engine(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    a_project(place, monkeypatch)
    for words, said in (
        (("backup", "run"), "verified in the backup store primary"),
        (("backup", "verify"), "every byte is as it was written"),
        (("restore", "warehouse", "--into", "copy.duckdb"), "each table's fingerprint as it was backed up"),
        (("restore", "warehouse", "--into", place.engine.other(place.root)), "each table's fingerprint"),
    ):
        assert run([str(word) for word in words]) == 0, capsys.readouterr().err
        assert said in capsys.readouterr().out
    with duckdb.connect("copy.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT id, note FROM raw_shop.orders").fetchall() == [(1, "a")]
    (report,) = hold_drills(open_platform(place.root, "local"))
    assert report.mismatches == () and report.tables > 1
    assert run(["restore", "warehouse", "--into", "copy.duckdb"]) == 8
    assert "--replace" in capsys.readouterr().err
