"""Serves the status page at ``/status`` of the UI, as it lies in its file. Plain ASGI, inside of the guard.

The file may hold anything: somebody else may have written it. Its answer lets the browser run what is in it and load
nothing, as the page's own policy does.
"""

from __future__ import annotations

from pathlib import Path

from data_platform.web.guard import App, Receive, Scope, Send

PATH = "/status"
POLICY = (
    b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    b" form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
NOT_YET = "There is no status page yet. Materialize observability/status_page, or run `data-platform health --page`.\n"


class StatusPage:
    """``app``, and the page ``file`` at ``/status``."""

    def __init__(self, app: App, file: Path, *, prefix: str = "") -> None:
        self.app, self.file, self.prefix = app, file, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") != self.prefix + PATH:
            await self.app(scope, receive, send)
            return
        try:
            status, kind, body = 200, b"text/html; charset=utf-8", self.file.read_bytes()
        except OSError:
            status, kind, body = 404, b"text/plain; charset=utf-8", NOT_YET.encode()
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", POLICY),
            (b"referrer-policy", b"no-referrer"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
