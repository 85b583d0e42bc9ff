"""Errors on demand, the same for every service: refused, late, or cut off in the middle.

A fault is a JSON object. Sent as the header ``Sandbox-Fault`` it meets that one request. Posted to
``/_sandbox/faults`` of the service's port it meets the requests that come::

    {"status": 429, "headers": {"Retry-After": "2"}, "path": "/v1/charges", "skip": 3, "times": 2}
    {"half": true}                 the answer ends in the middle of its body, and so does the connection
    {"delay_seconds": 1.5}         the answer comes late
    {"drop": true}                 the connection ends without an answer
    {"body": "<html>", "status": 200, "headers": {"Content-Type": "text/html"}}

``path`` is the beginning of a path (any by default), ``skip`` how many requests pass first,
``times`` how many it meets (1 by default, 0 for all that come). GET lists those in force, DELETE takes all away. A request
to ``/_sandbox/`` needs the header ``Sandbox-Control``, which no other web page can make a browser send.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.service import Failure

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTROL = "/_sandbox/"
HEADER = b"sandbox-fault"
CONTROL_HEADER = b"sandbox-control"


@dataclass(slots=True)
class Fault:
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    path: str = ""
    skip: int = 0
    times: int = 1
    delay_seconds: float = 0.0
    half: bool = False
    drop: bool = False

    @classmethod
    def parse(cls, text: str | bytes) -> Fault:
        """ValueError with a sentence when it is none."""
        known = {one.name for one in fields(cls)}
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ValueError(f"A fault is a JSON object: {error}.") from error
        if not isinstance(given, dict) or given.keys() - known:
            raise ValueError(f"A fault is a JSON object with keys of {', '.join(sorted(known))}.")
        return cls(**given)


class Faults:
    """Wraps the ASGI application of a service."""

    def __init__(self, app: ASGIApp, failure: Callable[[int], Failure]) -> None:
        self.app, self.failure = app, failure
        self.waiting: list[Fault] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if scope["path"].startswith(CONTROL):
            await self._control(scope, headers, receive, send)
            return
        try:
            fault = Fault.parse(headers[HEADER]) if HEADER in headers else self._due(scope["path"])
        except ValueError as error:
            await answer(send, 400, str(error).encode(), {"content-type": "text/plain"})
            return
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_seconds)
        if fault.drop:
            await cut_off(send)
        elif fault.status is not None or fault.body is not None:
            status = fault.status or 200
            worded = self.failure(status)
            body = worded.body if fault.body is None else fault.body.encode()
            await answer(send, status, body, {**worded.headers, **fault.headers}, half=fault.half)
        elif fault.half:
            await self.app(scope, receive, Half(send).send)
        else:
            await self.app(scope, receive, send)

    def _due(self, path: str) -> Fault | None:
        """The first fault whose turn it is, counted."""
        for fault in list(self.waiting):
            if not path.startswith(fault.path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times == 1:
                self.waiting.remove(fault)
            fault.times -= fault.times > 1
            return fault
        return None

    async def _control(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        if CONTROL_HEADER not in headers:
            await answer(
                send, 403, b"A request to the sandbox itself needs the header Sandbox-Control.\n", {}
            )
            return
        if scope["path"] != f"{CONTROL}faults":
            await self.app(scope, receive, send)
            return
        try:
            if scope["method"] == "POST":
                self.waiting.append(Fault.parse(await read(receive)))
            elif scope["method"] == "DELETE":
                self.waiting.clear()
        except (ValueError, TypeError) as error:
            await answer(send, 400, str(error).encode(), {"content-type": "text/plain"})
            return
        listed = json.dumps([asdict(one) for one in self.waiting]).encode()
        await answer(send, 200, listed, {"content-type": "application/json"})


class Half:
    """Sends the head of an answer as it is, and half of its body; the server then ends the connection."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._held.append(message.get("body", b""))
        if not message.get("more_body"):
            body = b"".join(self._held)
            await self._send(
                {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
            )


async def answer(
    send: Send, status: int, body: bytes, headers: dict[str, str], *, half: bool = False
) -> None:
    lines = {"content-length": str(len(body)), **{name.lower(): value for name, value in headers.items()}}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    sent = body[: len(body) // 2] if half else body
    await send({"type": "http.response.body", "body": sent, "more_body": half})


async def cut_off(send: Send) -> None:
    """End the connection without a whole answer: its head promises bytes that never come."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


async def read(receive: Receive) -> bytes:
    """The whole body of a request."""
    body = b""
    while True:
        message: dict[str, Any] = dict(await receive())
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
