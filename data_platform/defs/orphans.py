"""A run, or a step of one, ends with the process that started it.

Killed outright, a parent takes no child with it: the child would go on holding the warehouse
while its run is failed, its pool slot given away and the run started again. Being killed at any
instant is what a sync is built for; two of them at once would only wait for each other.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

ORPHANED_EXIT_CODE = 70


def end_with_parent() -> None:
    """Watch the parent from a thread. Nothing to do in a process that ``multiprocessing`` did not
    start: a code server, a test, a person's own."""
    parent = multiprocessing.parent_process()
    if parent is not None and not any(thread.name == __name__ for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name=__name__, daemon=True).start()


def _watch(parent: Any) -> None:
    parent.join()
    os._exit(ORPHANED_EXIT_CODE)
