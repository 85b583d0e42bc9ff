"""The engines' servers as fixtures, offered to every test by ``conftest.py``. None is started before a test needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.engines.redshift.server import RedshiftServer, stand_in
from data_platform_tests.servers.objects import ObjectServer


@pytest.fixture(scope="session")
def redshift_server(postgres: PostgresServer, s3_server: ObjectServer) -> Iterator[RedshiftServer]:
    """The run's stand-in for Redshift."""
    with stand_in(postgres, s3_server) as server:
        yield server
