"""What the tests of chaos share: the fork server, a source of their own, and worlds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.chaos.forks import ForkServer, fork_server
from data_platform_tests.chaos.source import Source, running_source
from data_platform_tests.chaos.world import World


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    # a socket's path may be at most 107 bytes long
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, fork_server(Path(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def source(server_folder: Path) -> Iterator[Source]:
    """A PostgreSQL server to be ill-treated, and the proxy before it."""
    with running_source(server_folder) as source:
        yield source


@pytest.fixture
def make_world(source: Source, tmp_path: Path) -> Callable[..., World]:
    def make(**options: Any) -> World:
        world = World(tmp_path / "world", source.url, **options)
        world.seen_url = source.seen_url
        world.make()
        return world

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Landing store and warehouse in a folder; nothing is synced yet."""
    return make_world()
