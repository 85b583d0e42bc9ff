"""Stripe's errors: a status, and a body that says type, code, parameter and a sentence."""

from __future__ import annotations

import json
import secrets

from data_platform.sandbox.services.service import Failure

WORDS = {
    400: ("invalid_request_error", None, "The request was not understood."),
    401: ("invalid_request_error", None, "Invalid API Key provided: sk_test_****"),
    402: ("card_error", "card_declined", "Your card was declined."),
    403: (
        "invalid_request_error",
        None,
        "The provided key does not have the required permissions for this endpoint.",
    ),
    404: ("invalid_request_error", "resource_missing", "No such object."),
    409: (
        "idempotency_error",
        None,
        "Keys for idempotent requests can only be used with the same parameters.",
    ),
    429: (
        "invalid_request_error",
        "rate_limit",
        "Request rate limit exceeded. Learn more about rate limits here.",
    ),
}


class StripeFault(Exception):
    """Ends a request with an error."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


def request_id() -> str:
    return f"req_{secrets.token_hex(7)}"


def body(message: str, type_: str, code: str | None = None, param: str | None = None) -> dict[str, object]:
    told: dict[str, object] = {"message": message, "type": type_}
    if code is not None:
        told |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param is not None:
        told["param"] = param
    return {"error": told}


def failure(status: int) -> Failure:
    """An error that somebody asked the sandbox for."""
    type_, code, message = WORDS.get(status, ("api_error", None, "An unknown error occurred"))
    headers = {"content-type": "application/json", "request-id": request_id()}
    return Failure(json.dumps(body(message, type_, code)).encode(), headers)


def missing(kind: str, id_: str, param: str = "id") -> StripeFault:
    return StripeFault(
        400 if param != "id" else 404, f"No such {kind}: '{id_}'", code="resource_missing", param=param
    )
