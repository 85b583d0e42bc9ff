"""What is added to a request so that the server knows who asks. Values come from the environment; none is in a message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import msgspec

from data_platform.errors import SourceError

if TYPE_CHECKING:
    from data_platform.sources.http.client import HttpClient

_EARLY_SECONDS = 60
"""A token is renewed so long before it ends."""


class Auth:
    """No credentials. ``words`` is what is sent, for errors; ``in_query`` the query parameter that holds it, which is taken
    out of every URL that the server gives back."""

    words = "a request without credentials"
    in_query: str | None = None

    def apply(self, client: HttpClient, headers: dict[str, str], params: list[tuple[str, str]]) -> None:
        """Add the credentials."""

    def renew(self) -> bool:
        """After a 401: whether another attempt would send other credentials."""
        return False


class HeaderAuth(Auth):
    """A fixed header: bearer tokens, HTTP basic, API keys."""

    def __init__(self, words: str, name: str, value: str) -> None:
        self.words, self._name, self._value = words, name, value

    def apply(self, client: HttpClient, headers: dict[str, str], params: list[tuple[str, str]]) -> None:
        headers[self._name] = self._value


def bearer(words: str, token: str) -> Auth:
    return HeaderAuth(words, "Authorization", f"Bearer {token}")


def basic(words: str, username: str, password: str) -> Auth:
    pair = b64encode(f"{username}:{password}".encode()).decode("ascii")
    return HeaderAuth(words, "Authorization", f"Basic {pair}")


class ApiKey(Auth):
    def __init__(
        self, words: str, name: str, value: str, location: Literal["header", "query", "cookie"]
    ) -> None:
        self.words, self._name, self._value, self._location = words, name, value, location
        self.in_query = name if location == "query" else None

    def apply(self, client: HttpClient, headers: dict[str, str], params: list[tuple[str, str]]) -> None:
        if self._location == "query":
            params.append((self._name, self._value))
        elif self._location == "cookie":
            headers["Cookie"] = f"{self._name}={self._value}"
        else:
            headers[self._name] = self._value


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class OAuth2ClientCredentials(Auth):
    """The client credentials grant (RFC 6749, 4.4): a token is fetched, used until shortly before it expires, and
    fetched again after a 401."""

    def __init__(
        self,
        words: str,
        url: str,
        client_id: str,
        client_secret: str,
        more: Mapping[str, Any],
        default_seconds: float = 3600,
    ) -> None:
        self.words, self._url, self._default = words, url, default_seconds
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            **{name: str(value) for name, value in more.items()},
        }
        self._lock = Lock()
        self._token: str | None = None
        self._until = 0.0

    def apply(self, client: HttpClient, headers: dict[str, str], params: list[tuple[str, str]]) -> None:
        with self._lock:
            now = client.clock.monotonic()
            if self._token is None or now >= self._until:
                self._token, seconds = self._fetch(client)
                self._until = now + max(seconds - _EARLY_SECONDS, seconds / 2)
            headers["Authorization"] = f"Bearer {self._token}"

    def renew(self) -> bool:
        with self._lock:
            had, self._token = self._token is not None, None
        return had

    def _fetch(self, client: HttpClient) -> tuple[str, float]:
        from data_platform.sources.http.client import Request

        request = Request(
            endpoint="access_token_url",
            url=self._url,
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            body=urlencode(self._form).encode(),
        )
        answer = client.send(request, auth=Auth(), credentials=self.words)
        try:
            token = msgspec.json.decode(answer.body, type=_Token)
            return token.access_token, float(token.expires_in or self._default)
        except (msgspec.MsgspecError, ValueError):
            raise SourceError(
                f"{client.title}: access_token_url answered without an `access_token`, or with an `expires_in` that is no"
                " number. Check `access_token_url`, `access_token_request_data` and the client's id and secret."
            ) from None
