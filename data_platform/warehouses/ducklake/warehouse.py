"""The lake over an open connection: the DuckDB warehouse's statements, by many writers, over a catalog that may go away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from data_platform.errors import QueryFailed
from data_platform.tables import Column, TableId
from data_platform.warehouses import Kept, LoadableBatch, LoadedBatch, LoadResult, Look
from data_platform.warehouses.archive import Inventory
from data_platform.warehouses.dialect import blanks, deletes
from data_platform.warehouses.duckdb import journal, merge
from data_platform.warehouses.duckdb.connect import in_one
from data_platform.warehouses.duckdb.load import Ways, load_by
from data_platform.warehouses.duckdb.statement import strings
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform.warehouses.ducklake import maintenance, records
from data_platform.warehouses.ducklake.catalog import Catalog
from data_platform.warehouses.ducklake.dialect import LAKE_DIALECT, lake_columns
from data_platform.warehouses.ducklake.errors import is_conflict, is_lost, lake_errors
from data_platform.warehouses.journal import JournalTable
from data_platform.warehouses.maintenance import Upkeep

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
_ATTEMPTS, _FIRST_PAUSE_SECONDS = 6, 0.05
_METADATA = "__ducklake_metadata"


class DuckLakeWarehouse(DuckDBWarehouse):
    """A ``warehouses.Warehouse``; ``catalog`` holds the locks of its loads."""

    dialect = LAKE_DIALECT

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        place: str,
        *,
        read_only: bool,
        wait_seconds: float,
        keep_hours: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(connection, Path(), read_only)
        self._catalog, self._place, self._wait_seconds, self._sleep = catalog, place, wait_seconds, sleep
        self._keep_hours = keep_hours

    def _readable(self, act: str) -> AbstractContextManager[None]:
        return lake_errors(self._place, act)

    def _newest(self, table: TableId | None = None) -> list[LoadedBatch]:
        return records.newest(self.connection, table)

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        *,
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        """One load of a table at a time, whoever asks. A transaction that lost against another one is made again;
        a COMMIT whose answer is lost is settled by the record."""
        ways = Ways(records, lake_columns, _widen, lambda connection: self._commit(connection, manifest))
        with (
            self._readable(f"load batch {manifest.sequence} of {manifest.table}"),
            self._catalog.load_of(str(manifest.table), self._wait_seconds),
        ):
            self._prepare()
            return self._again(lambda: load_by(ways, self.connection, manifest, parts, kept))

    def _prepare(self) -> None:
        if not self._prepared:
            self._again(lambda: records.prepare(self.connection))
            self._prepared = True

    def _commit(self, connection: duckdb.DuckDBPyConnection, manifest: LoadableBatch) -> None:
        import duckdb

        self._catalog.check()  # without its lock, another load of the table may be under way
        try:
            connection.execute("COMMIT")
        except duckdb.Error as error:
            if not is_lost(error):
                raise
            with suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            held = self._again(lambda: records.at(connection, manifest.table, manifest.sequence))
            if held is None or held.digest != manifest.digest:
                raise

    def _again(self, act: Callable[[], T]) -> T:
        """``act`` until no other transaction is in its way and the catalog answers."""
        import duckdb

        pause = _FIRST_PAUSE_SECONDS
        for left in reversed(range(_ATTEMPTS)):
            try:
                return act()
            except duckdb.Error as error:
                if not left or not (is_conflict(error) or is_lost(error)):
                    raise
                with suppress(duckdb.Error):
                    self.connection.execute("ROLLBACK")
            self._sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt raises or returns")

    def remove_rows(self, schema: str, name: str, conditions: Sequence[str]) -> None:
        statements = deletes(self.dialect, schema, name, conditions)
        with self._readable(f"delete rows of {schema}.{name}"):
            self._again(lambda: in_one(self.connection, statements))

    def blank_rows(self, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]) -> None:
        statements = blanks(self.dialect, schema, name, columns, conditions)
        with self._readable(f"empty columns of {schema}.{name}"):
            self._again(lambda: in_one(self.connection, statements))

    def record_reads(self, looks: Sequence[Look]) -> None:
        with self._readable(f"record that {len(looks)} tables were read"):
            self._prepare()
            self._again(lambda: records.record_reads(self.connection, looks))

    def record_rules(self, table: TableId, sequence: int, evaluated: str) -> None:
        with self._readable(f"record what the rules of {table} found"):
            self._prepare()
            self._again(lambda: records.record_rules(self.connection, table, sequence, evaluated))

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        name = f"{table.schema}.{table.name}"
        with self._readable(f"keep rows in {name}"), self._catalog.load_of(name, self._wait_seconds):
            self._again(lambda: journal.keep(self.connection, self.dialect, table, statements))

    def _check_question(self, sql: str) -> Any:
        tree = super()._check_question(sql)
        if any(text.lower().startswith(_METADATA) for text in strings(tree)):
            raise QueryFailed(
                "The query did not run: it names the database of the lake's catalog, which holds more than this warehouse."
            )
        return tree

    def maintain(self) -> Upkeep:
        with self._readable("be maintained"):
            self._prepare()
            return maintenance.maintain(
                self.connection, self._catalog, keep_hours=self._keep_hours, wait_seconds=self._wait_seconds
            )

    def inventory(self) -> Inventory:
        with self._readable("list what it holds"):
            return super().inventory()

    def write_to_disk(self) -> None:
        """Each commit has done so."""


def _widen(batch: merge.Batch, columns: Sequence[Column]) -> list[str]:
    """A lake alters few types, so the table is written anew within the transaction."""
    from data_platform.sql import quoted

    wider = ", ".join(f"{quoted(c.name)}::{c.type} AS {quoted(c.name)}" for c in columns)
    return [
        f"DROP TABLE IF EXISTS {batch.replacement}",
        f"CREATE TABLE {batch.replacement} AS SELECT * REPLACE ({wider}) FROM {batch.target}",
        *merge.swap_in(batch),
    ]
