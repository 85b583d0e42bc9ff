"""The raw tables of another engine as they are, in DuckDB: what asks DuckDB's warehouse then grades any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

COLUMNS = {
    "id": "BIGINT",
    "status": "VARCHAR",
    "amount": "DECIMAL(10,2)",
    "created_at": "TIMESTAMPTZ",
    "updated_at": "TIMESTAMPTZ",
    "email": "VARCHAR",
    "doc": "JSON",
    "_source_xmin": "BIGINT",
}


@contextmanager
def mirrored(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA raw_shop")
        for held in warehouse.describe("raw_shop"):
            _copy(warehouse, connection, held.name)
        yield connection


def _copy(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, table: str) -> None:
    dialect = warehouse.dialect

    def shown(name: str, kind: str) -> str:
        column = dialect.quote(name)
        return dialect.micros(column) if kind == "TIMESTAMPTZ" else column

    asked = ", ".join(shown(name, kind) for name, kind in COLUMNS.items())
    rows = warehouse.query(f"SELECT {asked} FROM {relation(dialect, 'raw_shop', table)}").rows
    connection.execute(
        f"CREATE TABLE raw_shop.{table} ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})"
    )
    if rows:
        values = ", ".join(_value(kind) for kind in COLUMNS.values())
        connection.executemany(
            f"INSERT INTO raw_shop.{table} SELECT {values}",
            [[_plain(value) for value in row] for row in rows],
        )


def _value(kind: str) -> str:
    return "make_timestamptz(?::BIGINT)" if kind == "TIMESTAMPTZ" else f"?::{kind}"


def _plain(value: Any) -> Any:
    return None if value is None else str(value)
