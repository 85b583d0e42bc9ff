"""Other tools on the same table, each as its own documentation sets it up, defaults kept.

Each gets a virtual environment of its own, made when it is asked for. A tool that
cannot be installed or fails is reported with the reason; it stops nothing else.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import plain_environment
from benchmarks.report import Result
from benchmarks.source import Source

DLT = """\
import os, dlt
from dlt.sources.sql_database import sql_table
orders = sql_table(
    credentials=os.environ["BENCH_URL"], table="orders", schema="public",
    incremental=dlt.sources.incremental("updated_at"), {backend}
)
orders.apply_hints(primary_key="order_id", write_disposition="merge")
pipeline = dlt.pipeline("bench", destination=dlt.destinations.duckdb("peer.duckdb"), dataset_name="raw",
                        pipelines_dir="state")
pipeline.run(orders)
"""
SLING = """\
source: BENCH_PG
target: BENCH_DUCKDB
defaults: {mode: incremental, primary_key: [order_id], update_key: updated_at, object: main.orders}
streams: {public.orders: {}}
"""


@dataclass(frozen=True)
class Peer:
    """``packages`` for pip; ``script`` is written as ``file`` and run as ``command``, whose first
    word is looked up in the peer's own environment."""

    packages: tuple[str, ...]
    file: str
    script: str
    command: tuple[str, ...]


# Sling's program is a package of its own a platform; without it, it is fetched from elsewhere when first run.
SLING_PROGRAM = (
    f"sling-{platform.system().lower()}-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'amd64'}"
)
# dlt's URL names no driver, and SQLAlchemy 2.1 takes another one than psycopg2 for it.
SQLALCHEMY = "sqlalchemy<2.1"
PEERS = {
    "dlt": Peer(
        ("dlt[duckdb,sql_database]", SQLALCHEMY, "psycopg2-binary"),
        "load.py",
        DLT.format(backend=""),
        ("python", "load.py"),
    ),
    "dlt-connectorx": Peer(
        ("dlt[duckdb,sql_database]", SQLALCHEMY, "psycopg2-binary", "connectorx", "pyarrow"),
        "load.py",
        DLT.format(backend='backend="connectorx", reflection_level="full_with_precision"'),
        ("python", "load.py"),
    ),
    "sling": Peer(
        ("sling==1.4.11", f"{SLING_PROGRAM}==1.4.11"),
        "replication.yaml",
        SLING,
        ("sling", "run", "-r", "replication.yaml"),
    ),
}
CASES = {"full": "full load", "changes": "1% updated + 1% inserted", "unchanged": "nothing changed"}


def peer_cases(
    source: Source, folder: Path, names: Sequence[str], timeout_seconds: float, say: Callable[[str], None]
) -> Iterator[Result]:
    """Three results a peer, one run each: a full load, a change, nothing."""
    for name in names:
        home = folder / f"peer-{name}"
        home.mkdir()
        try:
            versions = install(PEERS[name], home)
        except BenchmarkError as error:
            yield Result(f"{name}-full", f"{name}: full load", error=str(error))
            continue
        for case, title in CASES.items():
            result = Result(f"{name}-{case}", f"{name}: {title}", notes=[versions] if case == "full" else [])
            try:
                if case == "changes":
                    source.change()
                result.repetitions.append(_run(PEERS[name], home, source, timeout_seconds))
                say(f"{result.title}: {result.repetitions[-1].wall_seconds:.1f} s")
            except BenchmarkError as error:
                result.error = str(error)
            yield result
            if result.error:
                break


def install(peer: Peer, home: Path) -> str:
    """The packages and their versions, as installed."""
    python = str(home / "venv" / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(home / "venv")],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        except subprocess.TimeoutExpired:
            raise BenchmarkError("it could not be installed within 900 s") from None
        if done.returncode:
            raise BenchmarkError(f"it could not be installed: {done.stderr.strip()[-600:]}")
    (home / peer.file).write_text(peer.script)
    names = [re.split(r"\W", package.replace("-", "_"))[0].replace("_", "-") for package in peer.packages]
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ", ".join(line for line in listed.stdout.split() if line.partition("==")[0] in names)


def _run(peer: Peer, home: Path, source: Source, timeout_seconds: float) -> Figures:
    url = source.url
    environ = {
        **plain_environment(),
        "BENCH_URL": url,
        "BENCH_PG": f"{url}?sslmode=disable",
        "BENCH_DUCKDB": f"duckdb://{home / 'peer.duckdb'}",
        "SLING_HOME_DIR": str(home / "sling"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "SLING_DISABLE_TELEMETRY": "true",
    }
    for program in home.glob("venv/lib/*/site-packages/sling_*/bin/sling-*"):
        environ["SLING_BINARY"] = str(program)  # or it would be fetched
    command = [str(home / "venv" / "bin" / peer.command[0]), *peer.command[1:]]
    return measure(
        command, environ=environ, cwd=home, server_pid=source.server.pid(), timeout_seconds=timeout_seconds
    )
