"""Why a read by the engine failed, as a person can act on it; never with a value of a row.

The engine hands on what PostgreSQL says as text alone: no SQLSTATE, behind a quoted statement, in the server's
language and with whatever values are in it. So nothing is concluded from that text. The statement is put to the
server once more, by a connection that tells the SQLSTATE, under the same snapshot. What the server does not
object to then was of the moment: a connection that was cut, a read that somebody ended.

Two things are read from the engine's text after all: the mark that our own SQL raises, and a full disk, for
which the engine has no kind of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_platform.errors import (
    DataPlatformError,
    SourceError,
    SourceUnreachable,
    StoreFull,
    TableLocked,
    ValueNotKept,
)
from data_platform.sources.postgres.connection import connect
from data_platform.sources.postgres.server_errors import IN_THE_WAY_OF_REPLAY, source_error
from data_platform.sources.postgres.settings import roll_back
from data_platform.sources.postgres.types import NOT_KEPT, literal, quote, refused_value, way_out
from data_platform.sources.postgres.unreachable import NO_SNAPSHOT

if TYPE_CHECKING:
    import psycopg

    from data_platform.sources.postgres.session import SourceSession

ASKED_SECONDS_MIN = 5
"""How long the server may take to say why, at least: twice what the failed read took."""
TRIES_IF_LOCKED, TRIES_IF_ENDED = 4, 1
"""How often a read is tried again under the same snapshot. A lock is often wanted for a moment only, by who gives
up soon; what the server does not object to was ended once."""
NO_REPLY = "the server ended the read, or the connection was cut. Nothing was committed; run the sync again."


def of_the_engine(error: Exception, label: str, memory: str) -> DataPlatformError | None:
    """What to tell of a read that failed in the engine itself, which has so much ``memory``; None where the
    server has to be asked."""
    if isinstance(error, DataPlatformError):
        return error
    text = str(error)
    if found := refused_value(text):
        return not_kept(label, *found)
    if "No space left" in text:
        return StoreFull(
            f"{label}: the disk of the landing store is full. Nothing was committed; free space"
            " and run the sync again."
        )
    if "NotADocument" in text:
        return ValueNotKept(
            f"{label}: a document of a column that `personal` leads into cannot be looked into: it is nested too deep."
            " Nothing was read. Declare the column as a whole."
        )
    if does_not_fit(error):
        return ValueNotKept(
            f"{label}: a row is too large for the {memory} that a reader has, or rows of a view"
            " are. Read a view that leaves the large column out or cuts it; of a view with rows of 90 kB and"
            " more, its table."
        )
    return None


@dataclass(frozen=True, slots=True)
class Why:
    """What to tell of a failed read, and how often it is worth another try."""

    error: DataPlatformError
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """How to put a statement to the server again: where, and under which snapshot. A standby's reader has
    none that could be joined."""

    session: SourceSession
    snapshot: str | None

    def why(self, error: Exception, statement: str, what: str, took: float) -> Why:
        """Why ``statement`` failed with ``error`` after ``took`` seconds."""
        if objection := self._objection(statement, what, took):
            return Why(objection, TRIES_IF_LOCKED if isinstance(objection, TableLocked) else 0)
        if _of_the_engine_alone(error):
            return Why(
                SourceError(
                    f"{what} failed in the engine ({type(error).__name__}), and the server reports no error. The"
                    " reason is not shown because it may hold values. Land columns of unusual types as text"
                    " (`as: {column: text}`) to find which it is."
                )
            )
        if self.snapshot is None:  # it cannot be read under again
            return Why(SourceUnreachable(f"{what}: {IN_THE_WAY_OF_REPLAY}"))
        return Why(SourceUnreachable(f"{what}: {NO_REPLY}"), TRIES_IF_ENDED)

    def _objection(self, statement: str, what: str, took: float) -> DataPlatformError | None:
        """What the server has against ``statement`` now."""
        import psycopg

        try:
            connection = connect(self.session.target)
        except DataPlatformError as unreachable:
            return SourceUnreachable(f"{what} failed, for the connection was lost. {unreachable}")
        bound = max(ASKED_SECONDS_MIN, 2 * took)
        try:
            if took >= self.session.target.statement_timeout_seconds:  # it would take as long again
                return source_error(psycopg.errors.QueryCanceled(), what=what, limits=self.session.limits)
            connection.execute(b"begin transaction isolation level repeatable read, read only")
            if self.snapshot is not None and not _joined(connection, self.snapshot):
                return self.session.ended(what) or SourceUnreachable(f"{what} failed: {NO_SNAPSHOT}.")
            connection.execute(
                f"{self.session.settings.statement()}; set local statement_timeout = {int(bound * 1000)}".encode()
            )
            copied = f"copy ({statement}) to stdout (format binary)".encode()
            with connection.cursor() as cursor, cursor.copy(copied) as copy:
                for _ in copy:
                    pass
        except psycopg.errors.QueryCanceled:
            return SourceUnreachable(
                f"{what} failed, and a second attempt to get the reason from the server gave none within {bound:.0f} seconds."
                " Nothing was committed; run the sync again."
            )
        except psycopg.Error as said:
            return source_error(said, what=what, lost=connection.closed, limits=self.session.limits)
        finally:
            roll_back(connection)
            connection.close()
        return None


def _joined(connection: psycopg.Connection[Any], snapshot: str) -> bool:
    """Whether the snapshot is there to be read under: as long as the transaction that took it is."""
    import psycopg

    try:
        connection.execute(f"set transaction snapshot {literal(snapshot)}".encode())
    except psycopg.Error:
        return False
    return True


def _of_the_engine_alone(error: Exception) -> bool:
    """Of a kind that no server's answer and no lost connection comes as (those come as any other)."""
    import duckdb

    own = (duckdb.DataError, duckdb.InternalError, duckdb.NotSupportedError, duckdb.InvalidInputException)
    return isinstance(error, own)


def does_not_fit(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryException"


def not_kept(label: str, column: str, why: str) -> ValueNotKept:
    finding = f" Find it with `WHERE {quote(column)} = 'NaN'`." if why == "nan" else ""
    return ValueNotKept(
        f"{label}: the column {column} {NOT_KEPT[why]}.{finding} Correct it at the source, or land the"
        f" column as text: {way_out(column)}."
    )
