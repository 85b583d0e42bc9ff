"""A receiver of webhooks under load: how long a signed delivery waits until it is kept durably and answered."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks import webhooks
from benchmarks.case import Wanted, new_result
from benchmarks.measure import BenchmarkError, Figures
from benchmarks.project import plain_environment
from benchmarks.report import Limit, Result

RATE, COUNT = 1_500, 30_000
CASES = {
    "webhooks": (
        f"{RATE:,} webhooks a second: the 99th percentile of a delivery's time",
        (Limit("wall_seconds", 0.05),),
    )
}
REPOSITORY = Path(webhooks.__file__).parents[1]
SECRET = "whsec_of_a_benchmark"
STARTED_SECONDS_MAX = 30.0
CATALOG = {
    "platform.yaml": """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
""",
    "sources/hooks.yaml": """\
source: hooks
kind: webhook
connection: {secret_env: HOOKS_SECRET, scheme: stripe}
tables: {events: {}}
""",
}


def results(wanted: Wanted) -> Iterator[Result]:
    for name in wanted.of(CASES):
        result = new_result(CASES, name)
        for _ in range(wanted.repeat):
            figures, told = _run()
            result.repetitions.append(figures)
            said = (
                f"{told['rate']:,.0f} deliveries/s, all of {COUNT:,} kept in {told['objects']:,.0f} objects; p50"
                f" {told['p50']:.1f} ms, p99 {told['p99']:.1f} ms, the longest {told['p100']:.1f} ms"
            )
            result.notes.append(said)
            wanted.say(f"{result.title}: {said}")
        yield result


def _run() -> tuple[Figures, dict[str, float]]:
    """One receiver, and one sender beside it. ``wall_seconds`` is the 99th percentile; CPU and memory are the receiver's."""
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-webhooks-") as folder:
        project = Path(folder)
        for name, text in CATALOG.items():
            path = project / "catalog" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        environ = {
            **plain_environment(),
            "HOOKS_SECRET": SECRET,
            "DATA_PLATFORM_HASH_KEY": "of a benchmark, long enough",
        }
        command = [
            sys.executable,
            "-m",
            "data_platform.cli",
            "receive",
            "--root",
            str(project),
            "--port",
            "0",
        ]
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as receiver:
            try:
                return _loaded(receiver, project, environ)
            finally:
                receiver.terminate()


def _loaded(
    receiver: subprocess.Popen[str], project: Path, environ: dict[str, str]
) -> tuple[Figures, dict[str, float]]:
    assert receiver.stderr is not None
    url = receiver.stderr.readline().strip()
    _wait_for(f"{url.rpartition('/webhooks/')[0]}/health")
    process, out = psutil.Process(receiver.pid), project / "figures.json"
    before = process.cpu_times()
    sender = [sys.executable, "-m", "benchmarks.webhooks", url, SECRET, str(COUNT), str(RATE), str(out)]
    subprocess.run(sender, env=environ, cwd=REPOSITORY, check=True)
    after, told = process.cpu_times(), json.loads(out.read_text())
    if told["taken"] != COUNT:
        raise BenchmarkError(f"{COUNT - told['taken']:,} of {COUNT:,} deliveries were refused.")
    told["objects"] = sum(path.is_file() for path in (project / "landing" / "_inbox").rglob("*"))
    cpu = after.user + after.system - before.user - before.system
    return Figures(told["p99"] / 1000, cpu, process.memory_info().rss / 1e6), told


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + STARTED_SECONDS_MAX
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise BenchmarkError("The receiver does not answer.") from None
            time.sleep(0.1)
