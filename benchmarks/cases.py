"""What is measured, in which order, and the limit each figure has.

The cases over the large table share one server and one project, because each starts
where the one before ended: nothing there, loaded, changed, unchanged. How a command is
measured is ``measure.py``'s; what the figures say is in docs/benchmarks.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, Project, copy_repository, make_project
from benchmarks.report import Limit, Result
from benchmarks.source import Source

Say = Callable[[str], None]

TABLE_CASES = {
    "copy": ("psql: COPY orders TO STDOUT (binary) > /dev/null", ()),
    "full": ("full load: PostgreSQL, Parquet, DuckDB", (Limit("ratio_to_copy", 1.6), Limit("peak_mb", 800))),
    "changes": ("1% updated + 1% inserted, by clock", (Limit("wall_seconds", 2.5),)),
    "unchanged": ("nothing changed, by clock", (Limit("wall_seconds", 1.5),)),
    "unchanged-xmin": ("nothing changed, by xmin scan", (Limit("wall_seconds", 2.0),)),
    "changes-xmin": ("1% updated + 1% inserted, by xmin scan", ()),
    "verify": ("every slice compared: --verify over a sync without", (Limit("total_cpu_seconds", 2.0),)),
}
GRAPH_CASES = {
    "definitions": ("definitions loaded by a fresh interpreter", (Limit("cpu_seconds", 12),)),
    "demo": ("make demo: the whole graph from nothing", (Limit("wall_seconds", 120),)),
    "backfill": ("365 daily slices of every partitioned table, one run", (Limit("wall_seconds", 60),)),
}
LEDGER_CASES = {
    "ledger": ("the state of a table read from 100,000 batches", (Limit("wall_seconds", 0.1),)),
}
BACKUP_CASES = {
    "backup-copy": ("plain copy of a backup's objects, with SHA-256", ()),
    "backup-engine": ("the engine's own COPY of the rows, sorted, unproven", ()),
    "backup": ("backup run: export, store, read back", (Limit("ratio_to_copy", 2.0), Limit("peak_mb", 1000))),
    "backup-verify": ("backup verify: every byte read and hashed", (Limit("ratio_to_copy", 2.0),)),
    "restore-engine": ("the engine's own load of those objects, unproven", ()),
    "restore": ("restore warehouse, proven equal", (Limit("ratio_to_copy", 2.0), Limit("peak_mb", 1000))),
}
NAMES = (*TABLE_CASES, *GRAPH_CASES, *LEDGER_CASES, *BACKUP_CASES)
SLICES = 365
BATCHES = 100_007
"""As far behind the last checkpoint as a head can be."""
LEDGER_REPEAT_MIN = 21
"""A reading takes milliseconds: its median wants more of them than that of a sync."""

LOAD_DEFINITIONS = "from data_platform.definitions import defs; defs().get_repository_def().get_all_jobs()"


@dataclass(frozen=True)
class Wanted:
    """``only`` empty means every case; ``repeat`` is how often each is measured."""

    only: Collection[str]
    repeat: int

    def any_of(self, names: Collection[str]) -> list[str]:
        return [name for name in names if not self.only or name in self.only]


def table_cases(source: Source, folder: Path, wanted: Wanted, say: Say) -> Iterator[Result]:
    """Each case of ``TABLE_CASES`` that is wanted, on the large table."""
    names = wanted.any_of(TABLE_CASES)
    bench = _TableBench(source, make_project(folder, source.url), wanted.repeat, say)
    if {"copy", "full"} & set(names):
        yield from (r for r in bench.copy_and_full() if r.name in names or r.name == "copy")
    for name, run in {
        "changes": bench.changes,
        "unchanged": bench.unchanged,
        "unchanged-xmin": bench.unchanged_by_xmin,
        "changes-xmin": bench.changes_by_xmin,
        "verify": bench.verify,
    }.items():
        if name in names:
            yield run()


class _TableBench:
    def __init__(self, source: Source, project: Project, repeat: int, say: Say) -> None:
        self.source, self.project, self.repeat, self.say = source, project, repeat, say
        self._loaded = False

    def copy_and_full(self) -> list[Result]:
        """In turn, so that whatever else the machine does slows both alike."""
        copy, full = _result("copy"), _result("full")
        copy.notes.append(f"psql is {self._psql()[0]}")
        self._copy()  # reads the table into memory; not counted
        try:
            for _ in range(self.repeat):
                copy.repetitions.append(self._copy())
                self.project.forget()
                full.repetitions.append(self._sync())
                full.compare(copy.repetitions[-1])
                self.say(f"full load: {full.ratios[-1]:.2f} x COPY")
            self._loaded = True
        except BenchmarkError as error:
            full.error = str(error)
        return [copy, full]

    def changes(self) -> Result:
        return self._each("changes", before=self.source.change)

    def unchanged(self) -> Result:
        return self._each("unchanged")

    def unchanged_by_xmin(self) -> Result:
        return self._each("unchanged-xmin", clock="application")

    def changes_by_xmin(self) -> Result:
        return self._each("changes-xmin", before=self.source.change, clock="application")

    def _each(
        self, name: str, *, before: Callable[[], None] | None = None, clock: str = "database"
    ) -> Result:
        result = _result(name)
        try:
            self._prepare()
            self.project.declare(clock=clock)
            self._sync()  # not counted: what an earlier case left, and the first run of this path
            for _ in range(self.repeat):
                if before:
                    before()
                result.repetitions.append(self._sync())
                self.say(f"{result.title}: {result.repetitions[-1].wall_seconds:.2f} s")
        except BenchmarkError as error:
            result.error = str(error)
        return result

    def verify(self) -> Result:
        """What the comparison adds to a sync that finds nothing, each pair in turn."""
        result = _result("verify")
        try:
            self._prepare()
            self.project.declare(clock="database")
            self._sync("--verify")  # not counted: it measures what no batch has
            for _ in range(self.repeat):
                plain, verified = self._sync(), self._sync("--verify")
                result.repetitions.append(verified.over(plain))
                self.say(f"{result.title}: {result.repetitions[-1].total_cpu_seconds:.2f} CPU-s")
        except BenchmarkError as error:
            result.error = str(error)
        return result

    def _prepare(self) -> None:
        if not self._loaded:
            self.project.forget()
            self.project.declare(clock="database")
            self._sync()
            self._loaded = True

    def _sync(self, *options: str) -> Figures:
        return measure(
            [DATA_PLATFORM, "sync", *options],
            environ=self.project.environ,
            cwd=self.project.root,
            server_pid=self.source.server.pid(),
        )

    def _copy(self) -> Figures:
        command = [*self._psql(), self.source.url, "-Xqc", "COPY orders TO STDOUT (FORMAT binary)"]
        return measure(
            command, environ=self.project.environ, cwd=self.project.root, server_pid=self.source.server.pid()
        )

    def _psql(self) -> list[str]:
        return [str(self.source.server.install / "bin" / "psql")]


def ledger_cases(wanted: Wanted, say: Say, *, batches: int = BATCHES) -> Iterator[Result]:
    """Each case of ``LEDGER_CASES`` that is wanted, in this process: a start would hide the figure."""
    if not wanted.any_of(LEDGER_CASES):
        return
    from benchmarks.ledger import build_chain, read_state

    result = _result("ledger")
    say(f"Making a ledger of {batches:,} batches.")
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-ledger-") as name:
        store = build_chain(Path(name), batches)
        for _ in range(max(wanted.repeat, LEDGER_REPEAT_MIN)):
            result.repetitions.append(read_state(store, batches))
    milliseconds = [1000 * figures.wall_seconds for figures in result.repetitions]
    result.notes.append(
        f"{median(milliseconds):.1f} ms of at most 100 ms, the slowest of {len(milliseconds)}"
        f" {max(milliseconds):.1f} ms"
    )
    say(f"{result.title}: {median(milliseconds):.1f} ms")
    yield result


def backup_cases(wanted: Wanted, say: Say, *, rows: int) -> Iterator[Result]:
    """All of ``BACKUP_CASES`` when any of them is wanted: each needs the one before."""
    names = wanted.any_of(BACKUP_CASES)
    if not names:
        return
    from benchmarks.backup import backup_results

    results = {name: _result(name) for name in BACKUP_CASES}
    yield from (r for r in backup_results(results, rows, wanted.repeat, say) if r.name in names)


def graph_cases(wanted: Wanted, say: Say, *, orders: int) -> Iterator[Result]:
    """Each case of ``GRAPH_CASES`` that is wanted, in a copy of this repository."""
    names = wanted.any_of(GRAPH_CASES)
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-clone-") as name:
        root = Path(name)
        root.chmod(0o711)
        try:
            environ = copy_repository(root)
            bench = _GraphBench(root, environ, wanted.repeat, say, orders)
        except BenchmarkError as error:
            for case in names:
                result = _result(case)
                result.error = str(error)
                yield result
            return
        try:
            if "demo" in names:
                yield bench.demo()
            if "definitions" in names:
                yield bench.definitions()
            if "backfill" in names:
                yield bench.backfill()
        finally:
            bench.clear()


class _GraphBench:
    def __init__(self, root: Path, environ: dict[str, str], repeat: int, say: Say, orders: int) -> None:
        self.root, self.environ, self.repeat, self.say, self.orders = root, environ, repeat, say, orders
        self._ready = False

    def demo(self) -> Result:
        """Once: from a clone with everything installed and nothing made."""
        result = _result("demo")
        self._attempt(result, ["make", "demo", f"ORDERS={self.orders}"], repeat=1)
        result.notes.append(f"a sandbox of {self.orders:,} orders")
        self._ready = result.error is None
        return result

    def definitions(self) -> Result:
        result = _result("definitions")
        if self._prepare(result):
            self._attempt(result, [sys.executable, "-c", LOAD_DEFINITIONS])
        return result

    def backfill(self) -> Result:
        """As the UI's backfill of a range does it: one run for all the days."""
        result = _result("backfill")
        if not self._prepare(result):
            return result
        from data_platform.catalog import load_catalog

        shop = load_catalog(self.root).source("shop")
        tables = [name for name, table in shop.tables.items() if table.partition]
        last = date.today() - timedelta(days=1)
        days = f"{last - timedelta(days=SLICES - 1)}...{last}"
        result.notes.append(f"{', '.join(tables)}, {days}, a sandbox of {self.orders:,} orders")
        dagster = str(Path(sys.executable).with_name("dagster"))
        self._attempt(
            result,
            [
                *(
                    dagster,
                    "asset",
                    "materialize",
                    "-m",
                    "data_platform.definitions",
                    "--partition-range",
                    days,
                ),
                *("--select", " or ".join(f'key:"raw/shop/{name}"' for name in tables)),
            ],
        )
        return result

    def clear(self) -> None:
        self._run([DATA_PLATFORM, "sandbox", "down", "--destroy"])

    def _prepare(self, result: Result) -> bool:
        """What `make dev` makes before it starts: the manifest, the instance, the sandbox."""
        try:
            if not self._ready:
                manifest = str(self.root / "dbt" / "target" / "manifest.json")
                self._run(
                    ["make", manifest.removeprefix(f"{self.root}/"), f"{self.root}/.dagster/dagster.yaml"]
                )
                self._run([DATA_PLATFORM, "sandbox", "up", "--orders", str(self.orders)])
                self._ready = True
        except BenchmarkError as error:
            result.error = str(error)
        return result.error is None

    def _attempt(self, result: Result, command: list[str], repeat: int | None = None) -> None:
        try:
            for _ in range(repeat or self.repeat):
                result.repetitions.append(self._run(command))
                self.say(f"{result.title}: {result.repetitions[-1].wall_seconds:.1f} s")
        except BenchmarkError as error:
            result.error = str(error)

    def _run(self, command: list[str]) -> Figures:
        return measure(command, environ=self.environ, cwd=self.root)


def _result(name: str) -> Result:
    title, limits = {**TABLE_CASES, **GRAPH_CASES, **LEDGER_CASES, **BACKUP_CASES}[name]
    return Result(name, title, limits)
