"""A receiver that listens, in a thread of the test's process or as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import requests
import uvicorn

from data_platform.receive.app import Door
from data_platform.receive.server import doors, listen, server
from data_platform.sync import Platform
from data_platform_tests.receive.test_hook import signed
from data_platform_tests.sources.webhook.conftest import SECRET, Hooks, hooks  # noqa: F401


@dataclass
class Receiver:
    url: str
    doors: list[Door]
    server: uvicorn.Server
    thread: threading.Thread

    def post(
        self, body: bytes, headers: dict[str, str] | None = None, source: str = "hooks"
    ) -> requests.Response:
        """Signed now unless ``headers`` are given."""
        given = signed("stripe", SECRET, int(time.time()), body) if headers is None else headers
        return requests.post(f"{self.url}/webhooks/{source}", body, headers=given, timeout=30)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@contextmanager
def receiving(platform: Platform) -> Iterator[Receiver]:
    opened = doors(platform)
    listening = listen("127.0.0.1", 0)
    running = server(opened)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    one = Receiver(f"http://127.0.0.1:{listening.getsockname()[1]}", opened, running, thread)
    try:
        while not running.started:
            time.sleep(0.01)
        yield one
    finally:
        one.stop()
        listening.close()


@dataclass
class Process:
    """``data-platform receive`` that may be killed, and is started anew on its port."""

    shop: Hooks
    port: int
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/hooks"

    def start(self) -> None:
        command = [sys.executable, "-m", "data_platform.cli", "receive", "--port", str(self.port)]
        command += ["--root", str(self.shop.root)]
        self.running = subprocess.Popen(
            command,
            env={**os.environ, **self.shop.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, number: signal.Signals) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        return self.running.wait(timeout=60)


@pytest.fixture
def process() -> Iterator[Callable[[Hooks], Process]]:
    made: list[Process] = []

    def make(shop: Hooks) -> Process:
        with listen("127.0.0.1", 0) as free:
            made.append(Process(shop, free.getsockname()[1]))
        return made[-1]

    yield make
    for one in made:
        if one.running is not None and one.running.poll() is None:
            one.end(signal.SIGKILL)
