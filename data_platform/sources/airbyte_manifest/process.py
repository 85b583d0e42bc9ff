"""Airbyte's program as a child: it gets its config where nobody else can read it, and is ended when it says nothing.

The config lies in memory that the child inherits, or where a system has none, in a private file that is removed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

from data_platform.errors import ConfigurationError, SourceError, SourceUnreachable

_RUN = "import sys; from airbyte_cdk.cli.source_declarative_manifest import run; sys.exit(run())"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_CHUNK = 2**20
_LINE_MAX = 256 * 2**20
_END_SECONDS = 10.0


class Program:
    """The program of one environment. ``stop`` ends what runs."""

    def __init__(
        self, source: str, environment: Path, silence_seconds: float, environ: Mapping[str, str]
    ) -> None:
        self._source, self._silence = source, silence_seconds
        self._python = environment / "bin" / "python"
        self._environ = {name: environ[name] for name in (*_KEPT, *_PROXIES) if name in environ}
        self.stop = Event()
        if not self._python.exists():
            raise ConfigurationError(
                f"{source}: there is no environment with airbyte-cdk in {environment}. Install it with `make airbyte`; it"
                " needs one of its own, since its versions do not fit beside ours."
            )

    def lines(self, command: str, files: Mapping[str, Any]) -> Generator[bytes, None, None]:
        """What it prints. ``files`` are options with the JSON that their file holds, or a path. SourceError where it ends
        by a signal, says nothing for too long, or is interrupted; how else it ended is ``ended``'s to say."""
        with ExitStack() as stack:
            arguments: list[str] = []
            shared: list[int] = []
            for option, value in files.items():
                path = str(value) if isinstance(value, Path) else stack.enter_context(_held(value, shared))
                arguments += [f"--{option}", path]
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            child = subprocess.Popen(
                [str(self._python), "-I", "-c", _RUN, command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**self._environ, "HOME": folder, "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"},
                cwd=folder,
                pass_fds=shared,
                start_new_session=True,
            )
            stack.callback(_end, child)
            assert child.stdout is not None
            yield from self._read(child.stdout)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_END_SECONDS)
            if child.returncode is None or child.returncode < 0:
                raise SourceUnreachable(
                    f"{self._source}: Airbyte's program was ended before it was done (signal {-(child.returncode or 0)}). The"
                    " next sync goes on from the last state that it gave."
                )

    def _read(self, out: IO[bytes]) -> Iterator[bytes]:
        held: list[bytes] = []
        size, heard = 0, time.monotonic()
        while True:
            if self.stop.is_set():
                raise SourceError("The read was interrupted.")
            ready, _, _ = select.select([out], [], [], 0.5)
            if not ready:
                if time.monotonic() - heard > self._silence:
                    raise SourceUnreachable(
                        f"{self._source}: Airbyte's program said nothing for {self._silence:g} seconds and was ended. Raise"
                        " `silence_seconds` if the API lets it wait longer."
                    )
                continue
            chunk, heard = os.read(out.fileno(), _CHUNK), time.monotonic()
            *whole, rest = chunk.split(b"\n")
            if whole:
                yield b"".join((*held, whole[0]))
                yield from whole[1:]
                held, size = [], 0
            held.append(rest)
            size += len(rest)
            if size > _LINE_MAX:
                raise SourceError(f"{self._source}: Airbyte's program gave one record of more than 256 MB.")
            if not chunk:
                if size:
                    yield b"".join(held)
                return


@contextmanager
def _held(value: Any, shared: list[int]) -> Iterator[str]:
    """A path under which the child, and nobody else, finds ``value`` as JSON."""
    data = json.dumps(value).encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("config")
        try:
            os.write(descriptor, data)
            shared.append(descriptor)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:  # mode 600
        file.write(data)
        file.flush()
        yield file.name


def _end(child: subprocess.Popen[bytes]) -> None:
    """It and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
