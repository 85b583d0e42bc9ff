"""Brings a database back to a second, into a folder of its own, and proves that it is that second.

A recovery target is always set: without one, a server whose WAL ends too early is promoted with rows missing and says nothing.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from data_platform.backups.database.commits import Commit, commits
from data_platform.backups.database.kinds import engine_of
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.prove import Proof, check_beat, proven
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.running import NOT_SYNCED, PASSWORD, SUPERUSER, RecoveredServer
from data_platform.backups.database.shown import shown
from data_platform.backups.database.tools import Programs, readable_disk_errors
from data_platform.backups.database.window import Reachable, choose, wal_of
from data_platform.errors import BackupDamaged, BackupError
from data_platform.private_files import make_private

WAL = "wal"
RESTORE = f'if test -e "../{WAL}/%f"; then cp "../{WAL}/%f" "%p" || exit 200; else exit 1; fi'
"""A code above 125 ends the server: WAL that is there and cannot be copied would be taken for the end of all WAL."""
HEARTBEAT = "_data_platform.heartbeat"
Examine = Callable[[RecoveredServer, DatabaseBackup], None]


@dataclass
class RecoveryReport:
    """``seconds`` by step, in their order; ``rows`` by ``database.schema.table``. ``target`` is the setting that recovery
    stopped at; ``beat`` the newest heartbeat row there. ``missing_seconds`` is how much before ``at`` the newest change that
    is proven to be there was made: None if nothing proves one. ``checksums`` says whether the server has page checksums."""

    source: str
    archive: str
    backup: str
    chain: int
    at: datetime
    target: str = ""
    folder: Path = Path()
    start_command: str = ""
    url: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    beat: datetime | None = None
    checksums: bool = False
    files: str = ""
    """What proved the restored bytes."""
    notes: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    @property
    def missing_seconds(self) -> float | None:
        return (self.at - self.beat).total_seconds() if self.beat else None


class Steps:
    """Measures each step, and tells ``progress`` its name."""

    def __init__(self, report: RecoveryReport, progress: Callable[[str], None] | None) -> None:
        self._report, self._progress = report, progress
        self._name, self._began = "", 0.0

    def __call__(self, name: str) -> None:
        self.end()
        self._name, self._began = name, time.monotonic()
        if self._progress:
            self._progress(name)

    def end(self) -> None:
        if self._name:
            taken = time.monotonic() - self._began
            self._report.seconds[self._name] = self._report.seconds.get(self._name, 0) + round(taken, 3)
        self._name = ""


def recover(
    repository: Repository,
    at: datetime,
    into: Path,
    *,
    now: datetime,
    user: str,
    programs: Path | None = None,
    backup_id: str | None = None,
    serve: bool = False,
    keep: bool = True,
    examine: Examine | None = None,
    progress: Callable[[str], None] | None = None,
) -> RecoveryReport:
    """Recover the source of ``repository`` as of ``at`` into the new or empty folder ``into``.

    BackupError, before anything is written, for an instant that cannot be had (with those that can) and for a folder that is not
    empty; BackupDamaged for what is not as it was backed up. What was written of a failed recovery is removed. ``user`` is a role of the server, by which a superuser's name is found. With ``serve`` the server is left
    running on loopback. Without ``keep`` the result is not synced to disk: it is a drill's. ``examine`` is called while
    the server runs, with the backup that it came from.
    """
    wanted = Wanted(repository, at, into.absolute(), now, user, programs, backup_id)
    with _started(wanted, progress, paused=False) as (server, report, chosen, steps):
        if examine is not None:
            steps("compare")
            examine(server, chosen.backup)
        steps("checksums")
        server.stop()
        report.checksums = _checksums(server)
        if keep:
            steps("sync")
            server.sync()
        steps.end()
        _finish(server, report, serve, chosen)
        return report


@dataclass(frozen=True)
class Wanted:
    """What ``recover`` and ``paused`` are asked for."""

    repository: Repository
    at: datetime
    into: Path
    now: datetime
    user: str
    programs: Path | None = None
    backup_id: str | None = None
    keep: bool = False
    """Whether ``paused`` leaves the data folder, to be started later."""


@dataclass(frozen=True)
class Paused:
    """A server that is as of the instant and changes no more. ``url`` leads to its database, as the role that was named, from
    this account alone."""

    url: str
    report: RecoveryReport


@contextmanager
def paused(wanted: Wanted, progress: Callable[[str], None] | None = None) -> Iterator[Paused]:
    """The database as of the instant while the block runs: read only, on the timeline that it was on, so that it is still the
    same server to whoever compares positions. Then it is stopped, and ``into`` is emptied unless it is to be kept: then
    its first start goes on from there, on a timeline of its own."""
    with _started(wanted, progress, paused=True) as (server, report, chosen, steps):
        steps.end()
        report.start_command = server.start_command()
        try:
            yield Paused(server.url(server.asked_as, chosen.backup.database), report)
        finally:
            server.stop()
            if wanted.keep:
                server.go_on()
                server.sync()
            else:
                _empty(wanted.into)


@contextmanager
def _started(
    wanted: Wanted, progress: Callable[[str], None] | None, *, paused: bool
) -> Iterator[tuple[RecoveredServer, RecoveryReport, Reachable, Steps]]:
    """The server, running and proven. If the block fails, it is killed and ``into`` emptied."""
    repository, at, into = wanted.repository, wanted.at, wanted.into
    chosen = choose(repository, at, wanted.now, wanted.backup_id)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise BackupError(f"{into} is not an empty folder. Choose another one; nothing was changed.")
    found = Programs.find(chosen.backup.major, wanted.programs)
    chain = repository.chain(chosen.backup)
    report = RecoveryReport(
        repository.source, repository.archive.name, chosen.backup.id, len(chain), at, folder=into
    )
    report.bytes = sum(link.bytes for link in chain)
    report.files = engine_of(chosen.backup.engine).proof
    steps = Steps(report, progress)
    make_private(into)
    server = RecoveredServer(into, found, asked_as=wanted.user)
    try:
        with readable_disk_errors(f"The database of {repository.source} could not be recovered into {into}"):
            expected = None
            if chosen.coverage is None:
                _logical(repository, chosen, server, steps, report)
            else:
                expected = _physical(repository, chosen, at, server, steps, report, paused)
        steps("prove")
        in_recovery = paused and chosen.coverage is not None
        proof = proven(server, server.asked_as, chosen.backup.database, HEARTBEAT, in_recovery=in_recovery)
        _compare(chosen, proof)
        check_beat(proof, at, expected)
        report.rows, report.beat = proof.rows, proof.beat
        yield server, report, chosen, steps
    except BaseException:
        server.kill()
        _empty(into)
        raise


def _physical(
    repository: Repository,
    chosen: Reachable,
    at: datetime,
    server: RecoveredServer,
    steps: Steps,
    report: RecoveryReport,
    paused: bool,
) -> datetime | None:
    """The server, recovered to ``at``. Returns the newest heartbeat row that is known to be before it."""
    backup = chosen.backup
    assert backup.start is not None and backup.end is not None
    engine_of(backup.engine).restore(repository, backup, server.home, server.programs, steps)
    steps("wal")
    wal = wal_of(repository, backup)
    folder = server.home / WAL
    coverage = wal.fetch(backup.timeline, backup.start, folder, at)
    report.bytes += sum(path.stat().st_size for path in folder.iterdir())
    known = commits(server.programs, folder, backup.end, coverage)
    expected = wal.newest_row(folder, at)
    settings = {
        "restore_command": RESTORE,
        "recovery_target_timeline": str(coverage.timeline),
        "recovery_target_action": "pause" if paused else "promote",
        "hot_standby": "on" if paused else "off",
    }
    target = _target(known, at, paused=paused)
    report.target = ", ".join(
        f"{name} = {value}" for name, value in target.items() if "inclusive" not in name
    )
    (server.data / "recovery.signal").touch(mode=0o600)
    server.configure({**settings, **target, **NOT_SYNCED})
    steps("recover")
    server.start(paused=paused)
    if not paused:
        shutil.rmtree(folder)
    return expected


def _target(known: Sequence[Commit], at: datetime, *, paused: bool) -> dict[str, str]:
    """Where recovery stops; ``known`` are the transactions committed since the backup ended, as the WAL has them."""
    before = list(takewhile(lambda one: one.at <= at, known))
    # a time is passed by the next commit, so a server that pauses there holds the locks of who was about to commit
    if len(before) < len(known) and not paused:
        return {
            "recovery_target_time": at.astimezone(UTC).isoformat(sep=" "),
            "recovery_target_inclusive": "on",
        }
    if before:  # where nothing was committed after it, a time that nothing passes is never reached
        return {"recovery_target_xid": before[-1].transaction, "recovery_target_inclusive": "on"}
    return {"recovery_target": "immediate"}


def _logical(
    repository: Repository, chosen: Reachable, server: RecoveredServer, steps: Steps, report: RecoveryReport
) -> None:
    backup = chosen.backup
    report.target = f"the dump of {shown(backup.ended_at)}"
    report.notes = (
        "The backup is a dump of one instant: what was written between it and the instant asked for is not in it",
        f"A new cluster holds it, without the roles of the old one; the password of its superuser is in {server.home / PASSWORD}",
    )
    server.asked_as = SUPERUSER
    report.at = backup.ended_at
    engine_of(backup.engine).restore(repository, backup, server.home, server.programs, steps)
    steps("start")
    server.start()


def _compare(chosen: Reachable, proof: Proof) -> None:
    """Where the backup recorded the rows of each table, they must be there."""
    for table, rows in chosen.backup.rows.items():
        if proof.rows.get(table) != rows:
            there = "is missing" if table not in proof.rows else f"holds {proof.rows[table]:,} rows"
            raise BackupDamaged(
                f"The table {table} recovered from {chosen.backup.id} {there}; it held {rows:,} when it was backed up. Restore"
                " from another copy."
            )


def _checksums(server: RecoveredServer) -> bool:
    """Every page of the stopped server against its checksum; False if it was made without."""
    if server.control().get("Data page checksum version", "0") == "0":
        return False
    said = server.programs.run("pg_checksums", "--check", "-D", str(server.data))
    bad = re.search(r"Bad checksums:\s+(\d+)", said)
    if bad is None or bad[1] != "0":
        raise BackupDamaged(
            f"pg_checksums found damaged pages in the recovered database: {said.strip()[:300]}"
        )
    return True


def _finish(server: RecoveredServer, report: RecoveryReport, serve: bool, chosen: Reachable) -> None:
    server.configure({"hot_standby": "on"})  # without the target, which is reached
    report.start_command = server.start_command()
    if serve:
        server.start(network=True)
        report.url = f"postgresql://{server.asked_as}@127.0.0.1:{server.port}/{chosen.backup.database}"


def _empty(into: Path) -> None:
    for path in into.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
