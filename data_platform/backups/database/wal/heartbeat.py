"""A row with the time, written into the source: whoever restores it can read how far the restore got.

Its age in the newest WAL that was shipped is the RPO. A role without the right to write gets the clock and the WAL's position
instead, which measures the same but proves nothing after a restore.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal.records import Heartbeat

if TYPE_CHECKING:
    import psycopg

SCHEMA, TABLE = "_data_platform", "heartbeat"
_CREATE = (
    f"create schema if not exists {SCHEMA}",
    f"create table if not exists {SCHEMA}.{TABLE} (id integer primary key check (id = 1), at timestamptz not null)",
)
_BEAT = (
    f"insert into {SCHEMA}.{TABLE} as h (id, at) values (1, clock_timestamp())"
    " on conflict (id) do update set at = excluded.at returning at"
)


class Heart:
    """``connection`` is in autocommit and used by no other thread. ``problem`` says why no row is written; empty if one is."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.problem = self._prepare()

    def beat(self) -> Heartbeat:
        """Write the row, then read the position of the WAL, which is at or behind the row's commit."""
        import psycopg

        at = None
        if (
            not self.problem
        ):  # if somebody holds the row, WAL goes on being received, and this beat is by the clock
            with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                at = self._one(_BEAT)
        row = at is not None
        at = at or self._one("select clock_timestamp()")
        return Heartbeat(at, Lsn.parse(self._one("select pg_current_wal_insert_lsn()")), row)

    def _one(self, statement: str) -> Any:
        found = self._connection.execute(statement.encode()).fetchone()
        assert found is not None
        return found[0]

    def _prepare(self) -> str:
        import psycopg

        # `local`: a synchronous standby that is down must not hold a heartbeat, nor the shipping behind it
        self._connection.execute(
            b"set synchronous_commit = local; set timezone = 'UTC'; set lock_timeout = '2s'"
        )
        try:
            there = self._connection.execute(f"select to_regclass('{SCHEMA}.{TABLE}')".encode()).fetchone()
            if there == (None,):
                for statement in _CREATE:
                    self._connection.execute(statement.encode())
            self._one(_BEAT)
        except psycopg.errors.LockNotAvailable:
            return ""
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            user = self._connection.info.user
            return (
                f"The role {user} may not write {SCHEMA}.{TABLE}, so no heartbeat is in the database: how far a restore"
                " got can only be told by the clock and the position that were read. As an owner of the database run"
                f" `{'; '.join(_CREATE)}; grant usage on schema {SCHEMA} to {user}; grant select, insert, update on"
                f" {SCHEMA}.{TABLE} to {user}`."
            )
        return ""
