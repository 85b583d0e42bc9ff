"""A database that no test of this folder writes to."""

from __future__ import annotations

import pytest

from data_platform.sandbox.server import PostgresServer


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """URL of the server's own database: for asking, not for writing."""
    return postgres.url()
