"""Killed at a point where it touches something, and run again: as if nothing had been."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.chaos.forks import ForkServer, fork_server
from data_platform_tests.chaos.sweep import OPERATIONS, Sweep, sites
from data_platform_tests.chaos.world import World

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thorough")]

KINDS = {"ledger", "store", "warehouse", "source", "scratch"}
SAMPLE = 2
"""Points of each operation in a run that names no number; ``--seeds 1000`` is every one."""
DAGSTER_SAMPLE, DAGSTER_POINTS = 1, 8500


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_sync_killed_at_any_point_leaves_nothing_to_repair(
    operation: str, world: World, forks: ForkServer, seeds: Callable[[int], Sequence[int]]
) -> None:
    sweep = Sweep(forks, world, random.Random(operation))
    found = sweep.find(operation)
    assert {site.partition(" ")[0] for site in found} == KINDS
    chosen = sorted(random.Random(operation).sample(found, min(len(found), len(seeds(SAMPLE)))))
    wrong = [problem for site in chosen if (problem := sweep.kill(operation, found.index(site) + 1))]
    assert wrong == []
    share = 0.8 if len(chosen) >= 5 else 0.5
    assert sweep.killed >= len(chosen) * share, "threads pass points in another order, but not so many"


def test_the_points_are_those_where_something_is_touched(world: World, forks: ForkServer) -> None:
    found = "\n".join(sites(forks, world.job("changes")))
    for touch in (
        "before posix.link",  # the manifest appears
        "after posix.link",
        "after posix.rename",  # a part does
        "before posix.fsync",
        "after _duckdb.connect",
        "before _duckdb.execute load.py",  # BEGIN, the merge, COMMIT
        "before _duckdb.execute extract.py",  # the reader's COPY
        "before psycopg.execute session.py",  # the lock, the snapshot
        "before _io.write",
        "before posix.rmdir",
        "after fcntl.flock",
    ):
        assert touch in found, f"{touch}\n{found}"


# ---- Dagster's storage


@pytest.fixture(scope="module")
def dagster_forks() -> Iterator[ForkServer]:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        fork_server(Path(folder), "data_platform_tests.chaos.dagster_run") as server,
    ):
        yield server


@pytest.mark.timeout(900)
def test_a_dagster_run_killed_at_any_point_is_run_again(
    world: World, dagster_forks: ForkServer, seeds: Callable[[int], Sequence[int]]
) -> None:
    from data_platform_tests.chaos import dagster_run

    job = world.job("dagster")
    rng = random.Random(7)
    points = []
    for _ in range(min(len(seeds(DAGSTER_SAMPLE)), 400)):
        outcome = dagster_forks.run({**job, "at": rng.randint(1, DAGSTER_POINTS), "watched": True})
        assert outcome.killed or not outcome.errors, outcome
        points.append(outcome.point or "")
        dagster_run.after_the_daemon(world.root)
        world.edit(rng)
        world.age_scratch()
        again: dict[str, Any] = dagster_forks.run(job).said
        assert again.get("reports") == {}, (outcome.point, again)
        assert str(world.compare()) == "all is well", outcome.point
        assert dagster_run.damaged_databases(world.root) == [], outcome.point
        states = dagster_run.after_the_daemon(world.root)
        assert {state.value for state in states.values()} <= {"SUCCESS", "FAILURE"}
    assert any(point.startswith("dagster") for point in points), points
