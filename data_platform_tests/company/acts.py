"""What the processes of the company do, each in a process of its own that may be killed anywhere (``chaos/child.py``)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_platform.errors import DataPlatformError
from data_platform.sync import Platform, backup, open_platform, sync_changes
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform_tests.company.world import DERIVED, SOURCES, build

Said = dict[str, str | None]
Job = dict[str, Any]


def _open(job: Job) -> Platform:
    return open_platform(Path(job["root"]), "local", {**os.environ, **job["environ"]})


def sync(job: Job) -> Said:
    platform = _open(job)
    reports = [report for source in SOURCES for report in sync_changes(platform, source)]
    return {str(report.table): str(report.error) if report.error else None for report in reports}


def back_up(job: Job) -> Said:
    return _said(lambda: backup.make_backup(_open(job)))


def copy(job: Job) -> Said:
    return _said(lambda: backup.copy_landing(_open(job)))


def models(job: Job) -> Said:
    return _said(lambda: build(_open(job)))


def dbt_models(job: Job) -> Said:
    """dbt says itself what went wrong: mostly that others had the warehouse's file for too long."""
    from data_platform_tests.company import modelled

    root = Path(job["root"])
    dbt = modelled.dbt_of(root)
    try:
        dbt("build")
    except AssertionError:
        return {"error": " ".join(dbt.warnings)}
    return {"error": None}


def erase(job: Job) -> Said:
    """Ask for ``job["typed"]``, and do it."""

    def work() -> None:
        platform = _open(job)
        customer = platform.catalog.subject("customer")
        found = freeze.found(platform, customer, {"email": [job["typed"]]})
        request = freeze.ask(platform, customer, found, "a request", "the officer")
        steps.carry_out(platform, request.id, lambda: _derived(job))

    return _said(work)


def go_on(job: Job) -> Said:
    """Go on with all requests that stopped."""

    def work() -> None:
        platform = _open(job)
        for request in Book(platform).read().requests.values():
            if request.next_step:
                steps.carry_out(platform, request.id, lambda: _derived(job))

    return _said(work)


def _derived(job: Job) -> Sequence[Derived]:
    """What is derived from whom: by dbt's manifest where dbt builds the models."""
    return pickle.loads(bytes.fromhex(job["derived"])) if "derived" in job else DERIVED


def _said(work: Any) -> Said:
    try:
        work()
    except DataPlatformError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"error": None}
