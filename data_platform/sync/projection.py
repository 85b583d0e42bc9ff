"""From a table's block in the catalog and its relation at the source to what is selected.

Here personal data is decided at the door: a treated column's clear value goes
into the extraction query's expressions and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace

from data_platform.catalog import Table
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import PersonalColumnUndeclared, SourceError, TableMissing, UnsupportedType
from data_platform.privacy.names import is_secret, of_column
from data_platform.privacy.treatments import expression
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule
from data_platform.sources.postgres.extract import Projection
from data_platform.sources.postgres.fingerprint import keeps_checksum
from data_platform.sources.postgres.identity import Identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.types import ColumnPlan, plan_columns, quote
from data_platform.sync.decide import Shape, treated
from data_platform.tables import BATCH_ID, LOADED_AT, RULE_PREFIX, SOURCE_XMIN, Column

ROW_ID = "rowid"
"""By which the warehouse deletes what a batch replaces: a column of this name would hide it."""
XMIN = (
    "case when age(xmin) < 2147483647"
    " then ((select age('3'::xid)::bigint + 3) - age(xmin)) & 4294967295 else xmin::text::bigint end"
)
"""``xmin::text::bigint`` at a fraction of its price, which is a tenth of what the server spends on a
row: the next transaction number (one subquery) minus the row's age, modulo 2**32. The three
permanent numbers below 3 have the greatest age there is, and go through text."""


def project(
    table: Table, relation: Relation, today: str, before: Identity | None = None
) -> tuple[list[Projection], Shape]:
    """The projections of ``table`` and the shape they land in. ``today`` is the snapshot's UTC day,
    ``before`` the relation that was read last.

    Raises TableMissing for a column the catalog names and the source lacks,
    PersonalColumnUndeclared, UnsupportedType.
    """
    check_columns(table, relation, before)
    relation = chosen(table, relation)
    plans = plan_columns(relation, table.settings.as_text)
    projections, columns = [], []
    for plan in plans:
        treatment = table.personal.get(plan.name, "keep")
        if treatment == "keep":
            projections.append(Projection(plan.name, plan.server, plan.engine, plan.suspect))
            columns.append(Column(plan.name, plan.type, plan.source_type, plan.nullable))
        else:
            name = quote(plan.name)
            projections.append(Projection(plan.name, f"{name}::text", expression(plan.name, treatment, name)))
            columns.append(Column(plan.name, "VARCHAR", treated(plan.source_type, treatment), plan.nullable))
    for rule, sql in _rules_at_the_door(table, {p.name: p for p in plans}, today):
        projections.append(Projection(rule.landed_column, None, sql))
        columns.append(Column(rule.landed_column, "BOOLEAN", f"rule: {rule.text}"))
    version = XMIN if relation.has_xmin else "null::bigint"
    projections.append(Projection(SOURCE_XMIN, version, SOURCE_XMIN))
    columns.append(Column(SOURCE_XMIN, "BIGINT", "xid", not relation.has_xmin))
    return projections, Shape(tuple(columns), table.key, table.partition, table.timezone, relation.identity)


def chosen(table: Table, relation: Relation) -> Relation:
    """``relation`` with the columns that are read of it."""
    if not table.only:
        return relation
    return replace(relation, columns=tuple(c for c in relation.columns if c.name in table.only))


def check_columns(table: Table, relation: Relation, before: Identity | None = None) -> None:
    names = set(relation.column_names)
    where = f"{table.id} ({relation.schema}.{relation.name})"
    named = {
        "only": table.only,
        "key": table.key,
        "cursor": [table.cursor] if table.cursor else [],
        "partition": [table.partition] if table.partition else [],
        "personal": table.personal,
        "as": table.settings.as_text,
        "columns": table.columns,
        "rules": [column for rule in table.rules for column in rule.columns],
    }
    renamed = _renamed(relation, before)
    missing = [
        f"{column} (in `{block}`{renamed.get(column, '')})"
        for block, wanted in named.items()
        for column in wanted
        if column not in names
    ]
    if missing:
        raise TableMissing(
            f"{where} has no column {', '.join(dict.fromkeys(missing))}. Correct the catalog, or the column's name"
            " at the source"
            + (f"; then run `data-platform sync --refresh {table.id}`" if before else "")
            + f". It has: {', '.join(sorted(names))}."
        )
    if table.partition:
        column = relation.column(table.partition)
        if column and column.base not in ("date", "timestamp", "timestamptz"):
            raise UnsupportedType(
                f"{where}: the partition column {table.partition} is {column.formatted};"
                " daily partitions need a date or a timestamp."
            )
    relation = chosen(table, relation)
    names = set(relation.column_names)
    _check_granted(table, relation, where)
    _check_declared(table, relation, where)
    own = (BATCH_ID, LOADED_AT, SOURCE_XMIN, ROW_ID)
    reserved = [n for n in names if n.lower() in own or n.lower().startswith(RULE_PREFIX)]
    folded: dict[str, str] = {}
    for name in sorted(names):
        if name.lower() in folded:
            reserved.append(f"{name} (differs from {folded[name.lower()]} in case only)")
        folded[name.lower()] = name
    if reserved:
        raise UnsupportedType(
            f"{where} has columns whose names the warehouse cannot hold: {', '.join(sorted(reserved))}."
            " Rename them at the source, or read a view that does."
        )


def _check_granted(table: Table, relation: Relation, where: str) -> None:
    if relation.readable is None:
        return
    denied = [name for name in relation.column_names if name not in relation.readable]
    if denied:
        granted = [name for name in relation.column_names if name in relation.readable]
        raise SourceError(
            f"{where}: this user may not SELECT the column(s) {', '.join(denied)}. Nothing was read, and what has landed"
            " stays as it is. GRANT SELECT on them to the sync's user, or name under `only` of the table's block the"
            f" columns to read: {', '.join(granted) or 'none is granted'}."
        )


def _check_declared(table: Table, relation: Relation, where: str) -> None:
    undeclared = {
        column.name: reason
        for column in sorted(relation.columns, key=lambda c: c.name)
        if column.name not in table.personal and (reason := of_column(relation, column))
    }
    if not undeclared:
        return
    listed = ", ".join(f"{name} (looks like {reason})" for name, reason in undeclared.items())
    secrets = any(map(is_secret, undeclared.values()))
    raise PersonalColumnUndeclared(
        f"{where} has columns that look like secrets or personal data and are not declared: {listed}. Nothing was"
        f" read. Under `personal:` of {table.id} say what becomes of each: hash, mask or redact, or `keep` where it"
        " may land as it is" + ("; secrets are best redacted, or left out with `only`." if secrets else ".")
    )


def _renamed(relation: Relation, before: Identity | None) -> dict[str, str]:
    """What is to be said of columns that have another name than when they were read."""
    if before is None or relation.identity is None or before.oid != relation.oid:
        return {}
    now = {number: name for name, number in relation.identity.columns.items()}
    return {
        name: f"; it is called {now[number]} now"
        for name, number in before.columns.items()
        if now.get(number, name) != name
    }


def key_enforced(table: Table, relation: Relation) -> bool:
    """Whether the source itself keeps the landed key unique and not null in every snapshot."""
    clear = all(table.personal.get(column, "keep") == "keep" for column in table.key)
    return clear and any(unique <= set(table.key) for unique in relation.unique_keys)


def checksum_key(table: Table, relation: Relation) -> tuple[str, ...]:
    """The key columns both engines can fingerprint: clear ones of a type with one text form."""
    return tuple(
        name
        for name in table.key
        if table.personal.get(name, "keep") == "keep"
        and name not in table.settings.as_text
        and (column := relation.column(name)) is not None
        and keeps_checksum(column)
    )


def _rules_at_the_door(table: Table, plans: dict[str, ColumnPlan], today: str) -> list[tuple[Rule, str]]:
    """Row rules on treated columns, which only the clear value can answer, as boolean columns."""

    def column_sql(name: str) -> str:
        plan = plans[name]
        if table.personal.get(name, "keep") == "keep":
            return f"({plan.engine})"
        return f"CAST({quote(name)} AS {plan.type})"

    return [
        (rule, condition(rule, DIALECT, column_sql, today=DIALECT.date(today)))
        for rule in table.rules
        if rule.lands(table.personal)
    ]
