"""``/v2/core/events``: the same events in their thin form, with the paging of Stripe's second API."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from data_platform.sandbox.services.stripe import events
from data_platform.sandbox.services.stripe.errors import StripeFault, missing
from data_platform.sandbox.services.stripe.kinds import Object, spell
from data_platform.sandbox.services.stripe.params import MOST, Params, integer
from data_platform.sandbox.services.stripe.store import page

if TYPE_CHECKING:
    from starlette.requests import Request

    from data_platform.sandbox.services.database import Connection

PATH = "/v2/core/events"
USUAL = 20


def list_thin(connection: Connection, request: Request) -> Object:
    """Parameters: ``limit``, ``types[]`` (with ``v1.``), ``object_id``, ``created[gte]`` as ISO times, ``page``."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    params = Params(limit=USUAL)
    for name, value in pairs:
        base, _, inner = name.partition("[")
        if base == "types":
            params.lists.setdefault("types", []).append(value.removeprefix("v1."))
        elif base == "created" and inner.rstrip("]") in ("gt", "gte", "lt", "lte"):
            params.created[inner.rstrip("]")] = _second(name, value)
        elif name == "object_id":
            known = events.find(value)
            params.others["object_id"] = f"{known[0].name} {known[1]}" if known else value
        elif name == "limit":
            params.limit = min(MOST, max(1, integer(name, value)))
        elif name == "page":
            params.starting_after = _cursor(value)
        elif name != "include" and base != "include":
            raise StripeFault(
                400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
    connection.execute("SELECT services_stripe.tick()")
    places, more = page(connection, events.EVENT, params)
    rows = events.rows_of(connection, [one.key for one in places])
    again = [(name, value) for name, value in pairs if name != "page"]
    following = None
    if more:
        token = base64.urlsafe_b64encode(f"evt_{spell(places[-1].key)}".encode()).decode()
        following = f"{PATH}?{urlencode([*again, ('page', token)])}"
    return {"data": [events.thin(row) for row in rows], "next_page_url": following, "previous_page_url": None}


def one_thin(connection: Connection, id_: str) -> Object:
    digits = re.fullmatch(r"evt_t(\d{14})", id_)
    rows = events.rows_of(connection, [int(digits[1])]) if digits else []
    if not rows:
        raise missing("event", id_)
    return events.thin(rows[0])


def _second(name: str, value: str) -> int:
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError as error:
        raise StripeFault(400, f"Invalid timestamp: {value}", param=name) from error


def _cursor(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError as error:
        raise StripeFault(400, "Invalid page token.", param="page") from error
