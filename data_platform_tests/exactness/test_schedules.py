"""Whatever writers do between, beside and inside syncs, the warehouse is what the source held.

`pytest data_platform_tests/exactness/test_schedules.py --seeds 1000 --timeout 0` runs a thousand of each.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from data_platform.errors import BatchConflict
from data_platform.tables import TableId
from data_platform_tests.exactness.oracle import Look, Oracle, Query, warehouse
from data_platform_tests.exactness.schedules import Schedule, Writers
from data_platform_tests.exactness.standby import Standby
from data_platform_tests.exactness.tables import VARIANTS, Variant
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

Seeds = Callable[[int], Sequence[int]]


def _run(test: str, seed: int, schedule: Schedule) -> None:
    try:
        schedule.run()
    except BaseException as error:
        if not isinstance(error, Exception):
            raise
        log = "\n".join(schedule.log[-60:])
        raise AssertionError(
            f"{error}\n\nRepeat it with:\n  pytest data_platform_tests/exactness/test_schedules.py::{test}"
            f" --seed {seed}\n\nThe last steps:\n{log}"
        ) from error


def test_a_schedule_of_writers_loses_nothing(database: str, tmp_path: Path, seeds: Seeds) -> None:
    for seed in seeds(3):
        project = Project(tmp_path / str(seed), database)
        _run("test_a_schedule_of_writers_loses_nothing", seed, Schedule(project, database, seed))
        shutil.rmtree(project.root)


def test_a_failing_seed_says_how_to_repeat_it() -> None:
    class Failing:
        log: ClassVar = ["w0 begin"]

        def run(self) -> None:
            raise AssertionError("a row is missing")

    with pytest.raises(AssertionError, match=r"a row is missing[^$]+::test_x --seed 17\n[^$]+w0 begin"):
        _run("test_x", 17, Failing())  # type: ignore[arg-type]


def test_a_schedule_read_from_a_standby_loses_nothing(
    database: str, standby: Standby, tmp_path: Path, seeds: Seeds
) -> None:
    """The standby stops replaying at times, and falls behind the writers."""
    for seed in seeds(2):
        project = Project(tmp_path / str(seed), standby.url(database))
        schedule = Schedule(project, database, seed, caught_up=standby.caught_up, hold=standby.hold)
        _run("test_a_schedule_read_from_a_standby_loses_nothing", seed, schedule)
        shutil.rmtree(project.root)


def test_writers_that_never_stop_lose_nothing(database: str, tmp_path: Path, seeds: Seeds) -> None:
    """Free-running threads: not to be repeated step by step, and graded by the snapshot all the same."""
    for seed in seeds(1):
        project, tables, oracle = _two_tables(tmp_path / str(seed), database, seed)
        with oracle.watching():
            project.good()
            with _writing(database, tables, seed):
                for _ in range(5):
                    project.good()
                    _grade(project, oracle, oracle.grade_changes)
            project.good(verify=True)
            _grade(project, oracle, oracle.grade_exact)


def test_two_syncs_that_never_wait_lose_nothing(database: str, tmp_path: Path, seeds: Seeds) -> None:
    """Two threads sync the same tables as fast as they can, beside writers: each batch is loaded once."""
    for seed in seeds(1):
        project, tables, oracle = _two_tables(tmp_path / str(seed), database, seed)
        errors: list[str] = []

        def sync(errors: list[str] = errors, project: Project = project) -> None:
            for _ in range(5):
                for report in project.sync().values():
                    # three times overtaken is said, and is no loss
                    if report.error is not None and not isinstance(report.error, BatchConflict):
                        errors.append(str(report.error))

        with oracle.watching():
            project.good()
            with _writing(database, tables, seed):
                syncs = [threading.Thread(target=sync) for _ in range(2)]
                for thread in syncs:
                    thread.start()
                for thread in syncs:
                    thread.join()
            assert errors == []
            with warehouse(project.platform()) as query:
                for variant in tables:
                    head = project.platform().ledger.head(TableId("shop", variant.name))
                    assert head is not None
                    look = oracle.at(variant.name, head.snapshot.taken_at)
                    oracle.grade_changes(query, variant.name, look)
            project.good(verify=True)
            _grade(project, oracle, oracle.grade_exact)


def _two_tables(folder: Path, url: str, seed: int) -> tuple[Project, list[Variant], Oracle]:
    tables = random.Random(seed).sample(VARIANTS, 2)
    project = Project(folder, url)
    project.execute(*(variant.create() for variant in tables))
    project.catalog({variant.name: variant.block() for variant in tables})
    return project, tables, Oracle([variant.kind("UTC") for variant in tables])


@contextmanager
def _writing(url: str, tables: Sequence[Variant], seed: int) -> Iterator[None]:
    """Two threads of writers, from beginning to end; what fails in them fails the test."""
    stop, failures = threading.Event(), []

    def write(number: int) -> None:
        writers = Writers(url, random.Random(seed * 100 + number), tables, f"free-{seed}-{number}")
        try:
            while not stop.is_set():
                writers.step()
            writers.settle()
        except BaseException as error:
            failures.append(error)
        finally:
            writers.close()

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def _grade(project: Project, oracle: Oracle, grade: Callable[[Query, str, Look], None]) -> None:
    with warehouse(project.platform()) as query:
        for table in oracle.kinds:
            grade(query, table, oracle.last(table))
