"""Many small tables of one source: the first sync, nothing changed, a tenth of them changed.

What each further table costs is the difference to a sync of ``FEW`` of them, in the notes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.case import Wanted, new_result
from benchmarks.many import change, declare, make_project, make_tables
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, Project
from benchmarks.report import Limit, Result
from benchmarks.source import SETTINGS
from data_platform.sandbox.server import PostgresServer

FEW, MANY, MOST = 50, 500, 2_500
CASES = {
    "many-first": ("500 tables of 1,000 rows: first sync", (Limit("wall_seconds", 15), Limit("peak_mb", 500))),
    "many-unchanged": ("500 tables, nothing changed", (Limit("wall_seconds", 1.5), Limit("peak_mb", 500))),
    "many-changed": ("500 tables, 50 of them changed", (Limit("wall_seconds", 3), Limit("peak_mb", 500))),
    "many-2500-first": ("2,500 tables of 1,000 rows: first sync", (Limit("peak_mb", 500),)),
    "many-2500-unchanged": ("2,500 tables, nothing changed", (Limit("peak_mb", 500),)),
}  # fmt: skip
ON_DEMAND = ("many-2500-first", "many-2500-unchanged")
"""Minutes, so only where they are named."""


def results(wanted: Wanted) -> Iterator[Result]:
    """Each case that is wanted, on a server of its own."""
    names = wanted.of(CASES, on_demand=ON_DEMAND)
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-many-") as folder:
        Path(folder).chmod(0o711)  # the server runs as an unprivileged account
        with PostgresServer(Path(folder) / "server", settings=SETTINGS) as server:
            url = server.create_database("bench")
            bench = _Bench(server, url, make_project(Path(folder) / "project", url, FEW), wanted)
            for count, cases in ((MANY, [n for n in names if n not in ON_DEMAND]), (MOST, names)):
                runs = bench.of(count)
                yield from (runs[case]() for case in cases if case in runs)


class _Bench:
    def __init__(self, server: PostgresServer, url: str, project: Project, wanted: Wanted) -> None:
        self.server, self.url, self.project = server, url, project
        self.repeat, self.say = wanted.repeat, wanted.say
        self._made = self._loaded = 0

    def of(self, count: int) -> dict[str, Callable[[], Result]]:
        """The cases over the first ``count`` tables."""
        infix = "" if count == MANY else f"{count}-"
        return {
            f"many-{infix}first": lambda: self.first(f"many-{infix}first", count),
            f"many-{infix}unchanged": lambda: self.unchanged(f"many-{infix}unchanged", count),
            f"many-{infix}changed": lambda: self.changed(f"many-{infix}changed", count),
        }

    def first(self, name: str, count: int) -> Result:
        def nothing_there() -> None:
            self._loaded = 0
            self.project.forget()

        return self._measured(name, count, before=nothing_there)

    def unchanged(self, name: str, count: int) -> Result:
        return self._measured(name, count, loaded=True)

    def changed(self, name: str, count: int) -> Result:
        return self._measured(name, count, loaded=True, before=lambda: change(self.url, range(0, count, 10)))

    def _measured(
        self, name: str, count: int, *, loaded: bool = False, before: Callable[[], None] = lambda: None
    ) -> Result:
        result = new_result(CASES, name)
        try:
            self._make(count)
            if loaded:
                self._load(count)
            few = self._sync(FEW) if loaded and name.endswith("unchanged") else None
            for _ in range(self.repeat):
                before()
                result.repetitions.append(self._sync(count))
                self._loaded = count
                self.say(f"{result.title}: {result.repetitions[-1].wall_seconds:.2f} s")
        except BenchmarkError as error:
            result.error = str(error)
            return result
        figures = result.median()
        each = 1000 * figures["wall_seconds"] / count
        result.notes.append(
            f"{each:.2f} ms a table, {1000 * figures['total_cpu_seconds'] / count:.2f} CPU-ms"
        )
        if few is not None:
            further = 1000 * (figures["wall_seconds"] - few.wall_seconds) / (count - FEW)
            result.notes.append(
                f"{FEW} of them take {few.wall_seconds:.2f} s; each further one {further:.2f} ms"
            )
        return result

    def _make(self, count: int) -> None:
        if self._made < count:
            self.say(f"Making {count - self._made:,} tables on a PostgreSQL server of their own.")
            make_tables(self.url, self._made, count - self._made)
            self._made = count

    def _load(self, count: int) -> None:
        if self._loaded < count:
            self._sync(count)
            self._loaded = count
        self._sync(count)  # not counted: the server and its files are warm after it

    def _sync(self, count: int) -> Figures:
        declare(self.project, count)
        return measure(
            [DATA_PLATFORM, "sync"],
            environ=self.project.environ,
            cwd=self.project.root,
            server_pid=self.server.pid(),
        )
