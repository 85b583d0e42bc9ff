"""A streaming standby for the schedules: waited for, or held back on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data_platform.sandbox.server import PostgresServer


class Standby:
    """``server`` replays what ``primary`` writes."""

    def __init__(self, primary: PostgresServer, server: PostgresServer) -> None:
        self.server = server
        self._primary = primary.connect(options="-c synchronous_commit=on")
        self._replay = server.connect()
        # whoever is in the way of a TRUNCATE's replay is ended soon, not after half a minute
        self._replay.execute("alter system set max_standby_streaming_delay = '1s'")
        self._replay.execute("select pg_reload_conf()")

    def url(self, primary_url: str) -> str:
        """Where the standby serves the database that is at ``primary_url`` on the primary."""
        return self.server.url(primary_url.rsplit("/", 1)[-1].split("?")[0])

    def caught_up(self) -> None:
        """Wait until everything committed so far is visible."""
        # a commit that is waited for writes all before it too, which servers of tests put off
        self._primary.execute("select pg_logical_emit_message(true, 'exactness', '')")
        row = self._primary.execute("select pg_current_wal_flush_lsn()").fetchone()
        _until(
            lambda: (
                self._replay.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
                == (True,)
            )
        )

    def hold(self, back: bool) -> None:
        """Stop replaying, or go on."""
        self._replay.execute("select pg_wal_replay_pause()" if back else "select pg_wal_replay_resume()")
        if back:
            paused = "select pg_get_wal_replay_pause_state() = 'paused'"
            if self._replay.info.server_version < 140_000:  # which only tells that it was asked to
                paused = "select pg_is_wal_replay_paused()"
            _until(lambda: self._replay.execute(paused).fetchone() == (True,))

    @contextmanager
    def held_back(self) -> Iterator[None]:
        self.hold(True)
        try:
            yield
        finally:
            self.hold(False)

    def close(self) -> None:
        self._primary.close()
        self._replay.close()


def _until(true: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(6000):
        if true():
            return
        waiter.wait(0.005)
    raise AssertionError("the standby did not get there")
