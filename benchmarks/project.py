"""The projects that are measured: one over the benchmark's table, and a copy of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

REPOSITORY = Path(__file__).parents[1]
DATA_PLATFORM = str(Path(sys.executable).with_name("data-platform"))
STAMP = ".installed"
HASH_KEY = "a key that only benchmarks use"

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb, memory_limit: 600MB}
    automation: stopped
privacy: {hash_key_env: DATA_PLATFORM_HASH_KEY}
"""
SOURCE = """\
source: bench
kind: postgres
connection: {{url_env: BENCH_DATABASE_URL}}
start: 2024-01-01
tables:
  orders:
    key: order_id
    cursor: updated_at
    cursor_clock: {clock}
    partition: order_date
    personal: {personal}
"""


@dataclass(frozen=True)
class Project:
    """A folder with a catalog of one table, and the environment its commands run in."""

    root: Path
    environ: Mapping[str, str]
    personal: str = "{attrs: keep, note: keep}"

    def declare(self, *, clock: str) -> None:
        """Whose clock sets the cursor: ``database`` allows the clock path, ``application`` none."""
        (self.root / "catalog" / "sources" / "bench.yaml").write_text(
            SOURCE.format(clock=clock, personal=self.personal)
        )

    def forget(self) -> None:
        """Remove all that was landed and loaded."""
        shutil.rmtree(self.root / ".data", ignore_errors=True)


def make_project(root: Path, url: str, personal: str = Project.personal) -> Project:
    (root / "catalog" / "sources").mkdir(parents=True)
    (root / "catalog" / "platform.yaml").write_text(PLATFORM)
    project = Project(root, {**plain_environment(), "BENCH_DATABASE_URL": url}, personal)
    project.declare(clock="database")
    return project


def plain_environment() -> dict[str, str]:
    """This process's environment without what would lead a command to another project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATA_PLATFORM_", "DAGSTER_", "DBT_", "PG"))
        and not name.endswith("_DATABASE_URL")
        and name not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
        and name != "PYTHONDONTWRITEBYTECODE"  # or every import would be compiled anew
    }
    return {**kept, "DATA_PLATFORM_HASH_KEY": HASH_KEY, "DO_NOT_TRACK": "1"}


def copy_repository(root: Path) -> dict[str, str]:
    """A copy of this repository's files as a fresh clone would have them, installed by the same
    virtual environment; returns the environment for its commands."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        raise BenchmarkError("the repository's files could not be listed: this needs git and a clone")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    # `make` looks for the environment in .venv and takes it as installed by the stamp's date
    (root / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != STAMP:
            (root / ".venv" / entry.name).symlink_to(entry)
    (root / ".venv" / STAMP).touch()
    return {**plain_environment(), "PYTHONPATH": str(root), "DAGSTER_HOME": str(root / ".dagster")}
