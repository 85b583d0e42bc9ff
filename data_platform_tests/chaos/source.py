"""The source that chaos happens to: a PostgreSQL server of its own, perhaps with a standby, reached
through a proxy that can cut the line and follows a failover as an address does."""

from __future__ import annotations

import itertools
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from data_platform.local_postgres import HOST
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import QUIET

SETTINGS = {
    **QUIET,
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_size": "64MB",
}
PATIENCE_SECONDS = 30


class LineProxy:
    """Passes bytes between clients and ``upstream``; cuts every line at once when it is told to."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.cut_after: int | None = None
        """So many more bytes from the server, then all lines are cut, once."""
        self.passed = 0
        """Bytes from the server so far."""
        self.cuts = 0
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()

    def cut(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, set()
            self.cuts += 1
        for line in lines:
            with suppress(OSError):  # a reset, as from a box in between that forgot the connection
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def join(self, client: socket.socket) -> None:
        """Serve one client to its end."""
        with suppress(OSError):
            server = socket.create_connection(self.upstream, 10)
            server.settimeout(None)
            with self._lock:
                self._lines |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
            back.start()
            self._pump(client, server, False)
            back.join()

    def _pump(self, reading: socket.socket, writing: socket.socket, from_server: bool) -> None:
        with suppress(OSError):
            while data := reading.recv(4096):
                allowed = self._allowed(len(data)) if from_server else len(data)
                writing.sendall(data[:allowed])
                if allowed < len(data):
                    self.cut()
                    return
        for line in (reading, writing):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _allowed(self, wanted: int) -> int:
        with self._lock:
            self.passed += wanted
            if self.cut_after is None:
                return wanted
            self.cut_after -= wanted
            if self.cut_after >= 0:
                return wanted
            allowed, self.cut_after = wanted + self.cut_after, None
            return allowed


@contextmanager
def line_proxy(upstream: tuple[str, int]) -> Iterator[tuple[LineProxy, int]]:
    """The proxy and its port."""
    proxy = LineProxy(upstream)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            proxy.join(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        proxy.cut()
        thread.join()


class Source:
    """``url`` goes to the primary of the moment, ``seen_url`` to it by way of the proxy."""

    def __init__(self, folder: Path, proxy: LineProxy, port: int, primary: PostgresServer) -> None:
        self.folder, self.proxy, self.port = folder, proxy, port
        self.primary = primary
        self._homes = (folder / f"source-{number}" for number in itertools.count(2))

    @property
    def url(self) -> str:
        return self.primary.url()

    @property
    def seen_url(self) -> str:
        parts = urlsplit(self.url)
        at = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{at}@{HOST}:{self.port}"))

    def restart(self, *, crash: bool) -> None:
        """Stop it, by a crash if told, and start it on the same port."""
        self.primary.stop(immediate=crash)
        self.primary.start()

    def attach_standby(self) -> PostgresServer:
        return self.primary.standby(next(self._homes))

    def detach(self, standby: PostgresServer) -> None:
        """From here on nothing more reaches ``standby``: it holds what the primary had committed."""
        with self.primary.connect() as primary, standby.connect() as follower:
            target = primary.execute("select pg_current_wal_lsn()").fetchone()
            assert target is not None
            reached = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
            _wait(lambda: follower.execute(reached, target).fetchone() == (True,), "the standby to catch up")
            follower.execute("alter system set primary_conninfo = ''")
            follower.execute("select pg_reload_conf()")
            connected = "select count(*) from pg_stat_replication"
            _wait(lambda: primary.execute(connected).fetchone() == (0,), "the standby to let go")

    def fail_over(self, standby: PostgresServer) -> None:
        """The primary is lost, ``standby`` is the primary now, and the address leads to it."""
        old = self.primary
        old.stop(immediate=True)
        with standby.connect() as follower:
            assert follower.execute("select pg_promote()").fetchone() == (True,)
        self.primary = standby
        self.proxy.upstream = (HOST, standby.port)
        self.proxy.cut()
        old.destroy()


@contextmanager
def running_source(folder: Path) -> Iterator[Source]:
    """A server of the harness's own in ``folder``, which PostgreSQL's user can enter."""
    primary = PostgresServer(folder / "source-1", settings=SETTINGS).start()
    with line_proxy((HOST, primary.port)) as (proxy, port):
        source = Source(folder, proxy, port, primary)
        try:
            yield source
        finally:
            for home in folder.glob("source-*"):
                PostgresServer(home).destroy()


def _wait(ready: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < until, f"waited {PATIENCE_SECONDS} s in vain for {what}"
        time.sleep(0.01)


def lock_holder(url: str, table: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session that holds ``table`` as a migration does, until it is closed."""
    connection = psycopg.connect(url)
    connection.execute(f"lock table {table} in access exclusive mode")
    return connection
