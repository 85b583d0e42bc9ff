"""Rows of the journal's tables in DuckDB and in a lake (``warehouses/journal.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from data_platform.warehouses.dialect import Dialect, relation
from data_platform.warehouses.duckdb import records
from data_platform.warehouses.journal import JournalTable

if TYPE_CHECKING:
    import duckdb


def keep(
    connection: duckdb.DuckDBPyConnection, dialect: Dialect, table: JournalTable, statements: Sequence[str]
) -> None:
    """All of it in one transaction; the table is made in it, too."""
    target = relation(dialect, table.schema, table.name)
    held = records.columns(connection, table.schema, table.name)
    new = [f"{dialect.quote(one.name)} {dialect.type(one.type)}" for one in table.missing(held)]
    connection.execute("BEGIN TRANSACTION")
    try:
        if held:
            for column in new:
                connection.execute(f"ALTER TABLE {target} ADD COLUMN {column}")
        else:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {dialect.schema(table.schema)}")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(new)})")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise
