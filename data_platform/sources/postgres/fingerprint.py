"""The fingerprint of ``tables.Fingerprint`` and a row's slice, as PostgreSQL expressions.

The twin of ``data_platform/duckdb_sql.py``; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from data_platform.duckdb_sql import keeps_text
from data_platform.sources.postgres.introspect import Relation, SourceColumn
from data_platform.sources.postgres.rows import bound, from_clause
from data_platform.sources.postgres.types import literal, plan_column, quote
from data_platform.tables import (
    NULL_SLICE,
    VERSIONS_MODULUS,
    WHOLE_TABLE,
    Column,
    Fingerprint,
    Layout,
    Slice,
    Tally,
    day_runs,
)

_SEPARATOR = "chr(31)"
XMIN = (
    "case when age(xmin) < 2147483647"
    " then ((select age('3'::xid)::bigint + 3) - age(xmin)) & 4294967295 else xmin::text::bigint end"
)
"""``xmin::text::bigint`` at a fraction of its price, which is a tenth of what the server spends on a
row: the next transaction number (one subquery) minus the row's age, modulo 2**32. The three
permanent numbers below 3 have the greatest age there is, and go through text."""


def keeps_checksum(column: SourceColumn) -> bool:
    """Whether both engines give this key column one text form."""
    plan = plan_column(column)
    return plan is not None and keeps_text(Column(plan.name, plan.type, plan.source_type))


def token(relation: Relation, key: Sequence[str]) -> str:
    pieces = [] if key else ["''"]
    for name in key:
        column = relation.column(name)
        assert column is not None
        pieces.append(f"coalesce({_text(column)}, '')")
    pieces.append("xmin::text" if relation.has_xmin else "''")
    return f"('x' || left(md5({f' || {_SEPARATOR} || '.join(pieces)}), 15))::bit(60)::bigint"


def _text(column: SourceColumn) -> str:
    name, plan = quote(column.name), plan_column(column)
    kind = plan.type if plan else "VARCHAR"
    if kind in ("TIMESTAMPTZ", "TIMESTAMP"):
        # exact on every version: PostgreSQL 13's extract(epoch) is a double
        seconds = f"extract(epoch from date_trunc('second', {name}))::bigint"
        micros = f"({seconds} * 1000000 + extract(microseconds from {name})::bigint % 1000000)::text"
        return f"case when isfinite({name}) then {micros} else {name}::text end"
    if kind == "TIME":
        return f"(extract(epoch from {name}) * 1000000)::bigint::text"
    if kind == "BLOB":
        return f"encode({name}, 'hex')"
    return f"({plan.server if plan else name})::text"


def slice_expression(relation: Relation, partition: str | None, timezone: str) -> str:
    """The slice a row belongs to, as text."""
    if partition is None:
        return literal(WHOLE_TABLE)
    return f"coalesce({_day(relation, partition, timezone)}::text, {literal(NULL_SLICE)})"


def _day(relation: Relation, partition: str, timezone: str) -> str:
    column = relation.column(partition)
    assert column is not None
    name = quote(partition)
    if column.base == "timestamptz":
        return f"({name} at time zone {literal(timezone)})::date"
    return f"{name}::date"


def slice_predicate(relation: Relation, partition: str | None, timezone: str, slices: Sequence[Slice]) -> str:
    """True for the rows of ``slices``; bounds stand on the bare column so that an index serves."""
    if partition is None or WHOLE_TABLE in slices:
        return "true"
    column = relation.column(partition)
    assert column is not None
    name = quote(partition)
    terms = [f"{name} is null"] if NULL_SLICE in slices else []
    for first, last in day_runs(list(slices)):
        terms.append(
            f"({name} >= {bound(column, first, timezone)}"
            f" and {name} < {bound(column, last + timedelta(days=1), timezone)})"
        )
    return "(" + " or ".join(terms) + ")" if terms else "false"


def measure(
    connection: Any, relation: Relation, layout: Layout, slices: Sequence[Slice] | None = None
) -> dict[Slice, Fingerprint]:
    """Count and checksum per slice, in the connection's snapshot; of ``slices`` only when given
    (those without a row are in the answer with zero)."""
    partition, timezone = layout.partition, layout.timezone
    where = "true" if slices is None else slice_predicate(relation, partition, timezone, slices)
    found = {
        Slice(name): Fingerprint(rows, int(checksum) % 2**64)
        for name, rows, checksum in connection.execute(
            f"select {slice_expression(relation, partition, timezone)}, count(*), sum({token(relation, layout.key)})::text"
            f" from {from_clause(relation)} where {where} group by 1"
        )
    }
    for absent in set(slices or ()) - set(found):
        found[absent] = Fingerprint(0, 0)
    return found


def tally(connection: Any, relation: Relation, layout: Layout, *, server_version: int) -> dict[Slice, Tally]:
    """Rows and versions per slice, in the connection's snapshot: a quarter of what ``measure`` costs.

    ``age()`` of a row's xmin is summed, which needs no conversion, and taken from the present
    transaction number at the end.
    """
    partition, timezone = layout.partition, layout.timezone
    grouped, named = "1", literal(WHOLE_TABLE)
    if partition is not None:
        grouped = _day(relation, partition, timezone)
        named = "d::text"
        column = relation.column(partition)
        if (
            column
            and column.base == "timestamptz"
            and timezone.upper() in ("UTC", "ETC/UTC")
            and server_version >= 14
        ):
            # the same days without a conversion to local time: two thirds of the whole cost
            grouped = f"date_bin('1 day', {quote(partition)}, timestamptz '2000-01-01 00:00+00')"
            named = "(d at time zone 'UTC')::date::text"
    ages = "sum(age(xmin))" if relation.has_xmin else "0"
    rows = connection.execute(
        f"select coalesce({named}, {literal(NULL_SLICE)}), n, ages, age('3'::xid) + 3::bigint from"
        f" (select {grouped} as d, count(*) as n, {ages} as ages"
        f" from {from_clause(relation)} group by 1) counted"
    )
    return {
        Slice(name): Tally(n, (n * present - int(ages)) % VERSIONS_MODULUS if relation.has_xmin else 0)
        for name, n, ages, present in rows
        if n
    }
