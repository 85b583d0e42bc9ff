"""The warehouse's interface. Each engine has a folder next to this module.

An engine loads a batch exactly once, runs queries and describes its relations. The manifest
defines a batch. The SQL of a merge is pure and is in the engine's ``merge.py``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from data_platform.tables import Column, Fingerprint, Layout, Load, Operation, Slice, Snapshot, TableId, Tally
from data_platform.warehouses.dialect import Dialect

if TYPE_CHECKING:
    from data_platform.warehouses.journal import JournalTable

PLATFORM_SCHEMA = "_data_platform"
"""Holds ``loaded_batches``, ``loaded_tables`` (the newest of each table) and ``touched_slices``, written with each
load: what is loaded; and ``evaluated_rules``: what the rules found when the command line loaded; and ``table_reads``: by the source's
clock, up to when a table was read, up to when its deletes are known, and when it last lost rows."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What an engine can do, known without opening it.

    ``writers``: whether several processes may write at once. ``archive``: whether it can be backed up and restored
    table by table (``archive.py``); where not, the ledger is the backup of its raw tables. ``in_files``: whether a
    warehouse is a file or a folder of this machine, so that the name of another one is a path. ``publishes``: whether a
    copy for readers can be made (``publishing.py``), which they need where the writer keeps them out. ``maintained``:
    whether it must be looked after (``maintenance.py``). ``placed``: whether raw tables lie by the catalog's `partition` and
    `cluster`, so that an existing one may lie by others (``placement.py``). ``snapshots``: whether it makes snapshots of its own
    tables without a copy of their rows (``snapshots.py``)."""

    writers: Literal["one", "many"]
    archive: bool
    in_files: bool = True
    publishes: bool = False
    maintained: bool = False
    placed: bool = False
    snapshots: bool = False


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
class EngineError:
    """An error of the engine in a text, from ``start`` on. ``names_only``: its words hold no value of a row. Of any
    other error ``summary`` is told instead: a sentence, without a value."""

    start: int
    names_only: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of the batch ``batch_id`` after a redaction: ``parts`` hold its rows with ``columns``. ``key`` tells its rows
    apart; where there is none, all columns do."""

    batch_id: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    parts: tuple[Path, ...]

    @property
    def told_apart(self) -> tuple[str, ...]:
        return self.key or tuple(column.name for column in self.columns)


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

    @property
    def replaces(self) -> tuple[str, ...]:
        """Columns whose rows are replaced together, or none. A merge or a slice then takes out every row that has in
        them the values of a row of the batch, and every row whose key comes again. A row that is marked deleted
        says these columns, and need say nothing else."""


class Warehouse(Protocol):
    """Opened for one piece of work and closed after it: ``with config.open(...) as warehouse``."""

    @property
    def dialect(self) -> Dialect: ...

    def loaded(self, table: TableId) -> LoadedBatch | None:
        """The newest loaded batch of ``table``."""

    def loaded_all(self) -> list[LoadedBatch]: ...

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        *,
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        """Apply one batch in one transaction, its record included. ``parts`` are its Parquet files, proven to be what
        the manifest says; ``addresses`` is where each of them lies in the bucket of the landing store (``s3://...``),
        in the same order, or none. An engine that cannot read from there takes the files. ``cluster`` are columns
        by which a raw table is ordered when it is made, where an engine does that. A batch at or below the
        loaded sequence changes nothing when it is the same one; ``LoadRefused`` otherwise,
        and for a batch that does not follow. Where the batch names a column ``deleted``, a row in which it is true
        takes its key out of the table and is not inserted; the raw table has no such column. A batch of the kind ``redact`` brings no
        rows: the raw table loses those that came with one of the batches ``kept`` and are no longer among its rows."""

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

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        """Run ``statements``, INSERT and DELETE of the journal's ``table``, in one transaction, after the table was
        made or given the columns that it lacks. One transaction of a journal's table at a time: each sees what those before it
        committed. ``journal.py`` makes them."""

    def remove_rows(self, schema: str, name: str, conditions: Sequence[str]) -> None:
        """Delete the rows of the table ``schema.name`` for which one of ``conditions`` is true, in one transaction. For tables that are not raw:
        of those a load knows each row."""

    def blank_rows(self, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]) -> None:
        """Make ``columns`` NULL in the rows of the table ``schema.name`` for which one of ``conditions`` is true, in one transaction."""

    def changed_since(self, table: TableId) -> Mapping[Slice, int]:
        """Per slice, the sequence of the last load that touched it."""

    def fingerprints(self, table: TableId, layout: Layout) -> Mapping[Slice, Fingerprint]:
        """What the raw table holds now, per slice (see ``tables.Fingerprint``)."""

    def tallies(self, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
        """The rows and versions the raw table holds now, per slice (see ``tables.Tally``)."""

    def altered(
        self,
        table: TableId,
        layout: Layout,
        columns: Sequence[Column],
        parts: Sequence[Path],
        slices: Sequence[Slice],
    ) -> Mapping[Slice, int]:
        """The ``slices`` whose rows are not those of Parquet ``parts``, every one of ``columns`` compared. Counted
        for each are rows of one key and version on both sides that differ all the same: 0 where only the
        source moved on."""

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        """The result of one statement, at most ``limit`` rows of it. The engine binds ``parameters``, texts, numbers, booleans,
        dates and times, to the ``?`` of the statement in their order. ``QueryFailed`` where it does not run."""

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]: ...


@runtime_checkable
class OnDisk(Protocol):
    """The config of an engine that is a service, and whose data may lie in a folder all the same."""

    @property
    def on_this_machine(self) -> bool:
        """Whether runs on another machine would not find its data."""


class WarehouseConfig(Protocol):
    """A warehouse as the catalog names it. Whoever works with one knows no more of it than this."""

    traits: ClassVar[Traits]
    dialect: ClassVar[Dialect]

    @property
    def kind(self) -> str: ...

    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Warehouse]:
        """The warehouse for one piece of work. Its statements reach no file but its own and those below the
        folders ``files``. ``WarehouseBusy`` when somebody else holds it; ``WarehouseError`` when there is
        nothing to read."""

    def elsewhere(self, name: str | os.PathLike[str]) -> WarehouseConfig:
        """The same engine with the same settings over another file, dataset or database. ``ConfigurationError`` for
        what is no name of one."""

    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Warehouse]:
        """A new, empty warehouse that takes this one's place when the block ends, on disk as a whole; after an error
        nothing of it stays. ``doing`` names it meanwhile. ``WarehouseBusy`` when somebody works in what would
        be replaced: what they wrote afterwards would be lost with it."""

    def waiting(self, seconds: float) -> WarehouseConfig:
        """The same warehouse, waited for no longer than that while somebody else holds it."""

    def exists(self, root: Path) -> bool:
        """Whether there is anything to open."""

    def place(self, root: Path) -> str:
        """Where it is, for people."""

    def files(self, root: Path) -> Sequence[Path]:
        """The files of this machine that it is written to; none where it is elsewhere."""

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        """The environment variables that the kind's output in ``dbt/profiles.yml`` reads it from, and those that its
        driver reads itself, such as a cloud's credentials. dbt's process gets no other secret."""

    def forget(self, root: Path) -> str:
        """Make rows that were deleted unreadable, as far as the engine lets itself be told. A sentence for people says what of them is left
        where, and until when."""

    def held_by(self, message: str) -> str | None:
        """Who holds it, where the engine's ``message``, as dbt passes it on, says that somebody does."""

    def error_in(self, text: str) -> EngineError | None:
        """The first error of the engine in ``text``, which dbt passes on or prints. Where there is one and this finds
        none, its words are shown as they are by whoever prints the text: find too much rather than too little."""
