"""Ctrl-C, whichever exception it causes. Python raises KeyboardInterrupt, but an engine that is interrupted in
its own code raises an error of its own, and its caller may treat that as the failure of one table. The signal
counts, therefore, and not the exception."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODE = 130
"""128 plus the number of SIGINT, as in shells."""
MESSAGE = "Interrupted. Nothing that was committed is lost; running the same command again is safe."


class Interrupt:
    """``came`` is true if Ctrl-C was pressed since the command began."""

    def __init__(self) -> None:
        self.came = False

    def raise_if_came(self) -> None:
        """For a loop whose step may have reported the interrupt as a failure of its own."""
        if self.came:
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


interrupt = Interrupt()


@contextmanager
def watched() -> Iterator[Interrupt]:
    """Record Ctrl-C in the block. A handler that the caller or the shell has set is left in place."""
    interrupt.came = False
    hook = sys.unraisablehook

    def unraisable(what: Any) -> None:
        """The signal may meet a finalizer or a comparison, which raise nothing: Python would print a traceback."""
        if what.exc_type is not KeyboardInterrupt:
            hook(what)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, interrupt.handle)
        sys.unraisablehook = unraisable
    try:
        yield interrupt
    finally:
        interrupt.came = False
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = hook
