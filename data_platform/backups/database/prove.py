"""Shows that a recovered server is what it should be: it is asked for every table, and for the heartbeat of the instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_platform.backups.database.running import RecoveredServer
from data_platform.backups.database.shown import shown
from data_platform.errors import BackupDamaged, BackupError

if TYPE_CHECKING:
    import psycopg

_SUPERUSER = "select rolname from pg_catalog.pg_roles where rolsuper and rolcanlogin order by (oid = 10) desc, oid limit 1"
_DATABASES = (
    "select datname from pg_catalog.pg_database where datallowconn and not datistemplate order by datname"
)
_TABLES = """
select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.relpersistence = 'p' and n.nspname not like 'pg\\_%%' and n.nspname <> 'information_schema'
order by 1, 2
"""


@dataclass
class Proof:
    """``rows`` by ``database.schema.table``. ``beat`` is the newest heartbeat row's time, None where there is none."""

    rows: dict[str, int] = field(default_factory=dict)
    beat: datetime | None = None


def proven(
    server: RecoveredServer, user: str, database: str, heartbeat: str, *, in_recovery: bool = False
) -> Proof:
    """Count every table of every database as a superuser, which reads every row of it. ``user`` is a role that is there;
    ``heartbeat`` the qualified name of the heartbeat's table in ``database``. BackupDamaged if one cannot be read."""
    proof = Proof()
    with server.connect(user, database) as connection:
        found = connection.execute(_SUPERUSER).fetchone()
        if found is None:
            raise BackupError(
                "No superuser of the recovered server may log in, so not every table can be read."
            )
        names = [str(name) for (name,) in connection.execute(_DATABASES)]
    for name in names:
        with server.connect(str(found[0]), name) as connection:
            if connection.execute("select pg_catalog.pg_is_in_recovery()").fetchone() != (in_recovery,):
                raise BackupError("The recovered server did not stop at its target.")
            _count(connection, name, proof)
            if name == database and connection.execute("select to_regclass(%s)", [heartbeat]).fetchone() != (
                None,
            ):
                proof.beat = _beat(connection, heartbeat)
    return proof


def check_beat(proof: Proof, at: datetime, expected: datetime | None) -> None:
    """BackupDamaged if the newest heartbeat row is later than ``at``, or older than ``expected``: the newest one that the
    WAL is known to hold until ``at``."""
    if proof.beat is not None and proof.beat > at:
        raise BackupDamaged(
            f"The recovered database holds a heartbeat of {shown(proof.beat)}, later than {shown(at)}: it was recovered too far."
        )
    if expected is not None and (proof.beat is None or proof.beat < expected):
        newest = shown(proof.beat) if proof.beat else "none"
        raise BackupDamaged(
            f"The newest heartbeat in the recovered database is {newest}, though there was one at {shown(expected)}: what was"
            " committed in between is missing. Restore from another copy."
        )


def _count(connection: psycopg.Connection[Any], database: str, proof: Proof) -> None:
    import psycopg
    from psycopg import sql

    for schema, table in connection.execute(_TABLES.replace("%%", "%")).fetchall():
        name = f"{database}.{schema}.{table}"
        try:
            row = connection.execute(
                sql.SQL("select count(*) from only {}").format(sql.Identifier(schema, table))
            ).fetchone()
        except psycopg.errors.LockNotAvailable:
            raise BackupError(
                f"The table {name} is locked by a transaction that was under way at that instant, such as a TRUNCATE. Choose another"
                " instant."
            ) from None
        except psycopg.Error as error:
            words = (error.diag.message_primary or type(error).__name__)[:200]
            raise BackupDamaged(
                f"The table {name} of the recovered server cannot be read: {words}."
            ) from None
        proof.rows[name] = int(row[0]) if row else 0


def _beat(connection: psycopg.Connection[Any], heartbeat: str) -> datetime | None:
    from psycopg import sql

    schema, _, table = heartbeat.partition(".")
    row = connection.execute(
        sql.SQL("select max(at) from {}").format(sql.Identifier(schema, table))
    ).fetchone()
    return row[0] if row else None
