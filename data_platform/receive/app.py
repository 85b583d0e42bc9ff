"""The HTTP of a receiver: ``POST /webhooks/<source>``, and ``GET /health``.

What an answer says is short and the same for everybody: nothing of a body, a signature or a secret.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from data_platform.receive.inflow import Inflow, NotKept
from data_platform.sources.inbox.delivery import Delivery
from data_platform.sources.inbox.hook import Hook, Unsigned, check

BODY_SECONDS = 10.0
"""A body that takes longer to come is given up."""
LOG_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass
class Door:
    """One source: who may deliver, and where it goes."""

    source: str
    hook: Hook
    keys: Sequence[bytes] = field(repr=False)
    inflow: Inflow
    refused: int = 0
    _logged: float = 0.0

    def refuse(self, error: Unsigned) -> None:
        """Count it; say so now and then."""
        self.refused += 1
        now = time.monotonic()
        if not self._logged or now - self._logged >= LOG_SECONDS:
            self._logged = now
            log.warning(
                "%s: refused %d deliveries so far; the last one: %s.", self.source, self.refused, error.reason
            )


class TooLarge(Exception):
    pass


def receiver(doors: Sequence[Door]) -> Starlette:
    """The application. It must be shut down for what waits to be written."""
    by_source: Mapping[str, Door] = {door.source: door for door in doors}

    async def deliver(request: Request) -> Response:
        door = by_source.get(request.path_params["source"])
        if door is None:
            return PlainTextResponse("There is no such source.", 404)
        return await _delivered(door, request)

    async def health(request: Request) -> Response:
        failing = [door.source for door in doors if door.inflow.failing]
        return JSONResponse({"ok": not failing}, 503 if failing else 200)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for door in doors:
            door.inflow.start()
        yield
        await asyncio.gather(*(door.inflow.stop() for door in doors))

    routes = [
        Route("/webhooks/{source}", deliver, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _delivered(door: Door, request: Request) -> Response:
    at = time.time()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(request, door.hook.max_bytes)
    except TooLarge:
        return PlainTextResponse("The body is too large.", 413, {"Connection": "close"})
    except TimeoutError:
        return PlainTextResponse("The body did not come in time.", 408, {"Connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
    try:
        check(door.hook.signature, door.keys, headers, body, at)
    except Unsigned as error:
        door.refuse(error)
        if error.malformed:
            return PlainTextResponse("The delivery is not signed.", 400)
        return PlainTextResponse("The signature is not good.", 401)
    kept = {name: headers[name] for name in door.hook.keep if name in headers}
    try:
        await door.inflow.add(Delivery(int(at * 1000), kept, body))
    except NotKept as error:
        return PlainTextResponse("Come again.", 503, {"Retry-After": str(error.after)})
    return Response(status_code=204)


async def _body(request: Request, most: int) -> bytes:
    """Raises TooLarge as soon as more comes than may."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise TooLarge
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise TooLarge
        pieces.append(piece)
    return b"".join(pieces)
