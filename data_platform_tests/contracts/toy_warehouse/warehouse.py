"""The toy over an open connection. Its records lie in a schema of their own, written in each load's transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from data_platform.errors import QueryFailed, WarehouseError
from data_platform.tables import BATCH_ID, LOADED_AT, Column, Fingerprint, Layout, Slice, TableId, Tally
from data_platform.warehouses import (
    PLATFORM_SCHEMA,
    Kept,
    LoadableBatch,
    LoadedBatch,
    LoadResult,
    Look,
    QueryResult,
    Relation,
    batch,
)
from data_platform.warehouses.dialect import blanks, deletes, relation
from data_platform.warehouses.journal import JOURNAL_SCHEMA, JournalTable
from data_platform_tests.contracts.toy_warehouse import values
from data_platform_tests.contracts.toy_warehouse.dialect import SQLiteDialect

_RECORDS = f"""
CREATE TABLE IF NOT EXISTS {PLATFORM_SCHEMA}.loaded_batches (
    source TEXT, "table" TEXT, sequence INTEGER, batch_id TEXT, digest TEXT, loaded_at TEXT,
    rows_inserted INTEGER, rows_deleted INTEGER);
CREATE TABLE IF NOT EXISTS {PLATFORM_SCHEMA}.touched_slices (
    source TEXT, "table" TEXT, slice TEXT, sequence INTEGER, rows INTEGER);
CREATE TABLE IF NOT EXISTS {PLATFORM_SCHEMA}.evaluated_rules (
    source TEXT, "table" TEXT, sequence INTEGER, evaluated TEXT, PRIMARY KEY (source, "table"));
CREATE TABLE IF NOT EXISTS {PLATFORM_SCHEMA}.table_reads (
    source TEXT, "table" TEXT, at TEXT, reconciled INTEGER);
"""


class Held(NamedTuple):
    """A row that the table held before a batch."""

    number: int
    key: tuple[Any, ...]
    group: tuple[Any, ...]
    slice: str


class ToyWarehouse:
    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self.connection, self.folder, self.dialect = connection, folder, SQLiteDialect()
        connection.create_function("try_as", 2, values.try_as, deterministic=True)
        connection.create_function("micros_of", 1, values.micros_of, deterministic=True)
        connection.create_function("day_of", 2, values.day_of, deterministic=True)
        connection.create_function("hash_of", 1, values.hash_of, deterministic=True)
        connection.create_function("as_decimal", 2, values.as_decimal, deterministic=True)
        self._schemas: set[str] = set()
        for schema in (PLATFORM_SCHEMA, *(file.stem for file in folder.glob("*.db") if file.stem != "toy")):
            self._schema(schema)
        connection.executescript(_RECORDS)

    def _schema(self, name: str) -> None:
        if name not in self._schemas:
            self.connection.execute(
                f"ATTACH ? AS {self.dialect.quote(name)}", [str(self.folder / f"{name}.db")]
            )
            self._schemas.add(name)

    def loaded(self, table: TableId) -> LoadedBatch | None:
        return next((one for one in self.loaded_all() if one.table == table), None)

    def loaded_all(self) -> list[LoadedBatch]:
        newest = {one.table: one for one in self._batches()}
        return sorted(newest.values(), key=lambda one: str(one.table))

    def _batches(self) -> list[LoadedBatch]:
        found = self.connection.execute(
            'SELECT source, "table", sequence, batch_id, digest, loaded_at'
            f" FROM {PLATFORM_SCHEMA}.loaded_batches ORDER BY sequence"
        ).fetchall()
        return [LoadedBatch(TableId(source, name), *rest) for source, name, *rest in found]

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        *,
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        held = {one.sequence: one for one in self._batches() if one.table == manifest.table}
        if not batch.follows(manifest, held[max(held)] if held else None, held.get):
            return LoadResult(manifest.sequence, 0, 0, {}, 0)
        if manifest.kind == "data":
            batch.check(manifest)
        self._schema(manifest.table.raw_schema)
        with self._transaction():
            result = LoadResult(manifest.sequence, 0, 0, {}, 0)
            if manifest.kind == "data":
                try:
                    rows = values.read(parts, manifest.columns)
                except WarehouseError as error:
                    raise WarehouseError(
                        f"The toy could not load batch {manifest.sequence} of {manifest.table}: {error}."
                    ) from None
                result = self._apply(manifest, rows)
            elif kept:
                result = self._erase(manifest, kept)
            self._record(manifest, result)
        return result

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def _apply(self, manifest: LoadableBatch, rows: Sequence[tuple[Any, ...]]) -> LoadResult:
        layout, names = manifest.layout, [column.name for column in manifest.columns]
        columns = batch.raw_columns(manifest)
        for name in (*layout.key, *([layout.partition] if layout.partition else [])):
            batch.named(columns, name, manifest.batch_id, manifest.table)
        brought = [dict(zip(names, row, strict=True)) for row in rows]
        keys = [tuple(row[name] for name in layout.key) for row in brought]
        groups = {tuple(row[name] for name in manifest.replaces) for row in brought}
        if manifest.replaces:
            batch.check_groups(
                manifest, sum(None in [row[name] for name in manifest.replaces] for row in brought)
            )
            keys = [
                tuple(row[name] for name in layout.key) for row in brought if not self._marked(manifest, row)
            ]
        if layout.key:
            batch.check_keys(manifest, len(keys), sum(None in key for key in keys), len(set(keys)))
        batch.check_rows(manifest, len(rows))
        before = self._reshape(manifest, columns)
        wanted = set(keys) if layout.key else set()
        gone = [row for row in before if self._goes(manifest, row, wanted, groups)]
        staying = [row for row in brought if not self._marked(manifest, row)]
        if manifest.load == "append":
            there = {row.key for row in before}
            staying = [row for row in staying if tuple(row[name] for name in layout.key) not in there]
        back = {tuple(row[name] for name in layout.key) for row in staying} if layout.key else set()
        target = relation(self.dialect, manifest.table.raw_schema, manifest.table.table)
        self.connection.executemany(f"DELETE FROM {target} WHERE rowid = ?", [(row.number,) for row in gone])
        into = ", ".join(map(self.dialect.quote, [*(c.name for c in columns), BATCH_ID, LOADED_AT]))
        self.connection.executemany(
            f"INSERT INTO {target} ({into}) VALUES ({', '.join('?' * (len(columns) + 2))})",
            [
                (*(row[c.name] for c in columns), manifest.batch_id, values.micros_of(manifest.committed_at))
                for row in staying
            ],
        )
        came = Counter(
            values.slice_of(row[layout.partition] if layout.partition else None, layout) for row in staying
        )
        went = Counter(row.slice for row in gone)
        return LoadResult(
            manifest.sequence,
            len(gone),
            len(staying),
            {Slice(name): max(came[name], went[name]) for name in sorted(came | went)},
            0 if manifest.load == "replace" else sum(row.key not in back for row in gone),
        )

    def _marked(self, manifest: LoadableBatch, row: Mapping[str, Any]) -> bool:
        return manifest.deleted is not None and bool(row[manifest.deleted])

    def _goes(self, manifest: LoadableBatch, row: Held, wanted: set[Any], groups: set[Any]) -> bool:
        met = row.key in wanted or (bool(manifest.replaces) and row.group in groups)
        return {
            "replace": True,
            "append": False,
            "merge": met,
            "slice": met or row.slice in manifest.slices,
        }[manifest.load]

    def _erase(self, manifest: LoadableBatch, kept: Sequence[Kept]) -> LoadResult:
        existing = self._columns(manifest.table)
        target = relation(self.dialect, manifest.table.raw_schema, manifest.table.table)
        gone: list[tuple[int, str]] = []
        for one in kept if existing else ():
            names = [name for name in one.told_apart if name in existing]
            columns = [column for name in names for column in one.columns if column.name == name]
            left = set(values.read(one.parts, columns))
            shown = ", ".join(map(self.dialect.quote, names))
            day = self.dialect.quote(manifest.partition) if manifest.partition else "NULL"
            held = self.connection.execute(
                f"SELECT rowid, {day}, {shown} FROM {target} WHERE {BATCH_ID} = ?", [one.batch_id]
            )
            gone += [
                (number, values.slice_of(day, manifest.layout))
                for number, day, *row in held
                if tuple(row) not in left
            ]
        self.connection.executemany(
            f"DELETE FROM {target} WHERE rowid = ?", [(number,) for number, _ in gone]
        )
        touched = {Slice(name): count for name, count in Counter(name for _, name in gone).items()}
        return LoadResult(manifest.sequence, len(gone), 0, touched, len(gone))

    def _reshape(self, manifest: LoadableBatch, columns: Sequence[Column]) -> list[Held]:
        """The table in the batch's shape; the rows it held before."""
        table, replacing = manifest.table, manifest.load == "replace"
        target = relation(self.dialect, table.raw_schema, table.table)
        existing = self._columns(table)
        new, widened = batch.reshaping(table, {} if replacing else existing, columns, self.dialect)
        batch.days(manifest.slices)
        held = []
        if existing:
            shown = ", ".join(
                self.dialect.quote(name) if name in existing else "NULL"
                for name in (*manifest.layout.key, *manifest.replaces, manifest.layout.partition or "")
            )
            keyed = len(manifest.layout.key)
            held = [
                Held(number, tuple(rest[:keyed]), tuple(rest[keyed:]), values.slice_of(day, manifest.layout))
                for number, *rest, day in self.connection.execute(f"SELECT rowid, {shown} FROM {target}")
            ]
        if replacing and existing:
            self.connection.execute(f"DROP TABLE {target}")
        declared = [f"{self.dialect.quote(c.name)} {self.dialect.type(c.type)}" for c in new]
        if replacing or not existing:
            own = [f"{BATCH_ID} TEXT", f"{LOADED_AT} TIMESTAMPTZ"]
            self.connection.execute(f"CREATE TABLE {target} ({', '.join([*declared, *own])})")
        else:
            for column in declared:
                self.connection.execute(f"ALTER TABLE {target} ADD COLUMN {column}")
            for one in widened:
                self._widen(target, existing[one.name], one)
        return held

    def _widen(self, target: str, held: str, column: Column) -> None:
        """SQLite alters no type: another column takes the name, with the values."""
        name, old, kind = self.dialect.quote(column.name), '"_narrower"', self.dialect.type(column.type)
        self.connection.execute(f"ALTER TABLE {target} RENAME COLUMN {name} TO {old}")
        self.connection.execute(f"ALTER TABLE {target} ADD COLUMN {name} {kind}")
        value = f"as_decimal({old}, {kind.rpartition(',')[2][:-1]})" if "DECIMAL" in kind else old
        self.connection.execute(f"UPDATE {target} SET {name} = {value}")
        self.connection.execute(f"ALTER TABLE {target} DROP COLUMN {old}")

    def _record(self, manifest: LoadableBatch, result: LoadResult) -> None:
        table = manifest.table.source, manifest.table.table
        self.connection.execute(
            f"INSERT INTO {PLATFORM_SCHEMA}.loaded_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(*table, manifest.sequence, manifest.batch_id, manifest.digest, manifest.committed_at),
                *(result.rows_inserted, result.rows_deleted),
            ],
        )
        self.connection.executemany(
            f"INSERT INTO {PLATFORM_SCHEMA}.touched_slices VALUES (?, ?, ?, ?, ?)",
            [(*table, slice_, manifest.sequence, rows) for slice_, rows in result.touched.items()],
        )
        reconciled = manifest.load == "replace" or manifest.deleted is not None
        self._read(Look(manifest.table, manifest.snapshot.taken_at, reconciled))

    def _read(self, look: Look) -> None:
        self.connection.execute(
            f"INSERT INTO {PLATFORM_SCHEMA}.table_reads VALUES (?, ?, ?, ?)",
            [look.table.source, look.table.table, look.at, look.reconciled],
        )

    def record_reads(self, looks: Sequence[Look]) -> None:
        with self._transaction():
            for look in looks:
                self._read(look)

    def reads(self) -> Mapping[TableId, str]:
        found = self.connection.execute(
            f'SELECT source, "table", max(at) FROM {PLATFORM_SCHEMA}.table_reads GROUP BY source, "table"'
        ).fetchall()
        return {TableId(source, name): at for source, name, at in found}

    def record_rules(self, table: TableId, sequence: int, evaluated: str) -> None:
        self.connection.execute(
            f"INSERT OR REPLACE INTO {PLATFORM_SCHEMA}.evaluated_rules VALUES (?, ?, ?, ?)",
            [table.source, table.table, sequence, evaluated],
        )

    def recorded_rules(self) -> Mapping[TableId, tuple[int, str]]:
        found = self.connection.execute(f"SELECT * FROM {PLATFORM_SCHEMA}.evaluated_rules").fetchall()
        return {TableId(source, name): (sequence, text) for source, name, sequence, text in found}

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        self._schema(JOURNAL_SCHEMA)
        target = relation(self.dialect, JOURNAL_SCHEMA, table.name)
        described = self.describe(JOURNAL_SCHEMA, table.name)
        declared = [
            f"{self.dialect.quote(one.name)} {self.dialect.type(one.type)}"
            for one in table.missing(dict(described[0].columns) if described else {})
        ]
        if not described:
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(declared)})")
        for column in declared if described else ():
            self.connection.execute(f"ALTER TABLE {target} ADD COLUMN {column}")
        try:
            with self._transaction():
                for statement in statements:
                    self.connection.execute(statement)
        except sqlite3.Error as error:
            raise QueryFailed(f"The query did not run: {type(error).__name__}.") from None

    def remove_rows(self, schema: str, name: str, conditions: Sequence[str]) -> None:
        with self._transaction():
            for statement in deletes(self.dialect, schema, name, conditions):
                self.connection.execute(statement)

    def blank_rows(self, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]) -> None:
        with self._transaction():
            for statement in blanks(self.dialect, schema, name, columns, conditions):
                self.connection.execute(statement)

    def changed_since(self, table: TableId) -> Mapping[Slice, int]:
        found = self.connection.execute(
            f"SELECT slice, max(sequence) FROM {PLATFORM_SCHEMA}.touched_slices"
            ' WHERE source = ? AND "table" = ? GROUP BY slice',
            [table.source, table.table],
        )
        return dict(found.fetchall())

    def fingerprints(self, table: TableId, layout: Layout) -> Mapping[Slice, Fingerprint]:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        version = [layout.version] if layout.version in self._columns(table) else []
        for slice_, row in self._rows(table, layout, [*layout.key, *version]):
            # a row without a version has the empty text in its place
            sums[slice_][0] += 1
            sums[slice_][1] += values.token([*row, *([] if version else [None])])
        return {Slice(name): Fingerprint(n, total % 2**64) for name, (n, total) in sums.items()}

    def tallies(self, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        version = [layout.version] if layout.version in self._columns(table) else []
        for slice_, row in self._rows(table, layout, version):
            sums[slice_][0] += 1
            sums[slice_][1] += row[0] if version else 0
        return {Slice(name): Tally(n, total % 2**32) for name, (n, total) in sums.items()}

    def altered(
        self,
        table: TableId,
        layout: Layout,
        columns: Sequence[Column],
        parts: Sequence[Path],
        slices: Sequence[Slice],
    ) -> Mapping[Slice, int]:
        names = [column.name for column in columns]
        if not set(names) <= set(self._columns(table)):
            return dict.fromkeys(slices, 0)
        ours: dict[str, Counter[Any]] = defaultdict(Counter)
        theirs: dict[str, Counter[Any]] = defaultdict(Counter)
        for slice_, row in self._rows(table, layout, names):
            ours[slice_][row] += 1
        at = names.index(layout.partition) if layout.partition else None
        for row in values.read(parts, columns):
            theirs[values.slice_of(None if at is None else row[at], layout)][row] += 1
        differing = [slice_ for slice_ in slices if ours[slice_] != theirs[slice_]]
        if not layout.key or layout.version not in names:
            return dict.fromkeys(differing, 0)
        same = [names.index(name) for name in (*layout.key, layout.version)]

        def told(rows: Counter[Any]) -> dict[Any, Any]:
            return {tuple(row[n] for n in same): row for row in rows}

        return {
            slice_: sum(
                told(ours[slice_])[known] != row
                for known, row in told(theirs[slice_]).items()
                if known in told(ours[slice_])
            )
            for slice_ in differing
        }

    def _columns(self, table: TableId) -> dict[str, str]:
        if table.raw_schema not in self._schemas:
            return {}
        schema, name = self.dialect.quote(table.raw_schema), self.dialect.quote(table.table)
        return {row[1]: row[2] for row in self.connection.execute(f"PRAGMA {schema}.table_info({name})")}

    def _rows(
        self, table: TableId, layout: Layout, names: Sequence[str]
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Of each row its slice and the columns of these names; ``WarehouseError`` for one that is not there."""
        wanted = [*names, *([layout.partition] if layout.partition else [])]
        held = self._columns(table)
        if held and (missing := [name for name in wanted if name not in held]):
            raise WarehouseError(f"The raw table {table.raw_name} has no column {', '.join(missing)}.")
        if held:
            shown = ", ".join([*map(self.dialect.quote, wanted), "1"])
            target = relation(self.dialect, table.raw_schema, table.table)
            for row in self.connection.execute(f"SELECT {shown} FROM {target}"):
                day = row[len(names)] if layout.partition else None
                yield values.slice_of(day, layout), row[: len(names)]

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        try:
            cursor = self.connection.execute(sql, list(parameters))
            rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
        except sqlite3.Error as error:
            raise QueryFailed(f"The query did not run: {type(error).__name__}.") from None
        names = tuple(column[0] for column in cursor.description or ())
        return QueryResult(names, ("",) * len(names), rows)

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]:
        found = []
        for one in sorted(self._schemas):
            listed = self.connection.execute(
                f"SELECT name, type FROM {self.dialect.quote(one)}.sqlite_master"
            )
            for table, kind in listed.fetchall():
                if kind in ("table", "view") and schema in (None, one) and name in (None, table):
                    pragma = f"PRAGMA {self.dialect.quote(one)}.table_info({self.dialect.quote(table)})"
                    columns = tuple((row[1], row[2]) for row in self.connection.execute(pragma))
                    found.append(Relation(one, table, kind, columns))
        return found
