"""What a directed case stands on: a project, its writers, and the oracle that grades each sync."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from data_platform.sources.postgres import session as session_module
from data_platform.sync import TableReport
from data_platform_tests.exactness.oracle import Look, Oracle, warehouse
from data_platform_tests.exactness.standby import Standby
from data_platform_tests.exactness.tables import Variant
from data_platform_tests.sync.conftest import Project

DAY = "2026-01-02"
"""Of the rows that ``insert`` makes."""


@dataclass
class Bench:
    """A project over a database of its own, its writers, and the oracle that grades each sync."""

    project: Project
    standby: Callable[[], Standby]
    oracle: Oracle = field(default_factory=lambda: Oracle([]))
    writers: list[psycopg.Connection[Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.project.url

    def start(self, *tables: Variant, before: str = "") -> None:
        """Make and fill the tables, run ``before``, and sync them for the first time."""
        self.oracle.kinds = {table.name: table.kind("UTC") for table in tables}
        self.execute(*(table.create() for table in tables))
        self.execute(before or "select 1")
        self.project.catalog({table.name: table.block() for table in tables})
        self.changes()

    def execute(self, *statements: str) -> None:
        self.project.execute(*statements)

    def writer(self, url: str | None = None) -> psycopg.Connection[Any]:
        """A session whose transaction stays open until it is told otherwise."""
        connection = psycopg.connect(url or self.url, options="-c synchronous_commit=on")
        self.writers.append(connection)
        return connection

    def changes(self, **options: Any) -> dict[str, TableReport]:
        reports = self.good(self.project.sync(**options))
        self._grade(self.oracle.grade_exact if "refresh" in options else self.oracle.grade_changes)
        return reports

    def verify(self) -> None:
        self.good(self.project.sync(verify=True))
        self._grade(self.oracle.grade_exact)

    def slices(self, *slices: str) -> None:
        first = len(self.oracle.looks)
        self.good(self.project.slices(list(self.oracle.kinds), *slices))
        if len(self.oracle.looks) > first + 1:
            self._grade(self.oracle.grade_changes)  # rows had left: changes were read too
        else:
            self._grade(lambda query, table, look: self.oracle.grade_slices(query, table, look, slices))

    def complete(self) -> None:
        """Nothing of the last snapshot is missing or stale, whatever kind of sync it was."""
        self._grade(self.oracle.grade_changes)

    @contextmanager
    def once_begun(self, step: Callable[[], None]) -> Iterator[None]:
        """``step`` happens once the next sync has its snapshot."""

        def arrive() -> None:
            self.oracle.begun = None
            step()

        self.oracle.begun = arrive
        yield

    def close(self) -> None:
        for writer in self.writers:
            with suppress(psycopg.Error):
                writer.close()

    def good(self, reports: dict[str, TableReport]) -> dict[str, TableReport]:
        for report in reports.values():
            if report.error is not None:
                raise AssertionError(str(report.error)) from report.error
        return reports

    def _grade(self, grade: Callable[[Any, str, Look], None]) -> None:
        with warehouse(self.project.platform()) as query:
            for table in self.oracle.kinds:
                grade(query, table, self.oracle.last(table))


def insert(table: str, key: int) -> str:
    return f"insert into {table} values ({key}, 'new', 1, '{DAY} 12:00+00', now(), null, '{{}}')"


@contextmanager
def after_statement(texts: str | tuple[str, ...], step: Callable[[], Any]) -> Iterator[None]:
    """``step`` happens after the first of the sync's questions about activity that has one of ``texts``."""
    wanted = [texts] if isinstance(texts, str) else list(texts)
    observe, steps = session_module.observe, [step]

    class Asked:
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def execute(self, statement: str, *arguments: Any) -> Any:
            rows = self.connection.execute(statement, *arguments)
            if steps and any(text in statement for text in wanted):
                steps.pop()()
            return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module, "observe", lambda connection: observe(Asked(connection)))
        yield
    assert not steps, "the sync asked nothing about activity"


def until(bench: Bench, count: str) -> None:
    waiter = threading.Event()
    with psycopg.connect(bench.url, autocommit=True) as connection:
        for _ in range(3000):
            if connection.execute(count.encode()).fetchone() != (0,):
                return
            waiter.wait(0.01)
    raise AssertionError(f"it did not come to it: {count}")
