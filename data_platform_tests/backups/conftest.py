"""A small warehouse of every kind of thing, and an archive to back it up into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.export import BackupReport, Exported, FileToKeep, export, store
from data_platform.backups.manifest import backup_id
from data_platform.backups.restore import RestoreReport, restore
from data_platform.stores.local import LocalStore
from data_platform.warehouses.archive import Archivable
from data_platform.warehouses.duckdb.config import DuckDBConfig

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
SETUP = (
    "create schema raw_shop",
    "create schema staging",
    "create table raw_shop.orders (id bigint not null, note varchar default 'none', \"Total\" decimal(10,2), made timestamptz)",
    "create table raw_shop.empty (x uuid)",
    'create table raw_shop."strange/name ü" ("a b" varchar)',
    "insert into raw_shop.orders select n, case when n % 3 > 0 then 'note ' || n end, n * 0.01,"
    " timestamptz '2026-01-01' + n * interval '1 hour' from range(5000) r(n)",
    "insert into raw_shop.\"strange/name ü\" values ('x'), (null)",
    "create view staging.b as select * from warehouse.raw_shop.orders where id > 10",
    "create view staging.a as select count(*) as n from warehouse.staging.b",
    "comment on table raw_shop.orders is 'it''s one row per order'",
    "comment on column raw_shop.orders.note is 'what they said'",
    "comment on view staging.b is 'recent'",
    "create index by_id on raw_shop.orders (id)",
)


@dataclass
class Box:
    """``file`` is the warehouse; ``archive`` a local backup store under ``root``."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root / "warehouse.duckdb"

    def opener(self, name: str) -> Callable[[], LocalStore]:
        return lambda: LocalStore(self.root / name)

    def archive(self, name: str = "primary") -> Archive:
        return Archive(name, self.opener(name))

    def execute(self, *statements: str, file: Path | None = None) -> None:
        with duckdb.connect(str(file or self.file)) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, sql: str, file: Path | None = None) -> list[tuple[object, ...]]:
        with duckdb.connect(str(file or self.file), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def export(self, folder: str = "written", id_: str = backup_id(NOW, "0" * 8)) -> Exported:
        (self.root / folder).mkdir(exist_ok=True)
        with open_at(self.file) as warehouse:
            return export(warehouse, self.root / folder, id_, keys={("raw_shop", "many"): ["k"]})

    def back_up(
        self,
        *archives: Archive,
        nonce: str = "00000000",
        at: datetime = NOW,
        files: Sequence[FileToKeep] = (),
    ) -> BackupReport:
        id_ = backup_id(at, nonce)
        return store(
            self.export(f"written-{nonce}", id_),
            files,
            archives or [self.archive()],
            id_=id_,
            environment="local",
            created_at=at,
        )

    def restore(self, which: str = "latest", into: str = "restored.duckdb", **how: bool) -> RestoreReport:
        archive = self.archive()
        return restore(archive, archive.chosen(which), config(self.root / into), self.root, **how)


def config(path: Path) -> DuckDBConfig:
    return DuckDBConfig(path=path, memory_limit="384MB")


def open_at(path: Path) -> AbstractContextManager[Archivable]:
    return config(path).open(path.parent, files=[path.parent])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.execute(*SETUP)
    return made
