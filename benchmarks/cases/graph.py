"""The graph of this repository's own project, in a copy of it: definitions, the demo, a backfill."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from benchmarks.case import Wanted, new_result
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, copy_repository
from benchmarks.report import Limit, Result

CASES = {
    "definitions": ("definitions loaded by a fresh interpreter", (Limit("cpu_seconds", 12),)),
    "demo": ("make demo: the whole company from nothing", (Limit("wall_seconds", 180),)),
    "backfill": ("365 daily slices of every partitioned table, one run", (Limit("wall_seconds", 60),)),
}
SLICES = 365
LOAD_DEFINITIONS = "from data_platform.definitions import defs; defs().get_repository_def().get_all_jobs()"


def results(wanted: Wanted) -> Iterator[Result]:
    names = wanted.of(CASES)
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-clone-") as name:
        root = Path(name)
        root.chmod(0o711)
        try:
            environ = copy_repository(root)
            bench = _Bench(root, environ, wanted)
        except BenchmarkError as error:
            for case in names:
                result = new_result(CASES, case)
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


class _Bench:
    def __init__(self, root: Path, environ: dict[str, str], wanted: Wanted) -> None:
        self.root, self.environ = root, environ
        self.repeat, self.say, self.orders = wanted.repeat, wanted.say, wanted.orders
        self._ready = False

    def demo(self) -> Result:
        """Once: from a clone with everything installed and nothing made."""
        result = new_result(CASES, "demo")
        self._attempt(result, ["make", "demo", f"ORDERS={self.orders}"], repeat=1)
        result.notes.append(f"a sandbox of {self.orders:,} orders")
        self._ready = result.error is None
        return result

    def definitions(self) -> Result:
        result = new_result(CASES, "definitions")
        if self._prepare(result):
            self._attempt(result, [sys.executable, "-c", LOAD_DEFINITIONS])
        return result

    def backfill(self) -> Result:
        """As the UI's backfill of a range does it: one run for all the days."""
        result = new_result(CASES, "backfill")
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
