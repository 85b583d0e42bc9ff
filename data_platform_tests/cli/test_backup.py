"""``backup`` and ``restore`` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from data_platform.warehouses.snapshots import name_of, take
from data_platform_tests.cli.conftest import PLATFORM, Result
from data_platform_tests.warehouses.listed_snapshots import WEEK, Lists, given_to_duckdb

Cli = Callable[..., Result]


@pytest.fixture
def backed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with two archives and a warehouse of one table."""
    backups = (
        "    backups: {store: {kind: local, path: .data/backups}, start: 2026-11-01,"
        " copies: {off: {kind: local, path: .data/off}}}\n"
    )
    text = PLATFORM.replace("    automation", f"{backups}    automation")
    (project / "catalog/platform.yaml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", "")
    (project / ".data").mkdir()
    with duckdb.connect(str(project / ".data/warehouse.duckdb")) as connection:
        connection.execute("create schema raw_shop")
        connection.execute("create table raw_shop.orders as select n as id from range(100) r(n)")
    return project


def test_a_backup_is_made_listed_verified_and_restored(backed: Path, cli: Cli) -> None:
    assert "no backup yet" in cli("backup", "list").out
    made = cli("backup", "run")
    assert made.code == 0 and made.out.count("1 table, 100 rows") == 2 and ".data/off" in made.out
    (listed,) = json.loads(cli("backup", "list", "--json").out)
    assert listed["stored"] == ["primary", "off"]
    assert listed["id"] in cli("backup", "list").out
    assert "every byte is as it was written" in cli("backup", "verify").out
    restored = cli("restore", "warehouse", "--from", listed["id"], "--copy", "off", "--into", "new.duckdb")
    assert restored.code == 0 and "100 rows" in restored.out
    with duckdb.connect("new.duckdb", read_only=True) as connection:
        assert connection.execute("select count(*) from raw_shop.orders").fetchall() == [(100,)]
    again = cli("restore", "warehouse", "--into", "new.duckdb")
    assert again.code == 8 and "--replace" in again.err
    document = json.loads(cli("restore", "warehouse", "--into", "new.duckdb", "--replace", "--json").out)
    assert document["ok"] and document["mismatches"] == [] and document["archive"] == "primary"
    files = cli("restore", "files", "--into", "beside")
    assert files.code == 0 and Path("beside").is_dir()


def test_an_archive_is_made_listed_verified_and_brought_back(backed: Path, cli: Cli) -> None:
    made = cli("backup", "archive")
    assert made.code == 0 and made.out.count("1 table, 100 rows") == 2
    assert cli("backup", "run").code == 0
    listed = json.loads(cli("backup", "list", "--json").out)
    assert [one["class"] for one in listed] == ["warehouse", "archive"]
    assert all(one["stored"] == ["primary", "off"] for one in listed)
    assert "every byte is as it was written" in cli("backup", "verify", "--class", "archive").out
    brought = cli("restore", "archive", "--into", "kept", "--copy", "off")
    assert brought.code == 0 and "README.txt" in brought.out
    assert sorted(path.name for path in Path("kept").iterdir()) == [
        "README.txt",
        "SHA256SUMS",
        "manifest.json",
        "raw_shop.orders",
    ]
    assert duckdb.sql("select count(*) from read_parquet('kept/raw_shop.orders/*.parquet')").fetchall() == [
        (100,)
    ]
    again = cli("restore", "archive", "--into", "kept")
    assert again.code == 8 and "is not empty" in again.err
    next((backed / ".data/off/archive").rglob("part-00000.parquet")).write_bytes(b"")
    found = cli("backup", "verify", "--class", "archive")
    assert found.code == 8 and "raw_shop.orders in the backup store off" in found.err
    assert cli("restore", "archive", "--copy", "off", "--into", "other").code == 8
    assert "there are warehouse, archive" in cli("backup", "verify", "--class", "no").err


def test_the_plan_says_what_runs_and_what_it_takes(backed: Path, cli: Cli) -> None:
    before = json.loads(cli("backup", "plan", "--json").out)
    kept = {row["class"]: row for row in before if row["act"] == "backup"}
    assert {row["bytes"] for row in before} == {None}, "nothing was made yet"
    assert kept["warehouse"]["count"] == 30 and kept["warehouse"]["kept_days"] == 30
    assert kept["archive"]["count"] in (365, 366) and kept["archive"]["kept_days"] == 2557
    assert "not known" in cli("backup", "plan").out
    made = json.loads(cli("backup", "run", "--json").out)
    cli("backup", "archive")
    after = {r["class"]: r for r in json.loads(cli("backup", "plan", "--json").out) if r["act"] == "backup"}
    assert after["warehouse"]["bytes"] == made["bytes"]
    assert after["warehouse"]["bytes_in_all"] == made["bytes"] * 30 * 2
    listed = json.loads(cli("backup", "list", "--json").out)
    assert [one["bytes"] for one in listed if one["class"] == "warehouse"] == [made["bytes"]]
    assert all(one["bytes"] > 0 for one in listed) and {one["class"] for one in listed} == {
        "warehouse",
        "archive",
    }
    (broken,) = (backed / ".data").rglob("off/warehouse/manifests/*.json")
    broken.write_text("{}")
    assert json.loads(cli("backup", "list", "--json").out) == listed, "the other store knows its size"
    (row,) = json.loads(cli("backup", "list", "--copy", "off", "--json").out)[:1]
    assert row["bytes"] is None and "not known" in cli("backup", "list", "--copy", "off").out
    shown = cli("backup", "plan").out
    assert "all classes copies counted" in shown
    assert (
        "30 2 * * *" in shown and "archive drill" in shown and "30 x 2" in shown and "not known" not in shown
    )


def test_an_environment_without_an_archive_says_so(backed: Path, cli: Cli) -> None:
    file = backed / "catalog/platform.yaml"
    file.write_text(file.read_text().replace("start: 2026-11-01", "start: 2026-11-01, archive: null"))
    refused = cli("backup", "archive")
    assert refused.code == 2 and "archive: null" in refused.err
    assert {row["class"] for row in json.loads(cli("backup", "plan", "--json").out)} == {
        "warehouse",
        "landing store",
        "all classes",
    }
    assert json.loads(cli("backup", "prune", "--json").out)["archives"] == {}


def test_damage_is_said_with_its_own_exit_code(backed: Path, cli: Cli) -> None:
    assert cli("backup", "run", "--json").code == 0
    next((backed / ".data/off").rglob("part-00000.parquet")).write_bytes(b"")
    found = cli("backup", "verify")
    assert found.code == 8 and "raw_shop.orders in the backup store off" in found.err
    assert cli("backup", "verify", "--copy", "primary").code == 0
    document = json.loads(cli("backup", "verify", "--json").out)
    assert not document["ok"] and document["problems"]["primary"] == [] and document["problems"]["off"]
    assert cli("restore", "warehouse", "--copy", "off", "--into", "x.duckdb").code == 8
    assert not Path("x.duckdb").exists()


def test_a_copy_that_fails_is_told_and_the_backup_stands(backed: Path, cli: Cli) -> None:
    (backed / ".data/off").write_text("no folder")
    made = cli("backup", "run", "--json")
    document = json.loads(made.out)
    assert made.code == 8 and document["stored"] == ["primary"] and list(document["failed"]) == ["off"]
    assert cli("restore", "warehouse", "--into", "x.duckdb").code == 0


def test_old_backups_go_only_when_told(backed: Path, cli: Cli) -> None:
    cli("backup", "run")
    manifests = backed / ".data/backups/warehouse/manifests"
    (manifests / "20200101T000000.000000Z-00000000.json").write_bytes(b"{}")
    told = cli("backup", "prune")
    assert "20200101" in told.out and "--yes" in told.err
    assert len(list(manifests.iterdir())) == 2
    assert json.loads(cli("backup", "prune", "--yes", "--json").out)["backups"]["off"] == []
    assert [p.name[:8] for p in manifests.iterdir()] != ["20200101"] and len(list(manifests.iterdir())) == 1


def test_what_is_missing_is_said(project: Path, cli: Cli) -> None:
    for words in (["backup", "run"], ["backup", "list"], ["restore", "warehouse", "--into", "x"]):
        answer = cli(*words)
        assert answer.code == 2 and "has no `backups:`" in answer.err
    assert cli("restore", "warehouse").code == 2


def test_unknown_names_are_said(backed: Path, cli: Cli) -> None:
    assert "there are primary, off" in cli("backup", "list", "--copy", "nope").err
    assert cli("restore", "warehouse", "--into", "x").code == 8
    cli("backup", "run")
    assert "There are backups of" in cli("restore", "warehouse", "--from", "2001-01-01", "--into", "x").err
    assert "names no backup" in cli("restore", "warehouse", "--from", "today", "--into", "x").err


def test_a_backup_from_before_the_key_is_taken_where_nothing_is_wrong(
    backed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("backup", "run").code == 0
    monkeypatch.setenv("DATA_PLATFORM_LEDGER_KEY", "a key of a test, long enough to be taken")
    unsigned = cli("backup", "verify")
    assert unsigned.code == 8 and "--sign" in unsigned.err
    damaged = next((backed / ".data/off").rglob("part-00000.parquet"))
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    assert cli("backup", "verify", "--sign").code == 8
    assert cli("restore", "warehouse", "--into", "one.duckdb").code == 0, "the primary's was taken"
    assert cli("restore", "warehouse", "--copy", "off", "--into", "two.duckdb").code == 8
    damaged.write_bytes(whole)
    assert cli("backup", "verify", "--sign").code == 0
    assert cli("restore", "warehouse", "--copy", "off", "--into", "two.duckdb").code == 0
    assert cli("backup", "run").code == 0 and cli("backup", "verify").code == 0


def test_a_snapshot_is_made_and_old_ones_go(backed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "makes no snapshots" not in cli("backup", "snapshot").err, "none is asked for"
    refused = cli("backup", "snapshot")
    assert refused.code == 2 and "snapshots: {keep_days: 7}" in refused.err
    file = backed / "catalog/platform.yaml"
    file.write_text(
        file.read_text().replace("start: 2026-11-01", "start: 2026-11-01, snapshots: {keep_days: 7}")
    )
    assert "backups.snapshots: a warehouse of the kind duckdb" in cli("backup", "snapshot").err
    now = datetime.now(UTC)
    engine = Lists(now=now - timedelta(days=8))
    given_to_duckdb(monkeypatch, engine)
    assert "no snapshot yet" in cli("backup", "snapshot", "--dry-run").out
    old, engine.now = take(engine, WEEK), now
    listed = cli("backup", "snapshot", "--dry-run")
    assert listed.code == 0 and old.name in listed.out and "would be removed" in listed.out
    (seen,) = json.loads(cli("backup", "snapshot", "--dry-run", "--json").out)["snapshots"]
    assert (seen["name"], seen["expired"], seen["whole"]) == (old.name, True, True)
    assert {name for name, _ in engine.there} == {old.name}, "nothing was made or removed"
    engine.held_fast = old.name
    left = json.loads(cli("backup", "snapshot", "--json").out)
    assert not left["ok"] and "is held" in left["left"][old.name]["message"] and left["removed"] == []
    engine.held_fast, engine.now = "", now + timedelta(microseconds=1)
    made = cli("backup", "snapshot")
    assert (
        made.code == 0
        and f"{name_of(engine.now)}: 3 tables" in made.out
        and f"{old.name}: removed" in made.out
    )
    engine.failing, engine.now = "raw_shop.a", now + timedelta(seconds=1)
    failed = cli("backup", "snapshot")
    assert failed.code == 5 and "raw_shop.a is not made" in failed.err
    assert {name for name, _ in engine.there} == {name_of(now), name_of(now + timedelta(microseconds=1))}
