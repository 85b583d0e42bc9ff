"""Zendesk Support on loopback: incremental exports and lists of a help desk that belongs to the shop.

``PUT /_sandbox/behaviour`` changes ``exports``, ``export_seconds``, ``requests`` and ``request_seconds`` (the rate limits),
``withheld_seconds`` (exports leave out what is newer), ``read_only_role`` (the token may not export) and
``clock_offset_seconds``. ``POST /_sandbox/bulk`` with ``{"tickets": 1500}`` is a system update of so many tickets at once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.service import Failure, Place, Service
from data_platform.sandbox.services.zendesk import desk
from data_platform.sandbox.services.zendesk.exports import Exports, Refused
from data_platform.sandbox.services.zendesk.limits import RateLimits

if TYPE_CHECKING:
    import psycopg
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from data_platform.sandbox.services.database import Connections

URL_VARIABLE, EMAIL_VARIABLE, TOKEN_VARIABLE = "ZENDESK_URL", "ZENDESK_EMAIL", "ZENDESK_API_TOKEN"
EMAIL = "admin@shop.example"
SAMPLE_MOST = 50
IDLE_SECONDS = 5.0
ERRORS = {
    400: "InvalidRequest", 401: "Couldn't authenticate you", 403: "Forbidden", 404: "InvalidEndpoint", 422: "RecordInvalid",
    429: "APIRateLimitExceeded", 500: "InternalError", 503: "ServiceUnavailable",
}  # fmt: skip


@dataclass(slots=True)
class Behaviour:
    exports: int = 10
    export_seconds: float = 6.0
    requests: int = 700
    request_seconds: float = 6.0
    withheld_seconds: float = 60.0
    read_only_role: bool = False
    clock_offset_seconds: float = 0.0


class HelpDesk:
    """What the routes share: the database, the token, the limits."""

    def __init__(self, place: Place, connections: Connections) -> None:
        self.place, self.connections = place, connections
        self.behaviour = Behaviour()
        self.limits = RateLimits()

    def now(self) -> float:
        return time.time() + self.behaviour.clock_offset_seconds

    def behave(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        unknown = changes.keys() - asdict(self.behaviour).keys()
        if unknown:
            raise ValueError(f"There is no such behaviour: {', '.join(sorted(unknown))}.")
        for key, value in changes.items():
            setattr(self.behaviour, key, value)
        for window, limit, span in (
            (self.limits.exports, self.behaviour.exports, self.behaviour.export_seconds),
            (self.limits.account, self.behaviour.requests, self.behaviour.request_seconds),
        ):
            window.limit, window.seconds = limit, span
        return asdict(self.behaviour)

    def admit(self, authorization: str, export: bool) -> dict[str, str]:
        """The headers of the answer; Refused when the request may not pass."""
        if not self._known(authorization):
            raise Refused(401, "Couldn't authenticate you")
        headers, wait = self.limits.take(export)
        if wait > 0:
            refused = Refused(429, "APIRateLimitExceeded", "Number of allowed incremental export API requests per minute exceeded" if export else "Number of allowed API requests per minute exceeded")  # fmt: skip
            raise Limited(refused, {**headers, "retry-after": str(max(1, math.ceil(wait)))})
        if export and self.behaviour.read_only_role:
            raise Refused(403, "Forbidden", "You do not have access to this page. Please contact the account owner of this help desk for further help.")  # fmt: skip
        return headers

    def _known(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        token = self.place.secrets["token"]
        if kind.lower() == "bearer":
            return secrets.compare_digest(given.encode(), token.encode())
        try:
            text = base64.b64decode(given, validate=True).decode() if kind.lower() == "basic" else ""
        except (ValueError, binascii.Error):
            return False
        return secrets.compare_digest(text.encode(), f"{EMAIL}/token:{token}".encode())

    def answer(self, what: str, kind: str, query: Mapping[str, str]) -> dict[str, Any]:
        now = self.now()
        with self.connections.one() as connection:
            with connection.transaction():
                desk.Desk(connection).advance(now)
            exports = Exports(connection, self.place.url, now, self.behaviour.withheld_seconds)
            if what == "cursor":
                return exports.by_cursor(kind, query)
            if what in ("time", "sample"):
                return exports.by_time(kind, query, **({"most": SAMPLE_MOST} if what == "sample" else {}))
            if what == "list":
                return exports.page(kind, query)
            return exports.one(kind, what)

    def bulk(self, tickets: int) -> int:
        with self.connections.one() as connection, connection.transaction():
            return desk.Desk(connection).touch(tickets, self.now())


class Limited(Exception):
    def __init__(self, refused: Refused, headers: dict[str, str]) -> None:
        super().__init__(str(refused))
        self.refused, self.headers = refused, headers


def failure(status: int) -> Failure:
    body = {"error": ERRORS.get(status, "Error"), "description": f"The sandbox was told to answer {status}."}
    return Failure(json.dumps(body).encode(), {"content-type": "application/json; charset=utf-8"})


def application(help_desk: HelpDesk) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def served(request: Request, what: str) -> Response:
        export = what in ("cursor", "time", "sample")
        kind = request.path_params["kind"].removesuffix(".json")
        try:
            headers = help_desk.admit(request.headers.get("authorization", ""), export)
            found = await run_in_threadpool(help_desk.answer, what, kind, dict(request.query_params))
        except Limited as limited:
            return JSONResponse(limited.refused.body, limited.refused.status, limited.headers)
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)
        return JSONResponse(found, headers=headers)

    async def by_cursor(request: Request) -> Response:
        return await served(request, "cursor")

    async def by_time(request: Request) -> Response:
        return await served(request, "time")

    async def sample(request: Request) -> Response:
        return await served(request, "sample")

    async def listed(request: Request) -> Response:
        return await served(request, "list")

    async def one(request: Request) -> Response:
        return await served(request, request.path_params["id"].removesuffix(".json"))

    async def behaviour(request: Request) -> Response:
        try:
            return JSONResponse(help_desk.behave(await request.json() if request.method == "PUT" else {}))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)

    async def bulk(request: Request) -> Response:
        wanted = int((await request.json())["tickets"])
        return JSONResponse({"tickets": await run_in_threadpool(help_desk.bulk, wanted)})

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(json.loads(failure(500).body), 500)

    async def missing(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "InvalidEndpoint", "description": "Not found"}, 404)

    root = "/api/v2"
    return Starlette(
        routes=[
            Route(f"{root}/incremental/{{kind}}/cursor", by_cursor),
            Route(f"{root}/incremental/{{kind}}/cursor.json", by_cursor),
            Route(f"{root}/incremental/{{kind}}/sample", sample),
            Route(f"{root}/incremental/{{kind}}/sample.json", sample),
            Route(f"{root}/incremental/{{kind}}", by_time),
            Route(f"{root}/{{kind}}/{{id}}", one),
            Route(f"{root}/{{kind}}", listed),
            Route("/_sandbox/behaviour", behaviour, methods=["GET", "PUT"]),
            Route("/_sandbox/bulk", bulk, methods=["POST"]),
        ],
        exception_handlers={404: missing, Exception: failed},
    )


def _app(place: Place, connections: Connections) -> Starlette:
    return application(HelpDesk(place, connections))


def _install(place: Place, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    desk.install(connection, time.time())


async def _background(place: Place, connections: Connections) -> None:
    """The desk goes on while nobody asks, so that what happens is recorded when it happens."""
    import psycopg

    def step() -> None:
        with connections.one() as connection, connection.transaction():
            desk.Desk(connection).advance(time.time())

    while True:
        await asyncio.sleep(IDLE_SECONDS)
        try:
            await asyncio.to_thread(step)
        except (psycopg.Error, OSError):
            continue  # the database is down or not filled yet; it will be asked again


def _variables(place: Place) -> dict[str, str]:
    return {URL_VARIABLE: place.url, EMAIL_VARIABLE: EMAIL, TOKEN_VARIABLE: place.secrets["token"]}


SERVICE = Service(
    name="zendesk", app=_app, variables=_variables, base=URL_VARIABLE, secrets=lambda: {"token": secrets.token_urlsafe(30)},
    install=_install, background=_background, failure=failure,
)  # fmt: skip
