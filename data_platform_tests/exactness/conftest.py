"""What the schedules and the directed cases share: no slack that would hide a fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform.sources.postgres import clock
from data_platform_tests.exactness.standby import Standby


@pytest.fixture(autouse=True)
def _no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its minute a wrong horizon would find every row of so short a schedule."""
    monkeypatch.setattr(clock, "UNSEEN_START_MAX", timedelta(0))


@pytest.fixture(scope="session")
def standby(postgres: PostgresServer, server_folder: Path) -> Iterator[Standby]:
    """Started for the first test that asks."""
    server = postgres.standby(server_folder / "exactness-standby")
    standby = Standby(postgres, server)
    yield standby
    standby.close()
    server.stop(immediate=True)
