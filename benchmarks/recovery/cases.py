"""What is measured, in the order in which a company would live through it."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.case import Say
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import REPOSITORY, plain_environment
from benchmarks.recovery.company import BUCKET, Company
from data_platform.sync.wal import receiver, states

FOLDER_STEPS = ("fetch", "combine", "verify")
"""Of a recovery: from objects to a data folder that the server's own manifest proves."""
CHANGES = 1000
"""Transactions of pgbench that are a small change: about 1% of the pages of 2.2 million accounts."""
SAMPLE_SECONDS = 0.25
COPY = """
import hashlib, sys
from pathlib import Path
source, target = map(Path, sys.argv[1:])
target.mkdir()
for path in sorted(source.iterdir()):
    digest = hashlib.sha256()
    with path.open("rb") as old, (target / path.name).open("wb") as new:
        while block := old.read(1 << 20):
            digest.update(block)
            new.write(block)
"""
"""What `cp` does, with the SHA-256 of each file: not synced to disk."""


@dataclass
class Run:
    """One act. ``found`` is what it said of itself."""

    figures: Figures
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.figures.wall_seconds

    def steps(self, *names: str) -> float:
        return sum(self.found["steps"].get(name, 0) for name in names)


@dataclass
class Round:
    """Everything measured once, one after another. ``copied`` is how many bytes ``copy`` read, hashed and wrote."""

    copy: Run
    copied: int
    full: Run
    incremental: Run
    recovered: dict[str, Run]
    """By where from: one full backup with its WAL, a chain of two, and the same from the bucket."""
    verified: Run
    verified_again: Run


@dataclass
class Ages:
    """Seconds from the newest heartbeat that can be recovered until now, by archive, under load."""

    ship_seconds: float
    transactions: int = 0
    ages: dict[str, list[float]] = field(default_factory=dict)


def round_of(company: Company, say: Say) -> Round:
    """A full and an incremental backup, and recoveries, beside a plain copy of the server's data folder."""
    company.checkpoint()
    copied = sum(path.stat().st_size for path in _files(company.server.data_dir))
    copy = _copy(company)
    say(f"copied, with SHA-256, {copied / 1e6:,.0f} MB: {copy.seconds:.1f} s")
    full = _act(company, "alone", "back_up", "full")
    say(f"full backup: {full.seconds:.1f} s, {full.found['bytes'] / 1e6:.1f} MB")
    _act(company, "offsite", "ship")
    _act(company, "offsite", "back_up", "full")
    company.pgbench("--no-vacuum", f"--transactions={CHANGES}")
    middle = company.now()
    _act(company, "offsite", "ship")
    incremental = _act(company, "alone", "back_up", "next")
    if incremental.found["way"] != "incremental":
        raise BenchmarkError("The second backup was not an incremental one.")
    say(f"incremental backup: {incremental.seconds:.1f} s, {incremental.found['bytes'] / 1e6:.1f} MB")
    _act(company, "offsite", "back_up", "next")
    company.pgbench("--no-vacuum", f"--transactions={CHANGES}")
    at = company.now()
    company.pgbench("--no-vacuum", "--transactions=100")
    _act(company, "offsite", "ship")
    recovered = {
        "full": _recover(company, middle, "primary", 1),
        "chain": _recover(company, at, "primary", 2),
    }
    if BUCKET in company.copies:
        recovered["bucket"] = _recover(company, at, BUCKET, 2)
    for name, run in recovered.items():
        say(f"recovered ({name}): {run.seconds:.1f} s: {run.found['steps']}")
    verified = _act(company, "offsite", "verify", "1")
    return Round(
        copy, copied, full, incremental, recovered, verified, _act(company, "offsite", "verify", "1")
    )


def under_load(company: Company, ship_seconds: float, seconds: int, say: Say) -> Ages:
    """WAL is received and shipped while pgbench writes as fast as it can."""
    company.ship_every(ship_seconds)
    platform = company.platform("offsite")
    found, stop = Ages(ship_seconds), threading.Event()
    worker = threading.Thread(target=receiver(platform, "shop", say).run, args=(stop,))
    worker.start()
    try:
        began = datetime.now(UTC)
        while not all(one.heartbeat and one.heartbeat.at > began for one in states(platform, "shop")):
            time.sleep(SAMPLE_SECONDS)
        with company.load("--no-vacuum", "--client=2", f"--time={seconds}") as process:
            while process.poll() is None:
                for one in states(platform, "shop"):
                    age = one.rpo_seconds(datetime.now(UTC))
                    if age is not None:
                        found.ages.setdefault(one.archive, []).append(age)
                time.sleep(SAMPLE_SECONDS)
            said = process.communicate()[0]
    finally:
        stop.set()
        worker.join()
    found.transactions = int(said.partition("actually processed: ")[2].split("\n")[0].split("/")[0] or 0)
    return found


def _recover(company: Company, at: datetime, copy: str, chain: int) -> Run:
    into = company.recovered / "into"
    found = _act(company, "offsite", "recover", at.isoformat(), str(into), copy)
    if found.found["chain"] != chain:
        raise BenchmarkError(f"{found.found['chain']} backups were read and not {chain}.")
    shutil.rmtree(into)
    return found


def _act(company: Company, environment: str, act: str, *arguments: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [
            *(
                sys.executable,
                "-m",
                "benchmarks.recovery.once",
                str(file),
                str(company.root),
                environment,
                act,
            ),
            *arguments,
        ]
        figures = measure(command, environ={**plain_environment(), **company.environ}, cwd=REPOSITORY)
        return Run(figures, json.loads(file.read_text()))


def _copy(company: Company) -> Run:
    """The data folder without its WAL, of which a backup holds a little."""
    with tempfile.TemporaryDirectory(dir=company.recovered) as folder:
        source, target = Path(folder) / "source", Path(folder) / "copy"
        source.mkdir()
        for number, path in enumerate(_files(company.server.data_dir)):
            (source / f"{number:06d}").hardlink_to(path)
        command = [sys.executable, "-c", COPY, str(source), str(target)]
        return Run(measure(command, environ=plain_environment(), cwd=REPOSITORY))


def _files(data: Path) -> list[Path]:
    return [
        path
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.relative_to(data).parts[0] in ("base", "global", "pg_xact", "pg_multixact")
    ]
