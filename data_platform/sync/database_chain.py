"""What the next backup of a database is built on: the newest good one, brought first to every archive that lacks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from data_platform.backups.archive import Archive
from data_platform.backups.database.carry import carry, carry_chain
from data_platform.backups.database.external import External
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.repository import Failures, Repository
from data_platform.backups.database.wal import WalArchive
from data_platform.backups.manifest import clock_behind, next_id
from data_platform.errors import DataPlatformError


@dataclass
class Chain:
    """``newest`` is the backup to build on and an archive that holds it; None where there is none, and ``why`` is then why the
    next one is full, if that is not the plan. ``remarks`` say what was done or could not be looked at."""

    newest: tuple[Repository, DatabaseBackup] | None = None
    why: str = ""
    remarks: list[str] = field(default_factory=list)
    last: str = ""
    """The id of the newest backup there is, good or not."""

    def next_id(self, now: datetime, nonce: str) -> str:
        self.remarks += filter(None, [clock_behind(now, self.last)])
        return next_id(now, nonce, self.last)


def caught_up(
    everywhere: Sequence[Archive], source: str, engine: str | None, external: External | None = None
) -> Chain:
    """Find the newest backup, and bring it with all that it is built on to every archive that lacks it or a part of it. One that
    cannot be asked is in the remarks, and keeps the others from nothing. Without ``engine``, the next backup is built on none."""
    found = Chain()
    there: list[tuple[Repository, list[str]]] = []
    for archive in everywhere:
        repository = Repository(archive, source, external)
        try:
            there.append((repository, repository.ids()))
        except DataPlatformError as error:
            found.remarks.append(f"what {archive.name} holds could not be looked at: {error}")
    newest = max((ids[-1] for _, ids in there if ids), default=None)
    if newest is None:
        found.why = f"a full backup, since {found.remarks[0]}" if found.remarks and engine else ""
        return found
    found.last = newest
    if engine is None:
        return found
    try:
        whole = [repository for repository, _ in there if repository.is_good(newest)]
        if not whole:
            found.why = f"a full backup, since {newest} is whole in no archive"
            return found
        chosen = whole[0]
        backup = chosen.backup(newest)
    except DataPlatformError as error:
        found.why = f"a full backup, since {newest} could not be looked at: {error}"
        return found
    if backup.engine != engine:
        return found
    for repository, _ in there:
        if repository not in whole and (problem := _bring(chosen, backup, repository, found.remarks)):
            found.why = problem
            return found
    try:
        found.why = _interrupted(chosen, backup)
    except DataPlatformError as error:
        found.why = f"a full backup, since the WAL in {chosen.archive.name} could not be looked at: {error}"
    found.newest = None if found.why else (chosen, backup)
    return found


def second_attempt(
    stored: list[str], failed: Failures, everywhere: Sequence[Archive], backup: DatabaseBackup
) -> list[str]:
    """Bring ``backup`` to the archives that ``failed`` while it was made, from one that has it. Those that have it then are moved
    to ``stored``; a remark for each."""
    by_name = {one.name: Repository(one, backup.source) for one in everywhere}
    remarks = []
    for name in list(failed):
        try:
            sent = carry(by_name[stored[0]], backup, by_name[name])
        except DataPlatformError:
            continue  # its first error says more
        stored.append(name)
        error = failed.pop(name)
        remarks.append(f"{name} got it from {stored[0]} ({sent:,} bytes that it lacked), after: {error}")
    stored.sort(key=list(by_name).index)
    return remarks


def _bring(from_: Repository, backup: DatabaseBackup, to: Repository, remarks: list[str]) -> str:
    """Why the next backup must be full; empty if ``to`` holds the chain now."""
    try:
        sent = carry_chain(from_, backup, to)
        if to.is_good(backup.id):
            remarks.append(
                f"{to.archive.name} lacked {backup.id} or what it is built on: {sent:,} bytes were brought from"
                f" {from_.archive.name}"
            )
            return ""
        why = "it is not whole there"
    except DataPlatformError as error:
        why = str(error)
    return f"a full backup, since {backup.id} is not whole in {to.archive}: {why}"


def _interrupted(repository: Repository, previous: DatabaseBackup) -> str:
    """Why the next backup is a full one though ``previous`` is good: WAL was lost since its full one."""
    began = repository.chain(previous)[0].began_at
    wal = WalArchive(repository.archive, repository.source, previous.system)
    lost = [one for one in wal.interruptions() if one.at > began]
    return f"a full backup, since WAL was lost: {lost[-1].why}" if lost else ""
