"""Group commit: deliveries that come while others are being written are written together, as the next object.

A lane writes one object at a time, so its objects are there in the order of their numbers. A number is never used again: an
object whose writing failed may be there all the same, with deliveries that their sender sends again. There are some lanes, so
that nobody waits for the object before; the fewer are free, the more one object holds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from data_platform.errors import DataPlatformError
from data_platform.sources.inbox.delivery import Delivery, Place

GATHER_SECONDS = 0.004
"""After the first delivery, so long is waited for others."""
LANES = 4
OBJECT_BYTES = 4 * 2**20
OBJECT_DELIVERIES = 2_000
HELD_BYTES = 64 * 2**20
HELD_DELIVERIES = 20_000
"""What waits to be written; beyond it deliveries are refused."""
ANSWER_SECONDS = 10.0
"""Who waits longer for its delivery to be written is told to come again."""
LOG_SECONDS = 10.0

log = logging.getLogger(__name__)


class NotKept(Exception):
    """The delivery is not known to be kept: its sender has to send it again, in ``after`` seconds."""

    def __init__(self, reason: str, after: int) -> None:
        super().__init__(reason)
        self.reason, self.after = reason, after


@dataclass
class Lane:
    """One writer of objects: for readers a receiver of its own, since its objects come in the order of their numbers."""

    name: str
    number: int = 0

    def next(self) -> Place:
        """Its number is the time in milliseconds, so that objects of all lanes are in the order of their times."""
        self.number = max(self.number + 1, int(time.time() * 1000))
        return Place(self.name, self.number)


class Inflow:
    """The deliveries of one source on their way into its inbox. Used by one event loop."""

    def __init__(self, source: str, receiver: str, put: Callable[[Place, Sequence[Delivery]], None]) -> None:
        self._source, self._put = source, put
        self._lanes = [Lane(f"{receiver}-{n}") for n in range(LANES)]
        self._waiting: list[tuple[Delivery, asyncio.Future[None]]] = []
        self._held = self._held_bytes = 0
        self._came, self._free = asyncio.Event(), asyncio.Semaphore(LANES)
        self._task: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._ending = False
        self._logged = 0.0
        self.failing = False
        """Whether the last object could not be written."""
        self.deliveries = self.objects = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"inflow {self._source}")

    async def stop(self) -> None:
        """Take nothing more; return when all that waits is written or refused."""
        self._ending = True
        self._came.set()
        if self._task is not None:
            await self._task

    async def add(self, delivery: Delivery) -> None:
        """Return when ``delivery`` is kept durably, else raise ``NotKept``."""
        if self._ending:
            raise NotKept("the receiver is stopping", 1)
        size = len(delivery.body)
        if self._held >= HELD_DELIVERIES or self._held_bytes + size > HELD_BYTES:
            raise NotKept("too much waits to be written", 2)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held += 1
        self._held_bytes += size
        self._waiting.append((delivery, kept))
        self._came.set()
        try:
            await asyncio.wait_for(asyncio.shield(kept), ANSWER_SECONDS)
        except TimeoutError:
            kept.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise NotKept("the store is slow", 5) from None

    async def _run(self) -> None:
        """As long as a lane is free, what came is written by it; otherwise more is gathered until one is."""
        while True:
            await self._came.wait()
            await self._free.acquire()
            if not self._ending:
                await asyncio.sleep(GATHER_SECONDS)
            if some := self._next():
                write = asyncio.create_task(self._write(self._lanes.pop(), some))
                self._writes.add(write)
                write.add_done_callback(self._writes.discard)
            else:
                self._free.release()
            if not self._waiting:
                self._came.clear()
                if self._ending:
                    await asyncio.gather(*self._writes)
                    return

    def _next(self) -> list[tuple[Delivery, asyncio.Future[None]]]:
        size = count = 0
        for delivery, _ in self._waiting:
            size += len(delivery.body)
            if count and (size > OBJECT_BYTES or count >= OBJECT_DELIVERIES):
                break
            count += 1
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        return some

    async def _write(self, lane: Lane, some: Sequence[tuple[Delivery, asyncio.Future[None]]]) -> None:
        deliveries = [delivery for delivery, _ in some]
        problem: Exception | None = None
        try:
            await asyncio.to_thread(self._put, lane.next(), deliveries)
            self.deliveries += len(deliveries)
            self.objects += 1
        except Exception as error:  # whatever it was, it is not known to be kept
            problem = error
            self._tell(error)
        self._lanes.append(lane)
        self._free.release()
        self.failing = problem is not None
        for delivery, kept in some:
            self._held -= 1
            self._held_bytes -= len(delivery.body)
            with suppress(asyncio.InvalidStateError):
                if problem is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(NotKept("the store does not take it", 5))

    def _tell(self, error: Exception) -> None:
        now = time.monotonic()
        if self._logged and now - self._logged < LOG_SECONDS:
            return
        self._logged = now
        said = str(error) if isinstance(error, DataPlatformError) else type(error).__name__
        log.error("%s: deliveries are refused, and their senders told to come again. %s", self._source, said)
