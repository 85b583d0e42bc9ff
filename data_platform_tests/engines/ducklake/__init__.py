"""A lake over the tests' PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform.sql import quoted
from data_platform.warehouses.ducklake.config import DuckLakeConfig
from data_platform.warehouses.ducklake.connect import forget

CATALOG_URL = "DATA_PLATFORM_TEST_LAKE_URL"
"""The variable that holds the URL of the run's database of catalogs."""


@pytest.fixture(scope="session")
def lake_catalogs(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database for the catalogs of lakes, a schema each. It stands in the environment."""
    url = postgres.create_database("lakes")
    os.environ[CATALOG_URL] = url
    yield url
    forget()
    del os.environ[CATALOG_URL]


def config(folder: Path) -> DuckLakeConfig:
    """One lake for all tests of a run below ``folder.parent``: to make one takes a second."""
    return DuckLakeConfig.model_validate(
        {
            "kind": "ducklake",
            "catalog": {"url_env": CATALOG_URL, "schema": "shared"},
            "data": str(folder.parent / "lake-of-all-tests"),
            "threads": 1,
        }
    )


def emptied(folder: Path) -> None:
    """The lake as if it was new."""
    if config(folder).exists(folder):
        with config(folder).open(folder, files=[folder.parent]) as lake:
            found = lake.query(
                "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND schema_name <> 'main'"
            ).rows
            lake.connection.execute(
                "; ".join(f"DROP SCHEMA {quoted(name)} CASCADE" for (name,) in found) or "SELECT 1"
            )
