"""Landed parts without a person's rows: written anew, named by a signed redaction, and the old ones deleted."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.duckdb_sql import DIALECT, duckdb_day, parquet_files, slice_of_day
from data_platform.errors import BatchConflict, LedgerBroken, PartDamaged, PartExpired
from data_platform.landing.chain import with_parts
from data_platform.landing.keys import part_key
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part, sha256_of
from data_platform.landing.redaction import Redaction, Rewritten
from data_platform.landing.stored_parts import again_if_replaced, open_part
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.subjects.place import Place
from data_platform.sources.parquet import PARQUET
from data_platform.sources.reading import blanking
from data_platform.sql import literal, quoted
from data_platform.sync.erasing.rows import Matches, Values
from data_platform.sync.platform import Platform
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Column, Layout, Slice, TableId

if TYPE_CHECKING:
    import duckdb

TRIES = 5
MEMORY = "384MB"


@dataclass(frozen=True, slots=True)
class Erased:
    """``parts`` were written anew without ``rows`` of their rows."""

    parts: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """Which rows of a table's parts go. ``rows`` is a condition over the columns that a part has, in DuckDB's SQL and never NULL; it may
    ask for ``values_of`` the places of ``values``. Rows with columns to ``blank`` stay, without these. Batches that are ``passed`` have none
    of the rows."""

    values: Values
    rows: Callable[[Sequence[Column]], str]
    blank: tuple[str, ...] = ()
    passed: Callable[[Manifest], bool] = lambda _: False


def of_person(matches: Matches, values: Values) -> Gone:
    """The rows that hold one of a person's keys."""
    return Gone(
        values,
        lambda columns: condition(DIALECT, matches, values_of, {column.name for column in columns}),
    )


def redact(platform: Platform, table: TableId, gone: Gone, *, reason: str, authorised_by: str) -> Erased:
    """Take the rows out of every landed batch of ``table``. BatchConflict where syncs were faster each time; a kill in between is
    mended by doing it again."""
    import duckdb

    for attempt in range(TRIES):
        head = platform.ledger.head(table)
        if head is None:
            return Erased()
        nonce, touched, parts = uuid.uuid4().hex, Counter[Slice](), list[Rewritten]()
        try:
            parts.extend(_rewritten(platform, head, nonce, gone, touched))  # keeps those before an error
            if parts:
                redaction = Redaction(tuple(parts), reason, authorised_by, _now(platform))
                platform.ledger.redact(head, redaction, nonce, touched=touched)
        except (BatchConflict, LedgerBroken, PartDamaged, duckdb.IOException):
            for part in parts:
                platform.store.delete(part.new.key)
            if attempt == TRIES - 1 or platform.ledger.last(table) == head.sequence:
                raise
            continue  # a sync or another redaction was faster: what stands now is not what was read
        _remove_replaced(platform, table)
        return Erased(len(parts), sum(touched.values()))
    raise AssertionError("the last attempt returns or raises")


def _rewritten(
    platform: Platform, head: Manifest, nonce: str, gone: Gone, touched: Counter[Slice]
) -> Iterator[Rewritten]:
    """The parts that hold such a row, each with its new one, which is in the store already. The rows are counted in ``touched``."""
    ledger, table = platform.ledger, head.table
    rewrites = ledger.rewrites(table)
    with platform.store.scratch() as folder, engine(folder, gone.values) as connection:
        number = 0
        for batch in ledger.since(table, 0):
            if gone.passed(batch):
                continue
            standing = with_parts(batch, rewrites)
            rows = gone.rows(batch.columns)
            for index, part in enumerate(standing.parts):
                with suppress(PartExpired), open_part(ledger, batch, part) as path:
                    new = folder / "part.parquet"
                    there = [column.name for column in batch.columns if column.name in gone.blank]
                    left = write_without(connection, path, new, rows, there)
                    if left is None:
                        continue
                    touched.update(_slices(connection, path, rows, batch.columns, head.layout))
                    key = part_key(table, head.sequence + 1, nonce, number)
                    made = Part(key, left, new.stat().st_size, sha256_of(new))
                    platform.store.put_file(key, new, sha256=made.sha256)
                    number += 1
                    yield Rewritten(batch.sequence, index, part, made)


def count_landed(platform: Platform, table: TableId, gone: Gone) -> int:
    """In how many landed rows, all versions of a row among them, ``redact`` would take something out. Each batch that is not ``passed`` is
    read."""
    return again_if_replaced(lambda: _count_landed(platform, table, gone))


def _count_landed(platform: Platform, table: TableId, gone: Gone) -> int:
    ledger, found = platform.ledger, 0
    rewrites = ledger.rewrites(table)
    with platform.store.scratch() as folder, engine(folder, gone.values) as connection:
        for batch in ledger.since(table, 0):
            for part in () if gone.passed(batch) else with_parts(batch, rewrites).parts:
                with suppress(PartExpired), open_part(ledger, batch, part) as path:
                    rows = gone.rows(batch.columns)
                    counted = f"SELECT count(*) FROM {parquet_files([path])} WHERE {rows}"
                    found += int((connection.execute(counted).fetchone() or (0,))[0])
    return found


def fence(platform: Platform, table: TableId, *, reason: str, authorised_by: str) -> None:
    """Move the head on without a change, so that nobody can commit the parts that were written for the batch after it. The smallest part
    is written again as it is. BatchConflict where somebody was faster, which did the same."""
    ledger = platform.ledger
    if (head := ledger.head(table)) is None:
        return
    rewrites, nonce = ledger.rewrites(table), uuid.uuid4().hex
    standing = [
        (batch, index, part)
        for batch in ledger.since(table, 0)
        for index, part in enumerate(with_parts(batch, rewrites).parts)
    ]
    for batch, index, part in sorted(standing, key=lambda one: one[2].bytes):
        with suppress(PartExpired), open_part(ledger, batch, part) as path:
            new = replace(part, key=part_key(table, head.sequence + 1, nonce, 0))
            with platform.store.scratch() as folder:
                copied = Path(shutil.copyfile(path, folder / "part.parquet"))
                platform.store.put_file(new.key, copied, sha256=new.sha256)
            redaction = Redaction(
                (Rewritten(batch.sequence, index, part, new),), reason, authorised_by, _now(platform)
            )
            ledger.redact(head, redaction, nonce, touched={})
            return _remove_replaced(platform, table)


def _now(platform: Platform) -> str:
    return platform.clock().isoformat(timespec="microseconds")


def write_without(
    connection: duckdb.DuckDBPyConnection, path: Path, new: Path, rows: str, blank: Sequence[str] = ()
) -> int | None:
    """Write the rows of ``path`` for which ``rows`` is not true to ``new``, in their order, or all of them without what the columns
    ``blank`` hold in those rows; how many are written. None, and nothing is written, where all stay as they are."""
    source = parquet_files([path])
    counted = connection.execute(f"SELECT count(*), count(*) FILTER (WHERE {rows}) FROM {source}").fetchone()
    total, gone = counted or (0, 0)
    if not gone:
        return None
    select = (
        blanking(f"SELECT * FROM {source}", rows, blank)
        if blank
        else f"SELECT * FROM {source} WHERE NOT {rows}"
    )
    connection.execute(f"COPY ({select}) TO {literal(str(new))} ({PARQUET})")
    return int(total if blank else total - gone)


def _slices(
    connection: duckdb.DuckDBPyConnection, path: Path, rows: str, columns: Sequence[Column], layout: Layout
) -> dict[Slice, int]:
    """How many of ``rows`` lie in each slice of the table as it is laid out now."""
    partition = next((column for column in columns if column.name == layout.partition), None)
    day = "NULL" if partition is None else slice_of_day(duckdb_day(partition, layout.timezone))
    counted = f"SELECT {day}, count(*) FROM {parquet_files([path])} WHERE {rows} GROUP BY 1"
    nowhere = NULL_SLICE if layout.partition else WHOLE_TABLE
    return {
        nowhere if name is None else Slice(name): int(n) for name, n in connection.execute(counted).fetchall()
    }


@contextmanager
def engine(folder: Path, known: Values) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that knows the values ``known``: ``values_of`` asks for them."""
    import duckdb
    import pyarrow as pa

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": 1,
        "preserve_insertion_order": False,  # one thread keeps it all the same
        "temp_directory": str(folder),
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for place, values in known.items():
            connection.register("given", pa.table({"value": pa.array(sorted(values), pa.string())}))
            connection.execute(f"CREATE TABLE {_table(place)} AS SELECT value FROM given")
        yield connection


def values_of(place: Place) -> str:
    return f"SELECT value FROM {_table(place)}"


def _table(place: Place) -> str:
    return quoted(f"erased {place}")


def _remove_replaced(platform: Platform, table: TableId) -> None:
    """Delete what redactions replaced, those of a run that was killed before it did so too."""
    for manifest in platform.ledger.redactions(table):
        for part in manifest.redaction.parts if manifest.redaction else ():
            platform.store.delete(part.old.key)
