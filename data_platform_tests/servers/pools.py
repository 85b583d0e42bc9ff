"""PgBouncer, and a load balancer, before a PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data_platform.local_postgres import HOST, as_user, free_port, unprivileged_user
from data_platform_tests.servers.processes import running


@contextmanager
def pgbouncer(folder: Path, database_url: str, **settings: str) -> Iterator[str]:
    """A PgBouncer before the database at ``database_url``, whose user and password it takes; yields the
    URL that leads through it. As root it is run by an account without rights, as it asks for."""
    from psycopg import conninfo

    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer here: `make test` installs it where apt-get is to be had")
    given = conninfo.conninfo_to_dict(database_url)
    port = free_port()
    folder.mkdir(parents=True)
    config = {
        "listen_addr": HOST,
        "listen_port": str(port),
        "auth_type": "any",
        "unix_socket_dir": "",
        "logfile": "",
        "ignore_startup_parameters": "extra_float_digits,options",
        **settings,
    }
    file = folder / "pgbouncer.ini"
    upstream = " ".join(f"{name}={given[name]}" for name in ("host", "port", "dbname", "user", "password"))
    file.write_text(
        f"[databases]\npool = {upstream}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in config.items())
    )
    url = f"postgresql://anybody@{HOST}:{port}/pool"

    def ready() -> None:
        import psycopg

        psycopg.connect(url, connect_timeout=5).close()

    with running([program, str(file)], folder, ready, **as_user(unprivileged_user())):
        yield url


@contextmanager
def balancer(
    ports: Sequence[int], alters: Callable[[int, bytes], bytes] = lambda number, data: data
) -> Iterator[int]:
    """A port of this machine whose connections go to ``ports`` by turns, as through a load balancer.
    ``alters`` makes of what a client sends on its connection (they are numbered) what the server gets."""
    turns = enumerate(itertools.cycle(ports))

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number, port = next(turns)
            with socket.create_connection((HOST, port)) as upstream:
                ways = {self.request: upstream, upstream: self.request}
                while True:
                    for end in select.select(list(ways), [], [])[0]:
                        data = end.recv(65_536)
                        if not data:
                            return
                        ways[end].sendall(alters(number, data) if end is self.request else data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Either end may hang up."""

    with Server((HOST, 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
