"""The engines' servers as fixtures, offered to every test by ``conftest.py``. None is started before a test needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.engines.bigquery.server import REAL_PROJECT, BigQueryServer, bigquery, missing
from data_platform_tests.engines.redshift.server import RedshiftServer, stand_in
from data_platform_tests.servers.objects import ObjectServer


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryServer]:
    """The run's emulator of BigQuery, or the service where the environment names a project."""
    reason = missing()
    if reason is not None and REAL_PROJECT not in os.environ:
        pytest.skip(reason)
    with bigquery(tmp_path_factory.mktemp("bigquery")) as server:
        yield server


@pytest.fixture(scope="session")
def redshift_server(postgres: PostgresServer, s3_server: ObjectServer) -> Iterator[RedshiftServer]:
    """The run's stand-in for Redshift."""
    with stand_in(postgres, s3_server) as server:
        yield server
