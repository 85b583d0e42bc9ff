"""Checks that a user's statement is a single read-only statement that calls no function with side effects.

DuckDB's own parser answers, so that nothing is read in another way than it will be run. What a
statement may reach is the connection's to decide (``DuckDBWarehouse.query`` shuts it off from
files and settings); this module refuses what that leaves open. In DuckDB 1.5 a table
function may act though it stands in a SELECT: ``enable_logging`` with a file ends the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from data_platform.engine_errors import first_line, said
from data_platform.errors import QueryFailed, UnknownRelation

if TYPE_CHECKING:
    import duckdb

TABLE_FUNCTIONS = frozenset(
    "range generate_series unnest repeat repeat_row json_each json_tree summary pg_timezone_names icu_calendar_names"
    " duckdb_columns duckdb_constraints duckdb_databases duckdb_dependencies duckdb_functions duckdb_indexes"
    " duckdb_keywords duckdb_memory duckdb_schemas duckdb_sequences duckdb_settings duckdb_tables duckdb_types"
    " duckdb_views pragma_database_size pragma_show pragma_storage_info pragma_table_info pragma_version".split()
)
"""Those that only make rows or tell what is in this file."""

_EXPLAIN = re.compile(r"\s*explain\s+(?:analyze\s+)?(?:\([^()]*\)\s*)?", re.I)
_MISSING = re.compile(r"(Table with name|Catalog) \S.* does not exist|No catalog \+ schema named")
_QUESTIONS = "SELECT, FROM, WITH, VALUES, TABLE, DESCRIBE, SUMMARIZE, SHOW, PIVOT, UNPIVOT or EXPLAIN of one"


def check_question(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The parsed statement. Raises QueryFailed, saying what is allowed, unless ``sql`` is one that only reads."""
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise not_run(error) from None
    if not statements:
        raise QueryFailed("The query did not run: there is no statement in it.")
    if len(statements) > 1:
        if not any(statement.query for statement in statements):  # what a PIVOT is rewritten to
            raise QueryFailed(
                "The query did not run: a PIVOT that looks up its columns creates a type, and this command creates nothing. Name the columns with IN."
                " Name them: PIVOT … ON column IN ('a', 'b') USING …"
            )
        raise QueryFailed(f"The query did not run: it holds {len(statements)} statements. Run one at a time.")
    question = statements[0].query
    if statements[0].type == duckdb.StatementType.EXPLAIN:
        question = _EXPLAIN.sub("", _without_comments(question), count=1)
    tree = _tree(connection, question)
    called = sorted({call.lower() for call in table_functions(tree)} - TABLE_FUNCTIONS)
    if called:
        raise QueryFailed(
            f"The query did not run: the table function {', '.join(called)} may do more than read this warehouse,"
            f" so it is not allowed. Allowed are {', '.join(sorted(TABLE_FUNCTIONS))}."
        )
    return tree


def not_run(error: Exception, length_max: int = 2_000) -> QueryFailed:
    """The engine's own words, which may quote as much as was asked, and no value of a row."""
    text = said(error)
    shown = text if len(text) <= length_max else f"{text[:length_max]} … ({len(text):,} characters)"
    kind = UnknownRelation if _names_no_relation(error) else QueryFailed
    return kind(f"The query did not run: {shown}")


def _names_no_relation(error: Exception) -> bool:
    """Whether a statement names a table, a view or a schema that is not there."""
    return type(error).__name__ in ("CatalogException", "BinderException") and bool(
        _MISSING.search(first_line(error))
    )


def _tree(connection: duckdb.DuckDBPyConnection, question: str) -> Any:
    """The parsed statement; only what reads can be written down so."""
    row = connection.execute(
        f"SELECT json_serialize_sql('{question.replace(chr(39), chr(39) * 2)}')"
    ).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise QueryFailed(
            "The query did not run: its expressions are nested too deeply to be checked."
        ) from None
    if tree.get("error"):
        raise QueryFailed(
            f"The query did not run: a read-only statement is {_QUESTIONS}. Any other statement may change something, and"
            " this command only reads."
        )
    return tree


def table_functions(node: Any) -> Iterator[str]:
    """The names of those that a parsed statement calls, wherever it does."""
    if isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION":
            yield str(node["function"].get("function_name", "?"))
        for value in node.values():
            yield from table_functions(value)
    elif isinstance(node, list):
        for value in node:
            yield from table_functions(value)


def strings(node: Any) -> Iterator[str]:
    """Every text in a parsed statement: names and values."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def _without_comments(sql: str) -> str:
    """Comments before the first word removed, so that EXPLAIN is found there."""
    return re.sub(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", "", sql, flags=re.S)
