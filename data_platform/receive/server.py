"""A receiver as a process: the sources that take deliveries, checked before it listens, and uvicorn."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from data_platform.errors import ConfigurationError
from data_platform.receive.app import Door, receiver
from data_platform.receive.inflow import Inflow
from data_platform.sources.inbox.secrets import secrets_of
from data_platform.sources.kinds import hook_of
from data_platform.sync import Platform
from data_platform.sync.opening import inbox_of

if TYPE_CHECKING:
    import uvicorn

STOP_SECONDS = 30
"""How long requests under way may take when it is told to stop."""


def doors(platform: Platform, named: Collection[str] = ()) -> list[Door]:
    """A door for each source of the catalog that others deliver to, or only for those ``named``.

    ConfigurationError where there is none, where a secret or a key is missing, or the store does not answer (LandingError).
    """
    name = receiver_name()
    found = []
    for source in platform.catalog.sources.values():
        hook = hook_of(source.kind, source.connection)
        if named and source.name not in named:
            continue
        if hook is None:
            if named:
                raise ConfigurationError(
                    f"{source.name} names no secret under which others would deliver to it. docs/cli.md (`receive`) names the"
                    " kinds of sources that take deliveries, and the key for it."
                )
            continue
        keys = secrets_of(source.name, hook, platform.environ)
        inbox = inbox_of(platform, source)
        inbox.ready()
        found.append(Door(source.name, hook, keys, Inflow(source.name, name, inbox.put)))
    if not found:
        raise ConfigurationError(
            "No source of the catalog takes deliveries: `kind: webhook` does, and `kind: stripe` with `webhook_secret_env`."
        )
    return found


def receiver_name() -> str:
    """One that no other receiver has; later ones come later in a listing."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def server(doors: Collection[Door]) -> uvicorn.Server:
    """When it is told to stop, it first writes and answers what came."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            receiver(list(doors)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who asks is of no interest
            date_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def serve(doors: Collection[Door], host: str, port: int, ready: Callable[[int], None]) -> None:
    """Until a signal ends it. ``ready`` is told the port once it listens. ConfigurationError where it cannot."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    listening = listen(host, port)
    ready(listening.getsockname()[1])
    server(doors).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"The receiver cannot listen on {host}, port {port}: {error.strerror}. Choose another with --host and --port."
        ) from None
    return sock
