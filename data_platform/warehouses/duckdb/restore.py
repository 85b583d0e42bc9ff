"""Recreates the schemas, tables and views of a warehouse from a backup. Each statement is checked before it runs.

Others may be able to write to the store of a backup's manifest, and a drill restores it unattended. So a
statement runs only if it makes the one object that it is meant to make. The connection can only reach the
backup's own files, and the result is compared with the manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from data_platform.column_types import is_column_type
from data_platform.engine_errors import first_line
from data_platform.errors import WarehouseError
from data_platform.sql import literal, quoted
from data_platform.warehouses.archive import Inventory, StoredTable
from data_platform.warehouses.duckdb.statement import table_functions

if TYPE_CHECKING:
    import duckdb

_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_]*)'
_VIEW = re.compile(rf"CREATE VIEW (?:{_NAME}\.)?{_NAME}(?: ?\({_NAME}(?:, {_NAME})*\))? AS ", re.DOTALL)
_INDEX = re.compile(rf"CREATE (?:UNIQUE )?INDEX {_NAME} ON (?:{_NAME}\.)?{_NAME}\(", re.DOTALL)
_COMMENT = re.compile(
    rf"COMMENT ON (?:TABLE|VIEW|COLUMN) {_NAME}(?:\.{_NAME}){{1,2}} IS '(?:[^']|'')*'", re.DOTALL
)
_HARMLESS = frozenset(
    "range generate_series unnest json_each json_tree repeat repeat_row pg_timezone_names duckdb_tables duckdb_columns"
    " duckdb_views duckdb_schemas".split()
)
"""The table functions a view may call: they read nothing but their arguments and the catalog."""
_BEYOND = {
    "macro": "duckdb_functions()",
    "sequence": "duckdb_sequences()",
    "type": "duckdb_types()",
}


def make_tables(connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """Every schema and empty table of ``inventory``, and nothing else. ``WarehouseError`` otherwise."""
    for schema in inventory.schemas:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    for table in inventory.tables:
        for column in table.columns:
            if not is_column_type(column.type):
                raise _refused(f"the column {column.name} of {table.schema}.{table.name} has no type")
        if not _makes_table(table):
            raise _refused(f"the statement for the table {table.schema}.{table.name} is another one")
    _until_done(connection, [table.create for table in inventory.tables], _one_create)
    expected = {(t.schema, t.name, c.name, c.type) for t in inventory.tables for c in t.columns}
    found = connection.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        " AND database_name = current_database()"
    ).fetchall()
    full = [t for t in inventory.tables if connection.execute(f"FROM {_name(t)} LIMIT 1").fetchone()]
    if set(found) != expected or full:
        odd = sorted({f"{row[0]}.{row[1]}" for row in set(found) ^ expected} | {_name(t) for t in full})
        raise _refused(f"its statements do not make the tables that it lists ({', '.join(odd[:3])})")


def make_the_rest(connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """Views, indexes and comments. ``WarehouseError`` for a statement that is anything else."""
    for statement in inventory.statements:
        if not (_COMMENT.fullmatch(statement) or _INDEX.match(statement) or _VIEW.match(statement)):
            raise _refused(f"`{statement[:80]}` makes no view, index or comment")
        if why := unrestorable(connection, statement):
            raise _refused(f"the view in `{statement[:80]}` {why}")
    _until_done(connection, inventory.statements, _one_of_the_rest)
    for kind, source in _BEYOND.items():
        row = connection.execute(
            f"SELECT count(*) FROM {source} WHERE NOT internal AND database_name = current_database()"
            if kind != "sequence"
            else f"SELECT count(*) FROM {source} WHERE database_name = current_database()"
        ).fetchone()
        if row and row[0]:
            raise _refused(f"one of its statements made a {kind}")


def view_body(create: str) -> tuple[str, str] | None:
    """What a CREATE VIEW begins with, and its query; None where it does not begin as DuckDB writes it."""
    head = _VIEW.match(create)
    return (head[0], create[head.end() :].rstrip().rstrip(";")) if head else None


def with_schema(create: str, schema: str) -> str:
    """A CREATE VIEW that says its schema. A lake's says the name alone."""
    plain = re.match(rf"CREATE VIEW (?={_NAME}[ (])", create)
    if plain is None or schema == "main":
        return create
    return f"{plain[0]}{quoted(schema)}.{create[plain.end() :]}"


def syntax_tree(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any] | None:
    """One SELECT as DuckDB parses it; None for anything else."""
    row = connection.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()
    assert row is not None
    try:
        tree: dict[str, Any] = json.loads(row[0])
    except RecursionError:
        return None
    return None if tree.get("error") or len(tree["statements"]) != 1 else tree


def unrestorable(connection: duckdb.DuckDBPyConnection, statement: str) -> str:
    """Why the view that ``statement`` makes cannot be part of a backup; empty for any other statement."""
    if not statement.startswith("CREATE VIEW"):
        return ""
    parts = view_body(statement)
    tree = syntax_tree(connection, parts[1]) if parts else None
    if tree is None:
        return "is not one SELECT"
    called = sorted({name.lower() for name in table_functions(tree)} - _HARMLESS)
    return f"calls {', '.join(called)}, which may read what is no table of the warehouse" if called else ""


def _makes_table(table: StoredTable) -> bool:
    names = [_spellings(table.name)] if table.schema == "main" else []
    names.append([f"{s}.{t}" for s in _spellings(table.schema) for t in _spellings(table.name)])
    return any(table.create.startswith(f"CREATE TABLE {name}(") for forms in names for name in forms)


def _spellings(name: str) -> list[str]:
    plain = [name] if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else []
    return [quoted(name), *plain]


def _one_create(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.CREATE:
        raise _refused(f"`{sql[:80]}` is more than one statement")
    connection.execute(statements[0])


def _one_of_the_rest(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    if sql.startswith("COMMENT"):  # all of it is known by its form
        connection.execute(sql)
    else:
        _one_create(connection, sql)


def _until_done(
    connection: duckdb.DuckDBPyConnection,
    statements: Sequence[str],
    run: Callable[[duckdb.DuckDBPyConnection, str], None],
) -> None:
    """Run ``statements`` in whichever order works: a view may need another one first.

    ``WarehouseError`` names the first that never does.
    """
    import duckdb

    left, error = list(statements), ""
    while left:
        failed = []
        for statement in left:
            try:
                run(connection, statement)
            except duckdb.Error as failure:
                failed.append(statement)
                error = error or first_line(failure)
        if len(failed) == len(left):
            raise WarehouseError(
                f"{len(failed)} object(s) of the backup could not be made, first `{failed[0][:80]}`: {error}."
                " Restore from another copy or another day."
            )
        left, error = failed, ""


def _refused(what: str) -> WarehouseError:
    return WarehouseError(
        f"The backup is refused: {what}. Its manifest was altered by somebody, or written by a version that this one"
        " does not know. Nothing of it was kept; restore from another copy or another day, and find out who may"
        " write to this one."
    )


def _name(table: StoredTable) -> str:
    return f"{quoted(table.schema)}.{quoted(table.name)}"
