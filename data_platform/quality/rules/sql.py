"""Conditions and queries that a rule holds in SQL: read in DuckDB's grammar, and written in the warehouse's.

They are checked without an engine. What is not known to be portable is refused: functions that the parser does not know, files, and
statements that are no question. Names are quoted by the engine's dialect, so that they are found where it folds letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from data_platform.errors import UnsupportedExpression
from data_platform.expressions import Expressions, relation

if TYPE_CHECKING:
    from sqlglot import exp

THIS = "{table}"
"""How a query names the table of its rule."""
_THIS_NAME = "this_table__"
_READ_AS = "duckdb"
_SUCH_AS = {"condition": "revenue >= 0 AND status <> 'void'", "value": "quantity * unit_price"}
_PORTABLE = (
    *(
        "Abs",
        "Avg",
        "Case",
        "Cast",
        "Ceil",
        "Coalesce",
        "Concat",
        "Count",
        "CountIf",
        "CurrentDate",
        "CurrentTimestamp",
        "Exists",
    ),
    *(
        "Floor",
        "Greatest",
        "If",
        "Lag",
        "Lead",
        "Least",
        "Length",
        "Lower",
        "Max",
        "Min",
        "Nullif",
        "Round",
        "RowNumber",
        "StartsWith",
    ),
    *("Substring", "Sum", "Trim", "TryCast", "Upper"),
)
"""Functions that mean the same in every engine once they are translated. Others are for DuckDB alone."""


def condition_columns(text: str, *, subqueries: bool = False) -> tuple[str, ...]:
    """The columns of its own table that a condition names. Raises ValueError with what is wrong with it."""
    return tuple(dict.fromkeys(column.name for column in _own_columns(_condition(text, subqueries))))


def condition_sql(
    text: str, dialect: Expressions, column_sql: Callable[[str], str], *, subqueries: bool = False
) -> str:
    """``text`` in the words of ``dialect``. ``UnsupportedExpression`` if it has none."""
    tree = _condition(text, subqueries)
    own = {id(column) for column in _own_columns(tree)}
    return _written(tree, dialect, column_sql, own, "")


def value_columns(text: str) -> tuple[str, ...]:
    """The columns that a value of a row, such as ``quantity * unit_price``, is computed from. Raises ValueError with what is wrong with it."""
    return tuple(dict.fromkeys(column.name for column in _own_columns(_of_a_row(text, "value", False))))


def value_sql(text: str, dialect: Expressions) -> str:
    """The value ``text`` in the words of ``dialect``. ``UnsupportedExpression`` if it has none."""
    tree = _of_a_row(text, "value", False)
    return _written(tree, dialect, dialect.quote, {id(column) for column in _own_columns(tree)}, "")


def check_query(text: str, *, values: int | None = None) -> None:
    """Raises ValueError unless ``text`` is one SELECT over tables of the warehouse, of ``values`` columns if given."""
    tree = _query(text)
    if values is not None and len(tree.selects) != values:
        raise ValueError(f"the query must have {values} column, it has {len(tree.selects)}")


def query_tables(text: str) -> tuple[tuple[str, str], ...]:
    """(schema, name) of the tables that a query names, without its rule's own."""
    from sqlglot import exp

    return tuple((table.db, table.name) for table in _query(text).find_all(exp.Table) if table.db)


def query_sql(text: str, dialect: Expressions, this: str, alias: str | None = None) -> str:
    """The query in the words of ``dialect``; ``this`` is its table's name there, ``alias`` the name of its one column."""
    from sqlglot import exp

    tree = _query(text)
    if alias is not None:
        (value,) = tree.selects
        value.replace(exp.alias_(value.unalias().copy(), alias))
    return _written(tree, dialect, dialect.quote, set(), this)


def _of_a_row(text: str, what: str, subqueries: bool) -> exp.Expr:
    from sqlglot import exp

    tree = _parsed(text, what)
    if isinstance(tree, exp.Query | exp.Command | exp.DDL | exp.DML):
        raise ValueError(f"must be a {what}, such as {_SUCH_AS[what]}")
    _check(tree)
    if not subqueries and (tree.find(exp.Query) or tree.find(exp.Subquery)):
        allowed = "; write `allow_subquery: true` beside it if that is meant" if what == "condition" else ""
        raise ValueError(f"holds a subquery{allowed}")
    for kind, named in (
        (exp.Window, "a window function"),
        (exp.AggFunc, "an aggregate"),
        (exp.Star, "a star"),
    ):
        if any(not _within_query(one, tree) for one in tree.find_all(kind)):
            raise ValueError(f"holds {named}; a {what} is of one row")
    return tree


def _condition(text: str, subqueries: bool) -> exp.Expr:
    from sqlglot import exp

    tree = _of_a_row(text, "condition", subqueries)
    inner = tree.unnest()
    truths = (
        exp.Predicate,
        exp.Connector,
        exp.Not,
        exp.Boolean,
        exp.Case,
        exp.Column,
        exp.Coalesce,
        exp.Func,
    )
    if not isinstance(inner, truths) or isinstance(inner, exp.Cast):
        raise ValueError("is not a condition: it must be true or false, such as revenue >= 0")
    return tree


def _query(text: str) -> exp.Query:
    from sqlglot import exp

    tree = _parsed(text.replace(THIS, _THIS_NAME), "query")
    if not isinstance(tree, exp.Query):
        raise ValueError("must be one SELECT")
    _check(tree)
    return tree


def _parsed(text: str, what: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        found = sqlglot.parse(text, read=_READ_AS)
    except (SqlglotError, RecursionError) as error:
        where = getattr(error, "errors", None) or [{}]
        near = str(where[0].get("highlight") or "")[:40]
        raise ValueError(f"the {what} cannot be read as SQL{f', near `{near}`' if near else ''}") from None
    if len(found) != 1 or found[0] is None:
        raise ValueError(f"must be one {what}, without a semicolon")
    return found[0]


def _check(tree: exp.Expr) -> None:
    from sqlglot import exp

    refused = (
        *(exp.Command, exp.DDL, exp.DML, exp.Into, exp.Placeholder, exp.Parameter, exp.Lambda),
        *(
            exp.Drop,
            exp.Alter,
            exp.TruncateTable,
            exp.Set,
            exp.Use,
            exp.Pragma,
            exp.Copy,
            exp.Attach,
            exp.Detach,
        ),
    )
    for node in tree.walk():
        if isinstance(node, refused):
            raise ValueError("must only ask: it holds a statement, a parameter or a lambda")
        if isinstance(node, exp.Anonymous):
            raise ValueError(f"calls {node.name}(), which is not known to exist in every warehouse")
        if isinstance(node, exp.Rand | exp.Uuid):
            raise ValueError("calls a random function, so that its result is another each time")
    if any(not isinstance(cte.this, exp.Query) for cte in tree.find_all(exp.CTE)):
        raise ValueError("must only ask: it holds a statement")
    defined = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise ValueError("reads a function or a file; name tables as schema.table")
        if table.args.get("catalog"):
            raise ValueError("names a database; name tables as schema.table")
        if not table.db and table.name not in (*defined, _THIS_NAME):
            raise ValueError(f"names the table {table.name} without its schema; write schema.table or {THIS}")


def _own_columns(tree: exp.Expr) -> list[exp.Column]:
    """The columns outside of subqueries."""
    from sqlglot import exp

    own = [column for column in tree.find_all(exp.Column) if not _within_query(column, tree)]
    for column in own:
        if column.table:
            raise ValueError(f"names {column.table}.{column.name}; write the column's name alone")
    return sorted(own, key=lambda column: column.name)


def _within_query(node: exp.Expr, tree: exp.Expr) -> bool:
    from sqlglot import exp

    above = node.parent
    while above is not None:
        if isinstance(above, exp.Query):
            return True
        above = above.parent
    return isinstance(tree, exp.Query)


def _written(
    tree: exp.Expr, dialect: Expressions, column_sql: Callable[[str], str], own: set[int], this: str
) -> str:
    """Every name becomes a placeholder first, because each engine quotes and folds names in its own way."""
    from sqlglot import ErrorLevel, exp
    from sqlglot.errors import SqlglotError

    if dialect.name != _READ_AS and (odd := _not_portable(tree)):
        raise UnsupportedExpression(f"{odd}() is only known to work in DuckDB")
    places: list[str] = []
    stem = "place_"
    while any(stem in str(node.this) for node in tree.find_all(exp.Literal, exp.Identifier)):
        stem = f"x{stem}"

    def placed(sql: str) -> exp.Identifier:
        places.append(sql)
        return exp.Identifier(this=f"{stem}{len(places) - 1}__", quoted=False)

    for table in list(tree.find_all(exp.Table)):
        if table.name == _THIS_NAME and not table.db:
            table.set("this", placed(this))
        elif table.db:
            name = relation(dialect, table.db, table.name)
            table.set("db", None)
            table.set("this", placed(name))
    for column in list(tree.find_all(exp.Column)):
        if id(column) in own:
            column.set("this", placed(column_sql(column.name)))
    for identifier in list(tree.find_all(exp.Identifier)):
        if not identifier.name.startswith(stem):
            identifier.replace(placed(dialect.quote(identifier.name)))
    try:
        written = tree.sql(dialect=dialect.name, unsupported_level=ErrorLevel.RAISE, comments=False)
    except SqlglotError as error:
        raise UnsupportedExpression(f"this SQL has no equal there: {str(error).splitlines()[0]}") from None
    return re.sub(rf"\b{stem}(\d+)__\b", lambda found: places[int(found[1])], written)


def _not_portable(tree: exp.Expr) -> str | None:
    from sqlglot import exp

    for node in tree.find_all(exp.Func):
        if not isinstance(node, exp.Connector) and type(node).__name__ not in _PORTABLE:
            return node.sql_name().lower()
    return None
