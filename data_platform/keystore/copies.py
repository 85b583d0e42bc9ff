"""Copies of a keystore: a SQLite file each, whatever kind the keystore is, kept for a few days alone.

The keys in a copy stay wrapped: without the master it opens nothing. A key that is destroyed lives on in the copies made before,
so the oldest is never older than the rule says.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from data_platform.errors import KeystoreUnreachable
from data_platform.keystore.config import KeystoreBackups
from data_platform.keystore.keys import Keystore
from data_platform.keystore.rows import TABLES, schema
from data_platform.keystore.sqlite import CopiedRows, pages
from data_platform.private_files import make_private

_NAME = re.compile(r"keystore-(\d{8}T\d{12})Z\.sqlite")
_FORMAT = "%Y%m%dT%H%M%S%f"
_TRIED = 10_000
"""Keys of a copy that are opened to see that it opens."""
YOUNG = timedelta(days=2)
"""The newest copy is at most so old, where one is made each day."""


@dataclass(frozen=True, slots=True)
class Copy:
    path: Path
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Copied:
    """A new copy with so many ``subjects``, and the copies that were ``removed`` because they were too old."""

    copy: Copy
    subjects: int
    removed: tuple[Path, ...]


def copies(folder: Path) -> list[Copy]:
    """The copies in ``folder``, oldest first."""
    with suppress(FileNotFoundError):
        found = [(path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir())]
        return [
            Copy(path, datetime.strptime(name[1], _FORMAT).replace(tzinfo=UTC))
            for path, name in found
            if name
        ]
    return []


def make(keystore: Keystore, config: KeystoreBackups, root: Path, now: datetime) -> Copied:
    """Copy ``keystore`` as it is at one instant, read the copy back, then remove copies that are too old."""
    folder = root / config.path
    made = Copy(folder / f"keystore-{now.astimezone(UTC):{_FORMAT}}Z.sqlite", now)
    passing = folder / f".{made.path.name}.part"
    try:
        make_private(folder)
        os.close(os.open(passing, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        subjects = _written(keystore, passing)
        passing.rename(made.path)
        _sync(folder)
        removed = [one.path for one in copies(folder) if now - one.made_at > timedelta(days=config.keep_days)]
        for path in (*removed, *(old for old in folder.glob(".keystore-*") if old != passing)):
            path.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            passing.unlink(missing_ok=True)
        raise KeystoreUnreachable(
            f"The keystore could not be copied into {folder} ({error}). Check the folder, its permissions and the disk."
        ) from None
    return Copied(made, subjects, tuple(removed))


def restore(keystore: Keystore, path: Path) -> int:
    """Add the keys of the copy at ``path`` that ``keystore`` lacks; returns how many. A key that is destroyed in the keystore stays
    destroyed."""
    if not path.is_file():
        raise KeystoreUnreachable(
            f"{path} is no file. Name a copy that `data-platform keystore backup` made."
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise sqlite3.DatabaseError("the file is damaged")
            return keystore.take_back(pages(connection))
    except sqlite3.Error as error:
        raise KeystoreUnreachable(f"The copy {path} cannot be read ({error}). Take another one.") from None


def opens(keystore: Keystore, path: Path) -> int:
    """Open up to 10,000 keys of the copy at ``path``, chosen at random, under the masters of ``keystore``; returns how many.
    ConfigurationError where the copy or one of them does not open, KeystoreUnreachable where the file cannot be read."""
    copy = keystore.beside(CopiedRows(path))
    try:
        return copy.tried(_TRIED)
    finally:
        copy.close()


def _written(keystore: Keystore, path: Path) -> int:
    written = dict.fromkeys(TABLES, 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as target, keystore.everything() as found:
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("BEGIN")
        for statement in schema("BLOB"):
            target.execute(statement)
        for table, rows in found:
            target.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(TABLES[table]))})", rows)
            written[table] += len(rows)
        target.execute("COMMIT")
    with path.open("rb") as file:
        os.fsync(file.fileno())
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        for table, rows in _counts(copy):
            if rows != written[table]:
                raise sqlite3.DatabaseError("the copy does not hold what was written")
    return written["subjects"]


def _counts(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    for table in TABLES:
        yield table, int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
