"""Further reads that a table needs after it was read: rows that left a slice, slices that differ, the day's audit.

Each table's course is a generator: it yields the read it needs next and is sent the report of it. The
conductor takes a step of every table's course at a time, so that a round of reads is under one snapshot.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeAlias

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError
from data_platform.quality.completeness import CompletenessReport, Difference
from data_platform.sync.compare import due_today
from data_platform.sync.platform import Platform
from data_platform.sync.report import TableReport, touched
from data_platform.sync.work import Request
from data_platform.tables import NULL_SLICE, is_day

MAX_ATTEMPTS = 3

FollowUp: TypeAlias = Generator[Request, TableReport, TableReport]
"""Yields what to read of its table, is sent the report of that, and returns the report of all."""


def follow_up(platform: Platform, request: Request, table: Table, report: TableReport) -> FollowUp:
    """Follow-up reads of a load: rows that left a slice are read where they moved to; a verified sync compares."""
    if report.error is not None:
        return report
    if request.slices is not None and any(result.vacated for result in report.loaded):
        # rows left without their cursor telling, perhaps: the xmin scan is the proof
        moved = yield Request(by_clock=False)
        report = joined(report, moved, "rows had left the slices read, so changes were read too")
    if report.error is not None or not request.mend or not table.proved:
        return report
    if not (request.verify or report.completeness):
        return report
    try:
        return (yield from _verified(platform, request, table, report))
    except DataPlatformError as error:  # the warehouse could not be asked
        return replace(report, error=error)


def _verified(platform: Platform, request: Request, table: Table, report: TableReport) -> FollowUp:
    """``report`` with a comparison that found nothing, if a few rounds of reading again get there."""
    mended: list[Difference] = []
    for _ in range(MAX_ATTEMPTS):
        found = report.completeness
        if report.error is not None or (found is not None and found.passed):
            break
        if found is not None:
            mended += found.differing
            report = yield from _read_again(table, report, found)
        if report.error is None:
            look = yield Request(verify=True, mend=False)
            report = replace(joined(report, look), completeness=look.completeness)
    found = report.completeness
    if report.error is None and found is not None:
        if request.audit and found.passed:
            report, found = yield from _audited(platform, table, report, found)
        report = replace(report, completeness=replace(found, mended=tuple(mended)))
    return report


def _read_again(table: Table, report: TableReport, found: CompletenessReport) -> FollowUp:
    differing = list(found.differing_slices)
    readable = all(is_day(s) or s == NULL_SLICE for s in differing)
    repair = yield (
        Request(slices=tuple(differing)) if readable else Request(refresh=frozenset([table.id.table]))
    )
    shown = ", ".join(sorted(differing)[:5]) + (", …" if len(differing) > 5 else "")
    return joined(
        report, repair, f"{len(differing)} slice(s) differed from the source ({shown}) and were read again"
    )


def _audited(
    platform: Platform, table: Table, report: TableReport, found: CompletenessReport
) -> Generator[Request, TableReport, tuple[TableReport, CompletenessReport]]:
    """Compares whole rows in today's share of the slices; differing slices are landed and loaded."""
    slices = due_today(platform, table, found)
    if not slices:
        return report, found
    look = yield Request(slices=slices, audit=True, mend=False)
    note = f"whole rows of {len(slices)} slice(s) were compared"
    if look.audit is not None and (altered := look.audit.rows_altered):
        note += f"; {altered:,} rows had the source's version but different values and were reread"
    report = joined(report, look, note)
    return report, found if look.audit is None else replace(found, audit=look.audit)


def joined(first: TableReport, then: TableReport, note: str = "") -> TableReport:
    """Two reads of one table as one report."""
    return replace(
        first,
        error=then.error,
        steps=(*first.batches, *then.steps) if then.manifest else first.steps,
        manifest=then.manifest or first.manifest,
        position_after=then.position_after or first.position_after,
        touched=touched(first.loaded + then.loaded),
        loaded=first.loaded + then.loaded,
        notes=tuple(dict.fromkeys(n for n in (*first.notes, note, *then.notes) if n)),
        seconds=first.seconds + then.seconds,
    )
