"""The warehouses that the contract runs over. An engine joins with one line in ``ENGINES``: its configuration in a folder, and
what it cannot do besides what its ``Traits`` say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_platform.warehouses import Warehouse, WarehouseConfig
from data_platform.warehouses.dialect import relation
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.engines import ducklake

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Engine:
    """``config`` is of a warehouse in a folder. ``all_instants``: its times reach beyond year 9999, before year 1
    and to infinity. ``patterns``: it knows regular expressions. ``server`` is the fixture that it needs; ``emptied``
    cleans up behind a test where warehouses are not thrown away with their folder; ``other`` names another warehouse
    in a folder."""

    config: Callable[[Path], WarehouseConfig]
    all_instants: bool = True
    patterns: bool = True
    server: str | None = None
    emptied: Callable[[Path], None] | None = None
    other: Callable[[Path], Path | str] = lambda folder: folder / "other"
    reach: Callable[[Path], Path] = lambda folder: folder
    """The folder that its statements may reach, for a test in a folder."""

    def open(self, folder: Path, *, read_only: bool = False) -> AbstractContextManager[Warehouse]:
        return self.config(folder).open(folder, read_only, files=[self.reach(folder)])

    def fresh(self, folder: Path) -> AbstractContextManager[Warehouse]:
        """A new one, within a test that has had another."""
        if self.emptied is not None:
            self.emptied(folder)
        return self.open(folder)


ENGINES = {
    "duckdb": Engine(lambda folder: DuckDBConfig(path=folder / "warehouse.duckdb", threads=1)),
    "ducklake": Engine(
        ducklake.config,
        server="lake_catalogs",
        emptied=ducklake.emptied,
        other=lambda folder: "other",
        reach=lambda folder: folder.parent,
    ),
    "toy": Engine(lambda folder: ToyConfig(folder=folder / "toy"), all_instants=False, patterns=False),
}


def raw(warehouse: Warehouse) -> str:
    """The raw table of the batches, as a statement of this warehouse names it."""
    return relation(warehouse.dialect, "raw_shop", "orders")


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The raw table by id, its instants as ISO days."""
    micros = warehouse.dialect.micros(warehouse.dialect.quote("at"))
    found = warehouse.query(f"SELECT id, {micros}, note FROM {raw(warehouse)} ORDER BY id").rows
    return [(id_, None if at is None else iso(at)[:10], note) for id_, at, note in found]


def iso(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
