"""Seeded schedules of edits, operations, kills and faults: nothing lost, nothing to repair."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.schedule import Chaos, command, small_disk
from data_platform_tests.chaos.source import Source
from data_platform_tests.servers.faulty import faulty_proxy
from data_platform_tests.servers.objects import ObjectServer

pytestmark = pytest.mark.slow

SCHEDULES = 20
"""Meet every kind of kill and of fault but a failover, which `test_source_faults.py` makes; `make chaos` runs more."""


@pytest.fixture
def chaos(forks: ForkServer, source: Source, s3_server: ObjectServer, tmp_path: Path) -> Iterator[Chaos]:
    disk = tmp_path / "disk"
    with small_disk(disk) as small, faulty_proxy(s3_server.url) as proxy:
        yield Chaos(forks, source, disk, small=small, bucket=(s3_server, proxy))


@pytest.mark.timeout(1800)
def test_nothing_is_lost_whatever_happens(chaos: Chaos, seeds: Callable[[int], Sequence[int]]) -> None:
    wrong = []
    for seed in seeds(SCHEDULES):
        if story := chaos.run(seed):
            wrong.append(f"{story}\nrepeat it: {command(seed)}")
    sys.stdout.write(chaos.totals.line() + "\n")
    assert wrong == [], "\n\n".join(wrong)
    done = chaos.totals
    assert (done.lost, done.duplicated, done.resurrected, done.by_hand) == (0, 0, 0, 0)
    assert done.kills.total() + done.faults.total() + done.unreached >= done.schedules
    if done.schedules >= SCHEDULES:
        assert done.kills.total() >= done.schedules / 5 and len(done.faults) >= 8, done.line()


def test_the_comparison_sees_what_it_is_for(chaos: Chaos) -> None:
    """A row that is gone, doubled, changed or back, and a ledger with a gap: each is told."""
    import duckdb

    assert chaos.run(0) is None
    stage = chaos._stage
    assert stage is not None
    world, tables = stage.world, [t for t in stage.tables if t != "notes"][:1]
    (table,) = tables
    assert stage.forks.run(world.job("verify", stage.tables)).errors == {}
    assert world.compare(tables=tables).good
    for statement, kind in (
        (
            f"delete from raw_shop.{table} where order_id = (select max(order_id) from raw_shop.{table})",
            "lost",
        ),
        (f"insert into raw_shop.{table} from raw_shop.{table} limit 1", "duplicated"),
        (f"update raw_shop.{table} set order_id = 987654321 where rowid = 0", "resurrected"),
    ):
        with duckdb.connect(str(world.root / "warehouse.duckdb")) as warehouse:
            warehouse.execute(statement)
        assert getattr(world.compare(tables=tables), kind), kind
    assert stage.store is None
    newest = min((world.landing_folder / "shop" / table / "manifests").rglob("*.json"))
    newest.unlink()
    assert world.compare(tables=tables).by_hand
