"""The tools that are compared: how each is installed, set up, run, and where its target is read.

Each lives in a folder and, except for this project, a virtual environment of its own.
Telemetry is off, and no tool reaches further than the loopback server.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.exactness.cases import LAG_SECONDS
from benchmarks.exactness.grade import Contents, read_duckdb, read_postgres
from benchmarks.peers import SLING_PROGRAM, SQLALCHEMY, Peer, install
from benchmarks.project import DATA_PLATFORM, REPOSITORY, make_project, plain_environment
from data_platform.sandbox.server import PostgresServer

TIMEOUT_SECONDS = 600
ERROR_CHARACTERS = 120

# The deepest cause of an error is what a person looks for in dlt's chain of them.
DLT = """\
import os, sys, dlt
from dlt.sources.sql_database import sql_table
orders = sql_table(
    credentials=os.environ["BENCH_URL"], table="orders", schema="public",
    incremental=dlt.sources.incremental("updated_at"{cursor}),
)
orders.apply_hints(primary_key="order_id", write_disposition="merge")
pipeline = dlt.pipeline("bench", destination=dlt.destinations.duckdb("target.duckdb"), dataset_name="raw",
                        pipelines_dir="state")
try:
    if "--refresh" in sys.argv:
        pipeline.drop_pending_packages()
        pipeline.run(orders, refresh="drop_sources")
    else:
        pipeline.run(orders)
except Exception as error:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    sys.exit(f"error: {{type(error).__name__}}: {{error}}")
"""
DLT_PACKAGES = (
    "dlt[duckdb,sql_database]",
    SQLALCHEMY,
    "psycopg2-binary",
    f"duckdb=={duckdb.__version__}",  # so that the file it writes can be read here
)
DLT_TUNED = f', lag={LAG_SECONDS}, on_cursor_value_missing="include", primary_key=()'
# The newest version whose program is a package, too; `delete_missing` needs a paid token in it.
SLING_PACKAGES = ("sling==1.4.11", f"{SLING_PROGRAM}==1.4.11")
SLING = """\
source: BENCH_PG
target: BENCH_TARGET
defaults: {mode: incremental, primary_key: [order_id], update_key: updated_at, object: public.orders}
streams: {public.orders: {}}
"""
SLING_TUNED = f"""\
source: BENCH_PG
target: BENCH_TARGET
defaults:
  mode: incremental
  primary_key: [order_id]
  update_key: updated_at
  object: public.orders
  target_options: {{add_new_columns: true, adjust_column_type: true}}
streams:
  public.orders:
    sql: >-
      select * from public.orders
      where {{incremental_value}} is null or updated_at is null
         or updated_at >= cast({{incremental_value}} as timestamptz) - interval '{LAG_SECONDS} seconds'
"""


@dataclass(frozen=True, slots=True)
class Run:
    """How one sync ended. ``error`` is its first line, None when the tool called it a success."""

    error: str | None
    seconds: float
    killed: bool = False


class Tool(ABC):
    """``refresh`` in ``command`` asks for the full reload that the tool documents as a way out."""

    def __init__(self, name: str, title: str, setup: str, home: Path, server: PostgresServer, url: str):
        self.name, self.title, self.setup = name, title, setup
        self.home, self.server, self.url = home, server, url

    @abstractmethod
    def install(self) -> str:
        """Make it ready; the versions it runs. BenchmarkError when it cannot be."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all state and empty the target."""

    @abstractmethod
    def command(self, *, refresh: bool) -> list[str]: ...

    @abstractmethod
    def environ(self) -> Mapping[str, str]: ...

    @abstractmethod
    def target(self) -> Contents: ...

    def error_in(self, output: str) -> str:
        """The line of its output that says why a sync failed."""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        marked = [line for line in lines if re.match(r"error: |pq: ", line)]
        return (marked or lines[-1:] or ["it ended without a word"])[0].removeprefix("error: ")

    def sync(self, *, refresh: bool = False, kill_after: float | None = None) -> Run:
        """Run it once; SIGKILL to it and its children after ``kill_after`` seconds."""
        began = time.monotonic()
        process = subprocess.Popen(
            self.command(refresh=refresh), cwd=self.home, env=dict(self.environ()), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            seconds = time.monotonic() - began
            if kill_after is None:
                return Run(f"it had not ended after {TIMEOUT_SECONDS} s", seconds)
            return Run(None, seconds, killed=True)
        seconds = time.monotonic() - began
        return Run(self._plain(self.error_in(output)) if process.returncode else None, seconds)

    def _plain(self, text: str) -> str:
        """The first sentence or so, without this machine's folders and passwords."""
        text = text.replace(str(self.home), "").replace(self.server.password, "***")
        text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(text.split()))
        sentence = re.split(r"(?<=[\w)])\. (?=[A-Z])", text)[0].rstrip(".")
        return sentence if len(sentence) <= ERROR_CHARACTERS else sentence[:ERROR_CHARACTERS].rstrip() + "..."


class OwnTool(Tool):
    """This project, as its command line runs it; ``verify`` as its daily reconcile does."""

    def __init__(self, name: str, home: Path, server: PostgresServer, url: str, *, verify: bool):
        words = "`data-platform sync --verify`" if verify else "`data-platform sync`"
        super().__init__(name, words, "key, cursor and partition declared, to DuckDB", home, server, url)
        self.verify = verify

    def install(self) -> str:
        self.project = make_project(self.home / "project", self.url, personal="{}")
        self.project.declare(clock="application")
        commit = self._git("log", "-1", "--format=%h") or "no commit"
        changed = " with changes" if self._git("status", "--porcelain", "data_platform") else ""
        return f"commit {commit}{changed}, duckdb=={duckdb.__version__}"

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def reset(self) -> None:
        self.project.forget()

    def command(self, *, refresh: bool) -> list[str]:
        words = ["--refresh", "orders"] if refresh else ["--verify"] if self.verify else []
        return [DATA_PLATFORM, "sync", "--root", str(self.project.root), "--json", *words]

    def environ(self) -> Mapping[str, str]:
        return self.project.environ

    def error_in(self, output: str) -> str:
        try:
            document = json.loads(output[output.index("{") : output.rindex("}") + 1])
        except ValueError:
            return super().error_in(output)
        errors = [table["error"] for table in document.get("tables", ())] or [document["error"]]
        return str(next(error["message"] for error in errors if error))

    def target(self) -> Contents:
        return read_duckdb(self.project.root / ".data" / "warehouse.duckdb", "raw_bench.orders")


class PeerTool(Tool):
    """Another tool, in a virtual environment of its own."""

    def __init__(
        self, name: str, title: str, setup: str, peer: Peer, home: Path, server: PostgresServer, url: str
    ):
        super().__init__(name, title, setup, home, server, url)
        self.peer = peer

    def install(self) -> str:
        return install(self.peer, self.home)

    def environ(self) -> Mapping[str, str]:
        environ = {
            **plain_environment(),
            "HOME": str(self.home),
            "TZ": "UTC",
            "BENCH_URL": self.url,
            "BENCH_PG": f"{self.url}?sslmode=disable",
            "BENCH_TARGET": f"{self.server.url(self._database)}?sslmode=disable",
            "SLING_HOME_DIR": str(self.home / "sling"),
            "SLING_DISABLE_TELEMETRY": "true",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        for program in self.home.glob("venv/lib/*/site-packages/sling_*/bin/sling-*"):
            environ["SLING_BINARY"] = str(program)  # or it would be fetched
        return environ

    @property
    def _database(self) -> str:
        return f"target_{self.name}".replace("-", "_")

    def command(self, *, refresh: bool) -> list[str]:
        program, *words = self.peer.command
        return [str(self.home / "venv" / "bin" / program), *words, *(self.refresh_words if refresh else ())]

    refresh_words: tuple[str, ...] = ()


class DltTool(PeerTool):
    refresh_words = ("--refresh",)

    def reset(self) -> None:
        shutil.rmtree(self.home / "state", ignore_errors=True)
        for path in self.home.glob("target.duckdb*"):
            path.unlink()

    def target(self) -> Contents:
        return read_duckdb(self.home / "target.duckdb", "raw.orders")


class SlingTool(PeerTool):
    refresh_words = ("--mode", "full-refresh")

    def reset(self) -> None:
        self.server.drop_database(self._database)
        self.server.create_database(self._database)

    def target(self) -> Contents:
        return read_postgres(self.server.url(self._database), "public.orders")


NAMES = ("platform", "platform-verify", "dlt", "dlt-tuned", "sling", "sling-tuned")


def make_tool(name: str, folder: Path, server: PostgresServer) -> Tool:
    """The tool ``name`` in a subfolder of ``folder`` with a source database of its own, not yet installed."""
    home = folder / name
    home.mkdir()
    url = server.create_database(f"source_{name}".replace("-", "_"))
    kind, _, tuned = name.partition("-")
    if kind == "platform":
        return OwnTool(name, home, server, url, verify=tuned == "verify")
    if kind == "dlt":
        cursor = DLT_TUNED if tuned else ""
        setup = f'`sql_table`, `merge` by key, `incremental("updated_at"{cursor})`, to DuckDB'
        peer = Peer(DLT_PACKAGES, "load.py", DLT.format(cursor=cursor), ("python", "load.py"))
        return DltTool(name, "dlt, tuned" if tuned else "dlt", setup, peer, home, server, url)
    setup = "`incremental`, `primary_key`, `update_key`"
    if tuned:
        setup += f", `adjust_column_type`, custom SQL that looks back {LAG_SECONDS} s and reads NULLs"
    script = SLING_TUNED if tuned else SLING
    peer = Peer(SLING_PACKAGES, "replication.yaml", script, ("sling", "run", "-r", "replication.yaml"))
    title = "Sling, tuned" if tuned else "Sling"
    return SlingTool(name, title, f"{setup}, to PostgreSQL", peer, home, server, url)
