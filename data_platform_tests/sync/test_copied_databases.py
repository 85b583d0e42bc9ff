"""Copies of a source's database and of its WAL are counted like all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal import WalArchive
from data_platform.sync import Platform, backup, open_platform
from data_platform.sync.copies import count_copies
from data_platform_tests.backups.database.test_repository import repository, stored
from data_platform_tests.backups.database.wal.conftest import NOW, SIZE, Shelf


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A source whose database is backed up into the folder `store`."""
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(
        "source: shop\nkind: postgres\nowner: team:data\nconnection: {url_env: SHOP_URL}\nstart: 2026-01-01\n"
        "backups: {database: {engine: native}}\ntables: {orders: {key: id}}\n"
    )
    (tmp_path / "catalog" / "platform.yaml").write_text(
        "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
        "    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        "    backups: {store: {kind: local, path: store}, start: 2026-01-01, archive: null}\n"
    )
    return replace(open_platform(tmp_path, "local", {}), clock=lambda: NOW)


def found(platform: Platform, seed: int = 0) -> dict[str, tuple[bool, str, list[str]]]:
    report = count_copies(platform, seed)
    return {
        one.name: (one.copies[0].there, one.copies[0].holds, one.problems)
        for one in report.classes
        if one.name in ("database", "wal")
    }


def test_backups_and_wal_are_counted(platform: Platform, tmp_path: Path) -> None:
    assert found(platform) == {"database": (False, "none yet", []), "wal": (False, "none yet", [])}
    full = stored(repository(tmp_path), tmp_path)
    last = stored(repository(tmp_path), tmp_path, full, hour=4)
    Shelf(tmp_path).ship([1, 2, 3])
    assert found(platform) == {
        "database": (True, f"shop {last.id}", []),
        "wal": (True, "shop 3 segments", []),
    }
    report = count_copies(platform, 0)
    assert "wal: no copy is offsite" in report.unmet
    (tmp_path / f"store/{full.objects[0].key}").unlink()
    assert any(full.objects[0].key in line for line in found(platform)["database"][2]), (
        "what the newest is built on"
    )


def test_an_altered_object_and_segment_are_named(platform: Platform, tmp_path: Path) -> None:
    made = stored(repository(tmp_path), tmp_path)
    shelf = Shelf(tmp_path)
    shelf.ship([1, 2])
    for path in (tmp_path / f"store/{made.objects[0].key}", next(shelf.store.rglob("segments/*02-*"), None)):
        assert path is not None
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    lines = found(platform)
    assert len(lines["database"][2]) == 1 and len(lines["wal"][2]) == 1


def test_a_gap_after_the_newest_backup_is_named(platform: Platform, tmp_path: Path) -> None:
    there = repository(tmp_path)
    made = stored(there, tmp_path)
    shelf = Shelf(tmp_path)
    shelf.ship([1, 2, 4], system=made.system)
    (tmp_path / f"store/database/shop/manifests/{made.id}.json").unlink()
    there.commit(replace(made, start=Lsn(SIZE), end=Lsn(2 * SIZE)))
    (line,) = found(platform)["wal"][2]
    assert "lacks" in line and line.startswith("wal in primary: WAL of shop after the backup ")
    wal = WalArchive(backup.archives(platform)[0], "shop", made.system)
    assert wal.coverage(1, Lsn(SIZE)).gap in line
