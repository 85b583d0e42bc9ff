"""The tables of a keystore, and what each kind of database does for them.

    wrapping_keys   by number: 32 bytes that wrap the keys of subjects, wrapped by a master; the greatest number is in use
    secrets         the secret under which lookup tokens are made, wrapped under a wrapping key
    subjects        a row a subject: its key wrapped, or destroyed

SQL is written once, with ``?`` for each value; what differs is what ``Rows`` asks of a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

TABLES: dict[str, tuple[str, ...]] = {
    "wrapping_keys": ("number", "master", "wrapped", "made_at"),
    "secrets": ("name", "number", "wrapped"),
    "subjects": ("subject_id", "kind", "token", "number", "wrapped", "made_at", "destroyed_at"),
}


def schema(bytes_type: str) -> list[str]:
    """The statements that make the tables. A destroyed key's row keeps the id and no more, so that it is known to be erased."""
    return [
        f"CREATE TABLE IF NOT EXISTS wrapping_keys (number INTEGER PRIMARY KEY, master TEXT NOT NULL,"
        f" wrapped {bytes_type} NOT NULL, made_at TEXT NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, number INTEGER NOT NULL, wrapped {bytes_type} NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS subjects (subject_id TEXT PRIMARY KEY, kind TEXT NOT NULL, token TEXT,"
        f" number INTEGER, wrapped {bytes_type}, made_at TEXT NOT NULL, destroyed_at TEXT, UNIQUE (kind, token))",
        "CREATE INDEX IF NOT EXISTS subjects_by_number ON subjects (number)",
    ]


class Rows(Protocol):
    """A database that holds a keystore. Any number of threads may call it; ``KeystoreUnreachable`` where it does not answer."""

    place: str
    """Where it is, for people; no secret."""

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def among(self, column: str) -> str:
        """SQL that is true where ``column`` is one of a list, which is bound as ``listed`` makes it."""

    def listed(self, values: Sequence[str]) -> Any: ...

    def writing(self) -> AbstractContextManager[None]:
        """One transaction that no other writer's overlaps. What is done in it is durable once it has ended, or undone."""

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """``sql`` for each of ``rows``, within ``writing``."""

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> int:
        """Add ``rows``, of the first columns of ``table``, but for those that are there by a key of theirs; returns how many were
        added. Within ``writing``."""

    def everything(self) -> AbstractContextManager[Iterator[tuple[str, list[tuple[Any, ...]]]]]:
        """All rows of all tables as of one instant: a table's name and some of its rows, as often as it takes."""

    def compact(self) -> None:
        """Overwrite or give back what deleted and changed bytes still occupy, as far as the database can."""

    def close(self) -> None: ...
