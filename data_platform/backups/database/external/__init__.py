"""Programs that back a database up into a repository of their own: what this platform asks of one.

Here is added what they do not do: a signed record of each backup, a proof that its WAL arrived, retention by the block's
rule, and a recovery that is proven. Neither encryption nor copies of ``backups`` reach such a repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_platform.backups.database.lsn import Lsn
from data_platform.sources.server_access import ServerAccess

if TYPE_CHECKING:
    from data_platform.backups.database.manifest import Outside


@dataclass(frozen=True, slots=True)
class Asked:
    """A backup to be made. ``incremental`` where it is to be built on the program's newest one; ``name`` is the platform's own
    id of it."""

    name: str
    access: ServerAccess
    incremental: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A backup as its program describes it. ``prior`` is the one that it is built on. ``plain_bytes`` is the server's size,
    ``said`` the description itself, which is kept."""

    id: str
    start: Lsn
    end: Lsn
    timeline: int
    system: str
    plain_bytes: int
    prior: str = ""
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)


class External(Protocol):
    """The program with the repository of one source. What is raised is a BackupError if the program says no, and
    ``StoreUnreachable`` where only a list or a size was asked for: then nothing is known."""

    place: str
    """Where the repository is, as it stands in the signed record."""
    title: str
    programs: Path | None
    """The folder of PostgreSQL's programs, if the block names one."""
    incremental: bool
    encrypted: bool
    wait_seconds: float
    """How long WAL may take to be archived."""

    def look(self) -> str:
        """The program's version. ConfigurationError names a program that is not installed, and how it is installed."""

    def back_up(self, asked: Asked) -> Made:
        """Make one."""

    def parts(self, made: Made, segment_bytes: int) -> tuple[Outside, Sequence[str]]:
        """The backup as it is in the repository, read back where that can be done, and sentences to note of it."""

    def problems(self, outside: Outside, *, deep: bool) -> list[str]:
        """A sentence for each damage; ``deep`` reads every byte."""

    def restore(self, outside: Outside, into: Path) -> None:
        """The data folder, into an empty folder. Its bytes are proven: BackupDamaged names what is not as it was."""

    def wal(self, system: str) -> frozenset[str]:
        """The names of the segments and history files that are there: ``000000010000000000000002``, ``00000002.history``."""

    def fetch(self, system: str, name: str, target: Path) -> None:
        """One of them, unpacked."""

    def remove(self, id_: str) -> None:
        """Remove a backup; nothing happens if it is gone."""
