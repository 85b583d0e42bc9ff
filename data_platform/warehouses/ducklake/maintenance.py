"""What keeps a lake small: rows out of the catalog into files, files merged, deletes applied, old snapshots gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_platform.sql import quoted

if TYPE_CHECKING:
    import duckdb


def empty(connection: duckdb.DuckDBPyConnection) -> None:
    """Every object of the lake, every snapshot and every file goes."""
    schemas = connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND database_name = current_database()"
        " AND schema_name <> 'main'"
    ).fetchall()
    for (schema,) in schemas:
        connection.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f"DROP TABLE {quoted(table)}")
    connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
    connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
    connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)")
