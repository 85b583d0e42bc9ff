"""Which seconds can be had: from which backup, and why another one cannot. Pure but for the store that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from data_platform.backups.database.external.wal import ExternalWal
from data_platform.backups.database.kinds import engine_of
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.shown import shown
from data_platform.backups.database.wal import Coverage, WalArchive
from data_platform.errors import BackupError, BackupMissing


@dataclass(frozen=True, slots=True)
class Reachable:
    """Every instant from ``first`` to ``last`` can be had from ``backup``. ``coverage`` is the WAL behind it; None for a
    backup that has only its own instant."""

    backup: DatabaseBackup
    first: datetime
    last: datetime
    coverage: Coverage | None = None

    @property
    def text(self) -> str:
        gap = f" (the segment {self.coverage.gap} is missing)" if self.coverage and self.coverage.gap else ""
        if self.first == self.last:
            return shown(self.first) + gap
        return f"{shown(self.first)} to {shown(self.last)}{gap}"


def reachable(repository: Repository) -> list[Reachable]:
    """What each readable backup of the source reaches, the oldest first."""
    found = []
    backups = repository.readable()
    wals: dict[tuple[str, int, str], WalArchive | ExternalWal] = {}
    for backup in backups:
        if not engine_of(backup.engine).continuous or backup.start is None:
            found.append(Reachable(backup, backup.ended_at, backup.ended_at))
            continue
        place = backup.outside.place if backup.outside else ""
        if backup.outside is not None and not repository.reaches(backup):
            continue  # the block does not name the repository of that program any more
        wal = wals.setdefault((backup.system, backup.timeline, place), wal_of(repository, backup, backups))
        coverage = wal.coverage(backup.timeline, backup.start)
        beat = coverage.newest
        reaches = backup.end is not None and coverage.end >= backup.end
        last = max(beat.at, backup.ended_at) if beat is not None and reaches else backup.ended_at
        found.append(Reachable(backup, backup.ended_at, last, coverage))
    return found


def wal_of(
    repository: Repository, backup: DatabaseBackup, backups: Sequence[DatabaseBackup] | None = None
) -> WalArchive | ExternalWal:
    """The WAL that follows ``backup``: this platform's, or what the server archives for the program that made it.
    ``backups`` are all there are, if they were read already."""
    if backup.outside is None:
        return WalArchive(repository.archive, repository.source, backup.system)
    marks = [
        one.outside.beat
        for one in (repository.readable() if backups is None else backups)
        if one.outside and one.outside.beat
        if (one.system, one.timeline) == (backup.system, backup.timeline)
    ]
    size = backup.outside.segment_bytes
    return ExternalWal(repository.program(backup), backup.system, backup.major, size, marks)


def merged(all_: Sequence[Reachable]) -> list[tuple[datetime, datetime, str]]:
    """The stretches of time that can be had, the oldest first, with their text. Backups that overlap make one."""
    found: list[tuple[datetime, datetime, str]] = []
    for one in sorted(all_, key=lambda each: each.first):
        if found and one.first <= found[-1][1] and one.first != one.last:
            first, last = found[-1][0], max(found[-1][1], one.last)
            found[-1] = (first, last, Reachable(one.backup, first, last, one.coverage).text)
        elif not (found and found[-1][0] <= one.first <= found[-1][1]):
            found.append((one.first, one.last, one.text))
    return found


def choose(repository: Repository, at: datetime, now: datetime, backup_id: str | None = None) -> Reachable:
    """The newest backup from which ``at`` can be had. BackupError with the window where there is none.

    A logical backup gives its own instant: the newest one that is not later than ``at`` is taken. ``backup_id`` names
    the backup to start from instead.
    """
    if at.tzinfo is None:
        raise BackupError(
            f"The instant {at.isoformat()} has no time zone. Write it as {at.isoformat()}Z for UTC, or with an offset such as"
            " +01:00."
        )
    all_ = reachable(repository)
    if not all_:
        raise BackupMissing(
            f"There is no backup of the database {repository.source} in {repository.archive}. Make one: data-platform"
            f" backup database {repository.source}"
        )
    window = "; ".join(text for *_, text in merged(all_)[-5:])
    if at > now:
        raise BackupError(f"{shown(at)} is in the future. What can be recovered: {window}.")
    usable = [
        one
        for one in all_
        if (one.backup.id == backup_id if backup_id else True)
        and (one.first <= at <= one.last or (one.coverage is None and one.first <= at))
    ]
    if usable:
        return usable[-1]
    if at < all_[0].first:
        why = "is before the end of the first backup there is"
    elif at > max(one.last for one in all_):
        why = "is after the newest WAL there is"
    else:
        why = "cannot be reached: WAL is missing"
    whose = f" from the backup {backup_id}" if backup_id else ""
    raise BackupError(f"{shown(at)} {why}{whose}. What can be recovered from {repository.archive}: {window}.")
