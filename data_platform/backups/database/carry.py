"""Brings a backup from one store to another. What is there already is not sent again, so an interrupted call is made again and goes
on where it was: at most one object, of 64 MB, is sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.repository import Repository
from data_platform.errors import BackupDamaged, BackupMissing, DataPlatformError

T = TypeVar("T")

PAUSES: Sequence[float] = (1, 5, 20, 60, 120)
"""Seconds before each further attempt, where a store has to be waited for. A bucket's client has made attempts of its own by then."""


def carry(from_: Repository, backup: DatabaseBackup, to: Repository, *, patient: bool = False) -> int:
    """Bring ``backup`` to ``to``, its manifest last; returns the bytes that were sent. What ``to`` holds is hashed before it is
    believed, or, where the whole backup had been committed, looked for by its size. ``patient`` waits for a store that does not answer."""
    there = _manifest(to, backup)
    sent = 0
    for one in backup.objects:
        if to.archive.has(one, deep=there is None):
            continue
        with from_.fetched(backup, one) as path:
            add = lambda path=path, one=one: to.archive.add(path, one)  # noqa: E731
            patiently(add) if patient else add()
        sent += one.bytes
    if there is None:
        to.commit(backup)
    return sent


def carry_chain(from_: Repository, backup: DatabaseBackup, to: Repository) -> int:
    """``carry`` for all that ``backup`` is built on, the full one first, and itself."""
    return sum(carry(from_, link, to) for link in from_.chain(backup))


def patiently(act: Callable[[], T]) -> T:
    """``act``, called again after a pause as long as its error may pass."""
    for pause in PAUSES:
        try:
            return act()
        except DataPlatformError as error:
            if not error.retryable:
                raise
        time.sleep(pause)
    return act()


def _manifest(to: Repository, backup: DatabaseBackup) -> DatabaseBackup | None:
    try:
        found = to.backup(backup.id)
    except BackupMissing:
        return None
    if found != backup:
        raise BackupDamaged(f"{to.archive} already holds another backup {backup.id}. Remove one of the two.")
    return found
