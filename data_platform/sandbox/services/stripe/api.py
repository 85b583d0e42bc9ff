"""The stand-in's HTTP side: keys, permissions, versions, lists and single objects. Read only, but for deleting a customer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from data_platform.sandbox.services.stripe import answers, control, events, store
from data_platform.sandbox.services.stripe.balance import TRANSACTION
from data_platform.sandbox.services.stripe.billing import CREDIT_NOTE, INVOICE, SUBSCRIPTION
from data_platform.sandbox.services.stripe.catalog import CUSTOMER
from data_platform.sandbox.services.stripe.errors import StripeFault, body, missing, request_id
from data_platform.sandbox.services.stripe.kinds import Kind, Object
from data_platform.sandbox.services.stripe.params import Params, parse
from data_platform.sandbox.services.stripe.payments import CHARGE, REFUND
from data_platform.sandbox.services.stripe.server import Server, server_of
from data_platform.sandbox.services.stripe.thin import list_thin, one_thin
from data_platform.sandbox.services.stripe.versions import ACCOUNT_VERSION, FORM, shaped

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connection, Connections
    from data_platform.sandbox.services.service import Place

PAGING = ("limit", "starting_after", "ending_before")
ACCOUNT = "acct_00000000000001"
LISTED = (*(kind for kind in events.KINDS.values()), TRANSACTION)
Handler = Callable[["Call"], Object]


class Call:
    """One request that was let in."""

    def __init__(self, server: Server, request: Request, connection: Connection, version: str) -> None:
        self.server, self.request, self.connection, self.version = server, request, connection, version

    @property
    def id(self) -> str:
        return str(self.request.path_params["id"])

    def params(self, *known: str, lists: tuple[str, ...] = ("expand",)) -> Params:
        pairs = parse_qsl(self.request.url.query, keep_blank_values=True)
        return parse(pairs, known, lists)


def app(place: Place, connections: Connections) -> Starlette:
    server = server_of(place, connections)
    routes = []
    for kind in LISTED:
        routes.append(_route(server, kind.path, kind.permission, listing(kind)))
        routes.append(_route(server, f"{kind.path}/{{id}}", kind.permission, single(kind)))
    for kind, field in ((INVOICE, "lines"), (CREDIT_NOTE, "lines")):
        routes.append(_route(server, f"{kind.path}/{{id}}/{field}", kind.permission, inner(kind, field)))
    routes += [
        _route(server, "/v1/charges/{id}/refunds", CHARGE.permission, refunds),
        _route(server, "/v1/subscription_items", SUBSCRIPTION.permission, subscription_items),
        _route(server, "/v1/subscription_items/{id}", SUBSCRIPTION.permission, subscription_item),
        _route(server, "/v1/events", events.EVENT.permission, list_events),
        _route(server, "/v1/events/{id}", events.EVENT.permission, one_event),
        _route(server, "/v2/core/events", events.EVENT.permission, lambda call: list_thin(call.connection, call.request)),
        _route(server, "/v2/core/events/{id}", events.EVENT.permission, lambda call: one_thin(call.connection, call.id)),
        _route(server, "/v1/customers/{id}", "rak_customer_write", delete_customer, "DELETE"),
        _route(server, "/v1/account", "", account),
        *control.routes(server),
        _route(server, "/{path:path}", "", unknown),
    ]  # fmt: skip
    return Starlette(routes=routes)


# ---------------------------------------------------------------- the way in


def _route(server: Server, path: str, permission: str, handler: Handler, method: str = "GET") -> Route:
    def endpoint(request: Request) -> Response:
        version = request.headers.get("stripe-version") or ACCOUNT_VERSION
        try:
            authorize(server, request, permission)
            if not FORM.fullmatch(version):
                raise StripeFault(400, f"Invalid Stripe API version: {version}")
            with server.connections.one() as connection:
                return respond(200, handler(Call(server, request, connection, version)), version)
        except StripeFault as fault:
            told = body(fault.message, "invalid_request_error", fault.code, fault.param)
            return respond(fault.status, told, version)

    methods = [method] if path != "/{path:path}" else ["GET", "POST", "DELETE"]
    return Route(path, endpoint, methods=methods)


def respond(status: int, content: Object, version: str) -> Response:
    headers = {"request-id": request_id(), "stripe-version": version}
    return Response(json.dumps(content), status, headers, "application/json")


def authorize(server: Server, request: Request, permission: str) -> None:
    key, secrets = _key(request.headers.get("authorization", "")), server.place.secrets
    if not key:
        raise StripeFault(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    restricted = key == secrets["restricted_key"]
    if key != secrets["api_key"] and not restricted:
        raise StripeFault(401, f"Invalid API Key provided: {_stars(key)}")
    if server.over_limit():
        raise StripeFault(429, "Request rate limit exceeded.", code="rate_limit")
    writes = permission.endswith("_write")
    if restricted and permission and (writes or permission in server.settings.denied):
        raise StripeFault(
            403,
            f"The provided key '{_stars(key)}' does not have the required permissions for this endpoint on account "
            f"'{ACCOUNT}'. Having the '{permission}' permission would allow this request to continue.",
        )


def _key(header: str) -> str:
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given).decode().partition(":")[0]
        except ValueError:
            return ""
    return given.strip() if scheme.lower() == "bearer" else ""


def _stars(key: str) -> str:
    return f"{key[:8]}{'*' * 12}{key[-4:]}" if len(key) > 16 else "****"


# ---------------------------------------------------------------- objects


def listing(kind: Kind) -> Handler:
    def handler(call: Call) -> Object:
        params = call.params("created", *PAGING, *kind.filters)
        places, more = store.page(call.connection, kind, params, call.server.settings.lag_seconds)
        found = store.objects(call.connection, kind, places)
        return in_list(call, finish(call, found, params, listed=True), more, kind.path)

    return handler


def single(kind: Kind) -> Handler:
    def handler(call: Call) -> Object:
        params = call.params()
        return finish(call, [store.one(call.connection, kind, call.id)], params, listed=False)[0]

    return handler


def finish(call: Call, found: list[Object], params: Params, *, listed: bool) -> list[Object]:
    answers.expand(call.connection, found, params.lists.get("expand", ()), listed)
    answers.cut(found, call.server.settings.sublist_limit)
    return [shaped(one, call.version) for one in found]


def in_list(call: Call, data: list[Any], more: bool, path: str) -> Object:
    return {"object": "list", "data": data, "has_more": more, "url": path}


def inner(kind: Kind, field: str) -> Handler:
    """A list that an object also shows the beginning of."""

    def handler(call: Call) -> Object:
        params = call.params(*PAGING)
        whole = store.one(call.connection, kind, call.id)[field]["data"]
        return part(call, whole, params, f"{kind.path}/{call.id}/{field}")

    return handler


def part(call: Call, whole: list[Object], params: Params, path: str) -> Object:
    ids = [one["id"] for one in whole]
    for cursor in filter(None, (params.starting_after, params.ending_before)):
        if cursor not in ids:
            raise missing("line", cursor, "starting_after" if params.starting_after else "ending_before")
    if params.ending_before:
        before = whole[: ids.index(params.ending_before)]
        data, more = before[-params.limit :], len(before) > params.limit
    else:
        after = whole[ids.index(params.starting_after) + 1 :] if params.starting_after else whole
        data, more = after[: params.limit], len(after) > params.limit
    return in_list(call, finish(call, data, params, listed=True), more, path)


def refunds(call: Call) -> Object:
    params = call.params(*PAGING)
    params.others["charge"] = call.id
    places, more = store.page(call.connection, REFUND, params)
    found = store.objects(call.connection, REFUND, places)
    return in_list(call, finish(call, found, params, listed=True), more, f"/v1/charges/{call.id}/refunds")


def subscription_items(call: Call) -> Object:
    params = call.params("subscription", *PAGING)
    whose = params.others.get("subscription")
    if whose is None:
        raise StripeFault(
            400, "Missing required param: subscription.", code="parameter_missing", param="subscription"
        )
    whole = store.one(call.connection, SUBSCRIPTION, whose)["items"]["data"]
    return part(call, whole, params, "/v1/subscription_items")


def subscription_item(call: Call) -> Object:
    digits = call.id.removeprefix("si_")
    if len(digits) == 14 and digits.isdigit():
        whose = SUBSCRIPTION.id_of(digits[:7])
        for one in store.one(call.connection, SUBSCRIPTION, whose)["items"]["data"]:
            if one["id"] == call.id:
                return shaped(one, call.version)
    raise missing("subscription item", call.id)


def list_events(call: Call) -> Object:
    params = call.params("created", "type", "delivery_success", *PAGING, lists=("types", "expand"))
    if len(params.lists.get("types", ())) > 20:
        raise StripeFault(400, "You may filter by at most 20 types.", param="types")
    call.connection.execute("SELECT services_stripe.tick()")
    places, more = store.page(call.connection, events.EVENT, params, call.server.settings.lag_seconds)
    rows = events.rows_of(call.connection, [one.key for one in places])
    found = events.render(call.connection, rows)
    answers.cut(found, call.server.settings.sublist_limit)
    return in_list(call, found, more, "/v1/events")


def one_event(call: Call) -> Object:
    known = events.EVENT.key(call.id)
    rows = events.rows_of(call.connection, [int(known[1])]) if known else []
    if not rows:
        raise missing("event", call.id)
    found = events.render(call.connection, rows)
    answers.cut(found, call.server.settings.sublist_limit)
    return found[0]


def delete_customer(call: Call) -> Object:
    known = CUSTOMER.key(call.id)
    row = call.connection.execute(
        "SELECT services_stripe.delete_customer(u.user_id, services_stripe.customer_row(u)) FROM public.users u"
        " WHERE u.user_id = %s::bigint",
        (known[1] if known else "0",),
    ).fetchone()
    if row is None or not row[0]:
        raise missing("customer", call.id)
    return {"id": call.id, "object": "customer", "deleted": True}


def account(call: Call) -> Object:
    return {
        "id": ACCOUNT, "object": "account", "business_type": "company", "charges_enabled": True, "country": "US",
        "default_currency": "usd", "details_submitted": True, "email": None, "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Shop", "timezone": "Etc/UTC"}}, "type": "standard",
    }  # fmt: skip


def unknown(call: Call) -> Object:
    raise StripeFault(
        404,
        f"Unrecognized request URL ({call.request.method}: {call.request.url.path}). If you are trying to list objects, "
        "remove the trailing slash. If you are trying to retrieve an object, make sure you passed a valid identifier.",
    )
