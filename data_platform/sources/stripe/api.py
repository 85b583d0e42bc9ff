"""Requests to Stripe: made by its official client, sent by ours.

The official client writes the parameters, the version and the account, and knows Stripe's errors. It does not retry a
429, and takes no notice of ``Retry-After``; so ``sources.http`` is its transport, whose answers are whole or not at all.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError
from data_platform.sources.environment import value_of
from data_platform.sources.http.client import HttpClient, Limits, Request
from data_platform.sources.http.waiting import Clock
from data_platform.sources.http.words import RequestRefused
from data_platform.sources.reading import Opening
from data_platform.sources.stripe.config import base_of, connection_of

if TYPE_CHECKING:
    import stripe

_WORDED = frozenset({400, 401, 402, 403, 404})
"""Statuses whose body says why."""
_PERMISSION = re.compile(r"\brak_[a-z0-9_]+")
_WORD = re.compile(r"[a-z0-9_.\[\]]{1,60}")


class NoSuchObject(Exception):
    """What the request names does not exist. ``param`` is where it was named."""

    def __init__(self, param: str | None) -> None:
        super().__init__()
        self.param = param


@dataclass(frozen=True, slots=True)
class Reply:
    """``at`` is when it was given, in seconds since 1970 by Stripe's clock."""

    body: bytes
    at: int


class StripeApi:
    """One account. ``clock`` is a test's; ``latest`` is when the last answer was given, by Stripe's clock. ConfigurationError
    where a variable or the official client is missing."""

    def __init__(self, opening: Opening, clock: Clock | None = None) -> None:
        connection = connection_of(opening.connection)
        self.source, self._key_env = opening.source, connection.api_key_env
        key = _value(opening, connection.api_key_env)
        self.base = base_of(opening.source, connection, opening.environ)
        self.mode = "test" if "_test_" in key[:12] else "live"
        self.http = HttpClient(
            opening.source, Limits(requests_per_second=connection.requests_per_second), clock=clock
        )
        self._asked = threading.local()
        self.latest: int | None = None
        library = _library()
        self._client = library.StripeClient(
            key,
            stripe_account=connection.account,
            stripe_version=connection.api_version,
            base_addresses={"api": self.base},
            max_network_retries=0,  # ``sources.http`` does
            http_client=_transport(library, self.http, self._asked),
        )
        self._errors: Any = library

    def get(self, path: str, params: dict[str, Any], endpoint: str | None = None) -> Reply:
        """The answer's own bytes. ``endpoint`` names it in errors where ``path`` holds an id.

        NoSuchObject where the request names something that is not there, else the errors of ``HttpClient.send``.
        """
        self._asked.endpoint = endpoint = endpoint or path
        try:
            answer: Any = self._client.raw_request("get", path, **params)
        except self._errors.StripeError as error:
            raise self._refusal(endpoint, error) from None
        self.latest = self._at(answer.headers)
        return Reply(answer.body.encode(), self.latest)

    def _at(self, headers: Any) -> int:
        try:
            return int(parsedate_to_datetime(headers["Date"]).timestamp())
        except (KeyError, TypeError, ValueError):
            return int(self.http.clock.now().timestamp())

    def _refusal(self, endpoint: str, error: stripe.StripeError) -> Exception:
        """Stripe's text is not repeated: it may hold what was sent."""
        status = error.http_status or 0
        code, param = error.code, getattr(error, "param", None)
        where = f"{self.source}: GET {endpoint}"
        if code == "resource_missing":
            return NoSuchObject(param)
        if status == 401:
            return RequestRefused(
                f"{where}: Stripe does not accept the key in {self._key_env} (401). Check that it is a whole secret or"
                " restricted key of this account that has not expired or been replaced.",
                status,
            )
        if status == 403:
            named = _PERMISSION.search(str(error.user_message or ""))
            lacks = f"the permission {named[0]}" if named else "the permission to read it"
            return RequestRefused(
                f"{where}: the key in {self._key_env} lacks {lacks} (403). Give it to the restricted key in Stripe's"
                " dashboard, or take the table out of the catalog.",
                status,
            )
        told = ", ".join(text for text in (code, param) if text and _WORD.fullmatch(text))
        return RequestRefused(
            f"{where}: Stripe does not take the request ({status}{', ' if told else ''}{told}). Check `api_version`"
            " and `account` under `connection`.",
            status,
        )

    def account(self) -> str | None:
        """The account's id; None where the key may not ask for it."""
        import msgspec

        try:
            body = self.get("/v1/account", {}).body
        except RequestRefused as error:
            if error.status != 403:
                raise
            return None
        found = msgspec.json.decode(body)
        return str(found["id"]) if isinstance(found, dict) and "id" in found else None

    def at_text(self, at: int) -> str:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _value(opening: Opening, variable: str) -> str:
    value = value_of(opening.source, variable, opening.environ)
    if any(ord(character) <= 32 or ord(character) > 126 for character in value):
        raise ConfigurationError(
            f"{opening.source}: the environment variable {variable} holds a space or a character that no key has."
        )
    return value


def _library() -> Any:
    try:
        import stripe
    except ImportError:
        raise ConfigurationError(
            "Stripe's client is not installed. Install this package with its extra `stripe`: pip install"
            " 'data-platform[stripe]'."
        ) from None
    return stripe


def _transport(library: Any, http: HttpClient, asked: threading.local) -> Any:
    class Transport(library.HTTPClient):
        name = "data-platform"

        def request(
            self, method: str, url: str, headers: Any, post_data: Any = None
        ) -> tuple[bytes, int, Any]:
            request = Request(asked.endpoint, url, method.upper(), headers=headers, accept=_WORDED)
            answer = http.send(request, credentials="the API key")
            return answer.body, answer.status, answer.headers

        def close(self) -> None:
            http.close()

    return Transport()


def broken(source: str, endpoint: str) -> DataPlatformError:
    """For an answer that is JSON, and none of Stripe's."""
    return SourceError(
        f"{source}: GET {endpoint} answered with JSON that is no answer of Stripe's. Check the base URL of the source."
    )
