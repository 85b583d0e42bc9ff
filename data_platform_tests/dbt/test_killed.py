"""dbt killed at any of its own events: the next build finishes what it left, with nothing done by hand."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.defs.dbt_run import WITHOUT_TESTS
from data_platform_tests.dbt import raw_shop
from data_platform_tests.dbt.forked import Forks, forks
from data_platform_tests.dbt.runner import Dbt

pytestmark = pytest.mark.slow

IN_CI = 1
OF_THE_RUN = ("dbt_updated_at", "dbt_valid_to")
"""When dbt looked, which differs from run to run."""


def build(dbt: Dbt, forks: Forks) -> int:
    """How many events a build of every model and snapshot has that nobody disturbs."""
    events, code = forks.run(["build", *dbt.options, *WITHOUT_TESTS, "--quiet"])
    assert code == 0
    return events


def kill(dbt: Dbt, forks: Forks, at: int) -> bool:
    """Whether a build got as far as its event ``at``, to be killed there."""
    _, code = forks.run(["build", *dbt.options, *WITHOUT_TESTS, "--quiet"], kill_at=at)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def held(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that dbt has made, by name; what it should not have left is seen, too."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        relations = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema not in ('raw_shop', '_data_platform')"
        ).fetchall()
        return {
            f"{schema}.{name}": connection.execute(
                f'select columns(c -> c not in {OF_THE_RUN}) from "{schema}"."{name}" order by all'
            ).fetchall()
            for schema, name in relations
        }


def change(path: Path) -> None:
    """Orders move and change, payments and a user go: every incremental model has work, the history too."""
    shop = raw_shop.shop()
    for order in list(shop.orders.values())[::3]:
        order["status"] = "cancelled" if order["status"] == "delivered" else "delivered"
        order["created_at"] += timedelta(days=1)
    for key in list(shop.payments)[::7]:
        del shop.payments[key]
    shop.users[1]["segment"] = "vip" if shop.users[1]["segment"] == "consumer" else "consumer"
    del shop.users[raw_shop.USERS]
    later = raw_shop.LOADED_AT + timedelta(days=1)
    raw_shop.write(path, shop, {"orders": 2, "payments": 2, "users": 2}, later)


@pytest.mark.timeout(3600)
def test_the_next_build_finishes_a_killed_one(seeds: Callable[[int], Sequence[int]], tmp_path: Path) -> None:
    dbt, before = Dbt(tmp_path), tmp_path / "before" / "warehouse.duckdb"  # views name the file's catalog
    before.parent.mkdir()
    raw_shop.write(dbt.path, raw_shop.shop(), dict.fromkeys(raw_shop.DDL, 1))
    dbt.take_over_what_is_parsed()
    with forks({"DATA_PLATFORM_DUCKDB_PATH": str(dbt.path)}) as dbt_forks:
        build(dbt, dbt_forks)
        change(dbt.path)
        shutil.copy(dbt.path, before)
        events = build(dbt, dbt_forks)
        expected = held(dbt.path)
        assert expected != held(before)
        reached = 0
        for seed in seeds(IN_CI):
            rng = random.Random(f"dbt {seed}")
            for file in tmp_path.glob(f"{dbt.path.name}*"):
                file.unlink()
            shutil.copy(before, dbt.path)
            for _ in range(rng.choice([1, 1, 2])):
                reached += kill(dbt, dbt_forks, rng.randint(events // 3, events - 1))
            build(dbt, dbt_forks)
            assert held(dbt.path) == expected, f"repeat it: --seed {seed}"
            assert [file.name for file in tmp_path.glob(f"{dbt.path.name}*")] == [dbt.path.name]
    assert reached
