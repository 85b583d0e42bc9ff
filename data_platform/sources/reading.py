"""How any source is read: the protocol that each kind implements.

A *reading* is one pass over some tables of a source, as of one snapshot: what comes after that is the next
reading's. The sync decides, commits and loads; it asks a reading for the rest and never looks into what is the
source's own (``Position.value``, identities, ``private``). One sync, through these parts::

    open ─▶ describe ─▶ drift, filled ─▶ plan ─▶ start ─▶ finish ─▶ count, measure ─▶ (manifest) ─▶ acknowledge
             a table     against what      a       all      a step                       the sync's
                         landed last       table   tables   of a table

Nothing here knows a warehouse, the landing store, the catalog's models or Dagster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from data_platform.errors import DataPlatformError
from data_platform.sources.kind import Connection, KindSettings
from data_platform.sources.rejected import Rejected
from data_platform.sql import quoted
from data_platform.tables import (
    Column,
    Fingerprint,
    Json,
    Layout,
    Load,
    Operation,
    Position,
    Slice,
    Snapshot,
    Strategy,
    TableId,
    Tally,
)

if TYPE_CHECKING:
    from data_platform.sources.inbox.delivery import Inbox
    from data_platform.sources.inputs import Inputs

Changes = Literal["none", "cursor", "versions", "log"]
"""How what changed in a table is found: not at all, by a cursor that may miss some, by the rows' versions, by a log
of every change."""

Progress = Callable[[str, int, int], None]
"""Called with a table, its rows read so far and the estimate of all (0: not known)."""


class SourceTable(Protocol):
    """What a source may see of a table's block in the catalog."""

    @property
    def id(self) -> TableId: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def cursor(self) -> str | None: ...
    @property
    def partition(self) -> str | None: ...
    @property
    def timezone(self) -> str: ...
    @property
    def strategy(self) -> Strategy: ...
    @property
    def only(self) -> tuple[str, ...]:
        """The columns that are read; all where there are none."""

    @property
    def settings(self) -> KindSettings: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What is opened: the source, how it is reached, and the tables that will be asked about. ``inbox`` is where what others
    send to it waits, ``inputs`` are the landed tables that it may compute from. A process that is started for the reading also
    gets the variables of ``for_jobs``, which is asked once it is started."""

    source: str
    connection: Connection
    environ: Mapping[str, str]
    tables: Sequence[SourceTable]
    inbox: Inbox | None = None
    inputs: Inputs | None = None
    for_jobs: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Rows that must not be read again: whose ``column``, or the value to which ``path`` leads in its JSON, is one of ``values`` as text."""

    column: str
    path: tuple[str, ...]
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outdated:
    """Rows that must not be read again: whose day of ``column`` in ``timezone`` is before ``before``, except the ``spared``."""

    column: str
    before: date
    timezone: str
    spared: tuple[Unwanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Hanging:
    """Rows that must not be read: whose ``column``, or the value to which ``path`` leads in its JSON, is the ``key`` of a row of ``parent``, a table
    of the same source, that must not be read by one of ``by``. Only the source can know: such a row of ``parent`` never landed."""

    column: str
    path: tuple[str, ...]
    parent: SourceTable
    key: str
    by: tuple[Unwanted | Hanging, ...]


@dataclass(frozen=True, slots=True)
class Prior:
    """What the ledger says of a table. All empty before its first batch; ``boundary`` is the digest of the rows
    that the next read by cursor finds again. Rows that are ``unwanted`` never land, whatever a source gives; one that counts and
    measures what it has leaves them out of that too."""

    position: Position | None = None
    identity: Mapping[str, Json] | None = None
    snapshot: Snapshot | None = None
    columns: tuple[Column, ...] = ()
    boundary: str | None = None
    unwanted: tuple[Unwanted | Outdated | Hanging, ...] = ()


class ClearColumn(NamedTuple):
    """A column as the source has it. ``value`` is DuckDB SQL for its clear value, of the landed ``type``, over what
    the source gives to ``LandedColumns.select``, and ``text`` for the source's own text form of it. Of a treated
    column (``LandedColumns.treated``) the source need give the text alone.

    ``base`` is the source's name of the type without length, ``refers`` the table and column that a foreign key
    refers to: by both it is guessed whether the column is personal. ``one_text``: every engine gives its values the
    same text, so that a key of it can be fingerprinted. ``path`` is the key of ``personal`` that treats the column,
    where that is not its name. ``whole``: it holds the whole row as a document, into which every key of ``personal``
    leads.
    """

    name: str
    type: str
    source_type: str
    nullable: bool
    value: str
    text: str
    base: str | None = None
    refers: tuple[str, str] | None = None
    one_text: bool = False
    path: str | None = None
    whole: bool = False


_MODIFIER = re.compile(r"\(\d+(,-?\d+)?\)")


def without_modifier(source_type: str) -> str:
    """``numeric(10,2)`` as ``numeric``."""
    return _MODIFIER.sub("", source_type)


@dataclass(frozen=True, slots=True)
class Described:
    """A table as the source has it now.

    ``name`` and ``place`` are what it is called there, alone and with what is around it. ``identity`` tells it
    from another table that has its name, its columns from others that have theirs. ``own`` are columns of the
    source's making that land as they are, after all others: ``version`` names the one that says which version of a
    row one is, ``deleted`` the boolean one that marks the row of a key that is gone. ``enforced_keys`` are
    sets of columns that the source keeps unique and not null, ``replaces`` those whose rows are replaced together
    (the rows of one file, the lines of one invoice): a row brings all rows of its group, within one step, and a row
    that is marked deleted says the group alone, where none is left of it. ``indexed`` those by which a few rows are found without
    reading all. ``renamed`` says what columns that were read before are called now, of a table that ``landed_before``. ``refusal`` is what keeps the
    described columns from being read; it is told when nothing is wrong with the catalog's block.
    """

    name: str
    place: str
    changes: Changes
    columns: tuple[ClearColumn, ...]
    column_names: tuple[str, ...]
    """Of the table, those that are not read too."""
    identity: Mapping[str, Json] | None
    own: tuple[Column, ...] = ()
    version: str | None = None
    deleted: str | None = None
    replaces: tuple[str, ...] = ()
    from_rows: bool = False
    """The columns are those that the rows have: more are found while reading (``Reading.found``). A column that landed
    and is not among them is none that is gone, and a wider type is taken over without a whole read. The sync sees to
    both: it adds columns that landed as NULLs, and casts those with a narrower type. A column that ``path`` leads to is
    always described, for its name does not tell how it is treated."""
    enforced_keys: tuple[frozenset[str], ...] = ()
    indexed: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    landed_before: bool = False
    refusal: DataPlatformError | None = None
    paths: Mapping[str, str | None] = field(default_factory=dict)
    """Of documents: each path in them with the base type of its values, where the source knows what is in them."""
    type_base: Callable[[str], str] = without_modifier
    """What a type of the source's is without length or precision. Within one base the source shows every row as changed
    whose value a change of type alters; a change to another base may only relabel them, so the table is read anew."""
    private: Any = None

    def column(self, name: str) -> ClearColumn | None:
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of a table since it was read last, where its columns alone do not tell. All in words.

    ``replaced``: rows may have gone without a trace. ``columns`` are those that are another column than the one
    that landed under the name, or none any more; ``same`` are still the ones that landed. ``reinterpreted`` are
    columns whose values read otherwise though no row changed; ``""`` is the table as a whole.
    """

    replaced: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    same: frozenset[str] = frozenset()
    reinterpreted: Mapping[str, str] = field(default_factory=dict)
    private: Any = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What the sync wants of a table: all of it (with ``reasons``), what changed since the prior position, or
    ``slices``. ``thorough`` changes are found by what proves them, not by what is fast."""

    what: Literal["whole", "changes", "slices"]
    reasons: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    thorough: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One table's read, decided. Asked for changes, a source may still say that all must be read, and why.

    ``reasons`` are told in the batch's notes. ``measure_whole`` wants every slice measured, ``identity`` is what the
    batch may say of the table that was read. ``private`` is the source's own.
    """

    table: SourceTable
    prior: Prior
    now: Described
    operation: Operation
    load: Load
    reasons: tuple[str, ...]
    identity: Mapping[str, Json] | None
    slices: tuple[Slice, ...] = ()
    measure_whole: bool = False
    private: Any = None

    @property
    def by_cursor(self) -> bool:
        """Whether rows are found by a cursor that finds its last ones again."""
        return self.operation == "changes" and self.now.changes == "cursor"


class LandedFunction(NamedTuple):
    """A function of texts that gives a text. ``call`` takes one text that is not NULL, or with ``arrays`` so many Arrow arrays of
    one length, NULLs in them, and gives one."""

    name: str
    call: Callable[..., Any]
    arrays: int = 0


@dataclass(frozen=True, slots=True)
class LandedColumns:
    """What the parts of a table hold. Made by the sync, which alone knows what becomes of personal data; every kind
    writes its parts through ``select``.

    ``expressions`` are DuckDB SQL over the columns that the source gives under their own names: one for each of
    ``columns``. The engine that writes is made ready by ``prepare``: ``setup`` are statements with parameters, ``functions`` are
    those that the expressions call. Rows for which ``without``, a condition over the landed columns, is true are left out;
    ``blank`` are such conditions, each with the columns that are NULL where it is true.
    """

    columns: tuple[Column, ...]
    expressions: tuple[str, ...]
    treated: frozenset[str] = frozenset()
    setup: tuple[tuple[str, list[Any]], ...] = ()
    functions: tuple[LandedFunction, ...] = ()
    without: str = ""
    blank: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def select(self, from_sql: str) -> str:
        """The landed rows of what ``from_sql`` gives, as DuckDB SQL."""
        listed = ", ".join(
            f"{sql} AS {quoted(column.name)}"
            for column, sql in zip(self.columns, self.expressions, strict=True)
        )
        rows = f"SELECT {listed} FROM {from_sql}"
        if self.without:
            rows = f"SELECT * FROM ({rows}) WHERE NOT {self.without}"
        for condition, columns in self.blank:
            rows = blanking(rows, condition, columns)
        return rows


def blanking(rows: str, condition: str, columns: Sequence[str]) -> str:
    """DuckDB SQL for the result of ``rows``, with ``columns`` NULL where ``condition`` is true."""
    instead = ", ".join(
        f"CASE WHEN {condition} THEN NULL ELSE {name} END AS {name}" for name in map(quoted, columns)
    )
    return f"SELECT * REPLACE ({instead}) FROM ({rows})"


def prepare(engine: Any, landed: Sequence[LandedColumns]) -> None:
    """Make ``engine``, a DuckDB connection, ready to write parts of each of ``landed``."""
    for statement, parameters in dict(pair for one in landed for pair in one.setup).items():
        engine.execute(statement, parameters)
    for name, call, arrays in (function for one in landed for function in one.functions):
        how = {"type": "arrow", "null_handling": "special"} if arrays else {}
        engine.create_function(name, call, ["VARCHAR"] * (arrays or 1), "VARCHAR", **how)


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """What is to be started: parts go into ``folder``, which the source makes."""

    plan: Plan
    landed: LandedColumns
    folder: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """One step of a read: files with their rows, the ``seconds`` it took and what is to be told of it.

    ``rejected`` are files of records that it cannot take (``sources.rejected``), with their rows. ``facts`` are shown beside
    the batch and stored nowhere: what the read took of something that is worth knowing.
    ``more``: the source holds more of this read. The step is committed and acknowledged, and ``finish`` called
    again, by when the files are no longer needed.
    """

    files: tuple[tuple[Path, int], ...]
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    more: bool = False
    rejected: tuple[tuple[Path, int], ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.files)

    @property
    def paths(self) -> list[Path]:
        return [path for path, _ in self.files]


class Reading(Protocol):
    """``with kinds.reading(kind)(opening) as reading``. Errors are DataPlatformErrors that name the table and the
    way out. Threads may wait in ``ready`` side by side; everything else is asked by one thread at a time."""

    @property
    def snapshot(self) -> Snapshot: ...

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        """Raises what keeps the table from being read: it is missing, locked, not permitted."""

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        """PositionLost where what the ledger says is none of this source's."""

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        """The new columns in which a row that was read before holds something."""

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        """Decide how ``ask`` is met. Where the table was replaced and the ask is for changes still, its rows are
        only added: all there are must be read, and added. PositionLost where a prior position is none."""

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        """Find out together whether there is anything to read, and read it side by side. What fails for one table
        is raised by its ``finish``."""

    def ready(self, plan: Plan, seconds: float) -> bool:
        """Whether the next step of a read is done, at the latest after so many seconds."""

    def found(self, plan: Plan) -> Described | None:
        """What the rows of the next step, which is ready, are: where columns are only known when they are read. None
        where they are as planned."""

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        """The next step of a read, when it is done; raises what kept it from being read. ``landed`` is what
        ``start`` was given, or follows from what was ``found``."""

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position | None:
        """Up to where the table is read with the step that was finished last; ``greatest_cursor`` is the greatest
        that landed, where the table's changes are found by it."""

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        """Whether ``after`` must be told though nothing changed: ``before`` would soon be of no use."""

    def moved_since(self, plan: Plan, position: Position) -> bool:
        """Whether a read of changes from ``position`` would find a row."""

    def count(self, plan: Plan) -> int:
        """All rows of the table in the snapshot, by the source's own count."""

    def explain_miscount(self, plan: Plan, read: int, counted: int) -> str:
        """What to tell of a read whose rows are not as many as the snapshot holds."""

    def measure(self, plan: Plan, layout: Layout, slices: Sequence[Slice]) -> Mapping[Slice, Fingerprint]:
        """The fingerprints of ``slices`` in the snapshot; those without rows are zero."""

    def tally(self, plan: Plan, layout: Layout) -> Mapping[Slice, Tally]:
        """The tally of every slice in the snapshot."""

    def read_under(self) -> Snapshot:
        """The snapshot that rows, counts and tallies are of; never earlier than ``snapshot``."""

    def acknowledge(self, plan: Plan, position: Position) -> None:
        """What was read up to ``position`` is committed: the source need not keep it for us any more. The ledger is
        the truth all the same: what fails here, and what is never called, costs nothing."""

    def interrupt(self) -> None:
        """End what another thread waits for, if it does: nobody wants it any more."""


Kept = Callable[[], Iterator[Rejected]]
"""Records that could not be taken when they came, in that order. It may be called again."""


class Again(Reading, Protocol):
    """A reading of a kind that can take a record by itself (``Capabilities.replays``): those in quarantine, taken again."""

    def plan_again(self, table: SourceTable, prior: Prior, now: Described) -> Plan:
        """ConfigurationError where a record of the table is nothing by itself."""

    def start_again(self, read: PlannedRead, kept: Mapping[int, Kept]) -> None:
        """In the place of ``start``. ``kept`` are the records by the batch that could not take them, ascending. They are
        one step: of one key the last record holds. The files of its parts are one for each batch, ``of-<batch>.parquet``, where
        it has rows. The position stays."""
