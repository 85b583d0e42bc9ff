"""Rules, completeness, what waits in quarantine and the other kinds of checks as asset checks.

Makes the specs and translates the findings of ``quality`` into check results.
The result of a check covers the whole table; for a rule that is said of each day, ``day_checks.py`` writes the status of days beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from data_platform.catalog import Table
from data_platform.defs import shown
from data_platform.defs.check_results import (
    WARN,
    check_result,
    guarded,
    kind_result,
    kind_specs,
    lost,
    results_of,
    rule_result,
    rule_specs,
)
from data_platform.defs.day_checks import DayChecks, with_days
from data_platform.defs.failing_rows import ToKeep
from data_platform.defs.names import COMPLETE, QUARANTINE, raw_key
from data_platform.defs.source_checks import source_check_keys
from data_platform.landing.manifest import Manifest
from data_platform.quality.checking import Subject
from data_platform.quality.completeness import CompletenessReport
from data_platform.quality.evaluate import not_evaluated, raw_relation
from data_platform.quality.evaluated import Evaluated, arrived
from data_platform.quality.kinds import wanted
from data_platform.warehouses import Warehouse
from data_platform.words import plural

SLICES_SHOWN = 50
_OF_THE_LEDGER = (COMPLETE, QUARANTINE)
"""Checks that the warehouse alone does not answer."""


def check_specs(table: Table, days: dg.PartitionsDefinition[str] | None = None) -> list[dg.AssetCheckSpec]:
    """``days`` are the partitions of the table's asset."""
    key = raw_key(table.id)
    specs = with_days(rule_specs(key, table.rules), table.rules, days)
    if table.proved:
        specs.append(
            dg.AssetCheckSpec(
                COMPLETE,
                asset=key,
                description="The warehouse holds the same rows and row versions as the source, on every day. Selected with"
                " its table, the check compares both in one snapshot, rereads the days that differ, and compares whole rows"
                " on a seventh of the days. Selected alone, it compares the warehouse with the checksums in the ledger.",
            )
        )
    specs += kind_specs(key, table.checks)
    if table.can.rejects:
        specs.append(
            dg.AssetCheckSpec(
                QUARANTINE,
                asset=key,
                description="No record waits in quarantine: each one that the source sent is in the table.",
            )
        )
    return specs


def check_names(table: Table) -> list[str]:
    """The names of ``check_specs``, in the same order."""
    return [
        *(rule.name for rule in table.rules),
        *([COMPLETE] if table.proved else []),
        *(kind.name for kind, _ in wanted(table.checks)),
        *([QUARANTINE] if table.can.rejects else []),
    ]


def check_results(
    table: Table,
    selected: Collection[str],
    warehouse: Warehouse,
    now: datetime,
    *,
    loaded: bool,
    to_keep: list[ToKeep],
    newest: Callable[[], Manifest | None] = lambda: None,
    days: DayChecks | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """A result for every selected check of ``table`` that the warehouse answers. ``loaded`` says whether it
    holds the table. A check that cannot be evaluated fails. Into ``to_keep`` goes what the rules found, if ``quality.failures``
    holds something else. ``newest`` asks the ledger for the table's newest batch. ``days`` takes what they found on each day
    of a table with partitions."""
    selected = [name for name in selected if name not in _OF_THE_LEDGER]
    key = raw_key(table.id)
    if not loaded:
        if days is not None:
            rules = (rule for rule in table.rules if rule.name in selected)
            days.keep([not_evaluated(rule, _not_synced(table)) for rule in rules])
        for name in selected:
            yield lost(key, name, _not_synced(table), WARN)
        return
    subject = Subject.raw(table.id, lambda: arrived(newest()))
    yield from results_of(
        key, raw_relation(table), table.checks, subject, selected, warehouse, now, to_keep, days
    )


def recorded_results(table: Table, evaluated: Evaluated) -> list[dg.AssetCheckResult]:
    """The findings of a sync from the command line, in the form in which a run reports them."""
    key, found = raw_key(table.id), evaluated.checks
    if evaluated.problem:
        names = [name for name in check_names(table) if name not in _OF_THE_LEDGER]
        return [lost(key, name, evaluated.problem) for name in names]
    results = [rule_result(key, table.id.raw_name, result) for result in evaluated.rules]
    return results + [kind_result(key, kind, found[kind.name]) for kind, _ in wanted(found)]


def quarantine_results(table: Table, waiting: Callable[[], int]) -> list[dg.AssetCheckResult]:
    """Of a table whose source may send what it cannot take; ``waiting`` counts the records that nobody took up."""
    return guarded(raw_key(table.id), [QUARANTINE], lambda: [quarantine_result(table, waiting())])


def quarantine_result(table: Table, waiting: int) -> dg.AssetCheckResult:
    text = "No record waits in quarantine."
    if waiting:
        text = (
            f"{plural(waiting, 'record')} could not be taken and wait in quarantine: `data-platform quarantine show"
            f" {table.id}` shows them with the reasons."
        )
    return check_result(
        raw_key(table.id),
        QUARANTINE,
        passed=not waiting,
        description=text,
        severity=WARN,
        metadata={"records_waiting": waiting},
    )


def completeness_results(table: Table, report: Callable[[], CompletenessReport]) -> list[dg.AssetCheckResult]:
    return guarded(raw_key(table.id), [COMPLETE], lambda: [completeness_result(table, report())])


def completeness_result(table: Table, report: CompletenessReport) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "slices_matching": report.matching,
        "slices_differing": len(report.differing),
        "slices_changed_since_measured": len(report.unmeasured),
    }
    if report.mended:
        metadata["mended"] = shown.lines("day", report.mended[:SLICES_SHOWN])
    if audited := report.audit.slices:
        metadata |= {"slices_audited": len(audited), "rows_altered": report.audit.rows_altered}
    if (record := report.record()) is not None:
        metadata["evidence"] = dg.MetadataValue.json(record)
    if report.differing:
        metadata["differing"] = shown.lines("day", report.differing[:SLICES_SHOWN])
        text = f"{len(report.differing)} slice(s) differ from the source; the next reconcile rereads them."
    else:
        text = f"{report.matching} slice(s) matched the source when they were counted."
    if report.mended:
        text += f" {len(report.mended)} differed and were read again."
    if altered := report.audit.rows_altered:
        text += (
            f" {altered:,} row(s) have the source's version but different values: either a value was converted"
            " wrongly or someone edited the warehouse. They were read again; find out why."
        )
    return check_result(
        raw_key(table.id), COMPLETE, passed=report.passed, description=text, metadata=metadata
    )


def _not_synced(table: Table) -> str:
    return f"{table.id.raw_name} is not loaded yet, so there is nothing to check: materialize it first."


def check_keys(tables: Iterable[Table], *, completeness: bool) -> list[dg.AssetCheckKey]:
    """The checks of ``tables``, those at their source among them; without ``completeness``, only those that need one scan of the raw table."""
    tables = list(tables)
    keys = [
        dg.AssetCheckKey(key, name)
        for table in tables
        for key in (raw_key(table.id),)
        for name in check_names(table)
        if completeness or name != COMPLETE
    ]
    return keys + source_check_keys(tables)
