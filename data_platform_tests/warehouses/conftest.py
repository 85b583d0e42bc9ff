"""The run's stand-in for Redshift as its tests take it, and warehouses in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_platform.warehouses.remote.load import Loader
from data_platform_tests.engines.redshift.server import RedshiftServer


@pytest.fixture
def redshift(redshift_server: RedshiftServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftServer]:
    for name, value in redshift_server.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Loader, "_pause", lambda self, attempt: None)
    yield redshift_server
    redshift_server.fault = None
    redshift_server.refused_roles.clear()


@pytest.fixture
def opened_redshift(redshift: RedshiftServer, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the test's warehouse, any number of times."""
    yield lambda **changes: redshift.config(tmp_path, **changes).open(tmp_path, files=[tmp_path])
    redshift.emptied(tmp_path)
