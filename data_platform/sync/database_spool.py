"""The spool of a database's backups: a folder of this machine where one waits until a store has it, so that nothing that happens
on the way to a store makes the server be read again."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.database.carry import carry
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.repository import Failures, Repository
from data_platform.errors import BackupDamaged, BackupError, DataPlatformError
from data_platform.private_files import make_private
from data_platform.stores.encrypted import opener
from data_platform.stores.kinds import in_folder
from data_platform.sync.backup import settings
from data_platform.sync.platform import Platform

SPOOL = "spool"
_ANY_TIME = datetime.max.replace(tzinfo=UTC)


class Spool:
    """Held by one process at a time. ``archive`` is where a backup is made first."""

    def __init__(self, archive: Archive, source: str) -> None:
        self.archive = archive
        self._repository = Repository(archive, source)

    def tidy(self) -> None:
        """Remove what a killed process left of a backup that it had not read to the end."""
        for id_ in self._repository.abandoned(_ANY_TIME):
            self._repository.remove(id_)

    def waiting(self) -> tuple[list[DatabaseBackup], list[str]]:
        """The backups that no store has yet, the oldest first. One that is damaged is removed, with a remark."""
        found, remarks = [], []
        for id_ in self._repository.ids():
            try:
                backup = self._repository.backup(id_)
                if problems := self._repository.damage(backup, deep=True):
                    raise BackupDamaged(problems[0])
            except BackupError as error:
                self._repository.remove(id_)
                remarks.append(f"{id_}, which waited in the spool, was damaged and is removed: {error}")
            else:
                found.append(backup)
        return found, remarks

    def deliver(self, backup: DatabaseBackup, everywhere: Sequence[Archive], failed: Failures) -> list[str]:
        """Bring ``backup`` to every archive; the names of those that have it. Once one has, it leaves the spool: the others get it
        from there. If none has, it stays, and the first error is raised."""
        stored: list[str] = []
        for one in everywhere:
            last = one is everywhere[-1] and not stored
            try:
                carry(self._repository, backup, Repository(one, backup.source), patient=last)
                stored.append(one.name)
            except DataPlatformError as error:
                failed[one.name] = error
        if not stored:
            first = next(iter(failed.values()), None)
            raise first or BackupError("There is no archive for the backup.")
        self._repository.remove(backup.id)
        return stored


@contextmanager
def spool(platform: Platform, source: str, folder: Path) -> Iterator[Spool]:
    """The source's spool below ``folder``, encrypted as the archives are. BackupError while another process holds it."""
    home = platform.catalog.root / folder / source
    make_private(home)
    handle = os.open(home / ".lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupError(
                f"Another backup of the database of {source} is under way: it holds the spool {home}. Wait until it has ended,"
                " then run this one again."
            ) from None
        open_ = opener(partial(in_folder, home), settings(platform).encryption, platform.environ)
        held = Spool(Archive(SPOOL, open_, platform.signer), source)
        held.tidy()
        yield held
    finally:
        os.close(handle)
