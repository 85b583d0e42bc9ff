"""The way back: equal and proven, in a new file, with planted damage named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from data_platform.backups.manifest import BackupManifest, BackupObject
from data_platform.backups.restore import drill, restore, restore_files
from data_platform.errors import BackupDamaged, BackupError, BackupMissing
from data_platform.landing.part import sha256_of
from data_platform.stores.local import LocalStore
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.backups.conftest import NOW, Box, config, open_at


def test_a_restored_warehouse_holds_everything(box: Box) -> None:
    report = box.back_up()
    done = box.restore()
    assert done.mismatches == () and done.rows == 5002 and done.tables == 3
    restored = box.root / "restored.duckdb"
    for ask in (
        "from raw_shop.orders order by id",
        'from raw_shop."strange/name ü" order by all',
        "from raw_shop.empty",
        "from staging.a",
        "select table_name, comment from duckdb_tables() order by 1",
        "select column_name, comment, is_nullable, column_default from duckdb_columns() where not internal"
        " and table_name not in ('a', 'b') order by table_name, column_index",
        "select view_name, comment from duckdb_views() where not internal order by 1",
        "select index_name from duckdb_indexes()",
        "select schema_name from duckdb_schemas() where not internal order by 1",
    ):
        assert box.rows(ask, restored) == box.rows(ask), ask
    again = box.root / "again"
    again.mkdir()
    with open_at(restored) as warehouse:
        from data_platform.backups.export import export

        exported = export(warehouse, again, report.manifest.id)
    assert exported.tables == report.manifest.tables, "backed up again, it is the same, byte for byte"
    assert exported.inventory.statements == report.manifest.statements


def test_an_existing_file_is_replaced_only_when_told_and_only_by_a_proven_one(box: Box) -> None:
    box.back_up()
    box.execute("create table raw_shop.later (x int)")
    with pytest.raises(BackupError, match="--replace"):
        box.restore(into="warehouse.duckdb")
    assert box.rows("select count(*) from duckdb_tables() where table_name = 'later'") == [(1,)]
    flip(box, "raw_shop.orders")
    with pytest.raises(BackupDamaged):
        box.restore(into="warehouse.duckdb", replace=True)
    assert box.rows("select count(*) from duckdb_tables() where table_name = 'later'") == [(1,)]
    box.back_up(nonce="00000002", at=NOW + timedelta(days=1))
    box.execute("drop table raw_shop.later")
    box.restore(into="warehouse.duckdb", replace=True)
    assert box.rows("select count(*) from duckdb_tables() where table_name = 'later'") == [(1,)]
    assert sorted(p.name for p in box.root.glob("*warehouse.duckdb*")) == ["warehouse.duckdb"]


def test_the_log_of_the_replaced_file_is_not_replayed(box: Box) -> None:
    box.back_up()
    held = duckdb.connect(str(box.file))
    held.execute("pragma disable_checkpoint_on_shutdown")
    held.execute("delete from raw_shop.orders")
    held.close()
    assert box.file.with_name("warehouse.duckdb.wal").exists()
    box.restore(into="warehouse.duckdb", replace=True)
    assert box.rows("select count(*) from raw_shop.orders") == [(5000,)]


def test_missing_backups_are_said(box: Box) -> None:
    with pytest.raises(BackupMissing, match="data-platform backup run"):
        box.archive().chosen("latest")
    box.back_up()
    with pytest.raises(BackupMissing, match=r"no backup of 2026-11-01 .* There are backups of 2026-11-22"):
        box.archive().chosen("2026-11-01")
    with pytest.raises(BackupMissing, match="names no backup"):
        box.archive().chosen("yesterday")


def part_of(box: Box, table: str) -> tuple[Path, BackupManifest]:
    manifest = box.archive().chosen("latest")
    part = next(t for t in manifest.tables if t.label == table).parts[0]
    return box.root / "primary" / part.key, manifest


def flip(box: Box, table: str) -> str:
    path, _ = part_of(box, table)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return rf"part-00000\.parquet of {table} in .* does not match its SHA-256"


def lose(box: Box, table: str) -> str:
    part_of(box, table)[0].unlink()
    return rf"part-00000\.parquet of {table} in .* is missing"


def cut(box: Box, table: str) -> str:
    path, _ = part_of(box, table)
    path.write_bytes(path.read_bytes()[:-1])
    return rf"part-00000\.parquet of {table} in .* has [\d,]+ bytes instead of"


def put_older(box: Box, table: str) -> str:
    """An object of another backup under this one's name, of the same length."""
    path, manifest = part_of(box, table)
    size = path.stat().st_size
    box.execute("update raw_shop.orders set note = replace(note, 'note', 'nota')")
    box.back_up(nonce="00000003", at=NOW - timedelta(days=1))
    older = next(t for t in box.archive().chosen("2026-11-21").tables if t.label == table).parts[0]
    data = (box.root / "primary" / older.key).read_bytes()
    path.write_bytes(data[:size].ljust(size, b"\0"))
    assert box.archive().chosen("latest") == manifest
    return rf"part-00000\.parquet of {table} in .* does not match its SHA-256: it was replaced"


def cut_manifest(box: Box, table: str) -> str:
    path = box.root / "primary" / f"warehouse/manifests/{box.archive().ids()[-1]}.json"
    path.write_bytes(path.read_bytes()[:-20])
    return r"manifest warehouse/manifests/.*\.json .* cannot be read"


def misplace_manifest(box: Box, table: str) -> str:
    folder = box.root / "primary" / "warehouse/manifests"
    newer = box.archive().ids()[-1].replace("20261122", "20261123")
    (folder / f"{newer}.json").write_bytes(next(folder.iterdir()).read_bytes())
    return "copied to the wrong place"


@pytest.mark.parametrize("damage", [flip, lose, cut, put_older, cut_manifest, misplace_manifest])
def test_planted_damage_is_named_by_a_restore_and_by_a_drill(
    box: Box, damage: Callable[[Box, str], str], tmp_path: Path
) -> None:
    box.back_up()
    said = damage(box, "raw_shop.orders")
    with pytest.raises(BackupDamaged, match=said):
        box.restore()
    assert not (box.root / "restored.duckdb").exists()
    assert list(box.root.glob(".restored*")) == []
    folder = tmp_path / "drill"
    folder.mkdir()
    report = drill(box.archive(), "latest", config(folder / "drill"), folder)
    assert len(report.mismatches) == 1
    with pytest.raises(BackupDamaged, match=said):
        raise BackupDamaged(report.mismatches[0])
    assert list(folder.iterdir()) == []


def test_verify_names_every_damage(box: Box) -> None:
    manifest = box.back_up().manifest
    archive = box.archive()
    assert archive.damage(manifest, deep=True) == []
    flip(box, "raw_shop.orders")
    assert archive.damage(manifest, deep=False) == [], "the size is as it was"
    lose(box, "raw_shop.strange/name ü")
    problems = archive.damage(manifest, deep=True)
    assert len(problems) == 2
    assert "raw_shop.orders" in problems[0] and "raw_shop.strange/name ü" in problems[1]


def test_rows_that_differ_after_loading_are_a_mismatch(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.back_up()
    fill = DuckDBWarehouse.fill

    def losing(self: DuckDBWarehouse, table: object, parts: object) -> None:
        fill(self, table, parts)  # type: ignore[arg-type]
        if table.name == "orders":  # type: ignore[attr-defined]
            self.connection.execute("update raw_shop.orders set note = 'other' where id = 77")

    monkeypatch.setattr(DuckDBWarehouse, "fill", losing)
    with pytest.raises(
        BackupDamaged,
        match=r"raw_shop\.orders holds 5,000 rows instead of 5,000, or rows with different values",
    ):
        box.restore()
    assert not (box.root / "restored.duckdb").exists()


@pytest.mark.parametrize("lossy", [False, True])
def test_a_backup_by_another_version_is_compared_by_todays(
    box: Box, lossy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fingerprints are another function's; its objects are proven by their SHA-256."""
    from dataclasses import replace

    manifest = box.back_up().manifest
    tables = tuple(replace(t, fingerprint=t.fingerprint ^ 12345) for t in manifest.tables)
    older = replace(manifest, engine="duckdb 0.1", tables=tables).sealed()
    if lossy:
        fill = DuckDBWarehouse.fill

        def losing(self: DuckDBWarehouse, table: object, parts: object) -> None:
            fill(self, table, parts)  # type: ignore[arg-type]
            if table.name == "orders":  # type: ignore[attr-defined]
                self.connection.execute("update raw_shop.orders set note = 'other' where id = 77")

        monkeypatch.setattr(DuckDBWarehouse, "fill", losing)
        with pytest.raises(BackupDamaged, match=r"raw_shop\.orders"):
            restore(box.archive(), older, config(box.root / "x.duckdb"), box.root)
    else:
        assert restore(box.archive(), older, config(box.root / "x.duckdb"), box.root).mismatches == ()


def test_files_beside_the_warehouse_come_back(box: Box, tmp_path: Path) -> None:
    import sqlite3

    from data_platform.backups.instance import sqlite_files

    home = tmp_path / "home" / "history"
    home.mkdir(parents=True)
    with sqlite3.connect(home / "runs.db") as connection:
        connection.execute("create table runs (id int)")
        connection.execute("insert into runs values (7)")
    folder = tmp_path / "packed"
    folder.mkdir()
    manifest = box.back_up(files=sqlite_files(tmp_path / "home", folder)).manifest
    assert restore_files(box.archive(), manifest, tmp_path / "back") == 1
    with sqlite3.connect(tmp_path / "back/instance/history/runs.db") as connection:
        assert connection.execute("select * from runs").fetchall() == [(7,)]
    with pytest.raises(BackupError, match="not empty"):
        restore_files(box.archive(), manifest, tmp_path / "back")


def test_what_is_read_back_comes_from_the_store(box: Box) -> None:
    """A store that remembers what it was given must not be asked from memory."""
    archive = box.archive()
    assert archive.reader is not archive.store
    archive.reader = LocalStore(box.root / "elsewhere")
    path = box.root / "object"
    path.write_bytes(b"x")
    with pytest.raises(BackupDamaged, match="is missing"):
        archive.add(path, BackupObject("a/b", 1, sha256_of(path)))
