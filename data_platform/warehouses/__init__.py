"""The warehouse's interface; one folder an engine beside this module.

An engine loads a batch exactly once, answers queries and describes.
What a batch means is the manifest's; the SQL of a merge is pure and lives in the engine's ``merge.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_platform.tables import Column, Fingerprint, Layout, Load, Operation, Slice, Snapshot, TableId, Tally

if TYPE_CHECKING:
    import pyarrow as pa

PLATFORM_SCHEMA = "_data_platform"
"""Holds ``loaded_batches``, ``loaded_tables`` (the newest of each table) and ``touched_slices``, written with each
load: what is loaded; and ``evaluated_rules``: what the rules found when the command line loaded; and ``table_reads``: by the source's
clock, up to when a table was read, up to when its deletes are known, and when it last lost rows."""


@dataclass(frozen=True, slots=True)
class LoadedBatch:
    """The newest batch of a table that the warehouse holds."""

    table: TableId
    sequence: int
    batch_id: str
    digest: str
    loaded_at: str


@dataclass(frozen=True, slots=True)
class Look:
    """A read of ``table`` at the source's instant ``at`` (ISO); ``reconciled``: deletes would have been seen too."""

    table: TableId
    at: str
    reconciled: bool


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load did. ``touched`` counts, per slice, the rows that came or went;
    ``vacated`` counts the keys a slice held before and the batch did not bring back."""

    sequence: int
    rows_deleted: int
    rows_inserted: int
    touched: Mapping[Slice, int]
    vacated: int


@dataclass(frozen=True, slots=True)
class QueryResult:
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view: ``columns`` are (name, type) pairs."""

    schema: str
    name: str
    kind: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """``as_text``: its values are backed up in their text form, which comes back as the same value."""

    name: str
    type: str
    as_text: bool


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table as a backup needs it; ``create`` is the statement that makes it empty."""

    schema: str
    name: str
    create: str
    columns: tuple[StoredColumn, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that a warehouse holds. ``statements`` make what is no table: indexes, views, comments."""

    engine: str
    schemas: tuple[str, ...]
    tables: tuple[StoredTable, ...]
    statements: tuple[str, ...]


class LoadableBatch(Protocol):
    """What a load needs of a manifest (``landing.manifest.Manifest`` is one)."""

    @property
    def table(self) -> TableId: ...
    @property
    def sequence(self) -> int: ...
    @property
    def batch_id(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def previous(self) -> str | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def operation(self) -> Operation: ...
    @property
    def load(self) -> Load: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def key_enforced(self) -> bool: ...
    @property
    def partition(self) -> str | None: ...
    @property
    def timezone(self) -> str: ...
    @property
    def slices(self) -> tuple[Slice, ...]: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...
    @property
    def rows(self) -> int: ...
    @property
    def committed_at(self) -> str: ...
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def deleted(self) -> str | None:
        """The boolean column that is true for the row of a key that is gone; None where there is none."""


class Warehouse(Protocol):
    """Opened for one piece of work and closed after it: ``with config.open(...) as warehouse``."""

    def loaded(self, table: TableId) -> LoadedBatch | None:
        """The newest loaded batch of ``table``."""

    def loaded_all(self) -> list[LoadedBatch]: ...

    def load(self, manifest: LoadableBatch, parts: Sequence[Path]) -> LoadResult:
        """Apply one batch in one transaction, its record included. A batch at or below the
        loaded sequence changes nothing when it is the same one; ``LoadRefused`` otherwise,
        and for a batch that does not follow."""

    def record_reads(self, looks: Sequence[Look]) -> None:
        """Keep, in one transaction, of reads that brought nothing new when they were; at most one of each
        table. A load keeps this of its batch by itself."""

    def reads(self) -> Mapping[TableId, str]:
        """When each table was read last, as loads and ``record_reads`` keep it (ISO)."""

    def record_rules(self, table: TableId, sequence: int, evaluated: str) -> None:
        """Keep what the rules of ``table`` found after the load of ``sequence``, in the place of what
        was kept before."""

    def recorded_rules(self) -> Mapping[TableId, tuple[int, str]]:
        """Of each table, the sequence and the text that ``record_rules`` kept last."""

    def changed_since(self, table: TableId) -> Mapping[Slice, int]:
        """Per slice, the sequence of the last load that touched it."""

    def fingerprints(
        self, table: TableId, key: Sequence[str], partition: str | None, timezone: str
    ) -> Mapping[Slice, Fingerprint]:
        """What the raw table holds now, per slice (see ``tables.Fingerprint``)."""

    def tallies(self, table: TableId, partition: str | None, timezone: str) -> Mapping[Slice, Tally]:
        """The rows and versions the raw table holds now, per slice (see ``tables.Tally``)."""

    def altered(
        self,
        table: TableId,
        parts: Sequence[Path],
        columns: Sequence[Column],
        key: Sequence[str],
        partition: str | None,
        timezone: str,
        slices: Sequence[Slice],
    ) -> Mapping[Slice, int]:
        """The ``slices`` whose rows are not those of Parquet ``parts``, every column compared. Counted for
        each are rows of one key and version on both sides that differ all the same: 0 where only the
        source moved on."""

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult: ...

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]: ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read in the block is of one instant."""

    def inventory(self) -> Inventory:
        """What a backup copies; ``WarehouseError`` for what it could not bring back."""

    def read_ordered(self, table: StoredTable, key: Sequence[str] = ()) -> pa.RecordBatchReader:
        """Every row in an order that depends on the rows alone: of its unique ``key``, which is the
        cheaper one, or of all columns. ``as_text`` columns as text."""

    def row_fingerprint(
        self, table: StoredTable, rows: pa.RecordBatchReader | None = None
    ) -> tuple[int, int]:
        """Rows and the sum of their hashes modulo 2**64, of the table or of ``rows`` given in its place.
        Comparable between warehouses of the same ``Inventory.engine``; sums of parts add up.
        Threads may ask for the fingerprints of rows side by side."""

    def restore(self, inventory: Inventory) -> None:
        """Make every schema and empty table; the warehouse has none yet. ``WarehouseError`` for a statement that
        is anything else, whoever wrote it there; so in ``finish_restore``."""

    def fill(self, table: StoredTable, parts: Sequence[Path]) -> None:
        """Put the rows of Parquet ``parts`` into an empty table."""

    def finish_restore(self, inventory: Inventory) -> None:
        """Make what is no table, and write everything to disk."""
