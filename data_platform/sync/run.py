"""One sync of one source, in as many passes (``pipeline.py``) as it takes.

The two operations share this path: *changes* reads what changed across each
table and advances its watermark; *slice* replaces slices and carries the
watermark forward unchanged. What a read calls for (``follow_up.py``) is read in rounds,
each for all tables under one snapshot: tables that belong together are mended together.
A table that fails is reported and keeps no other from being done. A kill at any instant
leaves nothing to repair: what has no manifest does not exist, and what is landed is loaded
by the next sync.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from data_platform.catalog import Table
from data_platform.errors import BatchConflict, DataPlatformError
from data_platform.sources.reading import Progress
from data_platform.sync.follow_up import MAX_ATTEMPTS, FollowUp, follow_up, joined
from data_platform.sync.load import remember_failure
from data_platform.sync.pipeline import one_pass
from data_platform.sync.platform import Platform
from data_platform.sync.report import TableReport
from data_platform.sync.work import Request
from data_platform.tables import Slice, TableId


def sync_changes(
    platform: Platform,
    source: str,
    tables: Sequence[str] | None = None,
    *,
    refresh: Collection[str] = (),
    verify: bool = False,
    audit: bool = False,
    progress: Progress | None = None,
) -> Iterator[TableReport]:
    """Read what changed in ``tables`` (all of ``source`` by default) and merge it; one report a table.

    ``refresh`` names tables to read anew; ``verify`` also counts every slice at
    the source in the same snapshot, compares the warehouse with it and reads the
    slices that differ again; ``audit`` does that and then compares the whole rows
    of a seventh of the slices. A table's failure is in its report, never raised.
    """
    request = Request(frozenset(refresh), verify or audit, audit=audit)
    reports = _rounds(platform, request, _choose(platform, source, tables), progress)
    yield from _verified_together(platform, reports) if request.verify else reports


def sync_slices(
    platform: Platform,
    source: str,
    tables: Sequence[str] | None,
    slices: Sequence[Slice],
    *,
    progress: Progress | None = None,
) -> Iterator[TableReport]:
    """Replace ``slices`` of ``tables`` by what the source holds now, deletes included.

    The watermark stays. A table without a partition column is read whole.
    """
    request = Request(slices=tuple(slices))
    yield from _rounds(platform, request, _choose(platform, source, tables), progress)


def _choose(platform: Platform, source: str, tables: Sequence[str] | None) -> list[Table]:
    names = list(platform.catalog.source(source).tables) if tables is None else dict.fromkeys(tables)
    return [platform.catalog.table(TableId(source, name)) for name in names]


def _rounds(
    platform: Platform, request: Request, tables: Sequence[Table], progress: Progress | None
) -> Iterator[TableReport]:
    """One pass over ``tables``, and then, round by round, what each of them still calls for."""
    courses: dict[TableId, FollowUp] = {}
    asked: dict[TableId, Request] = {}
    answers = _attempt(platform, {table.id: request for table in tables}, progress)
    while True:
        for report in answers:
            table = report.table
            try:
                if table in courses:
                    asked[table] = courses[table].send(report)
                else:
                    courses[table] = follow_up(platform, request, platform.catalog.table(table), report)
                    asked[table] = next(courses[table])
            except StopIteration as done:
                _remember(platform, done.value)
                yield done.value
        if not asked:
            return
        answers = _attempt(platform, asked, None)
        asked = {}


def _verified_together(platform: Platform, reports: Iterator[TableReport]) -> Iterator[TableReport]:
    """``reports``; where some tables were mended, the others are looked at once more after that.

    A parent's row is taken out under a later snapshot than the one in which its children were counted:
    only another look tells that none of these went with it. What such a look finds is the next reconcile's.
    """
    held: list[TableReport] = []
    mended = False
    for report in reports:
        found = report.completeness
        if found is not None and found.passed and not found.mended and report.error is None:
            held.append(report)
        else:
            mended |= found is not None and bool(found.mended)
            yield report
    again = {report.table: Request(verify=True, mend=False) for report in held if mended}
    looks = {look.table: look for look in _attempt(platform, again, None)}
    for report in held:
        look = looks.get(report.table)
        if look is not None and look.error is None:
            report = replace(joined(report, look), completeness=report.completeness)
        yield report


def _remember(platform: Platform, report: TableReport) -> None:
    """What became of a table, as hints: that it failed, or that nothing stands there that is gone."""
    if report.error is not None:
        remember_failure(platform, report.table, report.error)
    elif report.reconciled:
        with suppress(DataPlatformError):
            platform.ledger.reconciled(report.table, platform.clock().isoformat(timespec="microseconds"))


def _attempt(
    platform: Platform, asked: Mapping[TableId, Request], progress: Progress | None, attempt: int = 1
) -> Iterator[TableReport]:
    """One pass over the tables; those that lost the race for their sequence are extracted again."""
    again = {}
    for report in one_pass(platform, asked, progress):
        if isinstance(report.error, BatchConflict) and attempt < MAX_ATTEMPTS:
            again[report.table] = asked[report.table]
        else:
            yield report
    if again:
        yield from _attempt(platform, again, progress, attempt + 1)
