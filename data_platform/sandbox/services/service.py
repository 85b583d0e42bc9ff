"""What a service is to the frame around it: what it serves, needs in the database, and tells its clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.local_postgres import HOST

if TYPE_CHECKING:
    import psycopg
    from starlette.types import ASGIApp

    from data_platform.sandbox.services.database import Connections


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service of one sandbox is; the same for as long as the sandbox exists.

    ``folder`` is closed to other accounts and holds what the service keeps in files; it is
    there already. ``secrets`` are those that the service made when it was first started.
    """

    name: str
    folder: Path
    port: int
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the service words it: the body and the headers beside it."""

    body: bytes
    headers: Mapping[str, str]


def plain_failure(status: int) -> Failure:
    return Failure(f"The sandbox was told to answer {status}.\n".encode(), {"content-type": "text/plain"})


@dataclass(frozen=True, slots=True)
class Service:
    """One stand-in.

    ``app`` makes the ASGI application; it runs in the services' process, may take any connection
    at any time, and must not expect the database to be up while it is made.
    ``variables`` are the lines of ``.env`` that a client needs; ``base`` is the one of them that holds the
    service's URL on this machine, by which the sandbox knows its own lines from a person's.
    ``secrets`` are made once. ``install`` puts into the shop's database what the service needs there; it
    runs at every ``up`` inside a transaction, so it must cost little when all is there.
    ``background`` runs for as long as the process does. ``failure`` words an injected error.
    """

    name: str
    app: Callable[[Place, Connections], ASGIApp]
    variables: Callable[[Place], dict[str, str]]
    base: str
    secrets: Callable[[], dict[str, str]] = dict
    install: Callable[[Place, psycopg.Connection[tuple[Any, ...]]], None] | None = None
    background: Callable[[Place, Connections], Awaitable[None]] | None = None
    failure: Callable[[int], Failure] = plain_failure
