"""The engines in which dbt builds for real, each with what a test needs: raw tables in, marts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg

from data_platform.sql import literal, quoted
from data_platform_tests.dbt.dialects import raw
from data_platform_tests.dbt.dialects.names import Columns
from data_platform_tests.engines import ducklake
from data_platform_tests.engines.redshift.server import RedshiftServer

Answer = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Names and rows."""


class World(Protocol):
    """``arguments`` are dbt's, ``variables`` those of its connection."""

    @property
    def arguments(self) -> Sequence[str]: ...
    @property
    def variables(self) -> Mapping[str, str]: ...
    def copy_raw(self, source: Path) -> None: ...
    def read(self, mart: str) -> Answer: ...
    def close(self) -> None: ...


def raw_tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_schema LIKE 'raw!_%' ESCAPE '!' OR table_schema = '_data_platform'"
    ).fetchall()


def columns_in(connection: duckdb.DuckDBPyConnection, table: str, dialect: str) -> Columns:
    """A raw table's columns as the engine holds them."""
    types, found = raw.TYPES[dialect], {}
    for name, type_, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
        type_ = type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ").replace(",", ", ")
        found[raw.spelled(dialect, name)] = types.get(type_, type_)
    return found


class InRedshift:
    """The stand-in, which has no records of materialized views: tables instead."""

    arguments = ("--vars", "{materialized_views: false}")

    def __init__(self, server: RedshiftServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._config = server.config(folder)
        self._url = server.postgres.url(self._config.database)

    @property
    def variables(self) -> Mapping[str, str]:
        return self._config.dbt_variables(self._folder)

    def copy_raw(self, source: Path) -> None:
        with duckdb.connect(str(source)) as duck, psycopg.connect(self._url) as there:
            duck.execute("SET TimeZone = 'UTC'")
            for schema, name in raw_tables(duck):
                table = f"{quoted(schema)}.{quoted(name)}"
                columns = columns_in(duck, table, "redshift")
                there.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")  # type: ignore[call-overload]
                listed = ", ".join(f"{quoted(column)} {type_}" for column, type_ in columns.items())
                there.execute(f"CREATE TABLE {table} ({listed})")  # type: ignore[call-overload]
                marks = ", ".join(["%s"] * len(columns))
                with there.cursor() as cursor:
                    rows = duck.execute(f"SELECT * FROM {table}").fetchall()
                    cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # type: ignore[arg-type]

    def read(self, mart: str) -> Answer:
        with psycopg.connect(self._url) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.execute(f"SELECT * FROM marts.{mart}")  # type: ignore[call-overload]
            return [column.name for column in cursor.description or ()], cursor.fetchall()

    def close(self) -> None:
        self._server.emptied(self._folder)


class InDuckLake:
    """The tests' lake, with its catalog in PostgreSQL."""

    arguments = ()

    def __init__(self, folder: Path) -> None:
        self._folder, self._config = folder, ducklake.config(folder)

    @property
    def variables(self) -> Mapping[str, str]:
        return self._config.dbt_variables(self._folder)

    def copy_raw(self, source: Path) -> None:
        with duckdb.connect(str(source)) as duck:
            tables = raw_tables(duck)
        with self._config.open(self._folder, files=[self._folder.parent]) as lake:
            lake.connection.execute(f"ATTACH {literal(str(source))} AS source (READ_ONLY)")
            for schema, name in tables:
                lake.connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(schema)}")
                lake.connection.execute(
                    f"CREATE OR REPLACE TABLE lake.{quoted(schema)}.{quoted(name)} AS FROM source.{quoted(schema)}.{quoted(name)}"
                )
            lake.connection.execute("DETACH source")

    def read(self, mart: str) -> Answer:
        with self._config.open(self._folder, read_only=True, files=[self._folder.parent]) as lake:
            found = lake.query(f"SELECT * FROM lake.marts.{mart}")
            return found.columns, found.rows

    def close(self) -> None:
        ducklake.emptied(self._folder)
