"""Which rows are beyond a table's rule: the limit of today, those that were applied, and whom a legal hold spares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from data_platform.catalog import Catalog, Table
from data_platform.errors import ConfigurationError, UnsupportedType
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.retention.requests import Application, HoldThen, applied
from data_platform.privacy.retention.rule import AgedModel, Limit
from data_platform.privacy.subjects.place import Place
from data_platform.sources.records.keys import RECORD
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.erasing.rows import Matches, Values, listed
from data_platform.sync.platform import Platform
from data_platform.tables import NOT_PERSONAL, TableId
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Spared:
    """Whose rows stay while a hold lasts: by table, the columns that hold one of a person's keys. ``holds`` are the names."""

    holds: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    matches: Mapping[TableId, Matches] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expired:
    """What a limit takes out of its table, but for the rows of ``spared`` people."""

    limit: Limit
    spared: Spared

    def rows(self, dialect: Dialect, types: Mapping[str, str]) -> str | None:
        """SQL over a table's columns, given with their types in the engine, that is true for the rows that go, or are emptied, and never NULL.
        None where the table lacks the columns for it. ``UnsupportedType`` where that of the rule holds no day."""
        there = self.limit.only(tuple(types))
        if there.by not in types or (self.limit.blank and not there.blank):
            return None
        return there.condition(dialect, types[there.by], self.stay(dialect, types))

    def stay(self, dialect: Dialect, columns: Collection[str]) -> str:
        """SQL that is true for the rows of spared people; empty where there are none."""
        matches = self.spared.matches.get(self.limit.table, ())
        found = condition(dialect, matches, lambda key: listed(dialect, self.spared.values[key]), columns)
        return "" if found == "false" else found


def holds_now(platform: Platform) -> tuple[HoldThen, ...]:
    """The holds that last. Without kinds of people in the catalog nothing is asked."""
    if not platform.catalog.subjects:
        return ()
    return tuple(HoldThen(one.name, one.subject, one.sealed) for one in Book(platform).read().holds.values())


def in_force(
    platform: Platform, applications: Mapping[str, Application]
) -> dict[TableId, tuple[Expired, ...]]:
    """What no sync lands any more, by table: the limits that were applied to tables that still have a rule, each with those who were on
    hold then. A hold of later brings back nothing, and one that was released keeps its rows until the next application."""
    ruled = {table.id for table in platform.catalog.ruled_by_retention()}
    people: dict[tuple[HoldThen, ...], Spared] = {}
    found = {}
    for table, terms in applied(applications).items():
        if table in ruled:
            for _, holds in terms:
                if holds not in people:
                    people[holds] = spared(platform, holds)
            found[table] = tuple(Expired(limit, people[holds]) for limit, holds in terms)
    return found


def spared(platform: Platform, holds: Sequence[HoldThen]) -> Spared:
    """Everybody whom ``holds`` are about. LedgerBroken where the keys of one are lost."""
    book = Book(platform)
    values: dict[Place, set[str]] = {}
    matches: dict[TableId, dict[tuple[Place, Place], None]] = {}
    opened = book.all_opened([one.sealed for one in holds])
    for hold, (frozen, _) in zip(holds, opened, strict=True):
        subject = platform.catalog.subjects.get(hold.subject)
        for place, some in frozen.values.items():
            values.setdefault(place, set()).update(some)
        for table in subject.tables if subject else ():
            found = frozen.matches(subject, keys_of(platform, subject), table) if subject else ()
            matches.setdefault(table, {}).update(dict.fromkeys(found))
    return Spared(
        tuple(hold.name for hold in holds),
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
    personal = (path for path, said in table.personal.items() if said != NOT_PERSONAL)
    found = {path.split(".")[0] if path not in table.columns else path: None for path in personal}
    if table.subject is not None:
        found[table.subject.column] = None
    for subject in catalog.subjects.values():
        found.update(dict.fromkeys(link.child.column for link in subject.links_of(table.id)))
    found[RECORD] = None
    return tuple(column for column in found if column not in table.key and rule and column != rule.by)


def rules_of(catalog: Catalog) -> dict[TableId, tuple[str, tuple[str, ...]]]:
    """Of each table with a rule, the column by which rows grow old, and those that are emptied then or say whose rows they are."""
    found = {}
    for table in catalog.ruled_by_retention():
        assert table.retention is not None
        emptied = blanked(catalog, table) if table.retention.then == "anonymise" else ()
        links = (link.child for subject in catalog.subjects.values() for link in subject.links_of(table.id))
        persons = (*table.key, *(place.column for place in links if not place.path))
        found[table.id] = (table.retention.by, tuple(dict.fromkeys((*emptied, *persons))))
    return found


def beyond(warehouse: Warehouse, held: Relation, expired: Expired) -> str | None:
    """A condition for the rows of ``held``, a raw table, that are beyond the limit; None where it lacks the column. ConfigurationError
    where that holds no day."""
    limit = expired.limit
    try:
        return expired.rows(warehouse.dialect, dict(held.columns))
    except UnsupportedType:
        type_ = dict(held.columns)[limit.by]
        raise ConfigurationError(
            f"The retention of {limit.table} counts from {limit.by}, which holds no day (it is {type_}). Name a date or time column in `by`."
        ) from None


def in_model(expired: Expired, model: AgedModel) -> Expired | None:
    """The same over the columns of ``model``; None where it does not hand on what tells the rows."""
    limit, columns, spared_ = expired.limit, model.columns, expired.spared
    matches = spared_.matches.get(limit.table, ())
    if model.by is None or any(place.path or place.column not in columns for place, _ in matches):
        return None
    blank = tuple(columns[column] for column in limit.blank if column in columns)
    if limit.blank and not blank:
        return None
    mine = [(replace(place, column=columns[place.column]), key) for place, key in matches]
    there = Limit(limit.table, model.by, limit.before, limit.timezone, blank)
    return Expired(there, Spared(spared_.holds, spared_.values, {limit.table: mine}))
