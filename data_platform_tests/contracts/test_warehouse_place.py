"""Where a warehouse lies: it appears whole, its files tell of a load, its archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.warehouses.archive import archivable
from data_platform_tests.contracts.batches import RULED, Chain
from data_platform_tests.contracts.engines import Engine, rows


def test_a_new_warehouse_appears_whole_or_not_at_all(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    config = engine.config(tmp_path).elsewhere(engine.other(tmp_path))
    made, parts = chain.next("merge", RULED)

    def contents() -> list[tuple[Any, ...]]:
        with config.open(tmp_path, read_only=True) as warehouse:
            return rows(warehouse)

    with (
        pytest.raises(KeyboardInterrupt),
        config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse,
    ):
        warehouse.load(made, parts)
        raise KeyboardInterrupt
    assert not config.exists(tmp_path)
    with pytest.raises(WarehouseError, match="no warehouse"):
        contents()
    with config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse:
        warehouse.load(made, parts)
        assert not config.exists(tmp_path), "it is not in its place yet"
    assert config.exists(tmp_path) and len(contents()) == 4
    second, parts = chain.next("replace", RULED[:1])
    with config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse:
        assert warehouse.loaded_all() == [], "it is a new one"
        warehouse.load(second, parts)
        assert len(contents()) == 4 or config.traits.writers == "one"
    assert len(contents()) == 1
    assert config.place(tmp_path).endswith("other")
    assert not [file for file in tmp_path.iterdir() if "making" in file.name]


def test_what_it_is_written_to_changes_with_a_load(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    config = engine.config(tmp_path)
    if not config.traits.in_files:
        assert not config.files(tmp_path), "it is not of this machine"
        return
    assert not any(file.exists() for file in config.files(tmp_path))
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", RULED))

    def stamps() -> set[tuple[int, int]]:
        there = [file.stat() for file in config.files(tmp_path) if file.exists()]
        return {(at.st_mtime_ns, at.st_size) for at in there}

    before = stamps()
    if not config.traits.in_files:  # no file of this machine tells
        assert not before
        return
    assert before
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", [(9, "2026-01-09", "z", 9)]))
    assert stamps() != before


def test_only_an_engine_with_an_archive_is_backed_up_by_table(engine: Engine, tmp_path: Path) -> None:
    config = engine.config(tmp_path)
    if config.traits.archive:
        with archivable(config).open(tmp_path) as warehouse:
            assert warehouse.inventory().tables == ()
    else:
        with pytest.raises(ConfigurationError, match="rebuild"):
            archivable(config)
