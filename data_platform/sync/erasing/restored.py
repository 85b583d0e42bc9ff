"""A warehouse that was restored from a backup loses everybody in the log of erasures before anyone can read it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import place_in
from data_platform.chained.log import Log
from data_platform.privacy.erasure.requests import LOG
from data_platform.privacy.retention.requests import LOG as RETENTION
from data_platform.privacy.retention.rule import AgedModel
from data_platform.quality.failures import TABLE as FAILURES
from data_platform.sync.consent.table import TABLE as DECISIONS
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.door import Door, door_of
from data_platform.sync.erasing.rows import Matches, conditions, containing
from data_platform.sync.erasing.traces import forget_samples
from data_platform.sync.platform import Platform
from data_platform.sync.retention.apply import apply_to
from data_platform.warehouses import PLATFORM_SCHEMA, Relation, Warehouse
from data_platform.warehouses.counted import count_rows

ALL = "1 = 1"
Forgetting = Callable[[Warehouse], Mapping[str, int]]
"""Deletes what must not come back of a warehouse that nobody else has opened yet; how many rows, by relation."""


def forgetting(
    platform: Platform,
    derived: Callable[[], Sequence[Derived]],
    aged: Callable[[], Sequence[AgedModel]] = list,
    archive: Archive | None = None,
) -> Forgetting | None:
    """What takes everybody who was erased, and rows beyond the limits of retention, out of a warehouse that is restored, such as from
    ``archive``; None where there is nothing to take out.

    Raw tables and the models of ``derived`` lose the rows with a key. Other tables lose the rows that hold what was typed to name the
    person, for the next build makes them again. The log is read at once: LedgerBroken, ConfigurationError where it cannot be.
    """
    if archive is not None:
        platform = _knowing(platform, archive)
    door = door_of(platform, whole=True)
    if not door.values and not door.expired:
        return None
    needles = _needles(platform) if door.values else []
    models = [one for one in derived() if one.key in door.values] if door.values else []
    models += [
        Derived(subject.consent.place, DECISIONS.schema, DECISIONS.name, "subject_key")
        for subject in platform.catalog.subjects.values()
        if subject.consent is not None and subject.consent.place in door.values
    ]
    old = aged() if door.expired else []
    own = {PLATFORM_SCHEMA, *(table.raw_schema for table in platform.catalog.table_ids())}

    def forget(warehouse: Warehouse) -> Mapping[str, int]:
        removed = _forget(warehouse, door, models, needles, own)
        for name, rows in apply_to(warehouse, door.expired, old).items():
            removed[name] = removed.get(name, 0) + rows
        return removed

    return forget


def _knowing(platform: Platform, archive: Archive) -> Platform:
    """The platform with the log that knows more: its own, or that of the archive, where the landing store is what was lost."""
    there = place_in(archive).reader
    ends = [
        [Log(store, name, platform.signer).last() for name in (LOG, RETENTION)]
        for store in (platform.store, there)
    ]
    return replace(platform, store=there) if ends[1] > ends[0] else platform


def asked_after(platform: Platform, at: datetime) -> list[str]:
    """The requests to erase somebody that were written after ``at``: what is recovered of a source as of then has these people again."""
    if not platform.catalog.subjects:
        return []
    found = Book(platform).read().requests.values()
    return [one.id for one in found if one.asked_at is not None and one.asked_at > at]


def _forget(
    warehouse: Warehouse, door: Door, models: Sequence[Derived], needles: Sequence[str], own: Collection[str]
) -> dict[str, int]:
    tables = {(one.schema, one.name): one for one in warehouse.describe() if one.kind == "table"}
    removed: dict[str, int] = {}

    def lose(schema: str, name: str, matches: Matches) -> None:
        if (held := tables.get((schema, name))) is not None:
            there = {column for column, _ in held.columns}
            pairs = [pair for pair in matches if pair[0].column in there]
            _delete(warehouse, held, conditions(warehouse.dialect, pairs, door.values), removed)

    for table, matches in door.matches.items():
        lose(table.raw_schema, table.table, matches)
    for one in models:
        if one.match is not None:
            lose(one.schema, one.name, [one.match])
        found = one.finds(door.values.get(one.key, ()))
        if not (found or one.lasting) and (held := tables.get((one.schema, one.name))) is not None:
            # nobody can tell whose rows they are, and a build makes them again
            _delete(warehouse, held, [ALL], removed)
    if (FAILURES.schema, FAILURES.name) in tables and (rows := forget_samples(warehouse)):
        removed[f"{FAILURES.schema}.{FAILURES.name}"] = rows
    for held in tables.values():
        if held.schema not in own:
            _delete(warehouse, held, containing(warehouse.dialect, held, needles), removed)
    return removed


def _needles(platform: Platform) -> list[str]:
    book = Book(platform)
    opened = book.all_opened([one.sealed for one in book.read().requests.values()])
    return sorted({text for _, needles in opened for text in needles})


def _delete(warehouse: Warehouse, held: Relation, tests: Sequence[str], removed: dict[str, int]) -> None:
    rows = sum(count_rows(warehouse, held.schema, held.name, test) for test in tests)
    if rows:
        warehouse.remove_rows(held.schema, held.name, tests)
        name = f"{held.schema}.{held.name}"
        removed[name] = removed.get(name, 0) + rows
