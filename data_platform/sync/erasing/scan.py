"""Looks for a person in what is left: every landed part decoded, every other object byte by byte, every table of the warehouse."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import place_in
from data_platform.duckdb_sql import DIALECT, parquet_files
from data_platform.errors import LandingError
from data_platform.landing.inbox import FOLDER as INBOX
from data_platform.landing.keys import part_sequence
from data_platform.privacy.erasure.frozen import Frozen, Keys, condition
from data_platform.privacy.erasure.requests import LOCKED, LOG, UNTIL
from data_platform.privacy.subjects.graph import Subject
from data_platform.sql import literal, quoted
from data_platform.stores import Store
from data_platform.sync.erasing.landing import engine, values_of
from data_platform.sync.erasing.rows import Matches, containing, count_matches
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import PLATFORM_SCHEMA, Relation, Warehouse
from data_platform.warehouses.counted import count_rows

if TYPE_CHECKING:
    import duckdb

CHUNK = 1 << 20
SHOWN = 5


def scan(
    platform: Platform,
    archives: Sequence[Archive],
    needles: Sequence[str],
    frozen: Frozen,
    keys: Keys,
    subject: Subject,
    models: Mapping[tuple[str, str], Matches],
    waits: Collection[str] = (),
) -> dict[str, Any]:
    """How much was read, and how many objects of a copy hold the person and are locked until when: nobody can remove those before.
    LandingError names what holds the person otherwise. ``models`` are the columns that hold keys, by the schema and the name of a
    model's table; those that ``waits`` names (``schema.name``) are passed over, since only a build takes the person out of them."""
    places = {"landing": platform.store} | {
        f"copy {archive.name}": place_in(archive).reader for archive in archives
    }
    said: dict[str, Any] = {}
    found: list[str] = []
    with platform.store.scratch() as folder, engine(folder, frozen.values) as connection:
        for name, store in places.items():
            objects = size = 0
            locked: list[datetime] = []
            for key in store.list(""):
                if key.startswith(f"_{LOG}/keys/"):
                    continue
                with _unless_gone(store, key), store.local(key) as path:
                    objects, size = objects + 1, size + path.stat().st_size
                    if _holds(connection, key, path, needles, frozen, keys, subject):
                        until = store.locks.until(key) if store.locks is not None else None
                        if until is None:
                            found.append(f"{key} in {store.url}")
                        else:
                            locked.append(until)
            said[name] = {"objects": objects, "bytes": size}
            if locked:
                said[name] |= {LOCKED: len(locked), UNTIL: max(locked).isoformat()}
    raw = {(table.raw_schema, table.table): frozen.matches(subject, keys, table) for table in subject.tables}
    relations = list(_in_warehouse(platform, needles, frozen, {**models, **raw}, waits))
    found += [name for name, held in relations if held]
    said["warehouse"] = {"relations": len(relations)}
    if waiting := sorted({name.split("/")[1] for name in found if name.startswith(f"{INBOX}/")}):
        raise LandingError(
            f"The person is in deliveries that wait to be taken: sync {', '.join(waiting)}, which leaves the rows of the person out, and go on with"
            " the request."
        )
    if found:
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        raise LandingError(
            f"The person is still in {', '.join(found[:SHOWN])}{more}. Find out what wrote it there: a sync that began before the request, or"
            " a table that catalog/subjects.yaml does not link. Then go on with the request."
        )
    return said


@contextmanager
def _unless_gone(store: Store, key: str) -> Iterator[None]:
    """What is deleted while it is read is passed over."""
    import duckdb

    try:
        yield
    except (KeyError, FileNotFoundError, duckdb.IOException):
        with suppress(KeyError):
            store.size(key)
            raise


def holding(
    platform: Platform,
    objects: Sequence[str],
    needles: Sequence[str],
    frozen: Frozen,
    keys: Keys,
    subject: Subject,
) -> list[str]:
    """Which of the landing store's ``objects`` hold the person."""
    found = []
    with platform.store.scratch() as folder, engine(folder, frozen.values) as connection:
        for key in objects:
            with _unless_gone(platform.store, key), platform.store.local(key) as path:
                if _holds(connection, key, path, needles, frozen, keys, subject):
                    found.append(key)
    return found


def _holds(
    connection: duckdb.DuckDBPyConnection,
    key: str,
    path: Path,
    needles: Sequence[str],
    frozen: Frozen,
    keys: Keys,
    subject: Subject,
) -> bool:
    if not key.endswith(".parquet") or "/quarantine" in key:
        return _has_bytes(path, [needle.encode() for needle in needles])
    source = parquet_files([path])
    columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    tests = [_contains(quoted(column), needles) for column in columns] if needles else []
    table = _table_of(key)
    if table is not None:
        tests.append(condition(DIALECT, frozen.matches(subject, keys, table), values_of, columns))
    if not tests:
        return False
    row = connection.execute(f"SELECT count(*) FROM {source} WHERE {' OR '.join(tests)}").fetchone()
    return bool(row and row[0])


def _table_of(key: str) -> TableId | None:
    source, _, rest = key.partition("/")
    table = TableId(source, rest.partition("/")[0]) if rest else None
    return table if table is not None and part_sequence(table, key) is not None else None


def _contains(column: str, needles: Sequence[str]) -> str:
    """One pass over the text, however many ``needles`` there are."""
    any_of = "|".join(re.escape(needle.lower()) for needle in needles)
    return f"coalesce(regexp_matches(lower(CAST({column} AS VARCHAR)), {literal(any_of)}), false)"


def _has_bytes(path: Path, needles: Sequence[bytes]) -> bool:
    longest = max(map(len, needles), default=0)
    with path.open("rb") as file:
        before = b""
        while chunk := file.read(CHUNK):
            text = before + chunk
            if any(needle in text for needle in needles):
                return True
            before = text[-longest:] if longest else b""
    return False


def _in_warehouse(
    platform: Platform,
    needles: Sequence[str],
    frozen: Frozen,
    columns: Mapping[tuple[str, str], Matches],
    waits: Collection[str],
) -> Iterator[tuple[str, bool]]:
    """Each table outside the platform's own schema that was searched, and whether one of its columns holds a needle, or one of those
    that hold keys a key of the person."""
    with platform.warehouse(read_only=True) as warehouse:
        for one in warehouse.describe():
            name = f"{one.schema}.{one.name}"
            matches = [pair for pair in columns.get((one.schema, one.name), ()) if pair[1] in frozen.values]
            passed_over = one.schema == PLATFORM_SCHEMA or one.kind != "table" or name in waits
            if passed_over or not (needles or matches):
                continue
            held = bool(count_matches(warehouse, one, matches, frozen.values))
            yield name, held or _contains_any(warehouse, one, needles)


def models_holding(platform: Platform, names: Collection[str], needles: Sequence[str]) -> list[str]:
    """Which of these tables, named as ``schema.name``, hold one of the texts."""
    if not (names and needles):
        return []
    with platform.warehouse(read_only=True) as warehouse:
        return [
            f"{one.schema}.{one.name}"
            for one in warehouse.describe()
            if f"{one.schema}.{one.name}" in names and _contains_any(warehouse, one, needles)
        ]


def _contains_any(warehouse: Warehouse, held: Relation, needles: Sequence[str]) -> bool:
    tests = containing(warehouse.dialect, held, needles) if needles else ()
    return any(count_rows(warehouse, held.schema, held.name, test) for test in tests)
