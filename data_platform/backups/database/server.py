"""A running server, asked over one replication connection: who it is, what it can do, what time it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_platform.backups.database.tools import without_secrets
from data_platform.errors import BackupError
from data_platform.sources.server_access import ServerAccess

if TYPE_CHECKING:
    import psycopg

SUMMARIES_SINCE = 17
"""The major version that brought WAL summaries, and with them incremental backups."""


@dataclass(frozen=True)
class Server:
    """``system`` is its identifier: a restored copy has the same one, a server that was initialised again has not."""

    system: str
    timeline: int
    version: int
    database: str
    _connection: psycopg.Connection[Any]

    @property
    def major(self) -> int:
        return self.version // 10_000

    def setting(self, name: str) -> str:
        return _row(self._connection, f"SHOW {name}")[0]

    def now(self) -> datetime:
        return datetime.fromisoformat(
            _row(
                self._connection,
                "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || '+00:00'",
            )[0]
        )

    def tablespaces(self) -> list[str]:
        """Those outside of the data folder."""
        question = (
            "SELECT coalesce(string_agg(spcname, ', ' ORDER BY 1), '') FROM pg_catalog.pg_tablespace"
            " WHERE spcname NOT IN ('pg_default', 'pg_global')"
        )
        return [name for name in _row(self._connection, question)[0].split(", ") if name]


@contextmanager
def asked(access: ServerAccess) -> Iterator[Server]:
    """The server over a replication connection. BackupError if it cannot be reached or does not allow one."""
    import psycopg

    try:
        # any statement on a walsender must be a simple query: psycopg sends one where there are no parameters
        connection = psycopg.connect(f"{access.conninfo} replication=database", autocommit=True)
    except psycopg.Error as error:
        words = without_secrets(" ".join(str(error).split()), access)
        if "REPLICATION" in words or "replication" in words:
            raise BackupError(
                f"The server of the source {access.source!r} does not let the role of {access.variable} back it up: {words}."
                " Give the role REPLICATION (ALTER ROLE ... REPLICATION) and a line `host replication` in pg_hba.conf, or"
                " choose `engine: logical`."
            ) from None
        raise BackupError(
            f"The server of the source {access.source!r} cannot be reached with the URL in {access.variable}: {words}."
        ) from None
    with connection:
        system, timeline, _, database = _row(connection, "IDENTIFY_SYSTEM")
        yield Server(system, int(timeline), connection.info.server_version, database, connection)


def _row(connection: psycopg.Connection[Any], statement: str) -> tuple[str, ...]:
    import psycopg
    from psycopg import pq

    result = connection.pgconn.exec_(statement.encode())
    if result.status != pq.ExecStatus.TUPLES_OK or result.ntuples != 1:
        words = result.error_message.decode(errors="replace").strip() or "no answer"
        raise BackupError(f"The server did not answer {statement.split()[0]}: {words}") from psycopg.Error(
            words
        )
    values = [result.get_value(0, column) for column in range(result.nfields)]
    return tuple((value or b"").decode() for value in values)
