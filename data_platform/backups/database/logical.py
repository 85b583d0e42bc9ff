"""Dumps of one database by pg_dump, for servers that give nobody the right to replicate: those of a cloud's own service.

A dump is of one instant. Between two of them nothing can be had: the RPO is the schedule.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.engine import Job, Step
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.packing import BLOCK
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.running import NOT_SYNCED, SUPERUSER, RecoveredServer
from data_platform.backups.database.stream import ChunkWriter, chunks
from data_platform.backups.database.tools import Programs, without_secrets
from data_platform.errors import BackupDamaged, BackupError
from data_platform.private_files import make_private
from data_platform.sources.server_access import ServerAccess

if TYPE_CHECKING:
    import psycopg

DUMP = "dump"
JOBS = 2
_TABLES = """
select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
  and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""


@dataclass(frozen=True)
class _Snapshot:
    """What is dumped, and the tables' rows in it. ``name`` is what another session imports it by."""

    name: str
    at: datetime
    version: int
    system: str
    database: str
    rows: dict[str, int]


class Logical:
    continuous = False
    proof = "every object by its SHA-256"

    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> None:
        return None

    def back_up(self, job: Job) -> DatabaseBackup:
        with _snapshot(job.access) as snapshot:
            programs = Programs.find(snapshot.version // 10_000, job.config.programs)
            writer = ChunkWriter(job.sender, DUMP, job.folder)
            arguments = ("--format=custom", "--compress=0", f"--snapshot={snapshot.name}", "--no-sync")
            with programs.started("pg_dump", *arguments, access=job.access) as running:
                while block := running.output.read(BLOCK):
                    writer.write(block)
            writer.close()
        return DatabaseBackup(
            id=job.id,
            source=job.source,
            environment=job.environment,
            engine="logical",
            way="full",
            parent="",
            system=snapshot.system,
            version=snapshot.version,
            began_at=snapshot.at,
            ended_at=snapshot.at,
            objects=job.sender.sent(),
            plain_bytes=writer.plain_bytes,
            database=snapshot.database,
            rows=snapshot.rows,
            notes=(
                f"a dump of one database at one instant: the RPO is its schedule, {job.config.every_hours:g} h",
            ),
        )

    def restore(
        self, repository: Repository, backup: DatabaseBackup, into: Path, programs: Programs, step: Step
    ) -> None:
        """A new cluster whose only database of interest is the dumped one. Roles are not in a dump: what it grants to others
        is left out, and its superuser owns everything."""
        step("fetch")
        file = into / "parts" / "database.dump"
        make_private(file.parent)
        with file.open("wb") as target, chunks(repository, backup, DUMP) as stream:
            while block := stream.read(BLOCK):
                target.write(block)
        step("initialise")
        server = RecoveredServer(into, programs)
        server.initialise(SUPERUSER, secrets.token_urlsafe(24))
        server.configure(NOT_SYNCED)
        server.start()
        try:
            step("restore")
            _restore(server, programs, backup, file)
            with server.connect(SUPERUSER, backup.database) as connection:
                connection.execute("checkpoint")
        finally:
            server.stop()
        file.unlink()
        file.parent.rmdir()
        server.configure({})


def _restore(server: RecoveredServer, programs: Programs, backup: DatabaseBackup, file: Path) -> None:
    from psycopg import sql

    local = ServerAccess(backup.source, "", {**server.socket, "user": SUPERUSER, "dbname": backup.database})
    if backup.database != SUPERUSER:
        with server.connect(SUPERUSER, "postgres") as connection:
            connection.execute(
                sql.SQL("create database {} template template0").format(sql.Identifier(backup.database))
            )
    try:
        programs.run(
            "pg_restore",
            f"--jobs={JOBS}",
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            str(file),
            access=local,
        )
    except BackupError as error:
        raise BackupDamaged(
            f"The dump {backup.id} of the database {backup.source} could not be restored: {error}"
        ) from None


@contextmanager
def _snapshot(access: ServerAccess) -> Iterator[_Snapshot]:
    """A snapshot that stays as long as the block runs, and the rows of each table in it."""
    import psycopg

    try:
        connection = psycopg.connect(access.conninfo, autocommit=True)
    except psycopg.Error as error:
        words = without_secrets(" ".join(str(error).split()), access)
        raise BackupError(
            f"The server of the source {access.source!r} cannot be reached with the URL in {access.variable}: {words}."
        ) from None
    try:
        with connection:
            connection.execute("begin isolation level repeatable read, read only")
            connection.execute("set local timezone = 'UTC'; set local row_security = off")
            name, at, database = _one(
                connection, "select pg_export_snapshot(), clock_timestamp(), current_database()"
            )
            rows = _counted(connection, database)
            yield _Snapshot(
                name, at.astimezone(UTC), connection.info.server_version, _system(connection), database, rows
            )
            connection.execute("rollback")
    except psycopg.Error as error:
        words = error.diag.message_primary or type(error).__name__
        raise BackupError(
            f"The database of the source {access.source!r} could not be dumped by the role of {access.variable}: {words}."
            " The role needs the right to read every table."
        ) from None


def _counted(connection: psycopg.Connection[Any], database: str) -> dict[str, int]:
    from psycopg import sql

    found = {}
    for schema, table in connection.execute(_TABLES.encode()).fetchall():
        statement = sql.SQL("select count(*) from only {}").format(sql.Identifier(schema, table))
        row = connection.execute(statement).fetchone()
        found[f"{database}.{schema}.{table}"] = int(row[0]) if row else 0
    return found


def _system(connection: psycopg.Connection[Any]) -> str:
    """The server's identifier, where the role may ask; 0 otherwise."""
    import psycopg

    try:
        with connection.transaction():
            return str(_one(connection, "select system_identifier from pg_catalog.pg_control_system()")[0])
    except psycopg.Error:
        return "0"


def _one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return tuple(row)
