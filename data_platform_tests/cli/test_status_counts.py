"""Counting the rows of many tables: few statements, and none that grows with their number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb

from data_platform.duckdb_sql import DIALECT
from data_platform.sync.status import COUNTED_AT_A_TIME, count_rows
from data_platform.tables import TableId


def test_many_tables_are_counted_in_portions() -> None:
    tables = [TableId("shop", f"t{n}") for n in range(2 * COUNTED_AT_A_TIME + 1)]
    asked: list[int] = []
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw_shop")
        for n, table in enumerate(tables):
            connection.execute(f"CREATE TABLE {table.raw_schema}.{table.table} AS FROM range({n % 7})")

        def query(sql: str) -> Any:
            asked.append(sql.count("count(*)"))
            return SimpleNamespace(rows=connection.execute(sql).fetchall())

        warehouse: Any = SimpleNamespace(query=query, dialect=DIALECT)
        assert count_rows(warehouse, tables) == {table: n % 7 for n, table in enumerate(tables)}
        assert asked == [COUNTED_AT_A_TIME, COUNTED_AT_A_TIME, 1]
        assert count_rows(warehouse, []) == {} and len(asked) == 3
