"""A warehouse that is backed up and restored table by table, where its ``Traits.archive``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from data_platform.errors import ConfigurationError
from data_platform.warehouses import Warehouse, WarehouseConfig

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """``as_text``: its values are backed up in their text form, which comes back as the same value. ``held``: what the
    engine calls its type, where that is another one than ``type``."""

    name: str
    type: str
    as_text: bool
    held: str = ""


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


class Archivable(Warehouse, Protocol):
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


class ArchivableConfig(WarehouseConfig, Protocol):
    """A configured warehouse whose ``Traits.archive`` is true."""

    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Archivable]: ...

    def elsewhere(self, name: str | os.PathLike[str]) -> ArchivableConfig: ...

    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Archivable]: ...

    def bounded(self, memory: str) -> ArchivableConfig:
        """The same warehouse, opened within so much of this machine's memory, such as 384MB."""

    def trial(self, folder: Path) -> TrialConfig:
        """Another warehouse, for a restore that is thrown away, of this engine or of one that runs on this machine: what of
        it can lie here lies in ``folder``."""


class TrialConfig(ArchivableConfig, Protocol):
    """A warehouse that can be thrown away."""

    def remove(self, root: Path) -> None:
        """Everything in it, and itself."""


INSTEAD = (
    "Keep a second copy of the landing store (a versioned or replicated bucket, or a copy of its folder): `data-platform"
    " rebuild --into NAME` makes the raw tables from it, and dbt the models. For a faster way back use the engine's own"
    " snapshots. Take `backups:` out of this environment."
)


def no_archive(config: WarehouseConfig) -> str:
    return f"A warehouse of the kind {config.kind} cannot be read out and restored table by table, so no backup of it is made."


def archivable(config: WarehouseConfig) -> ArchivableConfig:
    """``config`` as what can be backed up; ``ConfigurationError`` where its engine cannot."""
    if not config.traits.archive:
        raise ConfigurationError(f"{no_archive(config)} {INSTEAD}")
    return cast("ArchivableConfig", config)
