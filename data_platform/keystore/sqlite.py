"""A keystore in one SQLite file of this machine, for one machine's syncs.

``secure_delete`` overwrites what is deleted, and a journal that is deleted after each transaction leaves no second copy
beside the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from data_platform.errors import KeystoreUnreachable
from data_platform.keystore.config import KeystoreSettings
from data_platform.keystore.rows import TABLES, Rows, schema
from data_platform.private_files import make_private

_BUSY_SECONDS = 30
_FETCHED = 10_000
_PAGE = 16_384
"""Keys lie at random places: with pages of 4 KB a transaction writes a third more often."""
_CACHE_KB = 65_536


class SqliteKeystoreConfig(KeystoreSettings):
    """``{kind: sqlite, path: data/keystore.sqlite}``."""

    kind: Literal["sqlite"] = Field(description="What holds the keys: `sqlite` or `postgres`.")
    path: Path = Field(
        description="The file; a relative path starts at the project's folder. It must not lie in the folder of a store."
    )

    def rows(self, root: Path, environ: Mapping[str, str]) -> Rows:
        return SqliteRows(root / self.path)

    def files(self, root: Path) -> tuple[Path, ...]:
        return (root / self.path,)


class SqliteRows:
    """The file is made on first use, closed to other accounts."""

    def __init__(self, path: Path) -> None:
        self._path, self.place = path, str(path)
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._turn, self._named():
            return self._open().execute(sql, tuple(values)).fetchall()

    def among(self, column: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(?))"

    def listed(self, values: Sequence[str]) -> str:
        return json.dumps(list(values))

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._turn, self._named():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._open().executemany(sql, rows)

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> int:
        if not rows:
            return 0
        columns = TABLES[table][: len(rows[0])]
        marks = ", ".join("?" * len(columns))
        return (
            self._open()
            .executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows
            )
            .rowcount
        )

    @contextmanager
    def everything(self) -> Iterator[Iterator[tuple[str, list[tuple[Any, ...]]]]]:
        with self._turn, self._named():
            self._open()
            with closing(_connected(self._path)) as connection:
                connection.execute("BEGIN")
                yield pages(connection)

    def compact(self) -> None:
        with self._turn, self._named():
            self._open().execute("VACUUM")

    def close(self) -> None:
        with self._turn:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():  # a child never shares its parent's
            make_private(self._path.parent)
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = _connected(self._path)
            try:
                with suppress(_Known):
                    _make(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._process = connection, os.getpid()
        return self._connection

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise KeystoreUnreachable(
                f"The keystore {self.place} could not be read or written ({error}). Check the disk, the file and its"
                " permissions; if the file is damaged, restore it: `data-platform keystore restore`."
            ) from None


class CopiedRows(SqliteRows):
    """A copy of a keystore, which is only read."""

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            address = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False
            )
            self._process = os.getpid()
        return self._connection


class _Known(Exception):
    """The tables are there."""


def _make(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'subjects_by_number'").fetchone()[
        0
    ]:
        raise _Known
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema("BLOB"):
        connection.execute(statement)
    connection.execute("COMMIT")


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {_PAGE}")  # of a new file
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = EXTRA")  # the journal's end too survives a loss of power
    return connection


def pages(connection: sqlite3.Connection) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    for table, columns in TABLES.items():
        found = connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1")
        while rows := found.fetchmany(_FETCHED):
            yield table, rows
