"""Which rows are beyond a table's rule: the limit of today, and whom a legal hold spares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from data_platform.catalog import Catalog, Table
from data_platform.errors import ConfigurationError, UnsupportedType
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.retention.rule import Limit
from data_platform.privacy.subjects.place import Place
from data_platform.sources.records.keys import RECORD
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.erasing.rows import Matches, Values, listed
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.dialect import relation


@dataclass(frozen=True, slots=True)
class Spared:
    """Whose rows stay while a hold lasts: by table, the columns that hold one of a person's keys. ``holds`` are the names."""

    holds: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    matches: Mapping[TableId, Matches] = field(default_factory=dict)


def spared(platform: Platform) -> Spared:
    """Everybody on hold. Without kinds of people in the catalog nothing is asked."""
    if not platform.catalog.subjects:
        return Spared()
    book = Book(platform)
    holds = book.read().holds
    values: dict[Place, set[str]] = {}
    matches: dict[TableId, dict[tuple[Place, Place], None]] = {}
    for hold in holds.values():
        subject = platform.catalog.subjects.get(hold.subject)
        frozen = book.opened(hold.sealed)[0]
        for place, some in frozen.values.items():
            values.setdefault(place, set()).update(some)
        for table in subject.tables if subject else ():
            found = frozen.matches(subject, keys_of(platform, subject), table) if subject else ()
            matches.setdefault(table, {}).update(dict.fromkeys(found))
    return Spared(
        tuple(holds),
        {place: frozenset(some) for place, some in values.items()},
        {table: tuple(found) for table, found in matches.items()},
    )


def limit_of(platform: Platform, table: Table) -> Limit:
    """What the rule of ``table`` comes to now."""
    rule = table.retention
    if rule is None:
        raise ConfigurationError(f"{table.id} has no `retention` in the catalog.")
    blank = blanked(platform.catalog, table) if rule.then == "anonymise" else ()
    return Limit(table.id, rule.by, rule.before(platform.clock(), table.timezone), table.timezone, blank)


def blanked(catalog: Catalog, table: Table) -> tuple[str, ...]:
    """The columns that `anonymise` empties, the record as it came among them."""
    rule = table.retention
    if rule is not None and rule.columns:
        return rule.columns
    found = {path.split(".")[0] if path not in table.columns else path: None for path in table.personal}
    if table.subject is not None:
        found[table.subject.column] = None
    for subject in catalog.subjects.values():
        found.update(dict.fromkeys(link.child.column for link in subject.links_of(table.id)))
    found[RECORD] = None
    return tuple(column for column in found if column not in table.key and rule and column != rule.by)


def rules_of(catalog: Catalog) -> dict[TableId, tuple[str, tuple[str, ...]]]:
    """Of each table with a rule, the column by which rows grow old and those that are emptied then."""
    return {
        table.id: (table.retention.by, blanked(catalog, table) if table.retention.then == "anonymise" else ())
        for table in catalog.ruled_by_retention()
        if table.retention is not None
    }


def beyond(warehouse: Warehouse, held: Relation, limit: Limit, kept: Spared) -> str | None:
    """A condition for the rows of ``held``, a raw table, that are beyond the limit; None where it lacks the column. ConfigurationError
    where that holds no day."""
    columns = dict(held.columns)
    if limit.by not in columns:
        return None
    there = limit.only(tuple(columns))
    if limit.blank and not there.blank:
        return None
    return _condition(warehouse, there, columns[limit.by], kept, columns)


def beyond_in_model(
    warehouse: Warehouse, held: Relation, column: str, limit: Limit, blank: tuple[str, ...]
) -> str | None:
    """The same for the table of a model whose ``column`` is that of the rule, and ``blank`` those that the rule empties."""
    columns = dict(held.columns)
    if column not in columns or (limit.blank and not blank):
        return None
    there = Limit(limit.table, column, limit.before, limit.timezone, blank)
    return _condition(warehouse, there, columns[column], Spared(), columns)


def count(warehouse: Warehouse, held: Relation, rows: str) -> int:
    target = relation(warehouse.dialect, held.schema, held.name)
    return int(warehouse.query(f"SELECT count(*) FROM {target} WHERE {rows}").rows[0][0])


def _condition(warehouse: Warehouse, limit: Limit, type_: str, kept: Spared, columns: Collection[str]) -> str:
    dialect = warehouse.dialect
    matches = kept.matches.get(limit.table, ())
    stay = (
        condition(dialect, matches, lambda key: listed(dialect, kept.values[key]), columns) if matches else ""
    )
    try:
        return limit.condition(dialect, type_, stay)
    except UnsupportedType:
        raise ConfigurationError(
            f"The retention of {limit.table} counts from {limit.by}, which holds no day (it is {type_}). Name a date or time column in `by`."
        ) from None
