"""A backup by a program with a repository of its own: made, proven as far as it can be, and written down."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.engine import Job, Step
from data_platform.backups.database.external import Asked, External, Made
from data_platform.backups.database.external.wal import fetch_segment
from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.manifest import DatabaseBackup, Outside, Way
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.stream import packed
from data_platform.backups.database.tools import Programs
from data_platform.backups.database.wal.heartbeat import Heart
from data_platform.backups.database.wal.records import Heartbeat
from data_platform.backups.database.wal.server import connected
from data_platform.errors import BackupError
from data_platform.private_files import make_private

if TYPE_CHECKING:
    import psycopg

DATA = "data"
SAID = "program.json.zst"
"""The object that holds what the program said of its backup."""
_POLL_SECONDS = 0.2
_SERVER = """
select current_database(), (select setting::bigint from pg_catalog.pg_settings where name = 'wal_segment_size'), pg_is_in_recovery(), current_setting('archive_mode') <> 'off',
    (select coalesce(string_agg(spcname, ', ' order by 1), '') from pg_catalog.pg_tablespace
        where spcname not in ('pg_default', 'pg_global'))
"""
_WHERE = "select system_identifier, pg_walfile_name(%s::pg_lsn) from pg_catalog.pg_control_system()"
_ARCHIVER = (
    "select failed_count, coalesce(last_failed_wal, 'none'), coalesce(last_archived_wal, 'none')"
    " from pg_catalog.pg_stat_archiver"
)


class ExternalEngine(ABC):
    """``name`` is what the engine is called. A kind of it says how its program is opened."""

    continuous = True
    name: ClassVar[str]
    proof = "every object by its SHA-256"

    @abstractmethod
    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> External: ...

    def back_up(self, job: Job) -> DatabaseBackup:
        program = job.external
        assert program is not None
        version = program.look()
        with connected(job.access) as connection:
            server_version = connection.info.server_version
            database, segment_bytes = _refused(connection, job)
            incremental, notes = _way(job, program)
            heart = Heart(connection)
            _archives(connection, heart, job, program, segment_bytes)
            began = _now(connection)
            made = program.back_up(Asked(job.id, job.access, incremental))
            ended = _now(connection)  # a program may say it in whole seconds, or by another clock
            outside, said = program.parts(made, segment_bytes)
            notes += said
            beat = _mark(connection, heart, job)
            _archived(connection, job, program, made, outside, beat)
            notes += [heart.problem] if heart.problem else []
        way, parent, why = _built_on(job, made)
        packed(job.sender, json.dumps(dict(made.said), default=str).encode(), SAID, job.folder)
        return DatabaseBackup(
            id=job.id,
            source=job.source,
            environment=job.environment,
            engine=self.name,
            way=way,
            parent=parent,
            system=made.system,
            version=server_version,
            began_at=began,
            ended_at=ended,
            objects=job.sender.sent(),
            plain_bytes=made.plain_bytes,
            database=database,
            timeline=made.timeline,
            start=made.start,
            end=made.end,
            notes=(*notes, *why, f"made by {version}, in {program.place}"),
            outside=Outside(
                outside.id, outside.place, outside.bytes, outside.segment_bytes, outside.objects, beat
            ),
        )

    def restore(
        self, repository: Repository, backup: DatabaseBackup, into: Path, programs: Programs, step: Step
    ) -> None:
        assert backup.outside is not None
        program = repository.program(backup)
        step("fetch")
        make_private(into / DATA)
        program.restore(backup.outside, into / DATA)


def _refused(connection: psycopg.Connection, job: Job) -> tuple[str, int]:
    """The database's name, and the size of a WAL segment. BackupError for a server that cannot be backed up this way."""
    row = connection.execute(_SERVER.encode()).fetchone()
    assert row is not None
    database, segment, standby, archives, tablespaces = row
    if standby:
        raise BackupError(
            f"The server in {job.access.variable} is a standby. Name the primary's URL with `url_env` in the source's"
            " `backups.database`."
        )
    if not archives:
        raise BackupError(
            f"The server of the source {job.source!r} archives no WAL (archive_mode is off), so no backup of it could be recovered."
            " Set archive_mode and archive_command as docs/backups-database.md shows, and restart the server."
        )
    if tablespaces:
        raise BackupError(
            f"The server of the source {job.source!r} has tablespaces outside of its data folder ({tablespaces}), which would have"
            " to be restored to the same paths. Move their tables to pg_default, or choose `engine: logical`."
        )
    return str(database), int(segment)


def _now(connection: psycopg.Connection) -> datetime:
    row = connection.execute(b"select clock_timestamp()").fetchone()
    assert row is not None
    found: datetime = row[0]
    return found.astimezone(UTC)


def _way(job: Job, program: External) -> tuple[bool, list[str]]:
    """Whether the backup is to be built on the newest one, and why not, if that is not the plan."""
    if not program.incremental or job.full or job.previous is None:
        return False, []
    if job.must_be_full:
        return False, [job.must_be_full]
    base = job.previous[0].chain(job.previous[1])[0]
    return (job.now - base.began_at).total_seconds() < job.config.full_every_hours * 3600, []


def _built_on(job: Job, made: Made) -> tuple[Way, str, list[str]]:
    if not made.prior:
        return "full", "", []
    if job.previous is not None:
        repository, previous = job.previous
        for one in repository.chain(previous):
            if one.outside is not None and one.outside.id == made.prior:
                return "incremental", one.id, []
    return "full", "", [f"it is built on {made.prior}, which was made without this platform"]


def _mark(connection: psycopg.Connection, heart: Heart, job: Job) -> Heartbeat:
    """A heartbeat, and the end of the WAL segment that holds it: the server archives that segment now."""
    beat = heart.beat()
    _may(connection, job, "pg_create_restore_point('data_platform')", "pg_create_restore_point(text)")
    _may(connection, job, "pg_switch_wal()", "pg_switch_wal()")
    return beat


def _may(connection: psycopg.Connection, job: Job, call: str, function: str) -> None:
    import psycopg

    try:
        connection.execute(f"select {call}".encode())
    except psycopg.errors.InsufficientPrivilege:
        user = connection.info.user
        raise BackupError(
            f"The role {user} of {job.access.variable} may not let the server finish its WAL segment. As a superuser run, in the"
            f" database {connection.info.dbname}: GRANT EXECUTE ON FUNCTION {function} TO {user}"
        ) from None


def _archives(connection: psycopg.Connection, heart: Heart, job: Job, program: External, size: int) -> None:
    """See to it, before the backup, that the server archives at all: a backup waits for it, without an end."""
    beat = _mark(connection, heart, job)
    row = connection.execute(_WHERE.encode(), [str(beat.lsn)]).fetchone()
    assert row is not None
    _wait(connection, job, program, str(row[0]), [Segment(int(row[1][:8], 16), _holding(beat, size), size)])


def _archived(
    connection: psycopg.Connection, job: Job, program: External, made: Made, outside: Outside, beat: Heartbeat
) -> None:
    """Wait until the WAL from the backup's start to ``beat`` is in the repository, and read the newest of it back."""
    size = outside.segment_bytes
    numbers = range(made.start.segment(size), _holding(beat, size) + 1)
    needed = [Segment(made.timeline, number, size) for number in numbers]
    _wait(connection, job, program, made.system, needed)
    target = job.folder / needed[-1].name
    fetch_segment(program, made.system, needed[-1], target)
    target.unlink()


def _holding(beat: Heartbeat, size: int) -> int:
    """The number of the segment with the WAL just before the position."""
    return (beat.lsn.value - 1) // size


def _wait(
    connection: psycopg.Connection, job: Job, program: External, system: str, needed: Sequence[Segment]
) -> None:
    """What the server says of its archiving proves nothing: a command that prints an error and ends with 0 has archived for it,
    and one that cannot be run (126, 127) does not raise its count of failures."""
    until = time.monotonic() + program.wait_seconds
    while missing := [one for one in needed if one.name not in program.wal(system)]:
        if time.monotonic() > until:
            row = connection.execute(_ARCHIVER.encode()).fetchone() or (0, "none", "none")
            raise BackupError(
                f"A backup of {job.source} could not be recovered: the server has not archived the WAL segment {missing[0].name} into"
                f" {program.place} within {program.wait_seconds:g} s. Its pg_stat_archiver says: {row[0]} failures, the last one of"
                f" {row[1]}; {row[2]} archived last. Run its archive_command by hand and look at the server's log: a command that"
                " cannot be run counts as no failure there, and one that ends with 0 in spite of an error as archived."
            )
        time.sleep(_POLL_SECONDS)
