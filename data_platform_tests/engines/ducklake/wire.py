"""A proxy before the catalog's server that loses one COMMIT, or its answer."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Lose = Literal["question", "answer"]


class Wire:
    """``lose``: what of the next COMMIT of a transaction that wrote a snapshot gets lost, with its connection; ``lost``
    counts."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose: Lose | None = None
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                answers = threading.Event()
                answers.set()
                threading.Thread(target=self._forth, args=(client, server, answers), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client, answers), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, answers: threading.Event) -> None:
        writes = False
        with suppress(OSError):
            while data := client.recv(65_536):
                writes = writes or b"ducklake_snapshot_changes VALUES" in data or b"INTO" in data
                if self.lose is not None and writes and re.search(rb"Q....COMMIT", data, re.DOTALL):
                    lose, self.lose = self.lose, None
                    self.lost += 1
                    if lose == "answer":
                        answers.clear()
                        server.sendall(data)
                        server.recv(65_536)  # it is committed
                    break
                server.sendall(data)
        _close(client, server)

    def _back(self, server: socket.socket, client: socket.socket, answers: threading.Event) -> None:
        with suppress(OSError):
            while answers.wait(10) and (data := server.recv(65_536)):
                if not answers.is_set():
                    break
                client.sendall(data)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def wire(host: str, port: int) -> Iterator[Wire]:
    made = Wire(host, port)
    try:
        yield made
    finally:
        made.close()
