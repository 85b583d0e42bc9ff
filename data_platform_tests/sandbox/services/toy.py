"""A service for tests of the frame: it says how many orders the shop has, and counts its own life."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.service import Failure, Place, Service


def app(place: Place, connections: Connections) -> Starlette:
    def orders(request: Request) -> JSONResponse:
        with connections.one() as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
        return JSONResponse({"orders": row[0] if row else None, "key": place.secrets["key"]})

    def ticks(request: Request) -> JSONResponse:
        return JSONResponse({"ticks": (place.folder / "ticks").exists()})

    return Starlette(routes=[Route("/orders", orders), Route("/ticks", ticks)])


def install(place: Place, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS toy (installed int); INSERT INTO toy VALUES (1)")


async def background(place: Place, connections: Connections) -> None:
    place.folder.joinpath("ticks").touch()
    await asyncio.Event().wait()


def failure(status: int) -> Failure:
    return Failure(b'{"toy": "%d"}' % status, {"content-type": "application/json"})


SERVICE = Service(
    name="toy", app=app, variables=lambda place: {"TOY_URL": place.url, "TOY_KEY": place.secrets["key"]}, base="TOY_URL",
    secrets=lambda: {"key": "toy-key"}, install=install, background=background, failure=failure,
)  # fmt: skip
ANOTHER = Service(
    name="another", app=app, variables=lambda place: {"ANOTHER_URL": place.url}, base="ANOTHER_URL", secrets=lambda: {"key": "b"},
)  # fmt: skip
