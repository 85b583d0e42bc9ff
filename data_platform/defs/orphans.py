"""A run, or a step of one, ends with the process that started it.

If a parent is killed, its child continues: it would hold the warehouse while its run is marked
as failed, its pool slot is released and the run is started again. A sync may be killed at any
instant; two of them at once would only wait for each other.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

ORPHANED_EXIT_CODE = 70


def end_with_parent() -> None:
    """Watch the parent from a thread. Does nothing in a process that ``multiprocessing`` did not
    start: a code server, a test, a command."""
    parent = multiprocessing.parent_process()
    if parent is not None and not any(thread.name == __name__ for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name=__name__, daemon=True).start()


def _watch(parent: Any) -> None:
    parent.join()
    os._exit(ORPHANED_EXIT_CODE)
