"""One command measured: wall seconds, CPU seconds, peak memory, and what it cost the server.

Which commands those are is in ``cases.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SETTLING_SECONDS_MAX = 3.0
LAUNCHER = Path(__file__).with_name("launch.py")


class BenchmarkError(Exception):
    """A measured command failed; the text says how it ended."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one command. ``server_cpu_seconds`` is what PostgreSQL's sessions used meanwhile,
    ``others_cpu_seconds`` what everything else on the machine did: where that is much, the wall
    time tells of the machine. None where the system does not say."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    server_cpu_seconds: float | None = None
    others_cpu_seconds: float | None = None

    @property
    def total_cpu_seconds(self) -> float:
        """Of the command and of the server."""
        return self.cpu_seconds + (self.server_cpu_seconds or 0)

    def over(self, less: Figures) -> Figures:
        """What this run took more than ``less``; memory as it is."""
        server = (self.server_cpu_seconds or 0) - (less.server_cpu_seconds or 0)
        return Figures(
            self.wall_seconds - less.wall_seconds,
            self.cpu_seconds - less.cpu_seconds,
            self.peak_mb,
            None if self.server_cpu_seconds is None else server,
            self.others_cpu_seconds,
        )


def measure(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    server_pid: int | None = None,
    timeout_seconds: float = 3600,
) -> Figures:
    """Run ``command`` with its output thrown away. BenchmarkError, with the end of what it
    said, when it fails or takes longer than ``timeout_seconds``."""
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        figures, said = Path(folder) / "figures.json", Path(folder) / "stderr"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(figures), str(timeout_seconds)]
        server, machine = _settled(server_pid), machine_cpu_seconds()
        with said.open("wb") as errors:
            done = subprocess.run(
                [*launcher, *command], cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, check=False,
            )  # fmt: skip
        machine = _since(machine, machine_cpu_seconds())
        taken = json.loads(figures.read_text()) if figures.exists() else {}
        if taken.pop("timed_out", False):
            raise BenchmarkError(f"{Path(command[0]).name} had not ended after {timeout_seconds:.0f} s")
        if done.returncode or not taken:
            text = said.read_text(errors="replace").strip()[-1500:]
            raise BenchmarkError(f"{Path(command[0]).name} ended with code {done.returncode}: {text}")
    server = _since(server, _settled(server_pid))
    others = None if machine is None else max(machine - taken["cpu_seconds"] - (server or 0), 0.0)
    return Figures(**taken, server_cpu_seconds=server, others_cpu_seconds=others)


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _settled(pid: int | None) -> float | None:
    """The server's CPU time once its sessions have ended: a session counts when it is gone."""
    if server_cpu_seconds(pid) is None:
        return None
    seen, deadline = -1.0, time.monotonic() + SETTLING_SECONDS_MAX
    while (now := server_cpu_seconds(pid) or 0.0) != seen and time.monotonic() < deadline:
        seen = now
        time.sleep(0.1)
    return now


def server_cpu_seconds(pid: int | None) -> float | None:
    """CPU seconds of the process ``pid`` and of its children that have ended; Linux only."""
    if pid is None:
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    ticks = text.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def machine_cpu_seconds() -> float | None:
    """CPU seconds the whole machine has worked; Linux only."""
    try:
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
