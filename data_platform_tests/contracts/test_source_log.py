"""What the contract asks of a source that PostgreSQL has no use for: steps, acknowledgements, marks, lost positions.

Tried on the toy log.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import PositionLost
from data_platform.sources import kinds
from data_platform.sources.kind import Capabilities
from data_platform_tests.contracts.toy_source import kind as toy_kind
from data_platform_tests.contracts.worlds import ToyLog, World, filled


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    made = World(tmp_path, ToyLog(tmp_path / "logs"))
    made.items.make()
    return made.catalog()


def test_a_long_read_lands_in_steps_that_replace_and_then_add(toy: World) -> None:
    filled(toy, 12)
    report = toy.good()
    assert [(b.operation, b.load, b.rows) for b in toy.batches()] == [
        ("refresh", "replace", 5), ("changes", "merge", 5), ("changes", "merge", 2),
    ]  # fmt: skip
    assert [load.sequence for load in report.loaded] == [1, 2, 3]
    assert report.rows == 12 and report.bytes == sum(b.bytes for b in toy.batches())
    assert (report.position_before, report.position_after) == (None, toy.batches()[-1].position_after)
    assert isinstance(toy.items, ToyLog) and toy.items.log.acknowledged == 12
    filled(toy, 12)
    toy.good(refresh=["items"])
    assert len(toy.notes()) == 12


@pytest.mark.parametrize("deletes", ["refresh", "events"])
def test_a_verified_sync_without_a_proof_reads_whole_where_only_that_shows_deletes(
    toy: World, monkeypatch: pytest.MonkeyPatch, deletes: Any
) -> None:
    can = Capabilities(deletes=deletes, proof="none", slices=False)
    monkeypatch.setattr(toy_kind, "KIND", replace(toy_kind.KIND, capabilities=can))
    filled(toy, 4)
    toy.good()
    toy.items.put(5, "fifth")
    toy.good(verify=True)
    whole = [("refresh", 5)] if deletes == "refresh" else [("changes", 1)]
    assert [(b.operation, b.rows) for b in toy.batches()] == [("refresh", 4), *whole]


def test_marks_of_the_deleted_are_no_columns_of_the_warehouse(toy: World) -> None:
    filled(toy, 3)
    toy.good()
    toy.items.delete(2)
    batch = toy.good().manifest
    assert batch is not None and (batch.deleted, batch.rows) == ("_gone", 1)
    with toy.platform().warehouse(read_only=True) as warehouse:
        columns = warehouse.query("SELECT * FROM raw_shop.items").columns
    assert "_gone" not in columns and "_offset" in columns
    assert toy.notes() == {1: "first 1", 3: "first 3"}


def test_a_page_that_came_twice_is_read_once(toy: World) -> None:
    filled(toy, 4)
    assert isinstance(toy.items, ToyLog)
    for offset, line in enumerate(list(toy.items.log.lines())):
        toy.items.log.append(line["row"], offset=offset)
    toy.items.put(5, "after it")
    toy.good()
    assert list(toy.notes()) == [1, 2, 3, 4, 5]
    assert sum(b.rows for b in toy.batches()) == 5


def test_a_position_that_cannot_be_read_any_more_says_what_to_do(toy: World) -> None:
    filled(toy, 3)
    toy.good()
    filled(toy, 3)
    assert isinstance(toy.items, ToyLog)
    toy.items.log.truncate(before=5)
    error = toy.sync().error
    assert isinstance(error, PositionLost)
    assert "shop/items" in str(error) and "data-platform sync --refresh shop/items" in str(error)
    assert toy.notes()[3] == "first 3", "what has landed stays"
    toy.good(refresh=["items"])
    assert list(toy.notes()) == [3]


def test_another_system_is_read_whole(toy: World) -> None:
    filled(toy, 2)
    toy.good()
    assert isinstance(toy.items, ToyLog)
    (toy.items.folder / "system").write_text("toy-2")
    assert toy.look().moved is True
    report = toy.good()
    assert report.operation == "refresh"
    assert "another system (toy-2) than the one read before (toy-1)" in " ".join(report.notes)
    assert toy.good().manifest is None
