"""A bucket that fails in every way it can while a sync writes to it and reads from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.world import World
from data_platform_tests.servers.faulty import FaultyProxy, faulty_proxy
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(s3_server: ObjectServer) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3_server.url) as proxy:
        yield proxy


@pytest.fixture
def world(
    make_world: Callable[..., World], s3_server: ObjectServer, proxy: FaultyProxy, tmp_path: Path
) -> World:
    landing = s3_server.config(new_prefix(), url=proxy.url, cache=str(tmp_path / "world" / "cache"))
    return make_world(landing=landing, environ=ENVIRON)


def _manifests(path: str) -> bool:
    return "manifests" in path


def _parts(path: str) -> bool:
    return "batches" in path


CASES = [
    ("500", "PUT", _manifests),
    ("503", "PUT", _parts),
    ("503", "GET", _manifests),
    ("time-out", "PUT", _manifests),
    ("time-out", "GET", _manifests),
    ("short", "GET", _manifests),
    ("flip answer", "GET", _manifests),
    ("flip", "PUT", _parts),
    ("flip", "PUT", _manifests),
    # done, and not heard of: a late success
    ("lose answer", "PUT", _manifests),
    ("lose answer", "PUT", _parts),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case once or lasting in turn, for waiting takes its time; with ``--seeds`` each both ways."""
    if "lasting" in metafunc.fixturenames:
        every = bool(metafunc.config.getoption("--seeds"))
        chosen = [
            pytest.param(*case, lasting, id=f"{case[0]} {case[1]} {case[2].__name__[1:]} {how}")
            for number, case in enumerate(CASES)
            for lasting, how in ((False, "once"), (True, "lasting"))
            if every or lasting == bool(number % 2)
        ]
        metafunc.parametrize(("what", "method", "path", "lasting"), chosen)


def test_a_store_that_fails_leaves_nothing_to_repair(
    world: World,
    forks: ForkServer,
    proxy: FaultyProxy,
    what: str,
    method: str,
    path: Callable[[str], bool],
    lasting: bool,
) -> None:
    tables = ["notes"]
    assert forks.run(world.job("changes", tables)).errors == {}
    world.execute("update notes set body = 'new' where note_id < 9")
    proxy.breaks(what, method, float("inf") if lasting else 1, path)
    outcome = forks.run(world.job("changes", tables))
    assert proxy.broken(), "the fault was met"
    assert "failed" not in outcome.said and not outcome.killed, outcome.said
    if what.startswith("flip"):
        assert {error.partition(":")[0] for error in outcome.errors.values()} <= {
            "ObjectDamaged",
            "LedgerBroken",
        }
    elif not lasting:
        assert outcome.errors == {}, "one failure is tried again"
    proxy.faults.clear()
    world.execute("update notes set body = 'newer' where note_id = 3")
    world.age_scratch()
    assert forks.run(world.job("changes", tables)).errors == {}
    assert str(world.compare(tables=tables)) == "all is well"
