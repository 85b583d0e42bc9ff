"""A real HTTP server on the loopback, whose answers a test writes: whole, late, cut off, or of another kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; of a query's parameter that stands twice, the last."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """``claimed``: the Content-Length to send instead of the true one. ``chunks``: sent chunked, ``cut`` without the last.
    ``hang``: an event that the body waits for after its first byte."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: int | None = None
    chunks: tuple[bytes, ...] = ()
    cut: bool = False
    hang: Event | None = None

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Server:
    url: str
    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def paths(self) -> list[str]:
        """Each request's path with its query, as it came."""
        return [
            one.path + ("?" + "&".join(f"{k}={v}" for k, v in one.query.items()) if one.query else "")
            for one in self.asked
        ]


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[Server]:
    server = Server("", answer)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, parts.path, query, dict(self.headers.items()), body)
            with server.lock:
                server.asked.append(asked)
                reply = server.answer(asked)
            self._send(reply)

        do_POST = do_GET

        def _send(self, reply: Reply) -> None:
            data = reply.data
            if "Date" in reply.headers:
                self.send_response_only(reply.status)
            else:
                self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            if reply.chunks:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in reply.chunks:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                if reply.cut:
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")
                return
            claimed = len(data) if reply.claimed is None else reply.claimed
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            if reply.hang is not None:
                self.wfile.write(data[:1])
                self.wfile.flush()
                reply.hang.wait(30)
                data = data[1:]
            self.wfile.write(data)
            if claimed != len(reply.data):
                self.close_connection = True

    return Handler
