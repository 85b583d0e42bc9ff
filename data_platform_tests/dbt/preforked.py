"""The program `dbt` for tests that run it often: forked from a process that has imported it, which costs 2 CPU-s once.

The program is a client that hands its arguments, folder, environment, and streams to that process, passes signals on,
and ends as dbt ends. dbt is killed where its client is, as if they were one process.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

CLIENT = """\
#!{python} -ISE
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: server.send(bytes([number])))
given = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(given).to_bytes(4, "big")], [0, 1, 2])
server.sendall(given)
status = server.recv(4)
code = os.waitstatus_to_exitcode(int.from_bytes(status, "big")) if status else 1
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextmanager
def program() -> Iterator[Path]:
    """The path of the program while the process that forks is there; that one ends with whoever started it."""
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        made, address = Path(folder, "dbt"), str(Path(folder, "socket"))
        made.write_text(CLIENT.format(python=sys.executable, address=address))
        made.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                cwd=Path(__file__).parents[2],
            )
        with process:
            try:
                yield made
            finally:
                assert process.stdin is not None
                process.stdin.close()


@dataclass(frozen=True)
class Asked:
    """What a client hands over."""

    arguments: list[str]
    folder: str
    variables: dict[str, str]
    streams: list[int]

    @classmethod
    def by(cls, client: socket.socket) -> Asked:
        size, streams, _, _ = socket.recv_fds(client, 4, 3)
        given = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        arguments, folder, variables = json.loads(given)
        return cls(arguments, folder, variables, streams)


class Server:
    def __init__(self, listener: socket.socket) -> None:
        self._listener, self._waiting = listener, selectors.DefaultSelector()
        self._waiting.register(listener, selectors.EVENT_READ, self._accept)
        self._waiting.register(sys.stdin, selectors.EVENT_READ, self._end)

    def serve(self) -> Asked:
        """Returns in each fork; in the process that forks it never does."""
        while True:
            for key, _ in self._waiting.select():
                if (asked := key.data()) is not None:
                    return asked

    def _accept(self) -> Asked | None:
        client, _ = self._listener.accept()
        asked = Asked.by(client)
        child = os.fork()
        if child == 0:
            self._waiting.close()
            self._listener.close()
            client.close()
            return asked
        for stream in asked.streams:
            os.close(stream)
        ended = os.pidfd_open(child)
        self._waiting.register(client, selectors.EVENT_READ, partial(self._signal, client, ended))
        self._waiting.register(ended, selectors.EVENT_READ, partial(self._reap, client, ended, child))
        return None

    def _signal(self, client: socket.socket, child: int) -> None:
        """A client says a signal's number; one that says nothing more has been killed."""
        number = client.recv(1)
        signal.pidfd_send_signal(child, number[0] if number else signal.SIGKILL)
        if not number:
            self._waiting.unregister(client)

    def _reap(self, client: socket.socket, ended: int, child: int) -> None:
        _, status = os.waitpid(child, 0)
        with suppress(KeyError, BrokenPipeError):
            self._waiting.unregister(client)
            client.sendall(status.to_bytes(4, "big"))
        self._waiting.unregister(ended)
        client.close()
        os.close(ended)

    def _end(self) -> NoReturn:
        raise SystemExit(0)


def run(asked: Asked) -> None:
    """dbt's own command in this process."""
    from dbt.cli.main import cli

    for own, stream in enumerate(asked.streams):
        os.dup2(stream, own)
        os.close(stream)
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.variables)
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["dbt", *asked.arguments]
    cli(prog_name="dbt")


def main() -> None:
    import dbt.cli.main  # noqa: F401  (each fork needs it)

    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread would not survive the fork"
    gc.freeze()
    run(Server(socket.socket(fileno=int(sys.argv[1]))).serve())


if __name__ == "__main__":
    main()
