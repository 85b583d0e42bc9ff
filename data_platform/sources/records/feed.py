"""What a kind of source that gives records must write: how its pages are walked."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from data_platform.findings import Finding
from data_platform.sources.reading import Ask, SourceTable
from data_platform.sources.rejected import Rejected
from data_platform.tables import Json

State = Mapping[str, Json]
"""Up to where a stream was read: the feed's own. It is JSON, and holds no secret and no personal value."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of a stream, in the order in which they are true: of two with one key, the later one holds.

    ``records`` are the JSON texts of objects exactly as they came. Those at the positions of ``gone`` only name a key
    that is no more. ``state`` is where the read goes on after this page, in ``text`` for people. ``origin`` says where the page
    came from (``/v1/charges, page 400``), without secrets. ``more`` is False for the last page of a read: its
    ``state`` is where the next read begins. ``rejected`` are records that the feed itself cannot take.
    ``resumable``: a read that is cut here goes on from ``state``, though what changed cannot be asked for.
    """

    records: Sequence[bytes]
    state: State
    text: str
    origin: str
    gone: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    more: bool = True
    rejected: Sequence[Rejected] = ()
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a stream: for which ``tables``, from where (``start``: None is from the beginning), and what was
    asked of it."""

    stream: Hashable
    tables: tuple[SourceTable, ...]
    start: State | None
    ask: Ask


@dataclass(frozen=True, slots=True)
class Known:
    """What a feed knows of a table before it reads it. ``types`` are words of ``types.py`` by column, ``place`` is what
    people call the table there, ``identity`` tells it from another that has its name."""

    place: str
    identity: Mapping[str, Json]
    types: Mapping[str, str] = field(default_factory=dict)


class HasPages(Protocol):
    def pages(self, wanted: Wanted) -> Iterator[Page]: ...


class Feed(HasPages, Protocol):
    """One source, opened. Streams are walked side by side, each by one thread. Errors are DataPlatformErrors that
    name the table, the endpoint and the way out, and hold no secret."""

    @property
    def system(self) -> str:
        """The one account, property or address that is read: of another one everything is read anew."""

    def known(self, table: SourceTable) -> Known: ...

    def stream(self, table: SourceTable) -> Hashable:
        """Tables of one stream are fed by the same pages: a parent and its children."""

    def incremental(self, table: SourceTable) -> bool:
        """Whether what changed can be asked for. Otherwise every read is of the whole table."""

    def lost(self, table: SourceTable, state: State) -> str | None:
        """Why a read cannot go on from ``state``, so that all is read; None where it can."""

    def must_advance(self, before: State, after: State) -> bool:
        """Whether ``after`` must be told though no row came: ``before`` would soon be of no use."""

    def acknowledge(self, table: SourceTable, state: State) -> None:
        """What was read up to ``state`` is committed."""

    def interrupt(self) -> None:
        """End waiting and asking: nobody wants it any more."""

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        """What keeps ``tables`` from being read, as far as asking without reading tells."""

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        """What is worth knowing of the source; each finding's name begins with ``head``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class UsualFeed:
    """What most feeds answer alike."""

    def lost(self, table: SourceTable, state: State) -> str | None:
        return None

    def must_advance(self, before: State, after: State) -> bool:
        return before != after

    def acknowledge(self, table: SourceTable, state: State) -> None:
        """Nothing is kept for us."""

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        """The first page of each table tells more, and is asked for next."""
        return iter(())

    def __enter__(self) -> Self:
        return self
