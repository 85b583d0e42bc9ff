"""The guard before the UI, asked over real sockets: what is refused never reaches the application."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import uvicorn

from data_platform.web.guard import Guard

JSON = {"content-type": "application/json"}
CROSS = {"sec-fetch-site": "cross-site"}
LINK = {**CROSS, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
SOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(),
}


class Served:
    """An application that notes what reached it, behind a guard, on a real port."""

    def __init__(self, ui_url: str | None, prefix: str = "") -> None:
        self.reached: list[str] = []
        guard = Guard(self.app, ui_url=ui_url, prefix=prefix)
        self.server = uvicorn.Server(uvicorn.Config(guard, port=0, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(f"{scope['type']} {scope['path']}")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        headers = [(b"content-security-policy", b"object-src 'none';"), (b"x-frame-options", b"SAMEORIGIN")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, method: str, target: str, headers: Mapping[str, Any]) -> tuple[int, str]:
        """Status and everything the server said, to a request written by hand."""
        named = {"host": f"127.0.0.1:{self.port}", "connection": "close", "content-length": "0", **headers}
        lines = [f"{method} {target} HTTP/1.1"]
        for name, value in named.items():
            lines += [f"{name}: {one}" for one in (value if isinstance(value, list) else [value])]
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            said = b""
            while not said.startswith(b"HTTP/1.1 101") and (more := connection.recv(65536)):
                said += more
        return int(said.split()[1]), said.decode("latin-1")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    one = Served("https://dagster.company.example")
    yield one
    one.server.should_exit = True
    one.thread.join(10)


UI = "https://dagster.company.example"
LET_THROUGH: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/", {}),
    ("GET", "/assets/raw/shop/orders", LINK),
    ("GET", "/runs/1?query=x", {"sec-fetch-site": "none"}),
    ("GET", "/index.js", {"sec-fetch-site": "same-origin"}),
    ("GET", "/graphql", {"accept": "text/html"}),
    ("POST", "/graphql", JSON),
    ("POST", "/graphql", {"content-type": "application/json; charset=utf-8"}),
    ("POST", "/graphql", {**JSON, "host": "localhost:{port}", "origin": "http://localhost:{port}"}),
    ("POST", "/graphql", {**JSON, "host": "[::1]:{port}", "origin": "http://[::1]:{port}"}),
    ("POST", "/graphql", {**JSON, "host": "dagster.company.example", "origin": UI}),
    ("POST", "/graphql", {**JSON, "origin": UI}),
    ("GET", "/graphql", {**SOCKET, "origin": "http://127.0.0.1:{port}"}),
    ("GET", "/graphql", {**SOCKET, "host": "dagster.company.example", "origin": UI}),
]
REFUSED: list[tuple[int, str, str, dict[str, Any]]] = [
    # rebinding: another name that leads here
    (421, "GET", "/", {"host": "evil.example"}),
    (
        421,
        "POST",
        "/graphql",
        {**JSON, "host": "evil.example:{port}", "origin": "http://evil.example:{port}"},
    ),
    (421, "POST", "/graphql", {**JSON, "host": "0.0.0.0:{port}"}),
    (421, "POST", "/graphql", {**JSON, "host": "127.0.0.1.evil.example"}),
    (421, "POST", "/graphql", {**JSON, "host": "evil.example@127.0.0.1"}),
    (421, "POST", "/graphql", {**JSON, "host": ""}),
    (421, "POST", "/graphql", {**JSON, "host": "dagster.company.example:8443"}),
    (403, "GET", "/graphql", {**SOCKET, "host": "evil.example", "origin": "http://evil.example"}),
    # by GET: an image, a link, a frame, a script
    (405, "GET", "/graphql?query=mutation", {}),
    (405, "HEAD", "/graphql?query=mutation", {}),
    (405, "GET", "/graphql/?query=mutation", {}),
    (405, "GET", "/%67raphql?query=mutation", {}),
    (405, "GET", "/graphql?query=mutation", {**LINK, "accept": "text/html"}),
    (403, "GET", "/graphql", LINK),
    (403, "GET", "/", {**CROSS, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
    (403, "GET", "/logs/a.err", LINK),
    (403, "GET", "/runs", {**CROSS, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
    (403, "GET", "/runs", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}),
    # by POST: forms and what a page may send without asking first
    (415, "POST", "/graphql?query=mutation", {}),
    (415, "POST", "/graphql", {"content-type": "text/plain"}),
    (415, "POST", "/graphql", {"content-type": "text/plain; application/json"}),
    (415, "POST", "/graphql", {"content-type": "text/plain;charset=application/json"}),
    (415, "POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}),
    (415, "POST", "/graphql", {"content-type": "application/graphql"}),
    (415, "POST", "/graphql", {"content-type": ["text/plain", "application/json"]}),
    (403, "POST", "/graphql", {**JSON, "origin": "http://evil.example"}),
    (403, "POST", "/graphql", {**JSON, "origin": "http://127.0.0.1:1"}),
    (403, "POST", "/graphql", {**JSON, "origin": "https://127.0.0.1:{port}"}),
    (403, "POST", "/graphql", {**JSON, "origin": "http://dagster.company.example"}),
    (403, "POST", "/graphql", {**JSON, "origin": "null"}),
    (403, "POST", "/graphql", {**JSON, "origin": ["http://127.0.0.1:{port}", "http://evil.example"]}),
    (403, "POST", "/graphql", {**JSON, **CROSS}),
    (405, "POST", "/report_asset_materialization/raw/shop/orders", JSON),
    (405, "POST", "/", JSON),
    # asking first
    (403, "OPTIONS", "/graphql", {"origin": "http://evil.example"}),
    (405, "OPTIONS", "/graphql", {}),
    (405, "PUT", "/graphql", JSON),
    # sockets
    (403, "GET", "/graphql", {**SOCKET, "origin": "http://evil.example"}),
    (403, "GET", "/graphql", {**SOCKET, "origin": "null"}),
    (403, "GET", "/graphql", SOCKET),
    (403, "GET", "/other", {**SOCKET, "origin": "http://127.0.0.1:{port}"}),
]


def filled(headers: Mapping[str, Any], port: int) -> dict[str, Any]:
    return {
        name: [one.replace("{port}", str(port)) for one in value]
        if isinstance(value, list)
        else value.replace("{port}", str(port))
        for name, value in headers.items()
    }


@pytest.mark.parametrize(("method", "target", "headers"), LET_THROUGH)
def test_what_the_ui_and_its_users_send_comes_through(
    served: Served, method: str, target: str, headers: dict[str, Any]
) -> None:
    served.reached.clear()
    status, _ = served.ask(method, target, filled(headers, served.port))
    assert status in (200, 101) and len(served.reached) == 1


@pytest.mark.parametrize(("status", "method", "target", "headers"), REFUSED)
def test_what_another_page_sends_reaches_nothing(
    served: Served, status: int, method: str, target: str, headers: dict[str, Any]
) -> None:
    served.reached.clear()
    answered, said = served.ask(method, target, filled(headers, served.port))
    assert served.reached == []
    assert answered == status or (answered == 400 and headers.get("host") == ""), said
    assert "evil.example" not in said


def test_pages_fetch_nothing_from_elsewhere_and_stand_in_no_frame(served: Served) -> None:
    _, said = served.ask("GET", "/", {})
    policy = next(line for line in said.splitlines() if line.lower().startswith("content-security-policy"))
    assert "object-src 'none'" in policy and "img-src 'self' data: blob:" in policy
    assert (
        f"connect-src 'self' ws://127.0.0.1:{served.port} " in policy and "frame-ancestors 'none'" in policy
    )
    assert said.lower().count("x-frame-options") == 1 and "x-frame-options: DENY" in said


def test_under_a_prefix_the_same_holds() -> None:
    served = Served(None, "/dagster")
    assert served.ask("POST", "/dagster/graphql", JSON)[0] == 200
    assert served.ask("GET", "/dagster/graphql?query=mutation", {})[0] == 405
    assert served.ask("POST", "/dagster/report_asset_check/a", JSON)[0] == 405
    assert served.ask("GET", "/dagster/runs", LINK)[0] == 200
    assert served.reached == ["http /dagster/graphql", "http /dagster/runs"]
    served.server.should_exit = True
    served.thread.join(10)
