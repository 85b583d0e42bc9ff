"""A server whose WAL a real program archives, though the server's account cannot run it.

PostgreSQL runs as an unprivileged account, which may not enter this environment's folder. So the server's archive command hands each
file over and waits, as for any program, and a thread runs the program with the rights of the tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def command(folder: Path) -> str:
    """The archive command that hands over to ``archiver(folder, ...)``."""
    return (
        f'cp "%p" "{folder}/%f.part" && mv "{folder}/%f.part" "{folder}/%f.new"'
        f' && until [ -e "{folder}/%f.done" ]; do sleep 0.02; done; code=$(cat "{folder}/%f.done"); rm "{folder}/%f.done"; exit $code'
    )


@contextmanager
def archiver(folder: Path, run: Callable[[Path], int]) -> Iterator[None]:
    """``run`` gets a file with the segment's name, and returns the code that the server gets."""
    folder.mkdir(mode=0o777, parents=True, exist_ok=True)
    folder.chmod(0o777)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for new in sorted(folder.glob("*.new")):
                file = new.rename(new.with_suffix(""))
                done = new.with_suffix(".code")
                done.write_text(str(run(file)))
                file.unlink()
                done.rename(new.with_suffix(".done"))
            time.sleep(0.02)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()
