"""The type plan: for each PostgreSQL column the rule that keeps its values exactly, or a refusal.

Decided from pg_catalog alone, never from data. A rule is what the server sends
and what the engine makes of it. Three groups: what DuckDB's extension keeps
exactly is read as it is; what it would change (unconstrained numerics, NaN in
a numeric, intervals in Parquet, ...) crosses as text; a type whose text form we
cannot vouch for is refused by name unless the catalog says ``as: {column: text}``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data_platform.errors import UnsupportedType
from data_platform.sources.postgres.introspect import Relation, SourceColumn

_EXACT = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "name": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "uuid": "UUID",
    "bytea": "BLOB",
}
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


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """``server`` is the expression the server evaluates, aliased to ``name``;
    ``engine`` what DuckDB makes of that alias; ``type`` the landed DuckDB type."""

    name: str
    server: str
    engine: str
    type: str
    source_type: str
    nullable: bool


def quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def plan_columns(relation: Relation, as_text: Collection[str] = ()) -> list[ColumnPlan]:
    """One rule a column, in table order. UnsupportedType names every column without one."""
    plans, refused = [], []
    for column in relation.columns:
        plan = _text(column) if column.name in as_text else plan_column(column)
        if plan is None:
            refused.append(f"{column.name} ({column.formatted})")
        else:
            plans.append(plan)
    if refused:
        raise UnsupportedType(
            f"{relation.schema}.{relation.name} has columns of types whose values cannot be vouched for:"
            f" {', '.join(refused)}. Land them as text with `as: {{column: text}}` in the table's block,"
            " or read a view without them."
        )
    return plans


def plan_column(column: SourceColumn) -> ColumnPlan | None:
    """The rule of one column; None where there is none."""
    base, name = column.base, quote(column.name)
    builtin = column.base_schema == "pg_catalog"
    if base in _VECTORS and builtin:
        return _text(column)
    if column.element is not None:
        element = _LIST_ELEMENTS.get(column.element) if builtin else None
        if element and column.dimensions <= 1:
            return _as(column, name, name, f"{element}[]")
        return _text(column)
    if column.category in ("e", "c", "r", "m"):
        return _text(column)
    if base == "numeric" and builtin:
        return _numeric(column)
    if base in _TIMES and builtin:
        kind = _TIMES[base]
        wrapped = (
            f"CASE WHEN {name} < {kind} '{_EARLIEST}' AND isfinite({name})"
            f" THEN error('value-not-kept:' || {literal(column.name)}) ELSE {name} END"
        )
        return _as(column, name, wrapped, kind)
    if base in _EXACT and builtin:
        return _as(column, name, name, _EXACT[base])
    if base in ("json", "jsonb") and builtin:  # the extension reads json as plain text
        return _as(column, name, f"CAST({name} AS JSON)", "JSON")
    if base == "oid" and builtin:
        return _as(column, f"{name}::bigint", name, "BIGINT")
    if base == "bpchar" and builtin:  # its padding is no part of the value, says PostgreSQL's own cast
        return _as(column, f"{name}::text", name, "VARCHAR")
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
    refused = f"({name}::text || {literal(f' value-not-kept:{column.name} ')})::{number}"
    return _as(column, f"case when {name} = 'NaN' then {refused} else {name}::{number} end", name, kind)


def _text(column: SourceColumn) -> ColumnPlan:
    name = quote(column.name)
    plain = column.base in ("text", "varchar") and column.base_schema == "pg_catalog"
    return _as(column, name if plain else f"{name}::text", name, "VARCHAR")


def _as(column: SourceColumn, server: str, engine: str, kind: str) -> ColumnPlan:
    return ColumnPlan(column.name, server, engine, kind, column.formatted, not column.not_null)


def literal(text: str) -> str:
    """A SQL string literal, for the places neither engine can bind a value."""
    if "\x00" in text:
        raise ValueError("a NUL byte cannot stand in SQL")
    return "'" + text.replace("'", "''") + "'"
