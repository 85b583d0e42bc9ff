"""Snowflake for the tests of a run, started when the first one needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from data_platform_tests.engines.snowflake import server
from data_platform_tests.engines.snowflake.engine import SnowflakeServer, running


@pytest.fixture(scope="session")
def snowflake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeServer]:
    if (reason := server.missing()) is not None:
        pytest.skip(reason)
    with running(tmp_path_factory.mktemp("snowflake")) as found:
        yield found
