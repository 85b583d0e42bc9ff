"""Ctrl-C, however it surfaces. Python raises KeyboardInterrupt, but an engine that is interrupted in its own
code raises an error of its own, and what waits for it may take that for a failure of one table. So what
counts is that the signal came, not which exception arrives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130
"""128 and the number of SIGINT, as shells have it."""
MESSAGE = "Interrupted. Nothing that was committed is lost; running the same command again is safe."


class Interrupt:
    """``came`` tells whether Ctrl-C was pressed since the command began."""

    def __init__(self) -> None:
        self.came = False

    def raise_if_came(self) -> None:
        """For a loop whose step may have taken the interrupt for a failure of its own."""
        if self.came:
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


interrupt = Interrupt()


@contextmanager
def watched() -> Iterator[Interrupt]:
    """Notice Ctrl-C in the block. One that the caller's own handler, or a shell, keeps from us stays so."""
    interrupt.came = False
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        interrupt.came = False
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
