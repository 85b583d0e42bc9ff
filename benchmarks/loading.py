"""A whole load held against what the server alone takes to hand out the same rows: COPY, and a sync, in turn."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.case import Say
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, Project
from benchmarks.report import Result
from data_platform.sandbox.server import PostgresServer


@dataclass
class Loading:
    """A project of one ``table`` of the database at ``url``."""

    server: PostgresServer
    url: str
    project: Project
    table: str

    def in_turn(self, copy: Result, full: Result, repeat: int, say: Say) -> bool:
        """Fill both results, in turn, so that whatever else the machine does slows both alike. Whether it went
        well; else ``full`` has the error."""
        try:
            self.copy()  # reads the table into memory; not counted
            for _ in range(repeat):
                copy.repetitions.append(self.copy())
                self.project.forget()
                full.repetitions.append(self.sync())
                full.compare(copy.repetitions[-1])
                say(f"{full.title}: {full.ratios[-1]:.2f} x COPY")
        except BenchmarkError as error:
            full.error = str(error)
        return full.error is None

    def copy(self) -> Figures:
        return self._run(self.psql, self.url, "-Xqc", f"COPY {self.table} TO STDOUT (FORMAT binary)")

    def sync(self, *options: str) -> Figures:
        return self._run(DATA_PLATFORM, "sync", *options)

    @property
    def psql(self) -> str:
        return str(self.server.install / "bin" / "psql")

    def _run(self, *command: str) -> Figures:
        return measure(
            command, environ=self.project.environ, cwd=self.project.root, server_pid=self.server.pid()
        )
