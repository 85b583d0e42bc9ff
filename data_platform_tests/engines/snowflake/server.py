"""Starts and stops the emulator of Snowflake: a process of its own, by the Python of ``.engines/snowflake``."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".engines" / "snowflake" / "bin" / "python"
START_SECONDS = 60


def missing() -> str | None:
    """Why the emulator cannot be started; None where it can."""
    return None if PYTHON.exists() else "There is no emulator of Snowflake: `make engines` installs it."


@contextmanager
def snowflake_emulator(folder: Path) -> Iterator[int]:
    """Its port, on loopback. What it writes, the uploaded files too, goes below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = int(free.getsockname()[1])
    log = folder / "emulator.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name("emulator.py"), str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), "HOME": str(folder)},
        )
    try:
        _wait(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The emulator of Snowflake did not start: {log.read_text()[-2000:]}")
