"""``/_sandbox/``: settings of the stand-in, and the webhooks it sends."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from data_platform.sandbox.services.faults import CONTROL

if TYPE_CHECKING:
    from data_platform.sandbox.services.stripe.server import Server


def routes(server: Server) -> list[Route]:
    async def settings(request: Request) -> Response:
        if request.method == "POST":
            try:
                server.settings = server.settings.changed(await request.body())
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(server.settings.told())

    async def webhooks(request: Request) -> Response:
        if request.method == "POST":
            try:
                given = json.loads(await request.body())
                return JSONResponse(await run_in_threadpool(register, server, **given))
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": f"A webhook is a JSON object with a url: {error}"}, 400)
        return JSONResponse(await run_in_threadpool(registered, server))

    def webhook(request: Request) -> Response:
        number = request.path_params["number"]
        with server.connections.one() as connection:
            if request.method == "DELETE":
                connection.execute("DELETE FROM services_stripe.endpoints WHERE endpoint_id = %s", (number,))
                return JSONResponse({"deleted": True})
            # A new secret; the old one signs too until the next.
            fresh = new_secret()
            connection.execute(
                "UPDATE services_stripe.endpoints SET secrets = %s || secrets[1:1] WHERE endpoint_id = %s",
                ([fresh], number),
            )
            return JSONResponse({"secret": fresh})

    return [
        Route(f"{CONTROL}settings", settings, methods=["GET", "POST"]),
        Route(f"{CONTROL}webhooks", webhooks, methods=["GET", "POST"]),
        Route(f"{CONTROL}webhooks/{{number:int}}", webhook, methods=["DELETE"]),
        Route(f"{CONTROL}webhooks/{{number:int}}/rotate", webhook, methods=["POST"]),
    ]


def new_secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"


def register(
    server: Server,
    url: str,
    types: list[str] | None = None,
    thin: bool = False,
    version: str | None = None,
    secret: str | None = None,
) -> dict[str, Any]:
    """What happens from now on is delivered to ``url``; the secret is that of ``.env`` by default."""
    secret = secret or server.place.secrets["webhook_secret"]
    with server.connections.one() as connection, connection.transaction():
        # What happened while nobody listened is nobody's.
        connection.execute(
            "UPDATE services_stripe.events SET queued = true WHERE NOT queued AND created_at < now()"
        )
        row = connection.execute(
            "INSERT INTO services_stripe.endpoints (url, types, thin, version, secrets) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING endpoint_id",
            (url, types or ["*"], thin, version, [secret]),
        ).fetchone()
    assert row is not None
    server.listeners.set()
    return {"id": row[0], "url": url, "secret": secret}


def registered(server: Server) -> list[dict[str, Any]]:
    """Each endpoint with its deliveries: waiting, delivered, given up."""
    from psycopg.rows import dict_row

    with server.connections.one() as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT endpoint_id AS id, url, count(d.due_at) AS waiting, count(d.delivered_at) AS delivered,"
            " count(*) FILTER (WHERE d.due_at IS NULL AND d.delivered_at IS NULL AND d.seq IS NOT NULL) AS given_up,"
            " coalesce(sum(d.attempts), 0)::bigint AS attempts,"
            " (SELECT count(*) FROM services_stripe.events e WHERE NOT e.queued) AS unsent"
            " FROM services_stripe.endpoints LEFT JOIN services_stripe.deliveries d USING (endpoint_id)"
            " GROUP BY endpoint_id ORDER BY endpoint_id"
        )
        return list(cursor)
