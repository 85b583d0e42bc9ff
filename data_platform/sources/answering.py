"""How a source that knows SQL is asked about its own rows: for rules that are evaluated there.

Who asks sees counts and chosen columns; nothing is written, at the source or anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from data_platform.errors import DataPlatformError
from data_platform.expressions import Expressions
from data_platform.sources.reading import Opening, SourceTable
from data_platform.tables import TableId

T = TypeVar("T")


class AnsweredRows(NamedTuple):
    """The rows of one statement. Its columns are not named: who asks names them."""

    rows: Sequence[tuple[Any, ...]]
    columns: Sequence[str] = ()


class AnsweredRelation(NamedTuple):
    """A table as the source has it. ``columns`` are those that this user may read, each with the source's type. ``withheld`` are
    the names of the others."""

    columns: Sequence[tuple[str, str]]
    withheld: frozenset[str] = frozenset()


class Asked(Protocol):
    """One table's moment: every statement sees the same rows."""

    @property
    def dialect(self) -> Expressions: ...

    def describe(self, schema: str, name: str) -> Sequence[AnsweredRelation]:
        """A table of the source by the source's own names; nothing if there is none."""

    def query(self, sql: str) -> AnsweredRows:
        """``QueryFailed`` if the source refuses the statement. SourceUnreachable, TableLocked among them, if it may be answered
        another time: then the whole table is asked no further."""


class Answering(Protocol):
    """``with answers.opened(opening) as answering``."""

    def ask(
        self, tables: Sequence[SourceTable], act: Callable[[SourceTable, Asked], T]
    ) -> Mapping[TableId, T | DataPlatformError]:
        """What ``act`` makes of each table, or why there is nothing. Raises what hits the whole source."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a kind of source that knows SQL says of itself. ``place`` gives (schema, name) of a table at the source."""

    dialect: Expressions
    place: Callable[[SourceTable], tuple[str, str]]
    opened: Callable[[Opening], AbstractContextManager[Answering]]
