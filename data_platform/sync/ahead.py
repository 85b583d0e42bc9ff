"""Work that is begun ahead of who takes its results: several at once, taken in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

AT_ONCE = 4
"""Most of what a small table's commit takes is waiting for the disk, or for a remote store's answer. Four that wait
side by side get a disk's journal written once for all of them."""

LOOK_SECONDS = 0.2
"""A thread that waits for its turn checks this often whether the turns have ended."""

T = TypeVar("T")


class Turn:
    """``with turn``: what one thread does at a time. Who waits is not passed by for ever: whoever has had a turn
    comes in behind the one at the door. Once it is closed, ``CancelledError``."""

    def __init__(self) -> None:
        self._door, self._room = threading.Lock(), threading.Lock()
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> None:
        with self._door:
            # an interrupt may end the thread in the room without its leaving: then nobody waits for it for ever
            while not self._room.acquire(timeout=LOOK_SECONDS):
                if self._closed:
                    raise CancelledError
        if self._closed:
            self._room.release()
            raise CancelledError

    def __exit__(self, *_: object) -> None:
        self._room.release()


class Ahead(Generic[T]):
    """The results of ``jobs``, which ``begin`` begins in their order, within the block.

    A block that is left early begins no further job, calls ``interrupt`` and waits for those under way.
    """

    def __init__(self, jobs: Iterable[Callable[[], T]], interrupt: Callable[[], None]) -> None:
        self._jobs, self._interrupt = jobs, interrupt
        self._coming: deque[Future[T]] = deque()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="commit")
        return self

    def begin(self) -> None:
        """Not part of entering the block: an interrupt while a thread starts must still end all of them."""
        self._coming.extend(self._pool.submit(job) for job in self._jobs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._coming:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._interrupt()
        self._pool.shutdown()

    def __bool__(self) -> bool:
        return bool(self._coming)

    def next(self, seconds: float | None = None) -> T | None:
        """The next result, or what its job raised; None where it is not there within ``seconds``, or there is none."""
        if not self._coming:
            return None
        first = self._coming[0]
        with suppress(TimeoutError):
            first.exception(seconds)
        if not first.done():
            return None
        self._coming.popleft()
        return first.result()
