"""The large table: nothing there, loaded, changed, unchanged; and other tools on it.

The cases share one server and one project, because each starts where the one before ended.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.case import Wanted, new_result
from benchmarks.loading import Loading
from benchmarks.measure import BenchmarkError
from benchmarks.peers import peer_cases
from benchmarks.project import Project, make_project
from benchmarks.report import Limit, Result
from benchmarks.source import Source, running

CASES = {
    "copy": ("psql: COPY orders TO STDOUT (binary) > /dev/null", ()),
    "full": ("full load: PostgreSQL, Parquet, DuckDB", (Limit("ratio_to_copy", 1.4), Limit("peak_mb", 800))),
    "changes": ("1% updated + 1% inserted, by clock", (Limit("wall_seconds", 1.5),)),
    "unchanged": ("nothing changed, by clock", (Limit("wall_seconds", 0.7),)),
    "unchanged-xmin": ("nothing changed, by xmin scan", (Limit("wall_seconds", 1.0),)),
    "changes-xmin": ("1% updated + 1% inserted, by xmin scan", ()),
    "verify": ("every slice compared: --verify over a sync without", (Limit("total_cpu_seconds", 2.0),)),
}


def results(wanted: Wanted) -> Iterator[Result]:
    """Each case that is wanted, and then the peers."""
    names = wanted.of(CASES)
    if not names and (wanted.only or not wanted.peers):
        return
    wanted.say(f"Making {wanted.rows:,} orders on a PostgreSQL server of their own.")
    with (
        running(wanted.rows) as source,
        tempfile.TemporaryDirectory(prefix="data-platform-bench-") as name,
    ):
        bench = _Bench(source, make_project(Path(name) / "project", source.url), wanted)
        if {"copy", "full"} & set(names):
            yield from (r for r in bench.copy_and_full() if r.name in names or r.name == "copy")
        for case, run in {
            "changes": bench.changes,
            "unchanged": bench.unchanged,
            "unchanged-xmin": bench.unchanged_by_xmin,
            "changes-xmin": bench.changes_by_xmin,
            "verify": bench.verify,
        }.items():
            if case in names:
                yield run()
        yield from peer_cases(source, Path(name), tuple(wanted.peers), wanted.peer_timeout, wanted.say)


class _Bench:
    def __init__(self, source: Source, project: Project, wanted: Wanted) -> None:
        self.source, self.project = source, project
        self.repeat, self.say = wanted.repeat, wanted.say
        self.loading = Loading(source.server, source.url, project, "orders")
        self._loaded = False

    def copy_and_full(self) -> list[Result]:
        copy, full = new_result(CASES, "copy"), new_result(CASES, "full")
        copy.notes.append(f"psql is {self.loading.psql}")
        self._loaded = self.loading.in_turn(copy, full, self.repeat, self.say)
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
        result = new_result(CASES, name)
        try:
            self._prepare()
            self.project.declare(clock=clock)
            self.loading.sync()  # not counted: what an earlier case left, and the first run of this path
            for _ in range(self.repeat):
                if before:
                    before()
                result.repetitions.append(self.loading.sync())
                self.say(f"{result.title}: {result.repetitions[-1].wall_seconds:.2f} s")
        except BenchmarkError as error:
            result.error = str(error)
        return result

    def verify(self) -> Result:
        """What the comparison adds to a sync that finds nothing, each pair in turn."""
        result = new_result(CASES, "verify")
        try:
            self._prepare()
            self.project.declare(clock="database")
            self.loading.sync("--verify")  # not counted: it measures what no batch has
            for _ in range(self.repeat):
                plain, verified = self.loading.sync(), self.loading.sync("--verify")
                result.repetitions.append(verified.over(plain))
                self.say(f"{result.title}: {result.repetitions[-1].total_cpu_seconds:.2f} CPU-s")
        except BenchmarkError as error:
            result.error = str(error)
        return result

    def _prepare(self) -> None:
        if not self._loaded:
            self.project.forget()
            self.project.declare(clock="database")
            self.loading.sync()
            self._loaded = True
