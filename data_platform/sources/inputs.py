"""Tables that landed before, as what a source of another kind computes its rows from (``KindSettings.reads``).

The ledger says what a table holds: batches in order, each with how it is loaded. Whoever reads them makes of them the rows
that the raw table holds, without the warehouse.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_platform.tables import Column, Load, Slice, TableId


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """One batch. ``files`` are its Parquet parts that stand now, as paths of this machine or addresses in a bucket; ``columns``
    are what they hold. ``deleted`` and ``replaces`` are as ``warehouses.LoadableBatch`` says."""

    sequence: int
    load: Load
    columns: tuple[Column, ...]
    files: tuple[str, ...]
    rows: int
    slices: tuple[Slice, ...] = ()
    deleted: str | None = None
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest batch of a table: its number, its digest, and as of when the source was read, by its own clock (ISO)."""

    sequence: int
    digest: str
    taken_at: str


@dataclass(frozen=True, slots=True)
class LandedTable:
    """A table as of ``head``: what is loaded, from the last batch on that replaced it whole."""

    table: TableId
    head: Head
    key: tuple[str, ...]
    partition: str | None
    timezone: str
    batches: tuple[LandedBatch, ...]


class Outbox(Protocol):
    """A place of the landing store for what a computation elsewhere writes, until it lands."""

    @property
    def address(self) -> str:
        """The folder's address in the bucket."""

    def files(self, folder: Path) -> list[Path]:
        """The Parquet files that were written there, fetched into ``folder``."""


class Inputs(Protocol):
    """The landed tables of the environment."""

    def head(self, table: TableId) -> Head | None:
        """None where nothing of ``table`` has landed. The ledger's errors are raised."""

    def landed(self, table: TableId, *, in_bucket: bool) -> AbstractContextManager[LandedTable]:
        """``table`` as of now, of which something has landed. Each part is a verified file of this machine, within the block;
        with ``in_bucket`` its address, where the landing store is a bucket: then only its size is compared."""

    def in_bucket(self) -> bool:
        """Whether the landing store is a bucket, where others reach it too."""

    def outbox(self) -> AbstractContextManager[Outbox]:
        """A new, empty place in the bucket; what is in it is deleted at the end of the block."""
