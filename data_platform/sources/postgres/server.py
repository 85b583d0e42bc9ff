"""Which server a connection leads to: what a watermark is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TIMELINE = """
select case when pg_is_in_recovery() then greatest(
        (select timeline_id from pg_control_checkpoint()),
        (select min_recovery_end_timeline from pg_control_recovery()),
        (select received_tli from pg_stat_wal_receiver))
    else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end
"""
"""The log that is written now says it. The control file tells the timeline of the last checkpoint, and the
first one after a failover may take minutes: until then every number of a transaction that was lost with
the old primary would be taken for one that is known."""


@dataclass(frozen=True, slots=True)
class Server:
    """``system_identifier`` names the cluster and the database in it."""

    version: int
    system_identifier: str
    timeline: int
    standby: bool


def read_server(connection: Any) -> Server:
    """Who is asked by ``connection``, which is in a transaction."""
    version, database, name, standby = connection.execute(
        "select current_setting('server_version_num')::int / 10000, oid::bigint, datname,"
        " pg_is_in_recovery() from pg_database where datname = current_database()"
    ).fetchone()
    # some hosts hide the control file; the database's own number must do
    system = _first_answer(connection, "select system_identifier from pg_control_system()") or name
    timeline = _first_answer(connection, _TIMELINE, "select timeline_id from pg_control_checkpoint()") or 0
    return Server(version, f"{system}/{database}", timeline, standby)


def _first_answer(connection: Any, *statements: str) -> Any:
    """The value of the first statement that this server lets us ask; None when there is none."""
    from psycopg import errors

    for statement in statements:
        try:
            with connection.transaction():  # a savepoint
                return connection.execute(statement).fetchone()[0]
        except (errors.InsufficientPrivilege, errors.UndefinedFunction, errors.FeatureNotSupported):
            continue
    return None
