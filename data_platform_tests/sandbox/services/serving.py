"""Serves one of the sandbox's services inside the test's process, with its faults, over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import uvicorn

from data_platform.local_postgres import HOST, free_port
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.faults import Faults
from data_platform.sandbox.services.service import Place, Service


@contextmanager
def own_shop(postgres: PostgresServer, name: str) -> Iterator[str]:
    """URL of a copy of the tests' shop that lasts for a whole module."""
    with postgres.connect() as connection:  # a template must have no connection
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop_small'"
        )
    yield postgres.create_database(name, template="shop_small")
    postgres.drop_database(name)


@contextmanager
def served(
    service: Service, folder: Path, url: str, app: Callable[[Place, Connections], Any] | None = None
) -> Iterator[Place]:
    """``service`` over the shop at ``url``; ``app`` makes its application otherwise than it would itself."""
    place = Place(service.name, folder, free_port(), service.secrets())
    connections = Connections(lambda: url)
    if service.install is not None:
        with psycopg.connect(url) as connection:
            service.install(place, connection)
    faulty = Faults((app or service.app)(place, connections), service.failure)
    config = uvicorn.Config(faulty, host=HOST, port=place.port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield place
    finally:
        server.should_exit = True
        thread.join()
        connections.close()
