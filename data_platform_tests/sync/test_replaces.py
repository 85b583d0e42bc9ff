"""Rows that are replaced together, from a source that says so to the warehouse, and from the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import ConfigurationError, DuplicateKey, SourceError
from data_platform.landing.verify import verify
from data_platform.sources import kinds
from data_platform.sync.rebuild import rebuild
from data_platform_tests.contracts.worlds import ITEMS, ToyLog, World


@dataclass
class Lines(ToyLog):
    """``id`` is a document, ``status`` names a line of it."""

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder), "step": 50, "together": ["id"]}

    def document(self, id_: int, *lines: str) -> None:
        for line in lines:
            self.put(id_, line)
        if not lines:
            self.delete(id_)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    made = World(tmp_path, Lines(tmp_path / "logs"))
    made.items.make()
    return made.catalog(key=["id", "status"])


def held(world: World, sql: str = "SELECT id, status FROM raw_shop.items ORDER BY ALL") -> Sequence[Any]:
    with world.platform().warehouse(read_only=True) as warehouse:
        return warehouse.query(sql).rows


def test_a_document_s_lines_are_replaced_together(world: World, tmp_path: Path) -> None:
    items = world.items
    assert isinstance(items, Lines)
    items.document(1, "a", "b")
    items.document(2, "a")
    items.document(3, "x")
    world.good()
    assert held(world) == [(1, "a"), (1, "b"), (2, "a"), (3, "x")]
    items.document(1, "b", "c")
    items.document(3)
    report = world.good()
    assert report.manifest is not None and report.manifest.replaces == ("id",)
    assert report.touched == {"all": 3}
    left = [(1, "b"), (1, "c"), (2, "a")]
    assert held(world) == left
    items.document(4)
    world.good()
    assert held(world) == left
    platform = world.platform()
    assert verify(platform.ledger, ITEMS, platform.clock()).problems == ()
    rebuilt = tmp_path / "rebuilt.duckdb"
    rebuild(platform, rebuilt)
    with platform.environment.warehouse.elsewhere(rebuilt).open(world.root, True) as warehouse:
        assert warehouse.query("SELECT id, status FROM raw_shop.items ORDER BY ALL").rows == left


def test_a_row_says_which_group_it_is_of(world: World) -> None:
    world.items.put(1, "a")
    world.good()
    world.items.log.append({"id": None, "status": "a"})  # type: ignore[attr-defined]
    error = world.sync().error
    assert isinstance(error, SourceError) and "1 of the rows that were read hold a NULL in id" in str(error)
    assert len(world.batches()) == 1


def test_a_key_is_asked_of_the_rows_that_stay(world: World) -> None:
    world.items.log.append({"id": 1})  # type: ignore[attr-defined]
    assert isinstance(world.sync().error, DuplicateKey)
    assert world.batches() == []


def test_they_are_not_only_added(world: World) -> None:
    world.catalog(key=["id", "status"], strategy="append")
    world.items.put(1, "a")
    error = world.sync().error
    assert isinstance(error, ConfigurationError) and "replaced together by id" in str(error)
