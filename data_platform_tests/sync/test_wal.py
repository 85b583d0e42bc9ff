"""What the stores hold of a source's WAL, without a server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.manifest import DatabaseBackup, objects_of
from data_platform.backups.database.repository import Repository
from data_platform.backups.manifest import BackupObject, backup_id
from data_platform.errors import ConfigurationError
from data_platform.observability.trust import Wal
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform, open_platform, wal
from data_platform.sync.health import _backups
from data_platform_tests.backups.database.wal.conftest import NOW, SIZE, Shelf
from data_platform_tests.cli.test_wal import PLATFORM, SOURCE


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM.replace(".backups/one", "store"))
    (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(SOURCE)
    return open_platform(tmp_path, "local", {})


def full(shelf: Shelf, start: Lsn, system: str = "7000") -> None:
    id_ = backup_id(NOW, "00000000")
    held = (BackupObject(f"{objects_of('shop', id_)}/base", 1, "0" * 64),)
    backup = DatabaseBackup(
        id_, "shop", "local", "native", "full", "", system, 180_006, NOW, NOW, held, 1, "shop",
        1, start, start + 100,
    )  # fmt: skip
    Repository(Archive("primary", lambda: LocalStore(shelf.store)), "shop").commit(backup)


def test_each_store_says_how_far_it_is_and_what_would_be_lost(platform: Platform, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.ship([1, 2, 3])
    primary, offsite = wal.states(platform, "shop")
    assert (primary.archive, primary.system, primary.problem) == ("primary", "7000", "")
    assert primary.coverage is not None and primary.coverage.end == Lsn(4 * SIZE)
    assert primary.rpo_seconds(NOW + timedelta(minutes=3, seconds=7)) == 7
    assert (offsite.archive, offsite.coverage, offsite.rpo_seconds(NOW)) == ("offsite", None, None)


def test_a_gap_counts_until_a_full_backup_is_behind_it(platform: Platform, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.ship([1, 2])
    shelf.ship([4, 5])
    gap = Segment(1, 3, SIZE).name
    assert wal.states(platform, "shop")[0].coverage.gap == gap  # type: ignore[union-attr]
    full(shelf, Lsn(4 * SIZE), system="9000")
    assert wal.states(platform, "shop")[0].coverage.gap == gap, "a backup of another server is of no use"  # type: ignore[union-attr]
    for path in (tmp_path / "store").rglob("manifests/*"):
        path.unlink()
    full(shelf, Lsn(4 * SIZE + 40))
    found = wal.states(platform, "shop")[0].coverage
    assert found is not None and (found.gap, found.start, found.end) == (
        "",
        Lsn(4 * SIZE + 40),
        Lsn(6 * SIZE),
    )


def test_the_health_knows_the_wal_of_each_store(platform: Platform, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.ship([1, 2])
    shelf.ship([4])
    found = _backups(platform, None).wal
    gap = f"the segment {Segment(1, 3, SIZE).name} is missing"
    assert found == (
        Wal("shop", "primary", NOW + timedelta(minutes=2), gap),
        Wal("shop", "offsite", None, "no WAL yet"),
    )


def test_a_store_that_holds_damage_says_so_and_the_others_are_told_all_the_same(
    platform: Platform, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path)
    shelf.ship([1])
    path = shelf.path("records/")
    path.write_bytes(path.read_bytes()[:-3])
    primary, offsite = wal.states(platform, "shop")
    assert path.name in primary.problem and not offsite.problem


def test_only_the_sources_whose_backups_use_wal_are_received(platform: Platform, tmp_path: Path) -> None:
    assert wal.received(platform) == ["shop"]
    path = tmp_path / "catalog" / "sources" / "shop.yaml"
    path.write_text(SOURCE.replace("{database: {", "{database: {engine: logical, "))
    other = open_platform(tmp_path, "local", {})
    assert wal.received(other) == []
    with pytest.raises(ConfigurationError, match="receives no WAL"):
        wal.settings(other, "shop")
