"""The WAL of the sources' databases: who receives it, and how far it is in every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.wal import Coverage, Heartbeat, WalArchive, wal_archives
from data_platform.backups.database.wal.receive import Receiver
from data_platform.backups.database.wal.server import Server, Slot, connected
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError
from data_platform.sources.kinds import server_access
from data_platform.sources.server_access import ServerAccess
from data_platform.sync.backup import archives
from data_platform.sync.platform import Platform

SPOOL = Path(".data/wal")
"""Below the project's folder: what was received and is not in any store yet. It may be lost."""


@dataclass(frozen=True, slots=True)
class WalState:
    """What one store holds of a source's WAL, from the start of the newest full backup in it on; from the first WAL on if
    there is none. ``coverage`` is None if it holds nothing. ``problem`` says why nothing is known; empty otherwise."""

    archive: str
    system: str = ""
    coverage: Coverage | None = None
    interrupted_at: datetime | None = None
    problem: str = ""

    @property
    def heartbeat(self) -> Heartbeat | None:
        return self.coverage.heartbeat if self.coverage else None

    @property
    def trouble(self) -> str:
        """Why WAL is missing here; empty if none is."""
        if self.problem:
            return self.problem
        if self.coverage is None:
            return "no WAL yet"
        return f"the segment {self.coverage.gap} is missing" if self.coverage.gap else ""

    @property
    def recoverable_until(self) -> datetime | None:
        """Every commit until then, by the server's clock, can be recovered; None if nothing says it."""
        newest = self.coverage.newest if self.coverage else None
        return newest.at if newest else None

    def rpo_seconds(self, now: datetime) -> float | None:
        """What would be lost if the server were lost now."""
        until = self.recoverable_until
        return (now - until).total_seconds() if until else None


def received(platform: Platform) -> list[str]:
    """The sources whose WAL is to be received."""
    return [
        source.name
        for source in platform.catalog.sources.values()
        if source.backups and source.backups.database and source.backups.database.engine == "native"
    ]


def settings(platform: Platform, source: str) -> DatabaseBackups:
    """``ConfigurationError`` if no WAL of the source is received."""
    found = platform.catalog.source(source).backups
    if found is None or found.database is None:
        raise ConfigurationError(
            f"The source {source!r} has no `backups: {{database: ...}}` in its file, so its database is not backed up."
        )
    if found.database.engine != "native":
        raise ConfigurationError(
            f"The database of {source!r} is backed up by the engine {found.database.engine}, for which this platform receives no"
            " WAL. Only for `native` it does."
        )
    return found.database


def receiver(platform: Platform, source: str, say: Callable[[str], None]) -> Receiver:
    """Connects to nothing. ``say`` gets sentences for people, from several threads."""
    config = settings(platform, source)
    platform.signer.ready()
    folder = platform.catalog.root / SPOOL
    return Receiver(_access(platform, source, config), archives(platform), config, folder, say)


def states(platform: Platform, source: str) -> list[WalState]:
    """What each store holds, the backup store first. Only names and the newest records are read."""
    return [_state(one, source) for one in archives(platform)]


def slot(platform: Platform, source: str) -> Slot | None:
    """What the source's server holds back for the receiver; None if there is no slot yet."""
    config = settings(platform, source)
    access = _access(platform, source, config)
    with connected(access) as connection:
        return Server(access, connection).look_at_slot()


def _access(platform: Platform, source: str, config: DatabaseBackups) -> ServerAccess:
    found = platform.catalog.source(source)
    return server_access(
        found.kind, found.connection, platform.environ, source=source, url_env=config.url_env
    )


def _state(one: Archive, source: str) -> WalState:
    try:
        newest: tuple[datetime, WalArchive] | None = None
        for wal in wal_archives(one, source):
            record = wal.newest()
            if record and (newest is None or record.shipped_at > newest[0]):
                newest = (record.shipped_at, wal)
        if newest is None:
            return WalState(one.name)
        wal = newest[1]
        interruptions = wal.interruptions()
        return WalState(
            one.name,
            wal.system,
            wal.coverage(*_since(wal)),
            interruptions[-1].at if interruptions else None,
        )
    except DataPlatformError as error:
        return WalState(one.name, problem=str(error))


def _since(wal: WalArchive) -> tuple[int, Lsn]:
    """Where WAL has to begin to be of use: at the start of the newest full backup, or the first there is."""
    repository = Repository(wal.archive, wal.source)
    for id_ in reversed(repository.ids()):
        try:
            backup = repository.backup(id_)
        except BackupError:
            continue  # of no use, and its own check says so
        if (backup.way, backup.system) == ("full", wal.system) and backup.start is not None:
            return backup.timeline, backup.start
    timeline = wal.timelines()[0]
    there = wal.stored(timeline)
    return timeline, Segment(timeline, min((*there.whole, *there.pieces)), there.size).start
