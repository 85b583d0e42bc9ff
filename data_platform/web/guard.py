"""Refuses what no page of the UI itself and no tool of the operator's would send. Plain ASGI.

The UI runs whatever GraphQL reaches it, by GET too, whoever asks, and looks at neither Host nor Origin. So
any web page open in a browser on this machine could start runs: with an image, a form, a socket, or under
a name of its own that it lets point here. A login by cookie is no help, since the browser sends the cookie.

What is let through: pages, asked for under a name the UI is reached by; GraphQL as JSON in the body of a POST;
a socket of the UI's own pages. Everything else is refused. `data_platform/defs/webserver.py` puts it in place.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
NO_PAGES = ("graphql", "logs", "download_debug", "notebook", "server_info")
"""Prefixes of paths that do not answer with a page."""

POLICY_VIOLATION = 1008
HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CONTENT_POLICY = (
    "; default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:;"
    " connect-src 'self' ws://{host} wss://{host}; form-action 'self'; frame-ancestors 'none'"
)
"""Added to the UI's own: whatever text a page shows, the browser fetches nothing from elsewhere for it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    reason: str


FOREIGN_NAME = Refusal(
    421,
    "The UI does not answer under this name. Open it at http://127.0.0.1 and its port, or set"
    " DATA_PLATFORM_UI_URL to the address that people use (docs/deploy.md).",
)
FOREIGN_PAGE = Refusal(
    403,
    "This request came from a page of another origin. If it was the UI itself, set DATA_PLATFORM_UI_URL to the"
    " address that people use (docs/deploy.md).",
)
ONLY_POST = Refusal(405, "GraphQL is only answered by POST with JSON in its body.")
ONLY_JSON = Refusal(415, "GraphQL is only answered with Content-Type: application/json.")
NOT_OFFERED = Refusal(405, "This is not supported here: only GET of pages and POST of GraphQL are.")


class Guard:
    """``app`` for its own pages and tools alone. ``ui_url`` is where people reach it, beside loopback."""

    def __init__(self, app: App, *, ui_url: str | None = None, prefix: str = "") -> None:
        self.app, self.prefix = app, prefix
        parts = urlsplit(ui_url or "")
        usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        self.name = parts.netloc.lower().removesuffix(usual)
        self.origin = f"{parts.scheme}://{self.name}" if self.name else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _hardened(send, _one(scope, b"host") or ""))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
        else:
            await _refuse(send, refusal)

    def refusal(self, scope: Scope) -> Refusal | None:
        """The reason for refusing a request; None lets it through."""
        host = (_one(scope, b"host") or "").lower()
        if not self._known(host):
            return FOREIGN_NAME
        path = scope["path"].removeprefix(self.prefix) if self.prefix else scope["path"]
        origin, site = _one(scope, b"origin"), _one(scope, b"sec-fetch-site")
        own = (origin is None or self._own(origin, host)) and site in (None, "none", "same-origin")
        if scope["type"] == "websocket":
            return None if path == "/graphql" and origin is not None and own else FOREIGN_PAGE
        if scope["method"] in ("GET", "HEAD"):
            if _starts(path, "graphql") and scope["query_string"]:
                return ONLY_POST
            return None if own or _link_followed(scope, path) else FOREIGN_PAGE
        if not own:
            return FOREIGN_PAGE
        if scope["method"] != "POST" or path != "/graphql":
            return NOT_OFFERED
        essence = (_one(scope, b"content-type") or "").partition(";")[0].strip().lower()
        return None if essence == "application/json" else ONLY_JSON

    def _known(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        return match is not None and (match["name"] in LOOPBACK or host == self.name)

    def _own(self, origin: str, host: str) -> bool:
        """Where a proxy changes the name on the way here, the page's is still the one people use."""
        return origin == self.origin or (origin == f"http://{host}" and host != self.name)


def _link_followed(scope: Scope, path: str) -> bool:
    """A link in a message or on another page, opened in a tab of its own: a page and nothing else."""
    return (
        _one(scope, b"sec-fetch-mode") == "navigate"
        and _one(scope, b"sec-fetch-dest") == "document"
        and not _starts(path, *NO_PAGES)
    )


def _starts(path: str, *names: str) -> bool:
    return path.lstrip("/").partition("/")[0] in names


def _one(scope: Scope, name: bytes) -> str | None:
    """A header's value; one that is sent twice is none that anything could match."""
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else "\0" if values else None


def _hardened(send: Send, host: str) -> Send:
    """``send``, with the headers that keep other pages from framing this one and foreign ones from being asked."""

    async def hardened(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": list(_headers(message.get("headers", ()), host))}
        await send(message)

    return hardened


def _headers(headers: Iterable[tuple[bytes, bytes]], host: str) -> Iterable[tuple[bytes, bytes]]:
    ours = {name for name, _ in HEADERS}
    for name, value in headers:
        if name.lower() == b"content-security-policy" and b"sandbox" in value:
            yield name, value  # of a page that may do less than the UI
        elif name.lower() == b"content-security-policy":
            yield name, value.rstrip(b"; \n") + CONTENT_POLICY.format(host=host).encode("latin-1")
        elif name.lower() not in ours:
            yield name, value
    yield from HEADERS


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = f"{refusal.reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
