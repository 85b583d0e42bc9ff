"""What keeps a lake small: rows out of the catalog into files, deletes applied, files merged, old snapshots and files gone."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Protocol

from data_platform.errors import WarehouseBusy
from data_platform.sql import literal, quoted
from data_platform.warehouses.ducklake import records
from data_platform.warehouses.ducklake.errors import is_conflict
from data_platform.warehouses.maintenance import Upkeep

if TYPE_CHECKING:
    import duckdb

REWRITE_FROM = 0.1
"""A file is written anew once a tenth of its rows is deleted: each delete is looked up by every reader."""
ORPHAN_HOURS_MIN = 24
"""A file that no snapshot names may be one of a load that has not committed yet."""
_RAW = "raw_"
_OF_A_TABLE = {
    "rows moved from the catalog into files": "CALL ducklake_flush_inlined_data('lake', schema_name => {schema}, table_name => {table})",
    "files written without their deleted rows": f"CALL ducklake_rewrite_data_files('lake', {{table}}, schema => {{schema}}, delete_threshold => {REWRITE_FROM})",
    "files merged": "CALL ducklake_merge_adjacent_files('lake', {table}, schema => {schema})",
}
"""Each answers with rows whose third column is a count."""
_OF_THE_LAKE = {
    "snapshots expired": "CALL ducklake_expire_snapshots('lake', older_than => now() - INTERVAL {kept} HOUR)",
    "files removed": "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "files of killed loads removed": "CALL ducklake_delete_orphaned_files('lake', older_than => now() - INTERVAL {orphan} HOUR)",
}
"""Each answers with a row for each thing."""


class Locks(Protocol):
    def load_of(self, table: str, seconds: float) -> AbstractContextManager[None]: ...


def maintain(
    connection: duckdb.DuckDBPyConnection, locks: Locks, *, keep_hours: int, wait_seconds: float
) -> Upkeep:
    """See ``Maintainable.maintain``. A raw table's files are worked on under the lock of its loads; what a model
    writes meanwhile is left for the next time."""
    import duckdb

    done = {"records shortened": records.compact(connection), **dict.fromkeys(_OF_A_TABLE, 0)}
    left = []
    for schema, table in _tables(connection):
        try:
            with _lock(locks, schema, table, wait_seconds):
                for what, call in _OF_A_TABLE.items():
                    found = connection.execute(
                        call.format(schema=literal(schema), table=literal(table))
                    ).fetchall()
                    done[what] += sum(row[2] for row in found)
        except WarehouseBusy:
            left.append(f"{schema}.{table}")
        except duckdb.Error as error:
            if not is_conflict(error):
                raise
            with suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            left.append(f"{schema}.{table}")
    hours = {"kept": keep_hours, "orphan": max(keep_hours, ORPHAN_HOURS_MIN)}
    for what, call in _OF_THE_LAKE.items():
        done[what] = len(connection.execute(call.format(**hours)).fetchall())
    return Upkeep(done, tuple(left))


def empty(connection: duckdb.DuckDBPyConnection) -> None:
    """Every object of the lake, every snapshot and every file goes."""
    schemas = connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND database_name = current_database()"
        " AND schema_name <> 'main'"
    ).fetchall()
    for (schema,) in schemas:
        connection.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")
    for schema, table in _tables(connection):
        connection.execute(f"DROP TABLE {quoted(schema)}.{quoted(table)}")
    connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
    connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
    connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)")


def _tables(connection: duckdb.DuckDBPyConnection) -> Iterable[tuple[str, str]]:
    return connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary"
        " ORDER BY ALL"
    ).fetchall()


def _lock(locks: Locks, schema: str, table: str, seconds: float) -> AbstractContextManager[None]:
    """A model's table is locked by nobody: only loads ask for locks."""
    source = schema.removeprefix(_RAW) if schema.startswith(_RAW) else schema
    return locks.load_of(f"{source}/{table}", seconds)
