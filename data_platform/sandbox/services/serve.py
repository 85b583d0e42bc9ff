"""The process of the services: ``python -m data_platform.sandbox.services.serve HOME``.

It takes over sockets that already listen (``LISTEN`` in its environment: name=descriptor of each service), so that
clients may connect from the moment it was started. A request belongs to the service whose
port it came in by.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.local_postgres import HOST
from data_platform.private_files import keep_private
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.faults import Faults
from data_platform.sandbox.services.registry import load
from data_platform.sandbox.services.state import SHOP, State

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

DESCRIPTORS = "SANDBOX_SERVICES_LISTEN"


class ByPort:
    """The application of the whole process: a service a port, and what they do in the background."""

    def __init__(self, apps: Mapping[int, ASGIApp], background: list[Awaitable[None]]) -> None:
        self._apps, self._background = apps, background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._apps[scope["server"][1]](scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        tasks: list[asyncio.Future[None]] = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                tasks = [asyncio.ensure_future(_logged(one)) for one in self._background]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _logged(work: Awaitable[None]) -> None:
    """What fails in the background is in the log at once; the services go on without it."""
    try:
        await work
    except Exception:
        traceback.print_exc()


def serve(home: Path, listening: Mapping[str, socket.socket]) -> None:
    """Serve the services named in ``listening`` until a signal ends the process."""
    import uvicorn

    state = State.read(home)
    server = PostgresServer(home)
    connections = Connections(lambda: server.url(SHOP))
    apps: dict[int, ASGIApp] = {}
    background = []
    for name in listening:
        place, service = state.place(name), load(state.where(name))
        apps[place.port] = Faults(service.app(place, connections), service.failure)
        if service.background is not None:
            background.append(service.background(place, connections))
    config = uvicorn.Config(
        ByPort(apps, background), host=HOST, log_level="warning", access_log=False, lifespan="on",
        server_header=False, timeout_graceful_shutdown=2, ws="none",
    )  # fmt: skip
    try:
        uvicorn.Server(config).run(sockets=list(listening.values()))
    finally:
        connections.close()


def main() -> None:
    keep_private()
    handed = dict(one.split("=") for one in os.environ.pop(DESCRIPTORS).split(","))
    serve(Path(sys.argv[1]), {name: socket.socket(fileno=int(number)) for name, number in handed.items()})


if __name__ == "__main__":
    main()
