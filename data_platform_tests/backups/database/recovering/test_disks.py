"""A disk that is full and a folder that is taken are said, and nothing is left there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from data_platform.backups.database.recover import RESTORE
from data_platform.errors import BackupError, LandingError
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import recover_database, windows
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.backups.database.recovering.shop import (
    BLOCK,
    Shop,
    primary,
    small_disk,
)

pytestmark = pytest.mark.slow


def test_a_full_disk_is_said_and_leaves_nothing(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    at = windows(shop.platform, "shop")[-1].last
    with small_disk(shop.folder / "small", 12) as disk:
        with pytest.raises(BackupError, match=r"could not be recovered into .*no space is left"):
            recover_database(shop.platform, "shop", at, disk / "recovered")
        assert list((disk / "recovered").iterdir()) == []
    assert shop.recover(at).rows[shop.orders] == 20_000


def test_a_disk_that_is_full_at_any_step_is_said_as_one(
    shop: Shop, seeds: Callable[[int], Sequence[int]]
) -> None:
    """While WAL is copied to the server, too: that must not be taken for the end of all WAL. All sizes with `--seeds N`."""
    shop.ship()
    for _ in range(2):
        back_up_database(shop.platform, "shop")
        shop.company.execute(
            "insert into orders select n, repeat(md5(n::text), 20) from generate_series"
            "((select max(id) + 1 from orders), (select max(id) + 8000 from orders)) n",
            "select pg_switch_wal()",
        )
    shop.company.execute("insert into orders values (1000000, 'the last')")
    shop.ship()
    at, steps = windows(shop.platform, "shop")[-1].last, set[str]()
    for megabytes in range(50, 400, 5 if len(seeds(1)) > 1 else 14):
        begun: list[str] = []
        with small_disk(shop.folder / f"of-{megabytes}", megabytes) as disk:
            try:
                found = recover_database(shop.platform, "shop", at, disk / "into", progress=begun.append)
                break
            except BackupError as error:
                assert re.search("no space is left", str(error), re.IGNORECASE), (begun, error)
            assert list((disk / "into").iterdir()) == []
            steps.add(begun[-1])
    assert {"fetch", "recover"} <= steps
    assert found.rows[shop.orders] == 36_001


def test_wal_that_is_there_and_cannot_be_copied_is_not_the_end_of_wal(tmp_path: Path) -> None:
    """PostgreSQL ends with the recovery at any code above 125, and goes on without the segment at another one."""
    for folder in ("wal", "data/pg_wal"):
        (tmp_path / folder).mkdir(parents=True)

    def code(segment: str, to: str) -> int:
        command = RESTORE.replace("%f", segment).replace("%p", to)
        return subprocess.run(command, shell=True, cwd=tmp_path / "data", check=False).returncode

    assert code("A", "pg_wal/copied") == 1
    (tmp_path / "wal/A").write_bytes(b"wal")
    assert code("A", "no such folder/copied") > 125
    assert code("A", "pg_wal/copied") == 0
    assert (tmp_path / "data/pg_wal/copied").read_bytes() == b"wal"


def test_a_backup_that_fills_its_disk_is_said_and_is_no_backup(company: Company) -> None:
    with small_disk(company.root / "backups", 2):
        platform = company.platform(BLOCK)
        with pytest.raises((BackupError, LandingError), match="no space is left"):
            back_up_database(platform, "shop")
        assert primary(platform).ids() == []


def test_a_folder_that_is_not_empty_is_refused(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    (shop.folder / "recovered").mkdir()
    (shop.folder / "recovered/mine").write_text("keep")
    with pytest.raises(BackupError, match="is not an empty folder"):
        shop.recover(windows(shop.platform, "shop")[0].last)
    assert [path.name for path in (shop.folder / "recovered").iterdir()] == ["mine"]
