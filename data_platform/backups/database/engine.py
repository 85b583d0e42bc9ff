"""What an engine of database backups must do. ``kinds.py`` names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.external import External
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.stream import Sender
from data_platform.backups.database.tools import Programs
from data_platform.sources.server_access import ServerAccess


@dataclass(frozen=True)
class Job:
    """One backup to be made. ``previous`` is the newest good one and where it is; ``full`` asks for a full one.
    Objects go through ``sender``, by way of ``folder``."""

    id: str
    source: str
    environment: str
    access: ServerAccess
    config: DatabaseBackups
    sender: Sender
    folder: Path
    now: datetime
    previous: tuple[Repository, DatabaseBackup] | None = None
    full: bool = False
    external: External | None = None
    """The repository of the program that makes it, for an engine that has one of its own."""
    must_be_full: str = ""
    """Why the next backup cannot be built on an earlier one; empty if it can."""


class Engine(Protocol):
    continuous: bool
    """Whether the WAL between its backups leads to any second; otherwise only the backups' own instants can be had."""

    proof: str
    """What a restore has proven of its bytes, for people: "every file by PostgreSQL's manifest"."""

    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> External | None:
        """The repository of a program that keeps one of its own; None for an engine whose objects go into our archives.
        Connects to nothing. ``root`` is the project's folder."""

    def back_up(self, job: Job) -> DatabaseBackup:
        """Send everything, and say what it is. The caller commits it. BackupError if the server refuses."""

    def restore(
        self, repository: Repository, backup: DatabaseBackup, into: Path, programs: Programs, step: Step
    ) -> None:
        """Make the data folder ``into/data``, proven as far as it can be without starting a server."""


Step = Callable[[str], None]
"""Called with the name of each step before it begins."""

Chain = Sequence[DatabaseBackup]
