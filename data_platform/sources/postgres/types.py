"""The type plan: for each PostgreSQL column the rule that keeps its values exactly, or a refusal.

Decided from pg_catalog alone, never from data. A rule is what the server sends
and what the engine makes of it. Three groups: what DuckDB's extension keeps
exactly is read as it is; what it would change (unconstrained numerics, NaN in
a numeric, intervals in Parquet, ...) crosses as text; a type whose text form we
cannot vouch for is refused by name unless the catalog says ``as: {column: text}``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from data_platform import sql
from data_platform.errors import UnsupportedType
from data_platform.printable import yaml_scalar
from data_platform.sources.postgres.introspect import Relation, SourceColumn
from data_platform.sources.reading import without_modifier

_EXACT = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "name": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "uuid": "UUID",
    "bytea": "BLOB",
}
_FLOATS = {"float4": "FLOAT", "float8": "DOUBLE"}
_TIMES = {"timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ"}
_TEXT = frozenset(
    "interval timetz inet cidr macaddr macaddr8 bit varbit tsvector tsquery xml pg_lsn citext hstore ltree"
    " point line lseg box path polygon circle tid xid xid8 pg_snapshot txid_snapshot jsonpath"
    " regclass regtype regproc regprocedure regoper regoperator regrole regnamespace regconfig regdictionary".split()
)
_LIST_ELEMENTS = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "uuid": "UUID",
    "date": "DATE",
}
_VECTORS = ("int2vector", "oidvector")
"""Of the system catalogs; arrays by their category alone."""
_EARLIEST = "4714-01-01 (BC)"
"""Before PostgreSQL's first timestamp: a value the engine decodes as earlier has wrapped."""
_FALSE_INFINITIES = ("294247-01-10 04:00:54.775807", "294247-01-10 04:00:54.775809")
"""Two microseconds that wrap into the very numbers by which the engine knows infinity and -infinity."""
_MARK = "value-not-kept"


def type_base(source_type: str) -> str:
    """The type without length or precision. PostgreSQL writes anew the rows whose values a change of those alters,
    and none where text becomes character varying or the other way round."""
    base = without_modifier(source_type)
    return "text" if base == "character varying" else base


NOT_KEPT = {
    "nan": "holds NaN, which a DECIMAL cannot represent",
    "year": "holds a timestamp later than January of the year 294247, which the engine cannot represent",
    "array": "holds an array of several dimensions or one that does not begin at 1, which a list cannot represent",
    "json": "holds JSON that the engine refuses, such as half of a surrogate pair",
}
"""Why a value stops its table."""


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """``server`` is the expression the server evaluates, aliased to ``name``;
    ``engine`` what DuckDB makes of that alias; ``type`` the landed DuckDB type. ``suspect`` is true,
    on the server, for values that would land as an infinity and are none."""

    name: str
    server: str
    engine: str
    type: str
    source_type: str
    nullable: bool
    suspect: str | None = None


quote = sql.quoted


def qualified(schema: str, relation: str) -> str:
    return f"{quote(schema)}.{quote(relation)}"


def plan_columns(relation: Relation, as_text: Collection[str] = ()) -> list[ColumnPlan]:
    """One rule a column, in table order. UnsupportedType names every column without one."""
    plans, refused = [], []
    for column in relation.columns:
        plan = plan_column_as(column, as_text)
        if plan is None:
            refused.append(f"{column.name} ({column.formatted})")
        else:
            plans.append(plan)
    if refused:
        raise UnsupportedType(
            f"{relation.schema}.{relation.name} has columns of types whose values cannot be kept exactly:"
            f" {', '.join(refused)}. Land them as text with `as: {{column: text}}` in the table's block,"
            " or read a view without them."
        )
    return plans


def plan_column_as(column: SourceColumn, as_text: Collection[str]) -> ColumnPlan | None:
    """The rule of one column, which is its text form for those ``as_text``; None where there is none."""
    return _text(column) if column.name in as_text else plan_column(column)


def plan_column(column: SourceColumn) -> ColumnPlan | None:
    """The rule of one column; None where there is none."""
    base, name = column.base, quote(column.name)
    builtin = column.base_schema == "pg_catalog"
    if base in _VECTORS and builtin:
        return _text(column)
    if column.element is not None:
        element = _LIST_ELEMENTS.get(column.element) if builtin else None
        if element and column.dimensions <= 1:
            odd = f"array_ndims({name}) > 1 or array_lower({name}, 1) <> 1"
            server = (
                f"case when {odd} then {_refused(column, f'{column.element}[]', 'array')} else {name} end"
            )
            return _as(column, server, name, f"{element}[]")
        return _text(column)
    if column.category in ("e", "c", "r", "m"):
        return _text(column)
    if base == "numeric" and builtin:
        return _numeric(column)
    if base in _TIMES and builtin:
        kind = _TIMES[base]
        wrapped = (
            f"CASE WHEN {name} < {kind} '{_EARLIEST}' AND isfinite({name}) THEN {_error(column, 'year')}"
        )
        suspect = f"{name} in ({', '.join(f'{kind} {literal(t)}' for t in _FALSE_INFINITIES)})"
        return _as(column, name, f"{wrapped} ELSE {name} END", kind, suspect)
    if base in _FLOATS and builtin:
        # PostgreSQL holds 0 and -0 equal; Parquet's and DuckDB's compression keep whichever came first
        return _as(column, name, f"{name} + 0::{_FLOATS[base]}", _FLOATS[base])
    if base in _EXACT and builtin:
        return _as(column, name, name, _EXACT[base])
    if base == "jsonb" and builtin:  # the extension reads json as plain text
        return _as(column, name, f"CAST({name} AS JSON)", "JSON")
    if base == "json" and builtin:  # kept as written, with escapes that only jsonb looks into
        refused = f"CASE WHEN {name} IS NOT NULL THEN {_error(column, 'json')}::JSON END"
        return _as(column, name, f"coalesce(TRY_CAST({name} AS JSON), {refused})", "JSON")
    if base == "oid" and builtin:
        return _as(column, f"{name}::bigint", name, "BIGINT")
    if base == "bpchar" and builtin:
        return _text(column)
    if base == "money" and builtin:
        return _as(column, f"{name}::numeric::text", name, "VARCHAR")
    if base in _TEXT:
        return _text(column)
    return None


def _numeric(column: SourceColumn) -> ColumnPlan:
    # The extension reads an unconstrained numeric as DOUBLE, and NaN as 0: the server refuses that one.
    name = quote(column.name)
    if column.typmod < 0:
        return _text(column)
    precision, scale = (column.typmod - 4) >> 16 & 0xFFFF, (column.typmod - 4) & 0x7FF
    scale = scale - 0x800 if scale & 0x400 else scale
    if precision > 38 or not 0 <= scale <= precision:
        return _text(column)
    kind = f"DECIMAL({precision},{scale})"
    number = f"numeric({precision},{scale})"  # said again for a domain, which hides it
    refused = _refused(column, number, "nan")
    return _as(column, f"case when {name} = 'NaN' then {refused} else {name}::{number} end", name, kind)


def _refused(column: SourceColumn, kind: str, why: str) -> str:
    """Server SQL of the type ``kind`` that fails, for PostgreSQL has no function that raises: the mark
    is text no type takes, and hangs on the row's value so that it is not evaluated before there is one."""
    return f"(left({quote(column.name)}::text, 0) || {_mark(column.name, why)})::{kind}"


def _error(column: SourceColumn, why: str) -> str:
    return f"error({_mark(column.name, why)})"


def _mark(name: str, why: str) -> str:
    """SQL for the mark; in two pieces, so that it stands in no statement an error may quote."""
    return f"{literal(_MARK[:5])} || {literal(f'{_MARK[5:]}:{why}:{name.encode().hex()}:')}"


def refused_value(message: str) -> tuple[str, str] | None:
    """(column, key of ``NOT_KEPT``) when a read failed with one of the marks above."""
    found = re.search(rf"{_MARK}:(\w+):([0-9a-f]*):", message)
    return (bytes.fromhex(found[2]).decode(), found[1]) if found else None


def way_out(name: str) -> str:
    """What to write in the catalog to land a column as text: one line of YAML."""
    return f"`as: {{{yaml_scalar(name)}: text}}`"


def _text(column: SourceColumn) -> ColumnPlan:
    name, builtin = quote(column.name), column.base_schema == "pg_catalog"
    server = f"{name}::text"
    if column.base in ("text", "varchar") and builtin:
        server = name
    if column.base == "bpchar" and builtin and column.typmod < 0:
        # the cast takes trailing blanks away: padding in char(n), but written by somebody here
        server = f"textin(bpcharout({name}))"
    return _as(column, server, name, "VARCHAR")


def _as(column: SourceColumn, server: str, engine: str, kind: str, suspect: str | None = None) -> ColumnPlan:
    return ColumnPlan(column.name, server, engine, kind, column.formatted, not column.not_null, suspect)


def literal(text: str) -> str:
    """A SQL string literal, for the places neither engine can bind a value."""
    if "\x00" in text:
        raise ValueError("SQL cannot contain a NUL byte")
    return sql.literal(text)
