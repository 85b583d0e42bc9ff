"""What tests cost: the CPU seconds of a test's own process and of all that it started, by file and by test.

Seconds by the clock depend on what else the machine does; these hardly do. Set-up and teardown count for the
test that caused them, a server that several tests share for the first of them. What is not seen: a process whose
parent is gone, so most of Spark and of a browser.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator

import psutil
import pytest


def cpu_seconds() -> float:
    """Of this process and of all below it, those that have ended included."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:  # it has just ended; whoever waits for it is charged
            continue
    return total


class Meter:
    """In each worker: adds to every report what has been used since the report before it."""

    def __init__(self, read: Callable[[], float] = cpu_seconds) -> None:
        self.read, self.used = read, 0.0

    def pytest_collection_finish(self) -> None:
        self.used = self.read()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        used = self.read()
        # a process that took its children's time with it when it was killed would make less than nothing
        report.cpu_seconds, self.used = max(used - self.used, 0.0), used  # type: ignore[attr-defined]
        return report


class Bill:
    """In the process that reports: sums, and prints the ``shown`` dearest files and tests."""

    def __init__(self, shown: int) -> None:
        self.shown = shown
        self.tests: dict[str, float] = defaultdict(float)
        self.clock: dict[str, float] = defaultdict(float)
        self.began = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tests[report.nodeid] += getattr(report, "cpu_seconds", 0.0)
        self.clock[report.nodeid] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        by_file: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for name, seconds in self.tests.items():
            file = by_file[name.partition("::")[0]]
            file[0] += seconds
            file[1] += self.clock[name]
        whole = sum(self.tests.values())
        terminalreporter.section(f"{whole:.0f} CPU seconds in {time.monotonic() - self.began:.0f} s")
        rows = {name: (cpu, clock) for name, (cpu, clock) in by_file.items()}
        tests = {name: (cpu, self.clock[name]) for name, cpu in self.tests.items()}
        for title, found in (("files", rows), ("tests", tests)):
            terminalreporter.line(f"CPU s  clock s  the dearest of {len(found)} {title}")
            dearest = sorted(found.items(), key=lambda one: -one[1][0])
            for name, (cpu, clock) in dearest[: self.shown]:
                terminalreporter.line(f"{cpu:5.1f}  {clock:7.1f}  {name}")
