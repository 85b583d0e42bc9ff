"""A warehouse on the run's emulator, through a proxy that breaks what a test asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_platform.warehouses.bigquery.client import open_client
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.bigquery.jobs import Jobs
from data_platform.warehouses.bigquery.session import BigQuerySession
from data_platform.warehouses.remote.load import Loader
from data_platform.warehouses.remote.warehouse import RemoteWarehouse
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.engines.bigquery.server import BigQueryServer
from data_platform_tests.servers.faulty import FaultyProxy, faulty_proxy


@dataclass
class World:
    """``opened`` gives a warehouse whose requests go through ``proxy``; it waits for nothing between attempts."""

    config: BigQueryConfig
    proxy: FaultyProxy
    server: BigQueryServer
    folder: Path

    @contextmanager
    def opened(self, **settings: Any) -> Iterator[RemoteWarehouse]:
        config = self.config.model_copy(update={"endpoint_url": self.proxy.url, **settings})

        def jobs() -> Jobs:
            return Jobs(open_client(config), config.location, sleep=lambda seconds: None, seconds=20)

        session = BigQuerySession(jobs, config.grammar(), config.maximum_bytes_billed)
        try:
            yield RemoteWarehouse(session, config.grammar())
        finally:
            session.close()

    def sent(self) -> list[str]:
        """What was asked for since the last time, a word each."""
        words = [word(method, path) for method, path, _ in self.proxy.seen]
        self.proxy.seen.clear()
        return words


def word(method: str, path: str) -> str:
    """What a request is: ``load``, ``script``, ``question``, ``job`` (how it is), ``describe``, ``drop``."""
    if method == "POST" and "/jobs" in path:
        return "load" if "uploadType" in path else "script"
    if method == "POST":
        return "question" if "/queries" in path else "other"
    if method == "GET":
        return "job" if "/jobs/" in path or "/queries/" in path else "describe"
    return "drop"


@pytest.fixture
def world(
    bigquery_server: BigQueryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    if bigquery_server.url is None:
        pytest.skip("faults are made before the emulator only")
    monkeypatch.setattr(Loader, "_pause", lambda self, attempt: None)
    with faulty_proxy(bigquery_server.url) as proxy:
        yield World(bigquery_server.config(tmp_path), proxy, bigquery_server, tmp_path)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "parts")


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> None:
    """Asked for by what takes too long for every run: the emulator needs a fifth of a second for a statement."""
    if request.config.getoption("--warehouse") != "bigquery":
        pytest.skip("on demand: make test-warehouse KIND=bigquery")
