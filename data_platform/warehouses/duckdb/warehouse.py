"""The DuckDB warehouse over an open connection: each act is a module's beside this one. The lake's extends it.

Loading is ``load.py``'s, the pure statements ``merge.py``'s; ``config.py`` opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.duckdb_sql import DIALECT
from data_platform.sql import literal
from data_platform.tables import Column, Fingerprint, Layout, Slice, TableId, Tally
from data_platform.warehouses import Kept, LoadableBatch, LoadedBatch, LoadResult, Look, QueryResult, Relation
from data_platform.warehouses.archive import Inventory, StoredTable
from data_platform.warehouses.dialect import blanks, deletes
from data_platform.warehouses.duckdb import backup, compare, infinity, journal, records
from data_platform.warehouses.duckdb import restore as restoring
from data_platform.warehouses.duckdb.connect import in_one, readable_errors
from data_platform.warehouses.duckdb.describe import describe_one
from data_platform.warehouses.duckdb.load import load
from data_platform.warehouses.duckdb.statement import check_question, not_run
from data_platform.warehouses.journal import JournalTable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class DuckDBWarehouse:
    """A ``warehouses.Warehouse`` over an open connection, which the opener closes."""

    dialect = DIALECT

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:
        self.connection = connection
        self.path = path
        self.read_only = read_only
        self.removed = False
        """Whether rows were deleted by ``remove_rows``, which stay in the file until it is written anew."""
        self._prepared = self._newest_known = self._evaluated_known = False

    def _readable(self, act: str) -> AbstractContextManager[None]:
        """The engine's errors of the block in our words; ``act`` completes "could not"."""
        return readable_errors(self.path, act)

    def loaded(self, table: TableId) -> LoadedBatch | None:
        return next(iter(self._newest(table)), None)

    def loaded_all(self) -> list[LoadedBatch]:
        return self._newest()

    def _newest(self, table: TableId | None = None) -> list[LoadedBatch]:
        # once it is, it stays so: nobody else has the file meanwhile, and our own loads keep it so
        self._newest_known = self._newest_known or records.newest_is_known(self.connection)
        return records.newest(self.connection, table, known=self._newest_known)

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        *,
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        with self._readable(f"load batch {manifest.sequence} of {manifest.table}"):
            if not self._prepared:
                with records.WRITING:
                    records.prepare(self.connection)
                self._prepared = True
            return load(self.connection, manifest, parts, kept)

    def record_reads(self, looks: Sequence[Look]) -> None:
        with self._readable(f"record that {len(looks)} tables were read"), records.WRITING:
            records.record_reads(self.connection, looks)

    def reads(self) -> Mapping[TableId, str]:
        return records.reads(self.connection)

    def record_rules(self, table: TableId, sequence: int, evaluated: str) -> None:
        with self._readable(f"record what the rules of {table} found"), records.WRITING:
            if not self._evaluated_known:
                self.connection.execute(records.CREATE_EVALUATED)
                self._evaluated_known = True
            records.record_rules(self.connection, table, sequence, evaluated)

    def recorded_rules(self) -> Mapping[TableId, tuple[int, str]]:
        return records.recorded_rules(self.connection)

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        with self._readable(f"keep rows in quality.{table.name}"), records.WRITING:
            journal.keep(self.connection, self.dialect, table, statements)

    def remove_rows(self, schema: str, name: str, conditions: Sequence[str]) -> None:
        with self._readable(f"delete rows of {schema}.{name}"), records.WRITING:
            self.removed = True
            in_one(self.connection, deletes(self.dialect, schema, name, conditions))

    def blank_rows(self, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]) -> None:
        with self._readable(f"empty columns of {schema}.{name}"), records.WRITING:
            self.removed = True
            in_one(self.connection, blanks(self.dialect, schema, name, columns, conditions))

    def changed_since(self, table: TableId) -> Mapping[Slice, int]:
        return records.changed_since(self.connection, table)

    def fingerprints(self, table: TableId, layout: Layout) -> Mapping[Slice, Fingerprint]:
        with self._readable(f"count {table.raw_name}"):
            return compare.fingerprints(self.connection, table, layout)

    def tallies(self, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
        with self._readable(f"count {table.raw_name}"):
            return compare.tallies(self.connection, table, layout)

    def altered(
        self,
        table: TableId,
        layout: Layout,
        columns: Sequence[Column],
        parts: Sequence[Path],
        slices: Sequence[Slice],
    ) -> Mapping[Slice, int]:
        with self._readable(f"compare {table.raw_name}"):
            return compare.altered(self.connection, table, layout, columns, parts, slices)

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        """Run ``sql`` and fetch at most ``limit`` rows of its result. A warehouse opened
        ``read_only`` answers one question a time (see ``statement.py``). An infinite date or time is the word
        ``infinity``. ``parameters`` cost an import of pandas (see ``records.py``)."""
        if self.read_only:
            self._check_question(sql)
        described, rows = self._fetch(sql, parameters, limit)
        types = [column[1] for column in described]
        if infinite := infinity.suspects(types, rows):
            apart = infinity.told_apart(sql, types, infinite)
            rows = infinity.joined(types, infinite, self._fetch(apart, parameters, limit)[1])
        return QueryResult(tuple(column[0] for column in described), tuple(map(str, types)), rows)

    def _check_question(self, sql: str) -> Any:
        return check_question(self.connection, sql)

    def _fetch(
        self, sql: str, parameters: Sequence[Any], limit: int | None
    ) -> tuple[Sequence[Any], list[tuple[Any, ...]]]:
        import duckdb

        try:
            cursor = (
                self.connection.execute(sql, list(parameters)) if parameters else self.connection.execute(sql)
            )
            return cursor.description or [], cursor.fetchall() if limit is None else cursor.fetchmany(limit)
        except duckdb.Error as error:
            raise not_run(error) from None

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]:
        if schema is not None and name is not None:
            found = describe_one(self.connection, schema, name)
            if found is not None:
                return [found]
        wanted = f" AND c.schema_name = {literal(schema)}" if schema is not None else ""
        wanted += f" AND c.table_name = {literal(name)}" if name is not None else ""
        rows = self.connection.execute(
            "SELECT c.schema_name, c.table_name, bool_or(v.view_name IS NOT NULL),"
            " list(c.column_name ORDER BY c.column_index), list(c.data_type ORDER BY c.column_index)"
            " FROM duckdb_columns() c LEFT JOIN duckdb_views() v"
            " ON v.database_oid = c.database_oid AND v.schema_name = c.schema_name AND v.view_name = c.table_name"
            f" WHERE NOT c.internal AND c.database_name = current_database(){wanted}"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        return [
            Relation(schema_, table, "view" if view else "table", tuple(zip(names, types, strict=True)))
            for schema_, table, view, names, types in rows
        ]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.connection.execute("BEGIN TRANSACTION")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")  # nothing was written

    def inventory(self) -> Inventory:
        return backup.inventory(self.connection)

    def read_ordered(self, table: StoredTable, key: Sequence[str] = ()) -> pa.RecordBatchReader:
        with self._readable(f"read {table.schema}.{table.name}"):
            return backup.read_ordered(self.connection, table, key)

    def row_fingerprint(
        self, table: StoredTable, rows: pa.RecordBatchReader | None = None
    ) -> tuple[int, int]:
        with self._readable(f"count {table.schema}.{table.name}"):
            return backup.fingerprint(self.connection, table, rows)

    def restore(self, inventory: Inventory) -> None:
        with self._readable("make the tables of the backup"):
            restoring.make_tables(self.connection, inventory)

    def fill(self, table: StoredTable, parts: Sequence[Path]) -> None:
        with self._readable(f"restore {table.schema}.{table.name}"):
            backup.fill(self.connection, table, parts)

    def finish_restore(self, inventory: Inventory) -> None:
        restoring.make_the_rest(self.connection, inventory)
        self.write_to_disk()

    def write_to_disk(self) -> None:
        """All of it into the file itself, which may then be renamed."""
        with self._readable("write the restored tables to disk"):
            self.connection.execute("CHECKPOINT")
