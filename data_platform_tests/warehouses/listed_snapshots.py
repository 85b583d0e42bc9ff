"""An engine whose snapshots are lists of names, in the place of a warehouse's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from data_platform.errors import WarehouseError
from data_platform.warehouses.duckdb.config import DuckDBConfig

AT = datetime(2026, 11, 22, 2, 30, 0, 123456, tzinfo=UTC)
WEEK = timedelta(days=7)


class Lists:
    """``failing`` is the object at which it stops, ``held_fast`` a snapshot that it does not drop."""

    last: ClassVar[str] = "_data_platform.loaded"

    def __init__(
        self,
        sources: Sequence[str] = ("raw_shop.a", "_data_platform.loaded", "marts.b"),
        now: datetime = AT,
    ) -> None:
        self.there: list[tuple[str, str]] = []
        self.tables, self.now, self.failing, self.held_fast = list(sources), now, "", ""

    def sources(self) -> Sequence[str]:
        return self.tables

    def instant(self) -> datetime:
        return self.now

    def make(self, name: str, at: datetime, expires: datetime, sources: Sequence[str]) -> None:
        assert at == self.now and expires - at == WEEK
        for one in sources:
            if one == self.failing:
                raise WarehouseError(f"{one} is not made")
            self.there.append((name, one))

    def held(self) -> Sequence[tuple[str, str]]:
        return self.there

    def drop(self, name: str) -> None:
        if name == self.held_fast:
            raise WarehouseError(f"{name} is held")
        self.there = [one for one in self.there if one[0] != name]


def given_to_duckdb(monkeypatch: pytest.MonkeyPatch, engine: Lists) -> None:
    """DuckDB makes the snapshots of ``engine``."""

    @contextmanager
    def snapshots(config: DuckDBConfig) -> Iterator[Lists]:
        yield engine

    monkeypatch.setattr(DuckDBConfig, "traits", replace(DuckDBConfig.traits, snapshots=True))
    monkeypatch.setattr(DuckDBConfig, "snapshots_problem", "", raising=False)
    monkeypatch.setattr(DuckDBConfig, "snapshots", snapshots, raising=False)
