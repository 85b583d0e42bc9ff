"""What an engine behind a connection brings: a ``Session``, which speaks to it, and a ``Grammar`` (``grammar.py``), which
is text alone.

The other modules of this folder decide what is said, in which order, and what is asked again after a failure. A session
sends, waits and tells errors apart; it decides nothing. Each of its calls may fail before or after the engine did what it
was told, so each may be made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data_platform.errors import QueryFailed, WarehouseError
from data_platform.warehouses import QueryResult, Relation


class Transient(WarehouseError):
    """The same work may succeed if it is begun again: a connection or an answer was lost, the service was not there, a
    token had expired, a conflict with another transaction. Whether the engine did what it was told is not known.

    ``session_lost``: what the session had staged is gone, too, so that the work begins with the staging. Otherwise the
    transaction alone is run again."""

    retryable = True

    def __init__(self, message: str, *, session_lost: bool) -> None:
        super().__init__(message)
        self.session_lost = session_lost


class RelationMissing(QueryFailed):
    """A table or a schema that a question names is not there."""


class Overtaken(WarehouseError):
    """The guard of a transaction was not true: another load of the table was first. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Staging:
    """Rows on their way: Parquet files that become one table for as long as the work lasts.

    ``identity`` names the batch and the attempt, in letters, digits and ``_``: two processes that load one batch never
    have the same, so that neither writes over what the other reads. ``columns`` are (name, the engine's type) in the order
    in which every file has them, which holds values of exactly these types: ``parts.py`` has seen to it. ``addresses`` is
    where the files lie in a bucket, in the order of ``parts``; where there is none, the session takes the files there
    itself. No part is staged as an empty table.
    """

    identity: str
    columns: tuple[tuple[str, str], ...]
    parts: tuple[Path, ...]
    addresses: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Statements that are done all or not at all, and only where ``guard`` is true.

    In this order: begin; ``lock`` (``Grammar.lock``: two transactions of one raw table then exclude each other);
    ``guard``, a SELECT of one row and one boolean, which must see what was committed before the lock was got; where it is
    true, or where there is none, ``statements`` and COMMIT, else ROLLBACK and ``Overtaken``. All texts are known beforehand and none of the
    statements is a question, so that an engine may send all of it as one script (BigQuery: DECLARE, BEGIN TRANSACTION, IF
    guard, COMMIT; Snowflake: a block or a request of several statements) or one by one (Redshift: BEGIN .. COMMIT, the guard
    being the one answer that is waited for).

    ``identity`` is the same for the same work in the same attempt, in letters, digits and ``_``; the name of a job."""

    identity: str
    lock: tuple[str, ...]
    guard: str
    statements: tuple[str, ...]


class Session(Protocol):
    """A connection to one warehouse, kept until it is closed. Used by one thread at a time.

    Every error is a ``WarehouseError`` whose words name the object and what to do, and hold no value of a row and no
    secret. ``Transient`` where trying again may help, also for whatever the client library throws that is not understood
    while a connection breaks; of a limit or a missing right, a ``WarehouseError`` that says which. A session retries nothing
    by itself that changes something: ``load.py`` does, because it can ask whether it was done. It makes a new connection
    (new credentials, too) when it is called after ``session_lost``."""

    def ask(self, question: str, limit: int | None = None, parameters: Sequence[Any] = ()) -> QueryResult:
        """The answer to one SELECT, at most ``limit`` rows of it. The engine binds ``parameters`` to its ``?`` in their order. Integers of any size come as ``int``, exact decimals as
        ``Decimal`` or ``int``, texts as ``str``, NULL as None. Changes nothing, so it may be sent again on its own.
        ``RelationMissing`` where a table of it is not there; ``QueryFailed`` for a statement that is wrong; both begin with
        "The query did not run:"."""

    def columns(self, schema: str, name: str) -> Mapping[str, str]:
        """The columns of a table or a view, in order: names as they landed or as
        ``Grammar.folded`` makes them, types in the words that ``Grammar.same_type`` and ``Grammar.day`` know. Empty where there is none. As cheap as the engine has it, such as a
        call that is no query."""

    def describe(self, schema: str | None, name: str | None) -> list[Relation]:
        """The relations of the warehouse, or of a schema, or the one of that name; never the engine's own and never
        stages."""

    def fits(self, schema: str, name: str, partition: str | None, cluster: Sequence[str]) -> bool:
        """Whether an existing table is partitioned and clustered so. True where the engine has no such thing, or makes the
        difference good by itself. A refresh makes a table anew where it is not."""

    def define(self, statements: Sequence[str]) -> None:
        """DDL, one by one, each of which adds something and may have been done before: that something is there already is
        no error (a column that another load has just added, a schema), whether or not the statement says IF NOT EXISTS."""

    def staged(self, staging: Staging) -> AbstractContextManager[str]:
        """A table that holds the rows while the block runs; the value is what follows FROM. One load job, COPY or PUT and
        COPY INTO, that takes all of the files or fails. What an earlier attempt left of the same ``identity`` is
        overwritten. It is dropped at the end if that can be done; what a killed process leaves must go by itself: a
        temporary table of the session, an expiry, or files in a folder that is swept."""

    def commit(self, transaction: Transaction) -> None:
        """Returns once it is committed for certain. ``Overtaken`` where the guard was false. ``Transient`` where it was not
        committed and may be tried again, and where that is not known; ``load.py`` then asks the record."""

    def replace(self, guard: str, statements: Sequence[str]) -> None:
        """Only called where ``Grammar.transactional_ddl`` is false: ``statements`` of ``Grammar.replacing`` or
        ``Grammar.widen``, which may be done again, each committed by itself. ``guard`` is asked right before the last of them, after
        the new table was made; the last one puts it in the place of the old, and fails where it is gone (``turns.py``).
        ``Overtaken`` where the guard is false, ``Transient`` where the new table is gone."""

    def close(self) -> None:
        """Also after an error; never raises."""
