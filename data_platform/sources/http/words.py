"""Errors for answers that cannot be used: the status, the endpoint and what to do. They never contain a value of a query,
a header or a body, since each may be a secret or personal."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from data_platform.errors import SourceError, SourceUnreachable, TableMissing
from data_platform.printable import printable_line

SLOW_DOWN = 429
AGAIN = frozenset({408, 425, SLOW_DOWN, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""Statuses after which the same request may succeed; those from 520 on are those of proxies."""


class RequestRefused(SourceError):
    """The server answered, and will not give it. ``status`` is what it answered."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


def safe_url(url: str) -> str:
    """``url`` without user, password, fragment and the values of its query."""
    parts = urlsplit(url)
    names = dict.fromkeys(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    query = "?" + "&".join(f"{name}=..." for name in names) if names else ""
    return printable_line(f"{parts.scheme}://{host_of(url)}{parts.path}{query}")


def host_of(url: str) -> str:
    """``example.com:8080``, without user and password; "" where the URL has no host that can be read."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    shown = f"[{name}]" if ":" in name else name
    return printable_line(f"{shown}:{port}" if port else shown)


def status_text(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def refusal(status: int, where: str, credentials: str) -> SourceError:
    """The error for an answer that is final. ``where`` is the endpoint and its host, ``credentials`` what is sent as such,
    named by the variable that holds it."""
    said = f"{where} answered {status_text(status)}"
    if status == 401:
        return RequestRefused(
            f"{said}: it does not accept {credentials}. Check that the variable holds a valid value that has not"
            " expired, and that `auth` names the scheme that the API asks for.",
            status,
        )
    if status == 403:
        return RequestRefused(
            f"{said}: {credentials} may not read this endpoint. Give it the permission (scope) to read it, or take the"
            " table out of the catalog.",
            status,
        )
    if status in (404, 410):
        return TableMissing(f"{said}: there is no such endpoint. Check `base_url` and the endpoint's `path`.")
    if status in AGAIN:
        return SourceUnreachable(f"{said} through every attempt. The next sync tries again.")
    return RequestRefused(
        f"{said}: it does not take the request. Check the endpoint's `path`, `method`, `params` and paginator against the"
        " API's documentation.",
        status,
    )


def slow_down(status: int, where: str, asked: float, limit: float, key: str) -> SourceUnreachable:
    """``key`` of ``connection`` limits the requests."""
    return SourceUnreachable(
        f"{where} answered {status_text(status)} and asks to wait {asked:,.0f} s, more than the {limit:,.0f} s that may be"
        f" waited for one request. The next sync tries again; `{key}` under `connection` keeps below"
        " the API's limit."
    )


def no_json(where: str, content_type: str, html: bool) -> SourceError:
    what = "HTML" if html else f"{content_type or 'a text'} that is no JSON"
    return SourceError(
        f"{where} answered with {what}, and JSON is needed. It often is a login or error page: check `base_url`, the"
        " endpoint's `path` and the credentials."
    )


def broken_json(where: str, *, cut: bool) -> SourceError:
    """For an answer that begins as JSON. One that is ``cut`` off may come whole another time."""
    if cut:
        return SourceUnreachable(f"{where}: the JSON of the answer was cut off, in every attempt.")
    return SourceError(
        f"{where}: the answer is not valid JSON, in every attempt (a value such as NaN, a missing comma, a control"
        " character). Report it to the API's maintainers."
    )


def redirected(where: str, host: str, why: str) -> SourceError:
    return SourceError(
        f"{where} leads on to {host or 'an address that cannot be read'}, and {why}. If that is the API's right address,"
        " write it under `base_url`."
    )
