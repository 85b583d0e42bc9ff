"""Backs up a DuckDB warehouse: its inventory, its rows in a fixed order and their fingerprint. Also restores
them into an empty file. ``backups`` stores the rows in between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.column_types import is_direct, is_text_form
from data_platform.duckdb_sql import parquet_files
from data_platform.errors import WarehouseError
from data_platform.sql import literal, quoted
from data_platform.warehouses.archive import Inventory, StoredColumn, StoredTable
from data_platform.warehouses.duckdb.connect import run_one
from data_platform.warehouses.duckdb.restore import syntax_tree, unrestorable, view_body, with_schema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

READ_ROWS = 16_384
"""Rows of a record batch: small enough that wide rows stay a few megabytes."""

_GIVEN = "rows_given"
"""The name that rows from elsewhere have in a query."""


def inventory(connection: duckdb.DuckDBPyConnection) -> Inventory:
    """Schemas, tables, and the statements that make views, indexes and comments.

    ``WarehouseError`` for what a backup could not bring back: a type, a sequence, a macro.
    """
    _refuse_what_is_not_kept(connection)
    columns: dict[tuple[str, str], list[StoredColumn]] = {}
    statements: list[str] = []
    for schema, table, column, kind, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns()"
        " WHERE NOT internal AND database_name = current_database() ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        columns.setdefault((schema, table), []).append(_column(f"{schema}.{table}", column, kind))
        if comment is not None:
            name = f"{quoted(schema)}.{quoted(table)}.{quoted(column)}"
            statements.append(f"COMMENT ON COLUMN {name} IS {literal(comment)}")
    tables = []
    for schema, table, create, comment in connection.execute(
        "SELECT schema_name, table_name, sql, comment FROM duckdb_tables()"
        " WHERE NOT internal AND NOT temporary AND database_name = current_database() ORDER BY 1, 2"
    ).fetchall():
        tables.append(StoredTable(schema, table, create, tuple(columns[schema, table])))
        if comment is not None:
            statements.append(f"COMMENT ON TABLE {quoted(schema)}.{quoted(table)} IS {literal(comment)}")
    made = [
        row[0]
        for row in connection.execute(
            "SELECT sql FROM duckdb_indexes() WHERE database_name = current_database() ORDER BY sql"
        ).fetchall()
    ]
    for schema, view, create, comment in connection.execute(
        "SELECT schema_name, view_name, sql, comment FROM duckdb_views()"
        " WHERE NOT internal AND NOT temporary AND database_name = current_database() ORDER BY 1, 2"
    ).fetchall():
        create = with_schema(_without_database(connection, create), schema)
        if why := unrestorable(connection, create):
            raise WarehouseError(
                f"The view {schema}.{view} {why}, so a backup cannot restore it. Make it a dbt model over tables"
                " of the warehouse, or drop it."
            )
        made.append(create)
        if comment is not None:
            statements.append(f"COMMENT ON VIEW {quoted(schema)}.{quoted(view)} IS {literal(comment)}")
    schemas = [
        row[0]
        for row in connection.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal"
            " AND database_name = current_database() AND schema_name <> 'main' ORDER BY 1"
        ).fetchall()
    ]
    version = connection.execute("SELECT version()").fetchone()
    assert version is not None
    return Inventory(
        f"duckdb {version[0].lstrip('v')}",
        tuple(schemas),
        tuple(_parents_first(connection, tables)),
        (*made, *statements),
    )


def _parents_first(connection: duckdb.DuckDBPyConnection, tables: Sequence[StoredTable]) -> list[StoredTable]:
    """``tables`` in their order, but each after those that its foreign keys name: so they are made and filled."""
    named: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for schema, table, parent in connection.execute(
        "SELECT schema_name, table_name, referenced_table FROM duckdb_constraints()"
        " WHERE constraint_type = 'FOREIGN KEY' AND database_name = current_database()"
    ).fetchall():
        if parent != table:  # one may name itself
            named.setdefault((schema, table), set()).add((schema, parent))
    ordered: list[StoredTable] = []
    left = list(tables)
    while left:
        waiting = {(table.schema, table.name) for table in left}
        ready = [t for t in left if not named.get((t.schema, t.name), set()) & waiting] or left
        ordered += ready
        left = [table for table in left if table not in ready]
    return ordered


def read_ordered(
    connection: duckdb.DuckDBPyConnection, table: StoredTable, key: Sequence[str]
) -> pa.RecordBatchReader:
    """Every row, ordered by ``key``, or by every column where there is none: the same rows come in the
    same order, however they got there."""
    import pyarrow as pa

    columns = ", ".join(
        f"t.{quoted(c.name)}{'::VARCHAR' if c.as_text else ''} AS {quoted(c.name)}" for c in table.columns
    )
    order = ", ".join(f"t.{quoted(c)}" for c in key or [c.name for c in table.columns])  # not of their text
    reader = connection.execute(f"SELECT {columns} FROM {_name(table)} t ORDER BY {order}").to_arrow_reader(
        READ_ROWS
    )
    schema = _with_plain_booleans(reader.schema)
    if schema == reader.schema:
        return reader
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))


def _with_plain_booleans(schema: pa.Schema) -> pa.Schema:
    """Lossless, DuckDB makes a boolean a byte of an extension type, which Parquet would take for a number."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if kind == pa.bool8():
            return pa.bool_()
        return pa.list_(plain(kind.value_type)) if pa.types.is_list(kind) else kind

    return pa.schema([field.with_type(plain(field.type)) for field in schema])


def fingerprint(
    connection: duckdb.DuckDBPyConnection, table: StoredTable, rows: pa.RecordBatchReader | None = None
) -> tuple[int, int]:
    """Rows, and the sum of their hashes modulo 2**64, of the table or of ``rows`` given in its
    place. The hash is the engine's own: compare it with one by the same version."""
    values = ", ".join(f"CAST({quoted(c.name)} AS {c.type})" for c in table.columns)
    ask = f"SELECT count(*), sum(hash({values})) FROM "
    if rows is None:
        row = connection.execute(ask + _name(table)).fetchone()
    else:
        with connection.cursor() as other:  # threads share no connection
            row = other.register(_GIVEN, rows).execute(ask + _GIVEN).fetchone()
    assert row is not None
    return row[0], int(row[1] or 0) % 2**64


def fill(connection: duckdb.DuckDBPyConnection, table: StoredTable, parts: Sequence[Path]) -> None:
    """The rows of Parquet ``parts`` into the empty table."""
    if parts:
        given = [c for c in table.columns if not _is_generated(table, c)]
        names = ", ".join(quoted(c.name) for c in given)
        values = ", ".join(f"CAST({quoted(c.name)} AS {c.type})" for c in given)
        run_one(
            connection, f"INSERT INTO {_name(table)} ({names}) SELECT {values} FROM {parquet_files(parts)}"
        )


def _is_generated(table: StoredTable, column: StoredColumn) -> bool:
    """Whether the table computes the column. No catalog function tells; DuckDB writes it in its statement."""
    spelled = (f"{name} {column.type} GENERATED ALWAYS AS(" for name in (column.name, quoted(column.name)))
    return any(text in table.create for text in spelled)


def _column(table: str, name: str, kind: str) -> StoredColumn:
    if is_direct(kind):
        return StoredColumn(name, kind, as_text=False)
    if is_text_form(kind):
        return StoredColumn(name, kind, as_text=True)
    raise WarehouseError(
        f"The column {name} of {table} is of the type {kind}, which a backup cannot store exactly. Convert it to JSON"
        " or text, or split it into columns."
    )


def _refuse_what_is_not_kept(connection: duckdb.DuckDBPyConnection) -> None:
    kinds: Mapping[str, str] = {
        "sequence": "SELECT schema_name || '.' || sequence_name FROM duckdb_sequences()"
        " WHERE database_name = current_database() AND NOT temporary",
        "macro": "SELECT schema_name || '.' || function_name FROM duckdb_functions()"
        " WHERE database_name = current_database() AND NOT internal",
        "type": "SELECT schema_name || '.' || type_name FROM duckdb_types()"
        " WHERE database_name = current_database() AND NOT internal",
    }
    for kind, sql in kinds.items():
        found = [row[0] for row in connection.execute(sql).fetchall()]
        if found:
            raise WarehouseError(
                f"The warehouse holds the {kind} {found[0]}, which a backup cannot store. Drop it, or replace"
                " it by a dbt model."
            )


def _without_database(connection: duckdb.DuckDBPyConnection, create: str) -> str:
    """A view's statement without the name of its database, so that it holds in a file of any name.

    The statement is parsed and written anew by DuckDB itself; one that it cannot write anew stays.
    """
    parts = view_body(create)
    tree = syntax_tree(connection, parts[1]) if parts else None
    if parts is None or tree is None:
        return create
    row = connection.execute("SELECT current_database()").fetchone()
    assert row is not None
    _forget(tree, row[0])
    again = connection.execute(f"SELECT json_deserialize_sql({literal(json.dumps(tree))}::JSON)").fetchone()
    return parts[0] + again[0] if again else create


def _forget(node: Any, database: str) -> None:
    if isinstance(node, dict):
        if node.get("catalog_name") == database:
            node["catalog_name"] = ""
        for child in node.values():
            _forget(child, database)
    elif isinstance(node, list):
        for child in node:
            _forget(child, database)


def _name(table: StoredTable) -> str:
    return f"{quoted(table.schema)}.{quoted(table.name)}"
