"""A database that is recovered: with its backups, its WAL and the harm that comes to them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from data_platform.backups.database.recover import RecoveryReport
from data_platform.backups.database.repository import Repository
from data_platform.sync import Platform
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import recover_database
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company

BLOCK = "{engine: native}"


class Shop:
    """A company with a backup whose WAL is shipped; ``folder`` is one that the server's account can reach."""

    def __init__(self, company: Company, folder: Path, copies: str = "{}") -> None:
        self.company, self.folder = company, folder
        self.platform = company.platform(BLOCK, copies)
        self.orders = f"{company.database}.public.orders"

    def now(self) -> datetime:
        at: datetime = self.company.row("select clock_timestamp()")[0]
        time.sleep(0.002)
        return at

    def ship(self) -> None:
        receiver(self.platform, "shop", lambda _: None).once()

    def recover(self, at: datetime, name: str = "recovered", **how: object) -> RecoveryReport:
        return recover_database(self.platform, "shop", at, self.folder / name, **how)  # type: ignore[arg-type]

    def objects(self, what: str) -> list[Path]:
        return sorted(
            path
            for path in (self.company.root / "backups/database/shop").rglob("*")
            if what in path.as_posix() and path.is_file()
        )


def several_segments(shop: Shop) -> datetime:
    """A backup, then changes over four segments of WAL, all shipped. Returns an instant after them."""
    shop.ship()
    back_up_database(shop.platform, "shop")
    for n in range(4):
        shop.company.execute(f"insert into orders values ({30_000 + n}, 'x')", "select pg_switch_wal()")
        shop.ship()
    at = shop.now()
    shop.company.execute("insert into orders values (40000, 'after')")
    shop.ship()
    return at


def primary(platform: Platform) -> Repository:
    return Repository(archives(platform)[0], "shop")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, which only root may mount."""
    folder.mkdir(mode=0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
