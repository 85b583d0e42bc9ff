"""The coordinating connection to a PostgreSQL source: who the server is, what its settings are, what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType, TracebackType
from typing import Any, Self

from data_platform.errors import DataPlatformError, SourceError
from data_platform.sources.postgres.connection import Target, connect, unreachable
from data_platform.sources.postgres.limits import Limit, read_limits
from data_platform.sources.postgres.server import read_server
from data_platform.sources.postgres.server_errors import source_error
from data_platform.sources.postgres.settings import Settings, roll_back, transaction

SUPPORTED = range(13, 19)
CANCEL_SECONDS = 5
"""How long to try to reach the server to end a statement that nobody waits for any more."""


class Connected:
    """``with Connected(target) as connected``: one connection, and what is known of its server."""

    settings: Settings
    """What every transaction of this session, and of its readers, has."""
    pooled: bool
    """Whether a pooler stands between: the server's number of this session's process is another than it was told."""
    limits: Mapping[str, Limit] = MappingProxyType({})
    """What the role and the server have set, which the sync's settings replace in part."""

    def __init__(self, target: Target) -> None:
        self.target, self.conninfo, self.source = target, target.conninfo, target.source
        self._connection: Any = None

    def __enter__(self) -> Self:
        self._connection = connect(self.target)
        try:
            self.settings = self.target.settings(self._supported_version())
            self.limits = self._read_limits()
            self._idle_as_long_as_it_takes()
            with self.asking(f"Asking {self.source!r} who it is"):
                self.server = read_server(self._connection)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.pooled:  # or the pooler would close the server's connection
            roll_back(self._connection)
        self._connection.close()

    @contextmanager
    def asking(self, what: str) -> Iterator[Any]:
        """A connection for statements that need no snapshot, in a transaction of its own: before ``begin``."""
        try:
            with transaction(self._connection, self.settings):
                yield self._connection
        except Exception as error:
            raise self.failure(error, what) from None

    @contextmanager
    def trying(self, seconds: float) -> Iterator[Any]:
        """A connection whose statements may fail and end after ``seconds``; for what ``look`` acts."""
        with self._connection.transaction(force_rollback=True):  # a savepoint, and its setting with it
            self._connection.execute(f"set local statement_timeout = {int(seconds * 1000)}")
            yield self._connection

    def cancel(self) -> None:
        """End the statement that another thread waits for, if there is one."""
        with suppress(Exception):
            self._connection.cancel_safe(timeout=CANCEL_SECONDS)

    @property
    def connection_closed(self) -> bool:
        return bool(self._connection.closed)

    def failure(self, error: Exception, what: str) -> DataPlatformError:
        """``error`` as a person can act on it. Whether the connection was lost is the connection's to say."""
        return source_error(error, what=what, lost=self._connection.closed, limits=self.limits)

    def ended(self, what: str) -> DataPlatformError | None:
        """Why the transaction that holds the snapshot is gone; None where it is there. Readers ask, each in its
        thread: one statement at a time is the connection's own care."""
        try:
            self._connection.execute("select 1")
        except Exception as error:
            if self._connection.closed:
                return self.failure(error, what)
        return None

    def _supported_version(self) -> int:
        """Asked before all else, as it tells which settings there are. A pooler shows by the number of the
        process: it gives its clients others than the server's."""
        try:
            version, backend = self._connection.execute(
                "select current_setting('server_version_num')::int / 10000, pg_backend_pid()"
            ).fetchone()
            self.pooled = backend != self._connection.info.backend_pid
        except Exception as error:
            raise unreachable(self.target, error) from None
        if version < SUPPORTED.start:
            raise SourceError(
                f"The database of the source {self.source!r} is PostgreSQL {version}; {SUPPORTED.start} to"
                f" {SUPPORTED.stop - 1} are supported. Upgrade it, or read from a newer replica."
            )
        return int(version)

    def _idle_as_long_as_it_takes(self) -> None:
        """Between its transactions too, when it waits for a lock outside of any. On a pooled connection it is
        not the role's limit that counts then, and a setting could stay there for others."""
        if not self.pooled and "idle_session_timeout" in self.settings.wanted:
            try:
                self._connection.execute("set idle_session_timeout = 0")
            except Exception as error:
                raise unreachable(self.target, error) from None

    def _read_limits(self) -> Mapping[str, Limit]:
        try:
            return read_limits(self._connection, self.target.statement_timeout_seconds)
        except Exception as error:
            raise unreachable(self.target, error) from None
