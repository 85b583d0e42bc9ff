"""Backups of a warehouse behind a connection: what it holds, its rows by the engine's own unload, and their fingerprint.

A backup is made of DuckDB's types and statements, so that a DuckDB file can be made of it where there is no engine. A table's
fingerprint is computed by the engine from texts of its own values, and by DuckDB from the backup's (``kept.py``).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_platform.duckdb_sql import parquet_files
from data_platform.errors import UnsupportedType, WarehouseError
from data_platform.sql import literal, quoted
from data_platform.tables import Column
from data_platform.warehouses.archive import Inventory, StoredColumn, StoredTable
from data_platform.warehouses.remote import records
from data_platform.warehouses.remote.engine import Session, Staging, Transaction
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.kept import VERSION, Kept, put, twin_token
from data_platform.warehouses.remote.parts import sendable
from data_platform.warehouses.remote.warehouse import RemoteWarehouse

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "384MB"
"""Of the DuckDB that orders and counts rows; it spills beyond."""
READ_ROWS = 16_384
_GIVEN = "rows_given"
_NAMED = 5


class UnloadingSession(Session, Protocol):
    """What a session does for backups besides."""

    def snapshot(self) -> Any:
        """A context manager: all that is asked and unloaded in the block is of one instant. The value is that instant in ISO,
        for ``Grammar.at``; None where a transaction sees to it. ``Transient`` once it is lost."""

    def filtered(self, schema: str, name: str) -> str | None:
        """The column without a condition on which the engine reads nothing of a table; None where it reads it all."""

    def unloaded(self, query: str, folder: Path) -> Sequence[Path]:
        """The answer to one SELECT as Parquet files in ``folder``: by the engine's own unload, or read through its client
        where it has none. No file, or empty ones, for no row."""


class RemoteArchive(RemoteWarehouse):
    """A ``warehouses.archive.Archivable``."""

    session: UnloadingSession

    def __init__(self, session: UnloadingSession, grammar: Grammar, *, read_only: bool = False) -> None:
        super().__init__(session, grammar, read_only=read_only)
        self._instant: str | None = None
        self._reading = ExitStack()
        """What the table that was read last has left on this machine."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.session.snapshot() as self._instant:
            try:
                yield
            finally:
                self._instant = None
                self._reading.close()

    def inventory(self) -> Inventory:
        """Tables alone: a view is text of the engine's own, and dbt makes it again."""
        relations = [one for one in self.session.describe(None, None) if one.kind == "table"]
        problems: list[str] = []
        tables = [
            _stored(self.grammar, one.schema, one.name, one.columns, problems)
            for one in sorted(relations, key=lambda one: (one.schema, one.name))
        ]
        if problems:
            more = f", and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            raise WarehouseError(
                f"A backup cannot store every column exactly: {'; '.join(problems[:_NAMED])}{more}. Cast them to text or numbers in"
                " the model that makes them, or drop their tables. Nothing was written."
            )
        schemas = sorted({table.schema for table in tables} - {"main"})
        return Inventory(self._engine, tuple(schemas), tuple(tables), ())

    @property
    def _engine(self) -> str:
        return f"{self.grammar.name}, texts {VERSION}"

    def read_ordered(self, table: StoredTable, key: Sequence[str] = ()) -> pa.RecordBatchReader:
        self._reading.close()
        folder = Path(self._reading.enter_context(tempfile.TemporaryDirectory(prefix="data-platform-")))
        kept = self._kept(table)
        sent = ", ".join(
            f"{put(how.sent, self.grammar.quote(column.name))} AS {self.grammar.quote(f'c{n}')}"
            for n, (column, how) in enumerate(kept)
        )
        paths = self.session.unloaded(f"SELECT {sent} FROM {self._at(table)}", folder)
        engine = self._reading.enter_context(_engine(folder))
        values, names = [], {self.grammar.folded(column.name): n for n, (column, _) in enumerate(kept)}
        for n, (column, how) in enumerate(kept):
            value = f"CAST({put(how.read, f'c{n}')} AS {column.type})"
            values.append(
                f"{f'CAST({value} AS VARCHAR)' if column.as_text else value} AS {quoted(column.name)}"
            )
        order = [f"c{names[name]}" for name in map(self.grammar.folded, key) if name in names]
        if len(order) < max(len(key), 1):
            order = [f"c{n}" for n in range(len(kept))]
        rows = f"(SELECT {_renamed(engine, paths)} FROM {parquet_files(paths)})" if paths else _nothing(kept)
        with _readable(f"read {table.schema}.{table.name}"):
            return engine.execute(
                f"SELECT {', '.join(values)} FROM {rows} t ORDER BY {', '.join(order)}"
            ).to_arrow_reader(READ_ROWS)

    def row_fingerprint(
        self, table: StoredTable, rows: pa.RecordBatchReader | None = None
    ) -> tuple[int, int]:
        kept = self._kept(table)
        if rows is not None:
            return _twin_fingerprint(kept, rows)
        token = self.grammar.token([put(how.text, self.grammar.quote(column.name)) for column, how in kept])
        answer = self.session.ask(
            f"SELECT count(*), {self.grammar.total('h')} FROM (SELECT {token} AS h FROM {self._at(table)}) r"
        )
        ((count, total),) = answer.rows
        return int(count), int(total or 0) % 2**64

    def restore(self, inventory: Inventory) -> None:
        """No statement of the backup is run: the tables are made of their columns' types."""
        schemas = {table.schema for table in inventory.tables}
        made = [self.grammar.create_schema(schema) for schema in sorted(schemas)]
        for table in inventory.tables:
            columns = ", ".join(
                self.grammar.defined(column.name, self._held(table, column)) for column in table.columns
            )
            made.append(f"CREATE TABLE {self.grammar.relation(table.schema, table.name)} ({columns})")
        self.session.define(made)

    def fill(self, table: StoredTable, parts: Sequence[Path]) -> None:
        columns = [Column(column.name, column.type, "") for column in table.columns]
        loadable = {column.name: self.grammar.loadable(column) for column in columns}
        name, identity = f"{table.schema}.{table.name}", f"restored_{uuid.uuid4().hex[:20]}"
        with sendable(f"The table {name} of the backup", columns, loadable, parts, ()) as sent:
            staging = Staging(
                identity, tuple((c.name, loadable[c.name].staged) for c in columns), sent.paths, (), -1
            )
            with self.session.staged(staging) as stage:
                quote = self.grammar.quote
                values = ", ".join(
                    self.grammar.restored(
                        put(loadable[column.name].value, quote(column.name)), self._held(table, column)
                    )
                    for column in table.columns
                )
                into = ", ".join(quote(column.name) for column in table.columns)
                target = self.grammar.relation(table.schema, table.name)
                insert = f"INSERT INTO {target} ({into}) SELECT {values} FROM {stage} s"
                self.session.commit(Transaction(identity, (), "", (insert,)))

    def finish_restore(self, inventory: Inventory) -> None:
        """The views over the platform's own tables, and what the next load of each raw table needs."""
        records.prepare(self.session, self.grammar)
        self.session.define(
            [statement for batch in self.loaded_all() for statement in self.grammar.beside(batch.table)]
        )

    def _kept(self, table: StoredTable) -> list[tuple[StoredColumn, Kept]]:
        """How each column is kept, where the backup is of this engine; else as this engine would hold it."""
        return [(column, self.grammar.kept(self._held(table, column))) for column in table.columns]

    def _held(self, table: StoredTable, column: StoredColumn) -> str:
        """The engine's type, which the backup may name: only one that this engine could have told."""
        held = column.held or self.grammar.type(column.type)
        try:
            if self.grammar.kept(held).landed == column.type or not column.held:
                return held
        except UnsupportedType:
            pass
        raise WarehouseError(
            f"The backup is refused: the column {column.name} of {table.schema}.{table.name} has no type of this engine. Restore it"
            " into a DuckDB file, or from another copy or another day."
        )

    def _at(self, table: StoredTable) -> str:
        relation = self.grammar.relation(table.schema, table.name)
        if self._instant is not None:
            relation = self.grammar.at(relation, self._instant)
        if (column := self.session.filtered(table.schema, table.name)) is None:
            return relation
        named = self.grammar.quote(column)
        return f"{relation} WHERE {named} IS NULL OR {named} IS NOT NULL"


def _stored(
    grammar: Grammar, schema: str, name: str, held: Sequence[tuple[str, str]], problems: list[str]
) -> StoredTable:
    columns = []
    for column, kind in held:
        try:
            kept = grammar.kept(kind)
        except UnsupportedType:
            problems.append(f"{schema}.{name}.{column} is of the type {kind}")
            continue
        columns.append(StoredColumn(column, kept.landed, kept.as_text, kind))
    defined = ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)
    create = f"CREATE TABLE {quoted(schema)}.{quoted(name)}({defined});"
    return StoredTable(schema, name, create, tuple(columns))


def _twin_fingerprint(
    kept: Sequence[tuple[StoredColumn, Kept]], rows: pa.RecordBatchReader
) -> tuple[int, int]:
    """Of rows of a backup, or of another file that holds the same columns."""
    values = ", ".join(
        f"CAST({quoted(column.name)} AS {column.type}) AS c{n}" for n, (column, _) in enumerate(kept)
    )
    token = twin_token([put(how.twin, f"c{n}") for n, (_, how) in enumerate(kept)])
    with _engine() as engine, _readable("count rows"):
        row = (
            engine.register(_GIVEN, rows)
            .execute(f"SELECT count(*), sum({token}) FROM (SELECT {values} FROM {_GIVEN})")
            .fetchone()
        )
    assert row is not None
    return row[0], int(row[1] or 0) % 2**64


@contextmanager
def _engine(folder: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    engine = duckdb.connect(config={"memory_limit": MEMORY})
    try:
        engine.execute("SET GLOBAL TimeZone = 'UTC'")
        if folder is not None:
            engine.execute(f"SET temp_directory = {literal(str(folder / 'spilled'))}")
        yield engine
    finally:
        engine.close()


def _renamed(engine: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> str:
    """The files' columns by their place, whatever an engine makes of the letters of their names."""
    described = engine.execute(f"DESCRIBE SELECT * FROM {parquet_files(paths[:1])}").fetchall()
    return ", ".join(f"{quoted(row[0])} AS c{n}" for n, row in enumerate(described))


def _nothing(kept: Sequence[tuple[StoredColumn, Kept]]) -> str:
    return f"(SELECT {', '.join(f'NULL AS c{n}' for n in range(len(kept)))} LIMIT 0)"


@contextmanager
def _readable(act: str) -> Iterator[None]:
    """DuckDB's own words may hold a value."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"The backup could not {act} from the unloaded files ({type(error).__name__}). Check the space in the folder of temporary"
            " files, then run it again; if it fails again, report it with the types of the table's columns."
        ) from None
