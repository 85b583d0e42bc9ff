"""Spark's process as a child: it answers a line for each job, and ends with whoever started it, however that ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_platform.errors import ConfigurationError, SourceError, SourceUnreachable
from data_platform.printable import printable_line
from data_platform.sources.spark import runner

JAVA = "Java 17"
_KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
    "HADOOP_CONF_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_PREFIXES = ("GRPC_",)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_SAID_MAX = 600
_END_SECONDS = 15.0


class Jobs:
    """Jobs that run one after the other in one process. ``stop`` ends it."""

    def __init__(self, source: str, environment: Path, remote: str, timeout_seconds: float) -> None:
        self._source, self._remote, self._timeout = source, remote, timeout_seconds
        self._python = environment / "bin" / "python"
        self._child: subprocess.Popen[bytes] | None = None
        self._answers: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._since = 0.0
        if not self._python.exists():
            raise ConfigurationError(
                f"{source}: there is no environment with pyspark in {environment}. Install it with `make spark`; it needs one of"
                " its own, since it is large and its versions do not fit beside ours."
            )

    def start(
        self,
        request: Mapping[str, Any],
        folder: Path,
        environ: Mapping[str, str],
        beside: Mapping[str, str],
        output: Path | None,
    ) -> None:
        """Begin to run the jobs of ``request``, in ``folder``, with the variables of ``beside`` too. What the process prints is
        added to ``output``."""
        given = {
            name: value
            for name, value in environ.items()
            if name in (*_KEPT, *_PROXIES) or name.startswith(_PREFIXES)
        }
        if not self._remote.startswith("sc://") and not _has_java(given):
            raise ConfigurationError(
                f"{self._source}: Spark on this machine needs {JAVA}, and there is no `java` on the PATH or in JAVA_HOME. Install it"
                " (`apt-get install openjdk-17-jre-headless`), or name a Spark Connect server (sc://host:15002)."
            )
        here, there = os.pipe()
        path = folder / "request.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({**request, "remote": self._remote, "answers": there}, file)
        printed: Any = subprocess.DEVNULL
        if output is not None:
            printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(
                [str(self._python), "-I", str(Path(runner.__file__)), str(path)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                env={**given, **beside, "HOME": str(folder), "PYSPARK_PYTHON": str(self._python)},
                cwd=folder,
                pass_fds=(there,),
                start_new_session=True,
            )
        finally:
            os.close(there)
            if output is not None:
                os.close(printed)
        self._since = time.monotonic()
        threading.Thread(target=self._listen, args=(here,), daemon=True).start()

    def _listen(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as lines:
            for line in lines:
                found = json.loads(line)
                with self._changed:
                    self._answers[found["table"] or ""] = found
                    self._since = time.monotonic()
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def ready(self, table: str, seconds: float) -> bool:
        """Whether ``answer`` would not wait, at the latest after so many seconds."""

        def known() -> bool:
            return self._ended or "" in self._answers or table in self._answers

        with self._changed:
            if self._changed.wait_for(known, seconds):
                return True
            late = time.monotonic() - self._since > self._timeout
        if late:
            self.stop()
        return False

    def answer(self, table: str, file: str) -> Mapping[str, Any]:
        """What became of a job: what it took. SourceError, which names the job's ``file`` and the line, where it failed."""
        with self._changed:
            found = self._answers.get(table) or self._answers.get("")
        if found is None:
            raise SourceUnreachable(
                f"{table}: Spark's process ended before {file} was done: it was killed, had too little memory (`resources`) or took"
                " longer than `timeout_seconds`. Nothing of it landed. Set `log` of the connection to see what Spark prints."
            )
        if "done" in found:
            done: Mapping[str, Any] = found["done"]
            return done
        raise _failed(table, file, found["error"], started=bool(found["table"]))

    def close(self, tables: Sequence[str]) -> None:
        """Let a process that has answered for all ``tables`` end by itself: it has something to say to others. Any other one
        is ended."""
        if self._child is not None and self._answers.keys() >= set(tables):
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_END_SECONDS)
        self.stop()

    def stop(self) -> None:
        """The process and what it started, at once."""
        child = self._child
        if child is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdin is not None:
            child.stdin.close()


def _has_java(environ: Mapping[str, str]) -> bool:
    home = environ.get("JAVA_HOME")
    if home:
        return (Path(home) / "bin" / "java").exists()
    return shutil.which("java", path=environ.get("PATH")) is not None


def _failed(table: str, file: str, error: Mapping[str, Any], *, started: bool) -> SourceError:
    what = ", ".join(str(part) for part in (error["kind"], error["condition"]) if part)
    if not started:
        return SourceUnreachable(
            f"{table}: Spark did not start ({what}). Check the variable of `remote_env` and `conf`, and set `log` of the connection"
            " to see what Spark prints."
        )
    at = f"{file}:{error['line']}" if error["line"] else file
    said = error["said"]
    if said is None:
        return SourceError(
            f"{table}: the job failed at {at} ({what}). Spark's words may hold values of rows and are not shown; set `log` of the"
            " connection to keep them in a file. Nothing of it landed."
        )
    line = printable_line(" ".join(str(said).split()))
    line = line if len(line) <= _SAID_MAX else f"{line[:_SAID_MAX]}..."
    return SourceError(f"{table}: {at}: {line.rstrip('.')}. Nothing of it landed.")
