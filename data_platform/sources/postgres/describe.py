"""A relation as the sync sees it: its clear columns, each by a rule that keeps its values exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from data_platform.errors import DataPlatformError, SourceError, UnsupportedType
from data_platform.sources.postgres.fingerprint import XMIN, keeps_checksum
from data_platform.sources.postgres.identity import Identity, renamed
from data_platform.sources.postgres.introspect import Relation, SourceColumn
from data_platform.sources.postgres.types import ColumnPlan, plan_column_as, plan_columns, quote, type_base
from data_platform.sources.reading import Changes, ClearColumn, Described, SourceTable
from data_platform.tables import SOURCE_XMIN, Column


@dataclass(frozen=True, slots=True)
class Known:
    """What PostgreSQL's part knows of a described table: all of the relation, and the columns' rules by name."""

    relation: Relation
    plans: Mapping[str, ColumnPlan]


def known(now: Described) -> Known:
    found: Known = now.private
    return found


def describe(
    table: SourceTable, relation: Relation, before: Identity | None, *, to_read: bool = True
) -> Described:
    """``before`` is the relation that was read last. SourceError where a column may not be read. Not ``to_read``,
    the rules of no more columns are made than tell rows apart."""
    read = chosen(table, relation)
    place = f"{relation.schema}.{relation.name}"
    _check_granted(read, f"{table.id} ({place})")
    as_text = table.settings.as_text
    refusal: DataPlatformError | None = None
    planned = read if to_read else _telling_rows_apart(table, read)
    try:
        plans = {plan.name: plan for plan in plan_columns(planned, as_text)}
    except UnsupportedType as error:
        refusal = error
        found = {column.name: plan_column_as(column, as_text) for column in planned.columns}
        plans = {name: plan for name, plan in found.items() if plan is not None}
    version = Column(SOURCE_XMIN, "BIGINT", "xid", not relation.has_xmin)
    return Described(
        name=relation.name,
        place=place,
        changes=_changes(table, relation),
        columns=tuple(_clear(table, relation, column, plans.get(column.name)) for column in read.columns),
        column_names=tuple(relation.column_names),
        identity=relation.identity.to_json() if to_read and relation.identity else None,
        own=(version,),
        version=SOURCE_XMIN,
        enforced_keys=relation.unique_keys,
        indexed=relation.indexed,
        renamed=renamed(before, relation.identity),
        landed_before=before is not None,
        refusal=refusal,
        type_base=type_base,
        private=Known(relation, plans),
    )


def chosen(table: SourceTable, relation: Relation) -> Relation:
    """``relation`` with the columns that are read of it."""
    if not table.only:
        return relation
    return replace(relation, columns=tuple(c for c in relation.columns if c.name in table.only))


def _telling_rows_apart(table: SourceTable, relation: Relation) -> Relation:
    wanted = (*table.key, table.partition)
    return replace(relation, columns=tuple(c for c in relation.columns if c.name in wanted))


def server_columns(now: Described, treated: Collection[str]) -> tuple[tuple[str, str], ...]:
    """What the server sends, as (name, SQL): of ``treated`` columns their text form."""
    plans, relation = known(now).plans, known(now).relation
    sent = tuple(
        (c.name, f"{quote(c.name)}::text" if c.name in treated else plans[c.name].server) for c in now.columns
    )
    return (*sent, (SOURCE_XMIN, XMIN if relation.has_xmin else "null::bigint"))


def suspects(now: Described, treated: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Columns of which a value might land as an infinity and be none, and the server's SQL that finds it."""
    plans = known(now).plans
    return tuple(
        (c.name, suspect)
        for c in now.columns
        if c.name not in treated and (suspect := plans[c.name].suspect) is not None
    )


def _changes(table: SourceTable, relation: Relation) -> Changes:
    if relation.has_xmin:
        return "versions"
    return "cursor" if table.cursor else "none"


def _clear(
    table: SourceTable, relation: Relation, column: SourceColumn, plan: ColumnPlan | None
) -> ClearColumn:
    name = column.name
    return ClearColumn(
        name,
        plan.type if plan else "",
        column.formatted,
        not column.not_null,
        plan.engine if plan else "",
        quote(name) if plan else "",
        column.element or column.base,
        relation.references.get(name),
        plan is not None
        and name in table.key
        and name not in table.settings.as_text
        and keeps_checksum(column),
    )


def _check_granted(relation: Relation, where: str) -> None:
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
