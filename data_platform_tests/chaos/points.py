"""Every point at which a process touches something outside itself, found while it runs.

A profile hook sees each call and return of a C function, whoever wrote it, and each Python call that
enters the package of a client, a store or the ledger. What is not known to be harmless is a point:
a new call in the product is one without anybody's writing it down. Runs in the process to be killed.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

TOUCHING = frozenset(
    {"_duckdb", "_io", "_posixsubprocess", "_socket", "_sqlite3", "_ssl", "fcntl", "io", "mmap", "posix"}
    | {"psycopg_binary", "psycopg2", "socket", "sqlite3", "ssl"}
)
"""Modules, and packages, whose C functions reach the disk, the network or an engine."""

HARMLESS = frozenset(
    {
        "fileno",
        "fspath",
        "fstat",
        "getpid",
        "geteuid",
        "isatty",
        "lstat",
        "readable",
        "readline",
        "register_at_fork",
    }
    | {"seekable", "settimeout", "sizeof", "stat", "tell", "urandom", "writable", "description", "WIFEXITED"}
    | {
        "BytesIO",
        "StringIO",
        "getcwd",
        "cpu_count",
        "getbuffer",
        "getvalue",
        "get_blocking",
        "uname",
        "getenv",
    }
)
"""What of it changes nothing and asks nobody: before it and after it the world is the same."""

BORDERS = ("/psycopg/", "/data_platform/stores/", "/data_platform/landing/", "/data_platform/warehouses/")
"""Python packages that are a point where they are entered from outside and left again."""

KINDS = (
    ("/data_platform/landing/", "ledger"),
    ("/data_platform/stores/", "store"),
    ("/data_platform/warehouses/", "warehouse"),
    ("/data_platform/sources/", "source"),
    ("/data_platform/sync/summarize", "scratch"),
    ("/data_platform/defs/", "dagster"),
    ("/dagster/", "dagster"),
)
"""What a point touches: the first of these that a frame above it belongs to; the ledger is sought
further up than the store that it writes through."""


class Points:
    """``act`` gets the description of the point number ``at``, or of the first at the line of code that
    is the ``at_site``-th to touch anything: few lines make most of the points. Threads count too."""

    def __init__(self, at: int | None, at_site: int | None, act: Callable[[str], None]) -> None:
        self.at, self.at_site = at, at_site
        self.kinds: Counter[str] = Counter()
        self.sites: dict[str, int] = {}
        """The first number of each distinct point: the same function, called from the same line."""
        self._act = act
        self._numbers = itertools.count(1)
        self._homes: dict[str, str | None] = {}
        self._of_file: dict[str, str | None] = {}

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    def install(self) -> None:
        threading.setprofile(self._hook)
        sys.setprofile(self._hook)

    def remove(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _hook(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" or event == "return":
            home = self._home(frame.f_code.co_filename)
            if home is None:
                return
            caller = frame.f_back
            if caller is None or self._home(caller.f_code.co_filename) == home:
                return
            name = f"{home.strip('/').rsplit('/', 1)[-1]}.{frame.f_code.co_name}"
        else:
            module = getattr(arg, "__module__", None) or type(arg.__self__).__module__
            if module.partition(".")[0] not in TOUCHING:
                return
            name = arg.__name__
            if name in HARMLESS or type(getattr(arg, "__self__", None)).__name__ in HARMLESS:
                return
            name, caller = f"{module}.{name}", frame
        kind = self._kind(caller)
        if kind is None:
            return
        number = next(self._numbers)
        when = "before" if event in ("call", "c_call") else "after"
        line = f"{caller.f_code.co_filename.rsplit('/', 1)[-1]}:{caller.f_lineno}"
        self.kinds[kind] += 1
        site = f"{kind} {when} {name} {line}"
        new = self.sites.setdefault(site, number) == number
        if number == self.at or (new and len(self.sites) == self.at_site):
            self._act(f"{kind}: {when} {name} at {line}")

    def _home(self, file: str) -> str | None:
        if file not in self._homes:
            self._homes[file] = next((border for border in BORDERS if border in file), None)
        return self._homes[file]

    def _kind(self, frame: FrameType | None) -> str | None:
        """None for what nothing of ours asked for: an import, a log line of this very harness."""
        found: str | None = None
        while frame is not None:
            file = frame.f_code.co_filename
            if file not in self._of_file:
                self._of_file[file] = (
                    "import"
                    if file.startswith("<frozen importlib")
                    else next((kind for part, kind in KINDS if part in file), None)
                )
            kind = self._of_file[file]
            if kind == "import":
                return None
            if kind == "ledger" or (kind is not None and found is None):
                found = kind
                if kind != "store":
                    return found
            frame = frame.f_back
        return found


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # it comes at once
