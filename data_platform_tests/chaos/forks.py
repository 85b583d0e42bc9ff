"""A fork server: everything is imported once, and each job is a forked process of its own.

``python -m data_platform_tests.chaos.forks SOCKET`` serves. A child talks to its client over the
connection that brought the job, a JSON document a line; the server adds the last line, with the
child's end, once the child is wholly gone and its locks with it. The server has one thread and no
engine open, so that a child starts as a new process would.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 240
"""A child that has not ended by then hangs, which is a finding."""
START_SECONDS_MAX = 240
PRELOADED = (
    # what DuckDB imports once a value is bound; `import duckdb` itself would start its thread
    *("_duckdb", "pandas", "pyarrow.dataset", "duckdb_extension_postgres_scanner"),
    *("psycopg", "psycopg_binary", "yaml", "importlib.metadata"),
    *("data_platform.sync", "data_platform.landing.verify", "data_platform.stores.s3.store"),
    *(
        "data_platform.warehouses.duckdb.warehouse",
        "boto3.session",
        "boto3.s3.transfer",
        "botocore.config",
        "tenacity",
    ),
    "data_platform_tests.chaos.child",
)


@dataclass
class Outcome:
    """``signal`` is what ended the child, 0 when it ended by itself; ``said`` all it told."""

    signal: int
    status: int
    said: dict[str, Any]

    @property
    def killed(self) -> bool:
        return self.signal != 0

    @property
    def point(self) -> str | None:
        """Where it was killed, or stopped to let something happen."""
        return self.said.get("point")

    @property
    def errors(self) -> dict[str, str]:
        """Table to error, of those that failed."""
        return {table: error for table, error in self.said.get("reports", {}).items() if error is not None}


@dataclass
class Running:
    """One child, from its start to its ``wait()``."""

    connection: socket.socket
    said: dict[str, Any] = field(default_factory=dict)
    _buffer: bytes = b""

    def until(self, word: str) -> bool:
        """Read what it says until it says ``word``; False when it ended before."""
        while word not in self.said and "ended" not in self.said:
            self.said |= self._line()
        return word in self.said

    def go_on(self) -> None:
        """Let a child that stopped at its point go on."""
        self.connection.sendall(b"go\n")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.said["pid"], signal.SIGKILL)

    def wait(self) -> Outcome:
        self.until("ended")
        self.connection.close()
        status = self.said["ended"]
        return Outcome(
            os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, os.waitstatus_to_exitcode(status), self.said
        )

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                data = self.connection.recv(1 << 16)
            except TimeoutError:
                self.kill()
                raise AssertionError(
                    f"a sync hangs: it did not end within {PATIENCE_SECONDS} s; it said {self.said}"
                ) from None
            if not data:
                raise AssertionError(f"the fork server is gone; the child said {self.said}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


class ForkServer:
    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, job: dict[str, Any]) -> Running:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(str(self.path))
        connection.sendall(json.dumps(job).encode() + b"\n")
        running = Running(connection)
        running.until("pid")
        return running

    def run(self, job: dict[str, Any]) -> Outcome:
        return self.start(job).wait()


@contextmanager
def fork_server(folder: Path, *modules: str) -> Iterator[ForkServer]:
    """A server that has imported ``modules`` too; it ends with the process that started it."""
    path = folder / "forks.sock"
    quiet = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
    with (folder / "forks.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(path), *modules],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **quiet},
            cwd=Path(__file__).parents[2],
        )
    try:
        until = time.monotonic() + START_SECONDS_MAX
        while not path.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    f"the fork server did not start:\n{(folder / 'forks.log').read_text()[-3000:]}"
                )
            time.sleep(0.02)
        yield ForkServer(path)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        path.unlink(missing_ok=True)


# ---- the server


def serve(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    beside = path.with_suffix(".new")
    listener.bind(str(beside))
    listener.listen(16)
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing)
    children: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    for watched in (listener, reading, sys.stdin):
        selector.register(watched, selectors.EVENT_READ)
    beside.rename(path)  # seen only once it answers
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                pid = os.fork()
                if pid == 0:
                    _become_child(connection, selector, listener, reading, writing, children)
                children[pid] = connection
            elif key.fileobj is reading:
                with suppress(BlockingIOError):
                    os.read(reading, 4096)
                _reap(children)
            else:  # whoever started us is gone
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = children.pop(pid)
        with suppress(OSError):
            connection.sendall(json.dumps({"ended": status}).encode() + b"\n")
        connection.close()


def _become_child(
    connection: socket.socket,
    selector: selectors.BaseSelector,
    listener: socket.socket,
    reading: int,
    writing: int,
    others: dict[int, socket.socket],
) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    selector.close()
    listener.close()
    for other in others.values():
        other.close()
    os.close(reading)
    os.close(writing)
    from data_platform_tests.chaos.child import main

    try:
        main(connection)
    finally:
        os._exit(0)


if __name__ == "__main__":
    for module in (*PRELOADED, *sys.argv[2:]):
        importlib.import_module(module)
    if Path("/proc/self/task").exists():
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread would not survive the fork"
    gc.collect()
    gc.freeze()
    serve(Path(sys.argv[1]))
