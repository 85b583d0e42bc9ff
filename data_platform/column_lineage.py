"""Which columns a query's columns are made of, and which columns choose its rows, read off its SQL. Pure.

Nothing is guessed: where the SQL cannot be followed there is no lineage, and never an error, since the query itself may
be good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

Tables = Mapping[tuple[str, str], Sequence[str]]
"""Columns by schema and name, both in lower case."""


class ColumnOf(NamedTuple):
    """A column as the warehouse names it."""

    schema: str
    table: str
    column: str


Form = Literal["same", "text", "canonical", "other"]


FORMS: Sequence[Form] = ("same", "text", "canonical", "other")
"""Each tells less than those before it of what the value was."""
KEY_CHARACTERS = 36


class Taken(NamedTuple):
    """What a query takes of a column: of a JSON document the value under ``keys``, () is all of it. ``changed``: it went
    through an expression, so that it may be another value. ``form``: whether it still reads as it did there, as text: as it is ("same"),
    after a cast to text, or to whole numbers or UUIDs, which have one way to be written ("canonical")."""

    column: ColumnOf
    keys: tuple[str, ...] = ()
    changed: bool = False
    form: Form = "same"


def columns_behind(sql: str, dialect: str, tables: Tables) -> dict[str, list[ColumnOf] | None] | None:
    """Per column of a query, in lower case, the columns of ``tables`` in its expression, however many steps of the
    query it goes through; None for a column, or for the whole query, that cannot be followed. Columns that merely
    choose rows (joins, conditions, groups) are not part of it."""
    from sqlglot.lineage import lineage  # Dagster's own dbt library has imported it already
    from sqlglot.optimizer.scope import build_scope

    try:
        query = _qualified(sql, dialect, tables)
        scope = build_scope(query) if query is not None else None
        if query is None or scope is None:
            return None
        nodes = lineage(None, query, schema={}, dialect=dialect, scope=scope, trim_selects=False, copy=False)
        return {name.lower(): _leaves(node, tables) for name, node in nodes.items()}
    except Exception:  # another dialect's words, another shape of tree: whatever a parser may raise
        return None


def columns_choosing_rows(sql: str, dialect: str, tables: Tables) -> frozenset[ColumnOf] | None:
    """The columns of ``tables`` on which it depends which rows a query gives: those in joins, conditions, groups, limits
    and DISTINCT, however many steps of the query lie between. None where the SQL cannot be followed."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    try:
        query = _qualified(sql, dialect, tables)
        if not isinstance(query, exp.Query):
            return None
        found: set[ColumnOf] = set()
        for scope in traverse_scope(query):
            for column in _choosing(scope):
                found.update(_origins(scope, column, tables, frozenset()))
            part = scope.expression
            if isinstance(part, exp.SetOperation) and part.args.get("distinct"):
                for selected in part.selects:
                    found.update(_origins_of(scope, selected.alias_or_name, tables, frozenset()))
        return frozenset(found)
    except Exception:
        return None


def _choosing(scope: Scope) -> Iterator[exp.Column]:
    """The columns of a SELECT that stand outside of its list, and all of them where it is DISTINCT."""
    distinct = bool(scope.expression.args.get("distinct"))
    for column in scope.columns:
        place: exp.Expr = column
        while place.parent is not None and place.parent is not scope.expression:
            place = place.parent
        if distinct or place.arg_key != "expressions":
            yield column


def _origins(
    scope: Scope, column: exp.Column, tables: Tables, seen: frozenset[tuple[int, str]]
) -> Iterator[ColumnOf]:
    """The columns of ``tables`` behind a column that ``scope`` reads."""
    from sqlglot import exp

    around: Scope | None = scope
    while around is not None and column.table not in around.sources:
        around = around.parent
    source: Any = around.sources[column.table] if around is not None else None
    if isinstance(source, exp.Table):
        known = tables.get((source.db.lower(), source.name.lower()), ())
        yield ColumnOf(source.db.lower(), source.name.lower(), _spelled(column.name, known))
    elif source is None:
        raise ValueError("a column of no table")
    else:
        yield from _origins_of(source, column.name, tables, seen)


def _origins_of(
    scope: Scope, name: str, tables: Tables, seen: frozenset[tuple[int, str]]
) -> Iterator[ColumnOf]:
    """The columns of ``tables`` in the column ``name`` of what ``scope`` gives."""
    from sqlglot import exp

    if (id(scope), name) in seen:  # a recursive query
        return
    seen |= {(id(scope), name)}
    query = scope.expression
    if not isinstance(query, exp.Query):
        raise ValueError("a column of what is no query")
    names = [selected.alias_or_name.lower() for selected in query.selects]
    position = names.index(name.lower())
    for branch in scope.set_operation_scopes:
        if isinstance(branch.expression, exp.Query):
            yield from _origins_of(branch, branch.expression.selects[position].alias_or_name, tables, seen)
    if not scope.set_operation_scopes:
        for column in query.selects[position].find_all(exp.Column):
            yield from _origins(scope, column, tables, seen)


def _spelled(name: str, known: Sequence[str]) -> str:
    return next((one for one in known if one.lower() == name.lower()), name.lower())


def _qualified(sql: str, dialect: str, tables: Tables) -> exp.Expr | None:
    """The query with the table of each column written out; None for what sqlglot would follow wrongly."""
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.schema import MappingSchema

    query = parse_one(sql, dialect=dialect)
    read = set()
    for table in query.find_all(exp.Table):
        table.set("catalog", None)  # there is but one warehouse
        read.add((table.db.lower(), table.name.lower()))
    by_position = all(not union.args.get("by_name") for union in query.find_all(exp.SetOperation))
    if not by_position or any(select.args.get("windows") for select in query.find_all(exp.Select)):
        return None
    schema = MappingSchema(dialect=dialect)
    for database, name in read & tables.keys():
        table = exp.table_(exp.to_identifier(name, quoted=True), db=exp.to_identifier(database, quoted=True))
        columns = dict.fromkeys(tables[database, name], "unknown")
        schema.add_table(table, columns, dialect=dialect, match_depth=False)
    query = qualify(query, schema=schema, dialect=dialect, validate_qualify_columns=False, identify=False)
    return None if query.find(exp.TableColumn, exp.Columns) else query


def _leaves(node: Any, tables: Tables) -> list[ColumnOf] | None:
    from sqlglot import exp

    found = set()
    for leaf in node.walk():
        if leaf.downstream:
            continue
        if not isinstance(leaf.expression, exp.Table):
            if leaf.expression.find(exp.Column, exp.Placeholder):
                return None
            continue  # a constant, or rows counted
        schema, table = leaf.expression.db.lower(), leaf.expression.name.lower()
        wanted = exp.to_column(leaf.name).name.lower()
        column = next((name for name in tables.get((schema, table), ()) if name.lower() == wanted), None)
        if column is None:
            return None
        found.add(ColumnOf(schema, table, column))
    return sorted(found)


def expressions_of(sql: str, dialect: str, tables: Tables) -> dict[str, str]:
    """Per column of a query, in lower case, the expressions through which it comes, as one text: it changes where the
    column's meaning does, and not with spaces, comments or what other columns are. Empty for what cannot be followed."""
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.scope import build_scope

    try:
        query = _qualified(sql, dialect, tables)
        scope = build_scope(query) if query is not None else None
        if query is None or scope is None:
            return {}
        nodes = lineage(None, query, schema={}, dialect=dialect, scope=scope, trim_selects=False, copy=False)
        return {name.lower(): _as_text(node, dialect) for name, node in nodes.items()}
    except Exception:
        return {}


def relations_in(sql: str, dialect: str) -> frozenset[tuple[str, str]]:
    """Schema and name, in lower case, of each relation that a statement names with its schema."""
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        found = parse_one(sql, dialect=dialect).find_all(exp.Table)
        return frozenset((table.db.lower(), table.name.lower()) for table in found if table.db)
    except SqlglotError:
        return frozenset()


def columns_asked_of(sql: str, dialect: str, relation: tuple[str, str]) -> list[str]:
    """The columns that a query's parts name which read ``relation`` and nothing else: so many are known of it, though
    nothing describes it."""
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import traverse_scope

    found: dict[str, None] = {}
    try:
        for scope in traverse_scope(parse_one(sql, dialect=dialect)):
            sources = [one for one in scope.sources.values() if isinstance(one, exp.Table)]
            if len(scope.sources) == 1 and [(one.db.lower(), one.name.lower()) for one in sources] == [
                relation
            ]:
                found.update(dict.fromkeys(column.name for column in scope.columns))
    except SqlglotError:
        return []
    return list(found)


def _as_text(node: Any, dialect: str) -> str:
    return "\n".join(sorted({one.expression.sql(dialect=dialect, comments=False) for one in node.walk()}))


def taken(sql: str, dialect: str, tables: Tables) -> dict[str, frozenset[Taken]] | None:
    """Per column of a query, in lower case, what it takes of the columns of ``tables`` whose values are in it. Numbers of
    rows (COUNT) and whether something is NULL hold no value. None where the SQL cannot be followed."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import build_scope

    try:
        query = _qualified(sql, dialect, tables)
        scope = build_scope(query) if query is not None else None
        if scope is None or not isinstance(scope.expression, exp.Query):
            return None
        names = [one.alias_or_name for one in scope.expression.selects]
        return {name.lower(): frozenset(_taken_of(scope, name, tables, frozenset())) for name in names}
    except Exception:
        return None


def _taken_of(scope: Scope, name: str, tables: Tables, seen: frozenset[tuple[int, str]]) -> Iterator[Taken]:
    """What the column ``name`` of what ``scope`` gives takes."""
    from sqlglot import exp

    if (id(scope), name.lower()) in seen:  # a recursive query
        return
    seen |= {(id(scope), name.lower())}
    query = scope.expression
    if not isinstance(query, exp.Query):
        raise ValueError("a column of what is no query")
    position = [one.alias_or_name.lower() for one in query.selects].index(name.lower())
    branches = [
        (one.expression, list(_taken_of(one, one.expression.selects[position].alias_or_name, tables, seen)))
        for one in scope.set_operation_scopes
        if isinstance(one.expression, exp.Query)
    ]
    # rows of a table beside a constant: the column says nothing of these
    partly = any(not some and branch.find(exp.Table) for branch, some in branches)
    for _, some in branches:
        yield from (one._replace(form="other") if partly else one for one in some)
    if not scope.set_operation_scopes:
        for column in query.selects[position].find_all(exp.Column):
            if (way := _way(column, query)) is not None:
                keys, changed, form = way
                for one in _taken_by(_scope_around(column, scope), column, tables, seen):
                    # what an expression made is no document any more whose parts were known
                    under = () if one.changed else keys
                    yield Taken(
                        one.column, one.keys + under, one.changed or changed, _further(one.form, form)
                    )


def _scope_around(column: exp.Column, scope: Scope) -> Scope:
    """That of the query in a SELECT's list, where the column is in one."""
    select = column.parent_select
    return next((one for one in scope.traverse() if one.expression is select), scope)


def _taken_by(
    scope: Scope, column: exp.Column, tables: Tables, seen: frozenset[tuple[int, str]]
) -> Iterator[Taken]:
    from sqlglot import exp

    around: Scope | None = scope
    while around is not None and column.table not in around.sources:
        around = around.parent
    source: Any = around.sources[column.table] if around is not None else None
    if isinstance(source, exp.Table):
        known = tables.get((source.db.lower(), source.name.lower()), ())
        yield Taken(ColumnOf(source.db.lower(), source.name.lower(), _spelled(column.name, known)))
    elif source is None:
        raise ValueError("a column of no table")
    else:
        yield from _taken_of(source, column.name, tables, seen)


def _way(column: exp.Column, query: exp.Expr) -> tuple[tuple[str, ...], bool, Form] | None:
    """How a column gets into a selected one: under which keys of its document, whether changed, and how it reads then. None if its
    values do not."""
    from sqlglot import exp

    keys: tuple[str, ...] = ()
    changed, place = False, column.parent
    form: Form = "same"
    child: exp.Expr = column
    while place is not None and place is not query:
        of_null = isinstance(place, exp.Is) and isinstance(place.expression, exp.Null)
        if of_null or isinstance(place, exp.Count | exp.Exists):
            return None
        form = _further(form, _form(place, child))
        if isinstance(place, exp.JSONExtract | exp.JSONExtractScalar) and place.this is child and not changed:
            found = _keys(place.expression)
            keys, changed = (keys, True) if found is None else (keys + found, changed)
        elif not isinstance(place, exp.Alias | exp.Paren | exp.Cast | exp.TryCast | exp.Coalesce):
            changed = True
        child, place = place, place.parent
    return keys, changed, form


def _form(place: exp.Expr, child: exp.Expr) -> Form:
    """How a value reads that ``place`` made of ``child``."""
    from sqlglot import exp

    if isinstance(place, exp.Alias | exp.Paren | exp.Coalesce):
        return "same"
    if isinstance(place, exp.Cast | exp.TryCast):
        to = place.to
        if to.this in exp.DataType.TEXT_TYPES and _long_enough(to):
            return "text"
        whole = to.this in exp.DataType.INTEGER_TYPES or _has_no_fraction(to)
        return "canonical" if whole or to.this is exp.DataType.Type.UUID else "other"
    # a value of a document as text: JSONExtract would keep the quotes
    return "text" if isinstance(place, exp.JSONExtractScalar) and place.this is child else "other"


def _long_enough(to: exp.DataType) -> bool:
    """Whether no key is cut: a UUID has 36 characters."""
    return all(int(one.name) >= KEY_CHARACTERS for one in to.expressions if one.name.isdigit())


def _has_no_fraction(to: exp.DataType) -> bool:
    from sqlglot import exp

    sizes = [one.name for one in to.expressions]
    return to.this is exp.DataType.Type.DECIMAL and (len(sizes) == 1 or sizes[1:] == ["0"])


def _further(form: Form, then: Form) -> Form:
    return max(form, then, key=FORMS.index)


def _keys(path: Any) -> tuple[str, ...] | None:
    """The keys of a literal path; places in arrays are left out. None for another."""
    from sqlglot import exp

    if isinstance(path, exp.Literal) and path.is_string:
        return (path.name,)
    if not isinstance(path, exp.JSONPath):
        return None
    found = []
    for step in path.expressions:
        if isinstance(step, exp.JSONPathKey) and isinstance(step.this, str):
            found.append(step.this)
        elif not isinstance(step, exp.JSONPathRoot | exp.JSONPathSubscript):
            return None
    return tuple(found)
