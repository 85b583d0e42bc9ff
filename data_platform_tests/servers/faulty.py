"""A proxy between an object store and its client that breaks what it is told to."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from data_platform.local_postgres import HOST

Break = str
"""What happens to a request: ``503`` or ``400 ExpiredToken`` (refused with a status, and with S3's
code, or with a body of JSON); ``reset`` (before it is passed on); ``slow`` (passed on after a second); ``time-out`` (no answer at all); ``short`` (half the answer's
body); ``flip answer`` and ``flip`` (one byte of the answer, or of the request, altered: the middle one, or the one whose
number follows ``flip answer``);
``lose answer`` (passed on and done, and the answer lost); ``meet`` (held until another meets it)."""


@dataclass
class Fault:
    what: Break
    times: float
    matches: Callable[[str, str], bool]


@dataclass
class FaultyProxy:
    """Passes requests on to ``upstream``, but breaks those that ``breaks`` asked for."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, Break | None]] = field(default_factory=list)
    """Method, path and fault of each request so far."""
    flipped_bytes: int = 0
    """The length of the newest answer of which a byte was altered."""
    strips: str = ""
    """A header that is left out of every answer, but of those to the parts of a large file."""
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=20))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def breaks(
        self, what: Break, method: str, times: float = 1, path: Callable[[str], bool] = lambda path: True
    ) -> None:
        """Break the next ``times`` requests of ``method`` whose path (with its query) is one of ``path``."""
        self.faults.append(Fault(what, times, lambda m, p: m == method and path(p)))

    def breaks_at(self, what: Break, number: int, times: float = 1) -> None:
        """Break the next ``times`` requests of any kind after so many more."""
        passed = count()
        self.faults.append(Fault(what, times, lambda *_: next(passed) >= number))

    def broken(self) -> list[Break]:
        return [what for _, _, what in self.seen if what is not None]

    def next_fault(self, method: str, path: str) -> Break | None:
        with self._lock:
            found = next((f for f in self.faults if f.times > 0 and f.matches(method, path)), None)
            if found is not None:
                found.times -= 1
            self.seen.append((method, path, found.what if found else None))
            return found.what if found else None


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    server = _Server((HOST, 0), partial(_Handler, proxy))
    proxy.url = f"http://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: FaultyProxy, *arguments: Any) -> None:
        self.proxy = proxy
        super().__init__(*arguments)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.next_fault(self.command, self.path)
        if fault == "reset":
            return self._reset()
        if fault == "time-out":
            self.proxy.stopping.wait(60)
            return self._reset()
        if fault and fault[0].isdigit():
            status, _, code = fault.partition(" ")
            text = f"<Error><Code>{code}</Code><Message>-</Message></Error>" if code else ""
            text = code if code.startswith("{") else text
            return self._answer(int(status), [], text.encode())
        if fault == "slow":
            self.proxy.stopping.wait(1)
        if fault == "meet":
            with suppress(threading.BrokenBarrierError):
                self.proxy.meeting.wait()
        if fault == "flip":
            body = _flipped(body)
        answered, headers, answer = self._ask(body)
        if fault == "lose answer":
            return self._reset()
        if fault and fault.startswith("flip answer"):
            where = fault.removeprefix("flip answer")
            answer = _flipped(answer, int(where) if where else None)
            self.proxy.flipped_bytes = len(answer)
        self._answer(answered, headers, answer, cut=fault == "short")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass_on

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.upstream.removeprefix("http://"), timeout=60)
        try:
            # Host stays the client's own, for it is signed.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            left_out = {"connection", "transfer-encoding"}
            if "uploadId=" not in self.path:
                left_out.add(self.proxy.strips)
            headers = [
                # the emulator says by its own address where an upload goes on
                (name, value.replace(self.proxy.upstream, self.proxy.url))
                for name, value in response.getheaders()
                if name.lower() not in left_out
            ]
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()


def _flipped(body: bytes, number: int | None = None) -> bytes:
    at = len(body) // 2 if number is None else number
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body
