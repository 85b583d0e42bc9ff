"""Physical backups by PostgreSQL itself: pg_basebackup streamed into the stores, full or incremental (17 and later).

Between two of them the WAL leads to any second (``wal/``). Nothing is written to this machine's disk but the chunks
under way.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.engine import Job, Step
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.manifest import MANIFEST_OF_SERVER, DatabaseBackup, Way
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.server import SUMMARIES_SINCE, Server, asked
from data_platform.backups.database.stream import ChunkWriter, Tee, chunks, packed, unpacked
from data_platform.backups.database.tools import NO_SPACE, EndedEarly, ProgramFailed, Programs
from data_platform.backups.database.unpack import READ_BYTES, Unwanted, write_files
from data_platform.errors import BackupDamaged, BackupError
from data_platform.private_files import make_private

BASE = "base"
DATA = "data"
SERVERS_MANIFEST = "backup_manifest"
CHAIN_MAX = 8
"""Backups that a recovery reads. Each is a thousand files whatever it holds, so 24 would take eight times as long as 6. The next
incremental one is built on the full backup again, and holds all changes since that."""
_NOT_INCREMENTAL = ("summar", "incremental", "manifest")
"""In the words of a server that cannot make an incremental backup now, though a full one."""


@dataclass(frozen=True)
class _Streamed:
    """What came of one run of pg_basebackup. ``described`` is the server's own manifest."""

    described: Mapping[str, Any]
    plain_bytes: int


class Native:
    continuous = True
    proof = "every file by PostgreSQL's manifest"

    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> None:
        return None

    def back_up(self, job: Job) -> DatabaseBackup:
        with asked(job.access) as server:
            if others := server.tablespaces():
                raise BackupError(
                    f"The server of the source {job.source!r} has tablespaces outside of its data folder ({', '.join(others)}),"
                    " which would have to be restored to the same paths. Move their tables to pg_default, or choose"
                    " `engine: logical`."
                )
            programs = Programs.find(server.major, job.config.programs, or_newer=True)
            way, why = _way(job, server)
            parent = _parent(job)
            began = server.now()
            streamed: _Streamed | None = None
            notes = [why] if why else []
            if programs.major != server.major:
                notes.append(
                    f"made by pg_basebackup {programs.major}; a recovery needs the programs of PostgreSQL {server.major}"
                )
            if way == "incremental":
                try:
                    streamed = self._stream(job, programs, parent)
                except BackupError as error:
                    if job.sender.begun or not any(word in str(error) for word in _NOT_INCREMENTAL):
                        raise
                    way = "full"
                    notes.append(
                        f"a full backup, since the server could not make an incremental one: {error}"
                    )
            if streamed is None:
                streamed = self._stream(job, programs)
            ended = server.now()
        (ranges,) = streamed.described["WAL-Ranges"]
        objects = job.sender.sent()
        return DatabaseBackup(
            id=job.id,
            source=job.source,
            environment=job.environment,
            engine="native",
            way=way,
            parent=parent.id if way == "incremental" and parent else "",
            system=str(streamed.described.get("System-Identifier", server.system)),
            version=server.version,
            began_at=began,
            ended_at=ended,
            objects=objects,
            plain_bytes=streamed.plain_bytes,
            database=server.database,
            timeline=int(ranges["Timeline"]),
            start=Lsn.parse(ranges["Start-LSN"]),
            end=Lsn.parse(ranges["End-LSN"]),
            notes=tuple(notes),
        )

    def restore(
        self, repository: Repository, backup: DatabaseBackup, into: Path, programs: Programs, step: Step
    ) -> None:
        chain = repository.chain(backup)
        folders = [into / DATA] if len(chain) == 1 else [into / "parts" / link.id for link in chain]
        step("fetch")
        for link, folder in zip(chain, folders, strict=True):
            _extract(repository, link, folder)
        if len(chain) > 1:
            step("combine")
            how = ["--link"] if programs.major >= 18 else []  # the parts are removed right after
            with _named(repository, chain):
                programs.run(
                    "pg_combinebackup",
                    *how,
                    "--no-sync",
                    *map(str, folders),
                    "-o",
                    str(into / DATA),
                    cwd=into,
                )
            _remove(into / "parts")
        step("verify")
        with _named(repository, chain):
            said = programs.run("pg_verifybackup", "--exit-on-error", str(into / DATA))
        if "successfully verified" not in said:
            raise BackupDamaged(
                f"pg_verifybackup did not say that {repository.owner(backup)} is whole; it said: {said.strip()[:200]!r}."
            )

    def _stream(self, job: Job, programs: Programs, parent: DatabaseBackup | None = None) -> _Streamed:
        """A full backup, or an incremental one on ``parent``."""
        arguments = [
            *("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast"),
            *("--manifest-checksums=CRC32C", f"--label=data_platform {job.id}"),
        ]
        if parent is not None and job.previous is not None:
            described = job.folder / SERVERS_MANIFEST
            described.write_bytes(unpacked(job.previous[0], parent, MANIFEST_OF_SERVER))
            arguments.append(f"--incremental={described}")
        writer = ChunkWriter(job.sender, BASE, job.folder, dense=parent is not None)
        with programs.started("pg_basebackup", *arguments, access=job.access) as running:
            written = _servers_manifest(running.output, writer)
        writer.close()
        packed(job.sender, written, MANIFEST_OF_SERVER, job.folder)
        return _Streamed(json.loads(written), writer.plain_bytes)


def _servers_manifest(output: IO[bytes], writer: ChunkWriter) -> bytes:
    """Pass the tar stream on, and keep the server's own manifest, which is its last member."""
    tee = Tee(output, writer)
    found = b""
    try:
        with tarfile.open(fileobj=tee, mode="r|", bufsize=READ_BYTES) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # or every file's entry would be kept
                if member.name == SERVERS_MANIFEST and (file := tar.extractfile(member)):
                    found = file.read()
        tee.drain()
    except tarfile.TarError:
        raise EndedEarly from None
    if not found:
        raise EndedEarly
    return found


def _parent(job: Job) -> DatabaseBackup | None:
    """What an incremental backup is built on: the newest one, or the full one behind it where the chain is as long as it may be."""
    if job.previous is None:
        return None
    repository, previous = job.previous
    chain = repository.chain(previous)
    return previous if len(chain) < CHAIN_MAX else chain[0]


def _way(job: Job, server: Server) -> tuple[Way, str]:
    """Whether the backup is a full one, and why, if that is not the plan."""
    if job.full:
        return "full", ""
    if server.major < SUMMARIES_SINCE:
        return "full", f"full only: PostgreSQL {server.major} makes no incremental backups, 17 and later do"
    if job.must_be_full:
        return "full", job.must_be_full
    if job.previous is None:
        return "full", ""
    repository, previous = job.previous
    if (previous.system, previous.timeline) != (server.system, server.timeline):
        return (
            "full",
            "a full backup, since the server or its timeline is another one than at the last backup",
        )
    base = repository.chain(previous)[0]
    if (job.now - base.began_at).total_seconds() >= job.config.full_every_hours * 3600:
        return "full", ""
    if server.setting("summarize_wal") != "on":
        return (
            "full",
            "full only: the server's setting summarize_wal is off (ALTER SYSTEM SET summarize_wal = on)",
        )
    return "incremental", ""


def _extract(repository: Repository, backup: DatabaseBackup, folder: Path) -> None:
    """The files of one backup into the new ``folder``, closed to others."""
    make_private(folder)
    try:
        with chunks(repository, backup, BASE) as stream:
            write_files(stream, folder)
    except Unwanted as error:
        raise BackupDamaged(f"{repository.owner(backup)} holds {error}. It cannot be used.") from None
    except (tarfile.TarError, FileExistsError) as error:
        raise BackupDamaged(
            f"{repository.owner(backup)} in {repository.archive} is not a whole archive of files ({error}). Restore from"
            " another copy, or from an older backup."
        ) from None


@contextmanager
def _named(repository: Repository, chain: Sequence[DatabaseBackup]) -> Iterator[None]:
    """What PostgreSQL says of the files of ``chain``, with their backups' names."""
    try:
        yield
    except ProgramFailed as error:
        if NO_SPACE.search(error.said):
            raise
        raise BackupDamaged(
            f"The files of {' on '.join(link.id for link in reversed(chain))} of the database {repository.source} in"
            f" {repository.archive} are not as PostgreSQL's own {SERVERS_MANIFEST} says: {error} Restore from another copy, or"
            " from an older backup."
        ) from None


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
