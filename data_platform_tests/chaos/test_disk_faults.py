"""The disk is full or cuts a write short: told readably, and mended by the next sync."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform_tests.chaos.faults import full_disk
from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.schedule import small_disk
from data_platform_tests.chaos.source import Source
from data_platform_tests.chaos.world import World

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("full", [False, True], ids=["killed in the write", "no space"])
@pytest.mark.parametrize("length", [1, 5755, 12287])
def test_a_warehouse_whose_first_bytes_were_cut_short_is_made_anew(
    world: World, forks: ForkServer, length: int, full: bool
) -> None:
    """An engine's file that ends within its headers never opens again."""
    # landed first, so that it is the warehouse's file which grows too large
    (world.root / "warehouse.duckdb").mkdir()
    assert set(forks.run(world.job("changes")).errors) == {"orders", "items", "notes"}
    (world.root / "warehouse.duckdb").rmdir()
    outcome = forks.run(world.job("changes", file_bytes=length, full=full))
    assert outcome.killed or outcome.errors
    assert "failed" not in outcome.said, outcome.said
    world.age_scratch()
    assert forks.run(world.job("changes")).errors == {}
    assert str(world.compare()) == "all is well"


@pytest.mark.parametrize("free_bytes", [0, 20_000, 1_000_000])
def test_a_full_disk_is_told_and_leaves_nothing(
    source: Source, forks: ForkServer, tmp_path: Path, free_bytes: int
) -> None:
    """Landing store, scratch and warehouse are on one disk of 64 MB that fills up."""
    with small_disk(tmp_path / "disk") as mounted:
        if not mounted:
            pytest.skip("this user may not mount a disk of a few megabytes (tmpfs needs root)")
        world = World(tmp_path / "disk" / "world", source.url)
        world.make()
        assert forks.run(world.job("changes")).errors == {}
        world.execute(
            "insert into notes select n, repeat(md5(n::text), 20), true from generate_series(100, 3100) n"
        )
        with full_disk(tmp_path / "disk", free_bytes=free_bytes):
            outcome = forks.run(world.job("changes"))
        assert "failed" not in outcome.said, outcome.said
        if free_bytes <= 20_000:
            assert "notes" in outcome.errors
        world.execute("delete from notes where note_id % 3 = 0")
        assert forks.run(world.job("verify")).errors == {}
        world.age_scratch()
        assert forks.run(world.job("changes")).errors == {}
        assert str(world.compare()) == "all is well"
