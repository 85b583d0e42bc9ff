"""A sender of signed webhooks for measuring: so many a second, whatever the receiver does.

``python -m benchmarks.webhooks URL SECRET COUNT RATE FILE`` writes its figures into FILE. A delivery's time counts from when it was
due, so that a receiver that is slow for a moment is charged for all that had to wait meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

CONNECTIONS = 200
FILLER = {"object": "event", "api_version": "2026-10-28.endive", "type": "charge.succeeded", "livemode": True}
BODY_BYTES = 1_500


def body(number: int) -> bytes:
    event = {
        "id": f"evt_{number:012d}",
        **FILLER,
        "data": {"object": {"id": f"ch_{number:012d}", "padding": ""}},
    }
    event["data"]["object"]["padding"] = "x" * (BODY_BYTES - len(json.dumps(event)))  # type: ignore[index]
    return json.dumps(event).encode()


def signed(secret: str, content: bytes, at: int) -> str:
    code = hmac.new(secret.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={at},v1={code}"


class Connection(asyncio.Protocol):
    """One request at a time; ``idle`` holds the connections that wait for one."""

    def __init__(self, idle: asyncio.Queue[Connection], took: list[tuple[float, int]]) -> None:
        self.idle, self.took = idle, took
        self.due = 0.0
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none of its subclasses
        self.idle.put_nowait(self)

    def send(self, due: float, request: bytes) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if b"\r\n\r\n" in self.data:  # a 204 has no body; an error's is not looked at
            self.took.append((time.perf_counter() - self.due, int(self.data[9:12])))
            self.data = b""
            self.idle.put_nowait(self)


async def run(url: str, secret: str, count: int, rate: float) -> list[tuple[float, int]]:
    place = urlsplit(url)
    assert place.hostname and place.port
    loop = asyncio.get_running_loop()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    took: list[tuple[float, int]] = []
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(idle, took), place.hostname, place.port)
    began = time.perf_counter()
    for n in range(count):
        due = began + n / rate
        content = body(n)
        head = (
            f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            f"Stripe-Signature: {signed(secret, content, int(time.time()))}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        wait = due - time.perf_counter()
        if wait > 0.001:
            await asyncio.sleep(wait)
        (await idle.get()).send(due, head.encode() + content)
    while len(took) < count:
        await asyncio.sleep(0.01)
    return took


def main() -> None:
    import uvloop

    url, secret, count, rate, file = sys.argv[1:]
    began = time.perf_counter()
    took = uvloop.run(run(url, secret, int(count), float(rate)))
    seconds = time.perf_counter() - began
    times = sorted(one for one, _ in took)
    found = {
        "rate": len(took) / seconds,
        "taken": sum(status == 204 for _, status in took),
        **{
            f"p{share}": times[min(int(len(times) * share / 100), len(times) - 1)] * 1000
            for share in (50, 99, 100)
        },
    }
    Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
