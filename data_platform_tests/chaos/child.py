"""What a forked process does: one operation of the platform, told by a JSON document, under limits.

It says what it does over the connection, a JSON document a line: its process id, the point where it
is killed or stopped, and at its end the reports and the points that it passed.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from data_platform.landing.ledger import Ledger
from data_platform.stores._remote import Transfer
from data_platform.stores.s3.store import S3Store
from data_platform.sync import Platform, TableReport, open_platform, sync_changes, sync_slices
from data_platform.sync.platform import utc_now
from data_platform.tables import Slice
from data_platform_tests.chaos.points import Points, kill_oneself

IMPATIENT = Transfer(attempts=2, connect_seconds=2, answer_seconds=0.5, pause_seconds_max=0.05)
"""For stores behind a proxy that breaks things: the product's patience would be the tests'."""


def main(connection: socket.socket) -> None:
    lines = connection.makefile("rb")
    job: dict[str, Any] = json.loads(lines.readline())

    def say(**words: Any) -> None:
        connection.sendall(json.dumps(words).encode() + b"\n")

    def act(point: str) -> None:
        say(point=point)
        if job["act"] == "kill":
            kill_oneself()
        lines.readline()

    say(pid=os.getpid())
    points = Points(job.get("at"), job.get("at_site"), act)
    try:
        os.environ.update(job.get("environ", {}))
        work = _operation(job)
        _limit(job)
        if job.get("watched"):
            points.install()
        try:
            reports = work()
        finally:
            points.remove()
    except BaseException:
        say(failed=traceback.format_exc())
        return
    sites = points.sites if job.get("sites") else {}
    used = resource.getrusage(resource.RUSAGE_SELF)
    say(
        cpu=used.ru_utime + used.ru_stime,
        reports=reports,
        points=points.total,
        kinds=dict(points.kinds),
        sites=sites,
    )


def _limit(job: dict[str, Any]) -> None:
    """``file_bytes`` is the length beyond which no file of this process can grow: with ``full`` it
    hears of it as of a disk without space, otherwise it dies in the middle of that write."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN if job.get("full") else signal.SIG_DFL)
    if limit := job.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _operation(job: dict[str, Any]) -> Callable[[], dict[str, str | None]]:
    if job["operation"] == "dagster":
        from data_platform_tests.chaos.dagster_run import run_job

        return lambda: run_job(Path(job["root"]))
    if ":" in job["operation"]:  # a function of a module of tests
        module, _, name = job["operation"].partition(":")
        return partial(getattr(import_module(module), name), job)
    return lambda: _reports(_sync(_open(job), job))


def _open(job: dict[str, Any]) -> Platform:
    platform = open_platform(Path(job["root"]), "local")
    if isinstance(platform.store, S3Store):
        store = S3Store(platform.store.config, platform.store._base, transfer=IMPATIENT)
        platform = replace(platform, store=store, ledger=Ledger(store))
    if shift := job.get("clock_shift_seconds"):
        platform = replace(platform, clock=lambda: utc_now() + timedelta(seconds=shift))
    return platform


def _sync(platform: Platform, job: dict[str, Any]) -> Iterable[TableReport]:
    operation, tables, source = job["operation"], job["tables"], job.get("source", "shop")
    if operation == "slices":
        return sync_slices(platform, source, tables, [Slice(s) for s in job["slices"]])
    return sync_changes(
        platform,
        source,
        tables,
        refresh=tables if operation == "refresh" else (),
        verify=operation == "verify",
    )


def _reports(reports: Iterable[TableReport]) -> dict[str, str | None]:
    told: dict[str, str | None] = {}
    for report in reports:
        error = f"{type(report.error).__name__}: {report.error}" if report.error else None
        if error is None and report.completeness is not None and not report.completeness.passed:
            error = f"incomplete: {report.completeness}"
        told[report.table.table] = error
    return told
