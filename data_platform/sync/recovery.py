"""Recovering a source's database to any second, and the drill that shows every day that it can be done."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.config import PRIMARY
from data_platform.backups.database import recover as recovering
from data_platform.backups.database.kinds import engine_of
from data_platform.backups.database.manifest import MANIFEST_OF_SERVER, DatabaseBackup
from data_platform.backups.database.recover import Paused, RecoveryReport, Wanted
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.running import RecoveredServer
from data_platform.backups.database.window import Reachable, merged, reachable
from data_platform.errors import BackupDamaged, BackupMissing, DataPlatformError
from data_platform.local_postgres import can_walk_to, make_reachable
from data_platform.sources.kinds import server_access
from data_platform.stores.kinds import in_folder
from data_platform.sync.backup import archive, archives
from data_platform.sync.database_backup import access_to, block, external, repository
from data_platform.sync.platform import Platform
from data_platform.sync.witness import Witnessed, led_to, witnessed

DRILLS = Path(".data/drills")
"""Below the project's folder: where a drill recovers to, and what it removes."""
ALTERED_SHOWN = 5


@dataclass(frozen=True)
class Drill:
    """One archive's drill. ``report`` is None if it failed: ``problem`` says why and names what, or what WAL is
    missing behind the newest backup, or which rows have other values than the warehouse. ``seed`` chose ``at``."""

    archive: str
    seed: int
    at: datetime | None
    report: RecoveryReport | None = None
    problem: str = ""
    seconds: float = 0.0
    witnessed: tuple[Witnessed, ...] = ()

    @property
    def rows_compared(self) -> int:
        return sum(one.rows for one in self.witnessed)

    @property
    def notes(self) -> list[str]:
        """Tables whose rows were compared with nothing, and why."""
        return [f"{one.table}: {one.why_not}" for one in self.witnessed if one.why_not]


@dataclass(frozen=True)
class Window:
    """Every second from ``first`` to ``last`` can be recovered from ``archive``, or (``first == last``) just one instant."""

    archive: str
    first: datetime
    last: datetime
    text: str = field(default="", compare=False)


def recover_database(
    platform: Platform,
    source: str,
    at: datetime,
    into: Path,
    *,
    copy: str = PRIMARY,
    backup: str | None = None,
    serve: bool = False,
    progress: Callable[[str], None] | None = None,
) -> RecoveryReport:
    """See ``backups.database.recover.recover``; ``copy`` names the archive."""
    one = archive(platform, copy)
    return _recover(platform, source, one, at, into, backup=backup, serve=serve, progress=progress)


@contextmanager
def paused_database(
    platform: Platform, source: str, at: datetime, into: Path, *, copy: str = PRIMARY, keep: bool = False
) -> Iterator[Paused]:
    """The source's database as of ``at`` while the block runs, read only, by a URL that leads to it as the source's own role.
    With ``keep`` its data folder stays, to be started."""
    found, config = block(platform, source)
    platform.signer.ready()
    own = server_access(found.kind, found.connection, platform.environ, source=source, url_env=None)
    role = own.parameters.get("user", "postgres")
    there = repository(platform, source, archive(platform, copy))
    wanted = Wanted(there, at, into.absolute(), platform.clock(), role, config.programs, keep=keep)
    with recovering.paused(wanted) as server:
        yield server


def windows(platform: Platform, source: str) -> list[Window]:
    """What can be recovered from each archive that can be read, the oldest first. Only names and newest records are read."""
    found = []
    for one in archives(platform):
        try:
            stretches = merged(reachable(repository(platform, source, one)))
        except DataPlatformError:
            continue
        found += [Window(one.name, first, last, text) for first, last, text in stretches]
    return found


def drill_database(platform: Platform, source: str, seed: int) -> list[Drill]:
    """Recover the source's database from every archive to a random second of the newest window, compare its rows with the
    warehouse's, and remove the result; once only if another program keeps the backups. Failures are in the drills and not
    raised."""
    found = []
    for one in archives(platform)[: 1 if external(platform, source) else None]:
        began = platform.clock()
        at: datetime | None = None
        rows: list[Witnessed] = []
        try:
            reach = _reach(repository(platform, source, one))
            at = _random_instant(reach, seed)
            with room(platform.catalog.root / DRILLS) as folder:
                report = _recover(
                    platform,
                    source,
                    one,
                    at,
                    folder / "drill",
                    keep=False,
                    examine=partial(_witness, platform, source, rows),
                )
            altered = [line for each in rows for line in each.problems]
            damaged = _gap(reach[-1], one) or _unread(Repository(one, source), report.backup)
            problem = " ".join(filter(None, (damaged, *altered[:ALTERED_SHOWN])))
        except DataPlatformError as error:
            report, problem = None, str(error)
        seconds = (platform.clock() - began).total_seconds()
        found.append(Drill(one.name, seed, at, report, problem, seconds, tuple(rows)))
    return found


def _witness(
    platform: Platform, source: str, rows: list[Witnessed], server: RecoveredServer, backup: DatabaseBackup
) -> None:
    """What the warehouse says of the rows of the recovered server, into ``rows``."""
    if not engine_of(backup.engine).continuous:
        return  # the rows of a dump have other versions
    found, _ = block(platform, source)
    own = server_access(
        found.kind, found.connection, platform.environ, source=source, url_env=None
    ).parameters
    url = server.url(own.get("user", "postgres"), own.get("dbname") or backup.database)
    rows += witnessed(platform, replace(platform, environ=led_to(platform, {source: url})), source)


def _recover(
    platform: Platform,
    source: str,
    one: Archive,
    at: datetime,
    into: Path,
    *,
    backup: str | None = None,
    serve: bool = False,
    keep: bool = True,
    examine: recovering.Examine | None = None,
    progress: Callable[[str], None] | None = None,
) -> RecoveryReport:
    _, config = block(platform, source)
    platform.signer.ready()
    access = access_to(platform, source)
    return recovering.recover(
        repository(platform, source, one),
        at,
        into,
        now=platform.clock(),
        user=access.parameters.get("user", "postgres"),
        programs=config.programs,
        backup_id=backup,
        serve=serve,
        keep=keep,
        examine=examine,
        progress=progress,
    )


@contextmanager
def room(wanted: Path) -> Iterator[Path]:
    """A folder below ``wanted`` that the server's account can pass through; where it cannot, below the system's temporary
    folder."""
    make_reachable(wanted)
    with ExitStack() as stack:
        if can_walk_to(wanted):
            folder = stack.enter_context(in_folder(wanted).scratch())
            folder.parent.chmod(0o711)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-")))
        folder.chmod(0o711)
        yield folder


def _reach(there: Repository) -> list[Reachable]:
    """What the kept backups reach. BackupMissing if there is none."""
    all_ = reachable(there)
    if not all_:
        raise BackupMissing(f"There is no backup of the database {there.source} in {there.archive}.")
    return all_


def _gap(newest: Reachable, one: Archive) -> str:
    """What is missing of the WAL behind the newest backup: no instant after it can be chosen, so none would find it."""
    if newest.coverage is None or not newest.coverage.gap:
        return ""
    return (
        f"The segment of WAL {newest.coverage.gap} is missing in {one}: nothing after {newest.last.isoformat()} can be recovered."
        " Make a full backup now."
    )


def _unread(repository: Repository, id_: str) -> str:
    """What is wrong with the server's own manifests, as objects: a recovery needs none of them, the next backup does."""
    backup = repository.backup(id_)
    for link in repository.chain(backup) if backup.start is not None and backup.outside is None else ():
        object_ = link.object(MANIFEST_OF_SERVER)
        try:
            if object_ is None:
                return f"{repository.owner(link)} in {repository.archive} has no object {MANIFEST_OF_SERVER}."
            repository.archive.check(object_, repository.owner(link))
        except BackupDamaged as error:
            return str(error)
    return ""


def _random_instant(all_: list[Reachable], seed: int) -> datetime:
    """A millisecond of what the kept backups reach, the newest day of it with the same chance as all before."""
    chance = random.Random(seed)
    chosen = all_[-1] if chance.random() < 0.5 else chance.choice(all_)
    length = (chosen.last - chosen.first).total_seconds()
    return chosen.first + timedelta(milliseconds=int(chance.random() * length * 1000))
