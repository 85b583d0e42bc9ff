"""Dagster's side of a company of many tables: loading the definitions, a run, the sensor that probes the source."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.case import Wanted, new_result
from benchmarks.company import FOUR_RULES, JOB, RULES, RUN_TABLES, SENSOR, VARIABLE, declare, fill
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, copy_repository
from benchmarks.report import Limit, Result
from benchmarks.source import serving
from data_platform.sandbox.server import PostgresServer

CASES = {
    "definitions-2000": (
        "definitions of 2,000 tables loaded by a fresh interpreter",
        (Limit("cpu_seconds", 8),),
    ),
    "run-500-start": (
        "a run of 500 tables: from its launch until it is at the source",
        (Limit("wall_seconds", 10),),
    ),
    "run-500": ("a run of 500 tables, nothing changed, with 2,000 checks", ()),
    "definitions-5000-checks": (
        "what 5,000 checks of 1,000 tables add to loading the definitions",
        (Limit("cpu_seconds", 5),),
    ),
    "run-5000-checks-start": (
        "a run of 1,000 tables with 5,000 checks: from its launch until it is at the source",
        (Limit("wall_seconds", 10),),
    ),
    "run-5000-checks": ("that run as a whole, nothing changed", ()),
    "tick-500": ("the probing sensor's tick over 500 tables, nothing changed", (Limit("wall_seconds", 2),)),
}
LOAD_DEFINITIONS = "from data_platform.definitions import defs; defs().get_repository_def().get_all_jobs()"
LOOK_EVERY_SECONDS = 0.05
CHECKED_TABLES = 1_000


def results(wanted: Wanted) -> Iterator[Result]:
    names = wanted.of(CASES)
    if "definitions-2000" in names:
        with _project(2000) as (root, environ):
            result = new_result(CASES, "definitions-2000")
            for _ in range(wanted.repeat):
                result.repetitions.append(
                    measure([sys.executable, "-c", LOAD_DEFINITIONS], environ=environ, cwd=root)
                )
                wanted.say(f"{result.title}: {result.repetitions[-1].cpu_seconds:.1f} CPU-s")
            yield result
    if "definitions-5000-checks" in names:
        yield _added_by_checks(wanted)
    for tables, rules, mine in (
        (RUN_TABLES, RULES, {"run-500-start": "start", "run-500": "run", "tick-500": "tick"}),
        (CHECKED_TABLES, FOUR_RULES, {"run-5000-checks-start": "start", "run-5000-checks": "run"}),
    ):
        if not (rest := [name for name in names if name in mine]):
            continue
        with _project(tables, rules) as (root, environ), serving("company") as (server, url):
            fill(url, tables)
            found = {mine[name]: new_result(CASES, name) for name in rest}
            _run_and_tick(found, root, {**environ, VARIABLE: url}, server, wanted)
            yield from found.values()


def _added_by_checks(wanted: Wanted) -> Result:
    """Pairs: the definitions without a rule, then with all of them. A negative difference is noise."""
    result = new_result(CASES, "definitions-5000-checks")
    command = [sys.executable, "-c", LOAD_DEFINITIONS]
    with (
        _project(CHECKED_TABLES, ()) as (bare, bare_environ),
        _project(CHECKED_TABLES, FOUR_RULES) as (root, environ),
    ):
        for _ in range(wanted.repeat):
            without = measure(command, environ=bare_environ, cwd=bare)
            full = measure(command, environ=environ, cwd=root)
            added = full.cpu_seconds - without.cpu_seconds
            result.repetitions.append(Figures(full.wall_seconds - without.wall_seconds, added, full.peak_mb))
            wanted.say(f"{result.title}: {without.cpu_seconds:.1f} CPU-s and {added:+.1f}")
    return result


def _run_and_tick(
    found: dict[str, Result], root: Path, environ: dict[str, str], server: PostgresServer, wanted: Wanted
) -> None:
    def run() -> tuple[Figures, float]:
        dagster = str(Path(sys.executable).with_name("dagster"))
        command = [dagster, "job", "execute", "-m", "data_platform.definitions", "-j", JOB]
        with _first_session(environ[VARIABLE]) as arrived:
            began = time.monotonic()
            figures = measure(command, environ=environ, cwd=root, server_pid=server.pid())
        return figures, arrived[0] - began

    try:
        run()  # not counted: it reads every table for the first time
        for _ in range(wanted.repeat):
            if {"run", "start"} & set(found):
                figures, start = run()
                if "run" in found:
                    found["run"].repetitions.append(figures)
                if "start" in found:
                    found["start"].repetitions.append(Figures(start, 0.0, figures.peak_mb))
                wanted.say(
                    f"a run: {start:.1f} s until it is at the source, {figures.wall_seconds:.1f} s in all"
                )
            if "tick" in found:
                told = root / "tick.json"
                measure(
                    [sys.executable, "-m", "benchmarks.company", SENSOR, str(told)], environ=environ, cwd=root
                )
                first, second = (Figures(**one) for one in json.loads(told.read_text()))
                found["tick"].repetitions.append(second)
                wanted.say(
                    f"a tick: the first {first.wall_seconds:.2f} s, the next {second.wall_seconds:.2f} s"
                )
    except BenchmarkError as error:
        for result in found.values():
            result.error = str(error)


@contextmanager
def _project(tables: int, rules: Sequence[str] = RULES) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of this repository with a source of so many tables, ready to load."""
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-company-") as name:
        root = Path(name)
        environ = copy_repository(root)
        declare(root, tables, rules)
        for command in (
            [DATA_PLATFORM, "validate", "--write"],
            [sys.executable, "-m", "data_platform.defs.dbt_manifest"],
            ["make", f"{root}/.dagster/dagster.yaml"],
        ):
            measure(command, environ=environ, cwd=root)
        yield root, environ


@contextmanager
def _first_session(url: str) -> Iterator[list[float]]:
    """When a session other than ours was first seen at the source, once the block is over."""
    arrived: list[float] = []
    over = threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not arrived and not over.wait(LOOK_EVERY_SECONDS):
                others = connection.execute(
                    "select count(*) from pg_stat_activity where datname = current_database()"
                    " and backend_type = 'client backend' and pid <> pg_backend_pid()"
                ).fetchone()
                if others and others[0]:
                    arrived.append(time.monotonic())

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield arrived
    finally:
        over.set()
        watching.join()
    if not arrived:
        raise BenchmarkError("the run never came to the source")
