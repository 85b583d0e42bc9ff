"""Google Analytics 4 on loopback: the reports of the Data API v1beta over the shop's web events.

It serves ``runReport``, ``batchRunReports``, ``getMetadata`` and ``checkCompatibility`` of one property, in
the JSON form that the official client's REST transport speaks. ``PUT /_sandbox/behaviour``
changes the keys of ``report.Behaviour`` and ``quota.Limits``, and ``clock_offset_seconds``.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.ga4 import fields
from data_platform.sandbox.services.ga4.credentials import Tokens, make_key_file
from data_platform.sandbox.services.ga4.quota import Limits, Quota
from data_platform.sandbox.services.ga4.report import Behaviour, Rows, Runner
from data_platform.sandbox.services.ga4.requests import (
    REPORTS_MAX,
    Refused,
    incompatible,
    invalid,
    named,
    parse,
    requested,
)
from data_platform.sandbox.services.service import Failure, Place, Service

if TYPE_CHECKING:
    import psycopg
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from data_platform.sandbox.services.database import Connections

PROPERTY = "314159265"
URL_VARIABLE, PROPERTY_VARIABLE, KEY_VARIABLE = "GA4_API_URL", "GA4_PROPERTY_ID", "GA4_CREDENTIALS_FILE"
COMPATIBLE = {"COMPATIBILITY_UNSPECIFIED": 0, "COMPATIBLE": 1, "INCOMPATIBLE": 2}
TYPES = {"TYPE_INTEGER": 1, "TYPE_FLOAT": 2, "TYPE_SECONDS": 4, "TYPE_CURRENCY": 9}
REASONS = {"DATA_TRUNCATION_TYPE_PROPERTY": 8, "REVENUE_DATA": 2}
STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class Analytics:
    """The property: its settings, quota and clock, and the shop that its reports read."""

    def __init__(self, rows: Rows, tokens: Tokens) -> None:
        self.rows, self.tokens = rows, tokens
        self.behaviour = Behaviour()
        self.offset = 0.0
        self.quota = Quota(self.now)

    def now(self) -> float:
        return time.time() + self.offset

    def call(
        self, property_: str, method: str, authorization: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        anonymous = self.behaviour.anonymous and not authorization
        if not anonymous and not self.tokens.valid(authorization):
            raise Refused(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
                "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        known = {
            "runReport": self.report, "batchRunReports": self.batch, "metadata": self.metadata,
            "checkCompatibility": self.compatibility,
        }  # fmt: skip
        if method not in known:
            raise Refused(501, "UNIMPLEMENTED", f"The sandbox's Google Analytics does not serve {method}.")
        if property_ != PROPERTY and not (property_ == "0" and method == "metadata"):
            raise Refused(
                403,
                "PERMISSION_DENIED",
                "User does not have sufficient permissions for this property. To learn more about Property ID, see "
                "https://developers.google.com/analytics/devguides/reporting/data/v1/property-id.",
            )
        return known[method](body)

    def report(self, body: Mapping[str, Any]) -> dict[str, Any]:
        now = self.now()
        with self.quota.request():
            report = parse(body, self.behaviour.today(now))
            answer = Runner(self.rows, self.behaviour, now, report).answer()
            self.quota.charge(report, len(answer.get("rows", ())))
            if report.quota:
                answer["propertyQuota"] = self.quota.status()
        return answer

    def batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        asked = body.get("requests") or []
        if len(asked) > REPORTS_MAX:
            raise invalid(f"Batch requests are limited to {REPORTS_MAX} requests.")
        for one in asked:
            if one.get("property") not in (None, "", f"properties/{PROPERTY}"):
                raise invalid("The property of a request differs from the batch's.")
        return {"reports": [self.report(one) for one in asked], "kind": "analyticsData#batchRunReports"}

    def metadata(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "name": f"properties/{PROPERTY}/metadata",
            "dimensions": [_about(field) for field in fields.DIMENSIONS.values()],
            "metrics": [_about(field) for field in fields.METRICS.values()],
        }

    def compatibility(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Every field: may it be added to those of the request? A request that clashes itself is refused."""
        dimensions, metrics, _ = requested(body)
        if clash := fields.clashes(list(dimensions), list(metrics)):
            raise incompatible(clash)
        only = named(body.get("compatibilityFilter") or 0, COMPATIBLE, "compatibilityFilter")

        def listed(all_: Mapping[str, fields.Field], key: str) -> list[dict[str, Any]]:
            found = []
            for field in all_.values():
                word = "INCOMPATIBLE" if fields.clashes([*dimensions, field], list(metrics)) else "COMPATIBLE"
                if only in (word, "COMPATIBILITY_UNSPECIFIED"):
                    found.append({key: _about(field), "compatibility": word})
            return found

        return {
            "dimensionCompatibilities": listed(fields.DIMENSIONS, "dimensionMetadata"),
            "metricCompatibilities": listed(fields.METRICS, "metricMetadata"),
        }

    def behave(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change the property's behaviour; ValueError names an unknown key."""
        limits = {field.name for field in dataclasses.fields(Limits)}
        changes = dict(changes)
        offset = changes.pop("clock_offset_seconds", self.offset)
        quota = {key: changes.pop(key) for key in limits & changes.keys()}
        if changes.get("retained_from"):
            changes["retained_from"] = date.fromisoformat(changes["retained_from"])
        try:
            behaviour = dataclasses.replace(self.behaviour, **changes)
            behaviour.zone  # noqa: B018  a zone that does not exist
        except (TypeError, OSError, KeyError) as error:
            raise ValueError(f"There is no such behaviour: {error}.") from error
        self.behaviour, self.offset = behaviour, float(offset)
        self.quota.limits = dataclasses.replace(self.quota.limits, **quota)
        return {**dataclasses.asdict(behaviour), **dataclasses.asdict(self.quota.limits), "clock_offset_seconds": self.offset}  # fmt: skip


def _about(field: fields.Field) -> dict[str, Any]:
    about: dict[str, Any] = {"apiName": field.name, "uiName": field.title, "category": field.category}
    if field.deprecated:
        about["deprecatedApiNames"] = list(field.deprecated)
    return {**about, "type": field.type} if field.type else about


def _numbered(value: Any) -> Any:
    """Enumerations as numbers, as a client gets them that sends ``$alt=json;enum-encoding=int``."""
    numbers = {**TYPES, **REASONS, "COMPATIBLE": 1, "INCOMPATIBLE": 2}
    if isinstance(value, dict):
        keys = ("type", "compatibility", "dataTruncationType")
        return {k: numbers[v] if k in keys and v in numbers else _numbered(v) for k, v in value.items()}
    if isinstance(value, list):
        return [numbers.get(v, v) if isinstance(v, str) else _numbered(v) for v in value]
    return value


def failure(status: int) -> Failure:
    body = Refused(
        status, STATUSES.get(status, "UNKNOWN"), f"The sandbox was told to answer {status}."
    ).body()
    return Failure(json.dumps(body).encode(), {"content-type": "application/json"})


def application(analytics: Analytics) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def served(request: Request) -> Response:
        try:
            raw = await request.body()
            body = json.loads(raw) if raw else {}
            if not isinstance(body, dict):
                raise invalid("Invalid JSON payload received. The request's body is not an object.")
            method = request.path_params.get("method", "metadata")
            answer = await run_in_threadpool(
                analytics.call, request.path_params["property"], method, request.headers.get("authorization", ""), body
            )  # fmt: skip
        except ValueError:
            return _refusal(invalid("Invalid JSON payload received."))
        except Refused as refused:
            return _refusal(refused)
        except Exception:
            analytics.quota.server_error()
            raise
        numbers = "enum-encoding=int" in request.url.query.replace("%3D", "=").replace("%3B", ";")
        return JSONResponse(_numbered(answer) if numbers else answer)

    def _refusal(refused: Refused) -> Response:
        headers = {"www-authenticate": 'Bearer realm="https://accounts.google.com/"'} if refused.code == 401 else {}  # fmt: skip
        return JSONResponse(refused.body(), refused.code, headers)

    async def token(request: Request) -> Response:
        from urllib.parse import parse_qs

        form = parse_qs((await request.body()).decode())
        given = await run_in_threadpool(analytics.tokens.exchange, form.get("assertion", [""])[0])
        if isinstance(given, str):
            return JSONResponse({"error": "invalid_grant", "error_description": given}, 400)
        return JSONResponse(given)

    async def behaviour(request: Request) -> Response:
        try:
            shown = analytics.behave(await request.json() if request.method == "PUT" else {})
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(json.loads(json.dumps(shown, default=str)))

    async def failed(request: Request, error: Exception) -> Response:
        worded = failure(500)
        return JSONResponse(json.loads(worded.body), 500)

    return Starlette(
        routes=[
            Route("/v1beta/properties/{property}/metadata", served, methods=["GET"]),
            Route("/v1beta/properties/{property}:{method}", served, methods=["POST"]),
            Route("/token", token, methods=["POST"]),
            Route("/_sandbox/behaviour", behaviour, methods=["GET", "PUT"]),
        ],
        exception_handlers={Exception: failed},
    )


def reader(connections: Connections) -> Rows:
    def rows(query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with connections.one() as connection:
            return connection.execute(query.encode(), values).fetchall()

    return rows


def _app(place: Place, connections: Connections) -> Starlette:
    return application(Analytics(reader(connections), Tokens(place.folder / "key.json", time.time)))


def _install(place: Place, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    make_key_file(place.folder / "key.json", f"{place.url}/token")


def _variables(place: Place) -> dict[str, str]:
    return {
        URL_VARIABLE: place.url,
        PROPERTY_VARIABLE: PROPERTY,
        KEY_VARIABLE: str(place.folder / "key.json"),
    }


SERVICE = Service(
    name="ga4", app=_app, variables=_variables, base=URL_VARIABLE, install=_install, failure=failure
)
