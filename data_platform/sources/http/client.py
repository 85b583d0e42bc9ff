"""Requests to one API, sent until they are answered, refused, or given up; every answer is whole.

The tables of a source share one client: its rate limit, its pause after a 429 and its connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError, SourceUnreachable
from data_platform.sources.http.auth import Auth
from data_platform.sources.http.waiting import Clock, SystemClock, Waits, retry_after
from data_platform.sources.http.words import (
    AGAIN,
    broken_json,
    host_of,
    no_json,
    redirected,
    refusal,
    slow_down,
)

REDIRECTS_MAX = 5
_CHUNK_BYTES = 65_536
_BACKOFF = wait_random_exponential(multiplier=0.5, max=60)


@dataclass(frozen=True, slots=True)
class Limits:
    """``attempts`` counts those that failed without the server saying how long to wait; where it says so, ``wait_seconds_max``
    bounds all waits of one request together. ``read_seconds`` is between two bytes, ``total_seconds`` for one answer.
    ``requests_in_window`` allows so many requests in any so many seconds. ``named`` is the key of ``connection`` that
    limits requests, for messages."""

    attempts: int = 6
    connect_seconds: float = 10
    read_seconds: float = 60
    total_seconds: float = 600
    wait_seconds_max: float = 900
    requests_per_second: float | None = None
    requests_in_window: tuple[int, float] | None = None
    bytes_max: int = 1 << 29
    named: str = "requests_per_second"


@dataclass(frozen=True, slots=True)
class Request:
    """``endpoint`` names it in errors and contains no value of a query or of a record. ``accept`` are statuses
    that the caller takes as answers. With ``json`` the body of the answer is checked to be JSON, all of it."""

    endpoint: str
    url: str
    method: str = "GET"
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    accept: frozenset[int] = frozenset()
    json: bool = True

    @property
    def full_url(self) -> str:
        """The URL with the parameters."""
        return add_query(self.url, self.params)


@dataclass(frozen=True, slots=True)
class Answer:
    """``url`` is where it came from, without credentials. ``body`` is unpacked, b"null" of an answer without content."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class _Again(Exception):
    """The request may be retried, after ``after`` seconds if the server said so; otherwise ``error`` is raised."""

    def __init__(self, error: DataPlatformError, after: float | None = None) -> None:
        super().__init__()
        self.error, self.after = error, after


class HttpClient:
    """``title`` names the source in errors; what ``auth`` and ``secret_headers`` hold is sent to no other host. ``close`` it after use; ``interrupt`` ends what other threads wait for."""

    def __init__(
        self,
        title: str,
        limits: Limits | None = None,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.title, self.limits, self.auth = title, limits or Limits(), auth or Auth()
        self.clock = clock or SystemClock()
        usual = {"Accept": "application/json", "User-Agent": "data-platform"}
        self._headers = {**usual, **(headers or {}), **(secret_headers or {})}
        self._secret = bool(secret_headers)
        self._waits = Waits(
            title, self.clock, self.limits.requests_per_second, self.limits.requests_in_window
        )
        self._lock, self._open = Lock(), set[requests.Response]()
        self._session = requests.Session()
        self._session.auth = _no_netrc
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        self._session.close()

    def interrupt(self) -> None:
        self._waits.end()
        with self._lock:
            for response in self._open:
                with suppress(Exception):  # it may be done by now, or not yet connected
                    response.raw.shutdown()

    def send(self, request: Request, *, auth: Auth | None = None, credentials: str | None = None) -> Answer:
        """The answer to ``request``: of a status below 300, or one of its ``accept``.

        RequestRefused, TableMissing or SourceError where another attempt would bring the same, SourceUnreachable where
        all attempts failed. ``auth`` instead of the client's own; ``credentials`` then names what is sent.
        """
        auth = auth or self.auth
        tried = _Tried(self.limits)
        retrying = Retrying(
            sleep=self._waits.sleep,
            wait=tried.wait,
            stop=tried.stop,
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            return retrying(self._once, request, auth, credentials or auth.words, tried)
        except _Again as again:
            raise self._given_up(again, request) from None

    def told(self, left: int, seconds: float) -> None:
        """The server says how many requests are ``left``, and after how many ``seconds`` there are more. It counts those of
        others too, so its word takes the place of ``requests_in_window``."""
        self._waits.told(left, seconds)

    def where(self, request: Request) -> str:
        """The endpoint and its host, for messages."""
        return f"{self.title}: {request.method} {request.endpoint} at {host_of(request.url)}"

    def _given_up(self, again: _Again, request: Request) -> DataPlatformError:
        if again.after is not None and again.after > self.limits.wait_seconds_max:
            status = getattr(again.error, "status", 429)
            return slow_down(
                status, self.where(request), again.after, self.limits.wait_seconds_max, self.limits.named
            )
        return again.error

    def _once(self, request: Request, auth: Auth, credentials: str, tried: _Tried) -> Answer:
        asked = request
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._exchange(asked, auth)
            if answer.status not in (301, 302, 303, 307, 308) or "Location" not in answer.headers:
                break
            asked = self._redirected(asked, answer, auth)
        else:
            raise redirected(self.where(request), host_of(asked.url), f"does so {REDIRECTS_MAX} times over")
        if answer.status < 300 or answer.status in request.accept:
            return self._checked(request, answer)
        if answer.status == 401 and not tried.renewed and auth.renew():
            tried.renewed = True
            raise _Again(refusal(401, self.where(request), credentials), 0)
        after = retry_after(answer.status, answer.headers, self.clock.now())
        error = refusal(answer.status, self.where(request), credentials)
        if answer.status in AGAIN or (answer.status == 403 and after is not None):
            if after is not None and after <= self.limits.wait_seconds_max:
                self._waits.hold(after)
            raise _Again(_with_status(error, answer.status), after)
        raise error

    def _redirected(self, request: Request, answer: Answer, auth: Auth) -> Request:
        url = urljoin(answer.url, answer.headers["Location"])
        where = self.where(request)
        if answer.status in (301, 302, 303) and request.method != "GET":
            raise redirected(where, host_of(url), f"{request.method} is not repeated with another method")
        self.check_origin(where, request.url, url, auth)
        return replace(request, url=url, params=())

    def check_origin(self, where: str, before: str, after: str, auth: Auth | None = None) -> None:
        """SourceError where credentials for ``before`` would go to another server, or in clear text."""
        old, new = _origin(before), _origin(after)
        upgraded = old[:2] == ("http", new[1]) and new == ("https", old[1], 443) and old[2] in (80, 443)
        secret = self._secret or type(auth or self.auth) is not Auth
        if new[0] not in ("http", "https"):
            raise redirected(where, host_of(after), "that is no address of the web")
        if old != new and not upgraded and secret:
            raise redirected(where, host_of(after), "credentials are sent to the host of `base_url` alone")

    def _exchange(self, request: Request, auth: Auth) -> Answer:
        headers, params = {**self._headers, **request.headers}, list(request.params)
        url = without_query(request.url, auth.in_query)
        shown = add_query(url, params)
        auth.apply(self, headers, params)
        self._waits.turn()
        self._waits.check()
        where, limits = self.where(request), self.limits
        until = self.clock.monotonic() + limits.total_seconds
        response: requests.Response | None = None
        try:
            response = self._session.request(
                request.method,
                add_query(url, params),
                headers=headers,
                data=request.body,
                timeout=(limits.connect_seconds, min(limits.read_seconds, limits.total_seconds)),
                allow_redirects=False,
                stream=True,
            )
            with self._lock:
                self._open.add(response)
            body = self._body(response, until, where)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self._waits.check()
            raise _failure(error, where, limits) from None
        finally:
            if response is not None:
                with self._lock:
                    self._open.discard(response)
                response.close()
        self._waits.check()
        return Answer(response.status_code, response.headers, body, shown)

    def _body(self, response: requests.Response, until: float, where: str) -> bytes:
        """All of it. urllib3 raises where fewer bytes come than Content-Length says, or a chunk is missing."""
        body = bytearray()
        read: Callable[..., bytes] = response.raw.read1
        while chunk := read(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self.limits.bytes_max:
                raise SourceError(
                    f"{where}: the answer is larger than {self.limits.bytes_max:,} bytes. Ask for smaller pages (a"
                    " `limit` or `per_page` under `params`)."
                )
            if self.clock.monotonic() > until:
                raise _Again(
                    SourceUnreachable(
                        f"{where} did not send its whole answer within {self.limits.total_seconds:g} s, through every"
                        " attempt. Ask for smaller pages, or raise `total_timeout_seconds`."
                    )
                )
        return bytes(body)

    def _checked(self, request: Request, answer: Answer) -> Answer:
        """``answer``, whose body is one whole JSON document; that of a failure that the caller takes is as it came."""
        if not request.json or answer.status >= 300:
            return answer
        body = answer.body.removeprefix(b"\xef\xbb\xbf").strip()
        if not body:
            return replace(answer, body=b"null")
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            where = self.where(request)
            if body[:1] not in b"{[":
                content_type = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()[:60]
                raise no_json(where, content_type, body[:1] == b"<") from None
            raise _Again(broken_json(where, cut="truncated" in str(error))) from None
        return replace(answer, body=body)


class _Tried:
    """How often one request was sent, and how long it was waited for."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._failures, self._waited, self.renewed = limits, 0, 0.0, False

    def wait(self, state: RetryCallState) -> float:
        again = _again(state)
        if again.after is None:
            return _BACKOFF(state)
        return 0.0 if self.renewed and again.after == 0 else again.after + _BACKOFF(state) / 10

    def stop(self, state: RetryCallState) -> bool:
        again = _again(state)
        self._failures += again.after is None or again.after < 1
        self._waited += state.upcoming_sleep
        return self._failures >= self._limits.attempts or self._waited > self._limits.wait_seconds_max


def _again(state: RetryCallState) -> _Again:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, _Again)
    return error


def _with_status(error: DataPlatformError, status: int) -> DataPlatformError:
    error.status = status  # type: ignore[attr-defined]
    return error


def _failure(error: Exception, where: str, limits: Limits) -> Exception:
    """What came of a connection, without the text of the library, which holds the URL and its query."""
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return ConfigurationError(
            f"{where}: the address cannot be read. Check `base_url` and the endpoint's `path`."
        )
    if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        return SourceError(
            f"{where}: the server's certificate does not pass, or it speaks no TLS. Check `base_url`; a company's own"
            " authority is named by the environment variable REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        what = f"no connection within {limits.connect_seconds:g} s"
    elif isinstance(error, (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        what = f"no byte for {limits.read_seconds:g} s"
    elif isinstance(error, urllib3.exceptions.DecodeError):
        what = "the packed answer cannot be unpacked"
    elif isinstance(error, urllib3.exceptions.ProtocolError) or "Connection aborted" in str(error):
        what = "the connection was lost before the whole answer had come"
    else:
        what = "no connection"
    return _Again(
        SourceUnreachable(f"{where}: {what}, through every attempt. Check that the server can be reached.")
    )


def add_query(url: str, params: Any) -> str:
    """``url`` with ``params`` behind its own."""
    if not params:
        return url
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(list(params))) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def without_query(url: str, name: str | None) -> str:
    """``url`` without the parameter ``name``."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if name is None or name not in dict(pairs):
        return url
    query = urlencode([pair for pair in pairs if pair[0] != name])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, (parts.hostname or "").lower(), port
    except ValueError:
        return "", "", None


def _no_netrc(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """requests would look for a password in ``~/.netrc`` otherwise."""
    return prepared
