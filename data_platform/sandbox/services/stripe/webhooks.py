"""Sends signed webhooks: at least once, in any order, some twice, again after a failure until it is given up.

Deliveries are rows of the database, made in the same statement that takes an event off the queue, so a process that is
killed loses none and may send some again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

from data_platform.errors import SandboxError
from data_platform.sandbox.services.stripe import answers, events

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connection
    from data_platform.sandbox.services.stripe.server import Server

WORKERS = 8
BATCH = 400
PAUSE_SECONDS = 0.2
TIMEOUT_SECONDS = 10
ENQUEUE = """WITH fresh AS (UPDATE services_stripe.events SET queued = true WHERE NOT queued RETURNING seq, type, created_at)
INSERT INTO services_stripe.deliveries (seq, endpoint_id)
SELECT f.seq, p.endpoint_id FROM fresh f JOIN services_stripe.endpoints p
ON ('*' = ANY (p.types) OR f.type = ANY (p.types)) AND f.created_at >= p.created_at"""
DUE = """SELECT d.seq, d.endpoint_id, d.attempts, d.delivered_at IS NOT NULL AS again, p.url, p.thin, p.version, p.secrets
FROM services_stripe.deliveries d JOIN services_stripe.endpoints p USING (endpoint_id)
WHERE d.due_at <= now() ORDER BY d.due_at, d.seq LIMIT %s"""
DONE = """UPDATE services_stripe.deliveries SET attempts = attempts + 1, due_at = now() + make_interval(secs => %s),
delivered_at = CASE WHEN %s THEN coalesce(delivered_at, now()) ELSE delivered_at END WHERE seq = %s AND endpoint_id = %s"""


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """The header ``Stripe-Signature``: a time, and a signature for each secret that is still good (HMAC-SHA256 over
    the time, a full stop and the body's bytes)."""
    signed = f"{at}.".encode() + body
    codes = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={code}" for code in codes)])


async def send_for_ever(server: Server) -> None:
    """Until it is cancelled. The work is a thread's: it waits for other servers."""
    stop = threading.Event()
    task = asyncio.get_running_loop().run_in_executor(None, _run, server, stop)
    try:
        await asyncio.shield(task)
    finally:
        stop.set()
        server.listeners.set()
        await task


def _run(server: Server, stop: threading.Event) -> None:
    import psycopg
    import requests

    random = Random(1)
    server.listeners.set()  # there may be some of an earlier life
    with ThreadPoolExecutor(WORKERS) as pool, requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WORKERS))
        while not stop.is_set():
            if not server.listeners.wait(timeout=60):
                continue
            try:
                sent = step(server, pool, session, random)
            except (psycopg.OperationalError, SandboxError):  # no database yet, or not any more
                sent = 0
                stop.wait(1.0)
            except Exception:  # whatever it was, those who wait for webhooks wait for the next try
                traceback.print_exc()
                sent = 0
                stop.wait(1.0)
            if sent == 0:
                stop.wait(PAUSE_SECONDS)


def step(server: Server, pool: ThreadPoolExecutor, session: Any, random: Random) -> int:
    """Take events off the queue and send what is due; how many deliveries were tried."""
    from psycopg.rows import dict_row

    with server.connections.one() as connection:
        server.listeners.clear()  # before asking: who registers meanwhile sets it again
        known = connection.execute("SELECT count(*) FROM services_stripe.endpoints").fetchone()
        if known == (0,):
            return 0
        server.listeners.set()
        with connection.transaction():
            connection.execute("SELECT services_stripe.tick()")
            connection.execute(ENQUEUE)
        with connection.cursor(row_factory=dict_row) as cursor:
            due = cursor.execute(DUE.encode(), (BATCH,)).fetchall()
        bodies = _bodies(connection, due, server.settings.sublist_limit)
    if not server.settings.in_order:
        random.shuffle(due)
    went_well = list(pool.map(lambda one: _post(session, one, bodies[one["seq"], one["endpoint_id"]]), due))
    waits = server.settings.retry_seconds
    with server.connections.one() as connection, connection.transaction():
        for one, well in zip(due, went_well, strict=True):
            if well:
                twice = not one["again"] and random.random() < server.settings.duplicate_share
                wait = PAUSE_SECONDS if twice else None
            else:
                wait = waits[one["attempts"]] if one["attempts"] < len(waits) else None
            connection.execute(DONE.encode(), (wait, well, one["seq"], one["endpoint_id"]))
    return len(due)


def _bodies(
    connection: Connection, due: Sequence[dict[str, Any]], sublist_limit: int
) -> dict[tuple[int, int], bytes]:
    """What each delivery carries; rendered once for all that want the same form."""
    bodies: dict[tuple[int, int], bytes] = {}
    for thin, version in {(one["thin"], one["version"]) for one in due}:
        alike = [one for one in due if (one["thin"], one["version"]) == (thin, version)]
        rows = events.rows_of(connection, sorted({one["seq"] for one in alike}))
        shown = [events.thin(row) for row in rows] if thin else events.render(connection, rows, version)
        answers.cut(shown, sublist_limit)
        text = {row["seq"]: json.dumps(one, indent=2).encode() for row, one in zip(rows, shown, strict=True)}
        for one in alike:
            bodies[one["seq"], one["endpoint_id"]] = text.get(one["seq"], b"")
    return bodies


def _post(session: Any, one: dict[str, Any], body: bytes) -> bool:
    import requests

    if not body:  # older than thirty days meanwhile
        return True
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(body, one["secrets"], int(time.time())),
        "User-Agent": "Stripe/1.0 (+sandbox)",
    }
    try:
        answer = session.post(
            one["url"], data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )
    except requests.RequestException:
        return False
    return bool(200 <= answer.status_code < 300)
