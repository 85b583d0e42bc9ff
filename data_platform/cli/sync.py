"""``sync``: which tables and how is read from the command line; the work is ``data_platform.sync``'s."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.interrupts import interrupt
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import error_fields, plural, progress, remark, say, say_error, say_json, size
from data_platform.errors import ConfigurationError, DataPlatformError, SyncFailed
from data_platform.tables import NULL_SLICE, Position, Slice, TableId, days_between

if TYPE_CHECKING:
    from data_platform.catalog import Catalog
    from data_platform.quality.evaluated import Evaluated
    from data_platform.sync import Platform, TableReport

EACH_TABLE_MAX = 50
"""Among more tables, those in which nothing changed get no line of their own: they would hide the others."""
SLICES_DAYS_MAX = 36_600
"""A century: more is a typing error."""


def sync(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE[/TABLE]]...", help="What to sync. Default: every table of every source."
        ),
    ] = None,
    refresh: Annotated[
        list[str] | None,
        typer.Option(
            "--refresh",
            metavar="TABLE",
            help="Read this table anew and swap it in (source/table, or its name where only one has it)."
            " Repeatable. Without targets only these tables are synced.",
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            "--slices",
            metavar="FROM..TO",
            help="Replace these days of the partitioned tables instead of reading changes: a day,"
            " two days with .. between them (both included), or null.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Also count every slice at the source, compare, and mend what differs."
        ),
    ] = False,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Verify, and compare every value of today's seventh of the slices."),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Bring what changed at the sources into the landing store and the warehouse.

    A table that fails does not stop the others. Running it again is always safe.
    """
    wanted_slices = parse_slices(slices) if slices else None
    if wanted_slices and (refresh or verify or audit):
        raise typer.BadParameter("--slices goes with none of --refresh, --verify and --audit.")
    platform = open_project(root, environment)
    refreshed = {table_named(platform.catalog, text) for text in refresh or ()}
    chosen = choose(platform.catalog, targets or (), refreshed)
    if wanted_slices:
        chosen = only_partitioned(platform.catalog, chosen, explicit=targets or ())

    reports: list[TableReport] = []
    total = sum(map(len, chosen.values()))
    each = total <= EACH_TABLE_MAX
    with progress("syncing", total=total) as bars:
        for report in run(
            platform,
            chosen,
            wanted_slices,
            refreshed=refreshed,
            verify=verify,
            audit=audit,
            on_progress=bars.part,
        ):
            interrupt.raise_if_came()
            reports.append(report)
            bars.part_done(str(report.table))
            bars.step()
            if not json and (each or worth_a_line(report)):
                tell(report)

    found = rules_found(platform, reports)
    code = exit_code(reports)
    if json:
        say_json(
            {
                "ok": code == 0,
                "exit_code": code,
                "environment": platform.environment.name,
                "tables": [report_fields(report, found.get(report.table)) for report in reports],
            }
        )
    else:
        tell_errors(reports)
        tell_rules(found)
        failed = sum(report.error is not None for report in reports)
        rows = sum(report.rows for report in reports)
        remark(
            f"{plural(len(reports) - failed, 'table')} synced, {failed} failed, {plural(rows, 'row')};"
            f" nothing changed in {sum(map(unchanged, reports)):,}{compared(reports)}."
        )
    if code:
        raise typer.Exit(code)


def run(
    platform: Platform,
    chosen: Mapping[str, Sequence[str]],
    slices: Sequence[Slice] | None,
    *,
    refreshed: Collection[TableId],
    verify: bool,
    audit: bool,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[TableReport]:
    from data_platform.sync import sync_changes, sync_slices

    platform = replace(platform, rules_with_load=True)
    for source, tables in chosen.items():
        if slices:
            yield from sync_slices(platform, source, tables, slices, progress=on_progress)
        else:
            anew = {table.table for table in refreshed if table.source == source}
            yield from sync_changes(
                platform,
                source,
                tables,
                refresh=anew,
                verify=verify,
                audit=audit,
                progress=on_progress,
            )


def rules_found(platform: Platform, reports: Sequence[TableReport]) -> dict[TableId, Evaluated]:
    """What the rules say of the tables that this sync loaded; nothing of the others."""
    wanted = {report.table: report.loaded[-1].sequence for report in reports if report.loaded}
    if not wanted:
        return {}
    from data_platform.quality.evaluated import from_text

    try:
        with platform.warehouse(read_only=True) as warehouse:
            recorded = warehouse.recorded_rules()
    except DataPlatformError as error:  # the tables are synced all the same
        remark(f"What the rules found could not be read: {error}")
        return {}
    return {
        table: from_text(recorded[table][1], platform.catalog.table(table))
        for table, sequence in wanted.items()
        if table in recorded and recorded[table][0] == sequence
    }


def tell_rules(found: Mapping[TableId, Evaluated]) -> None:
    """The rules that fail. They are about the data, so they change no exit code."""
    from data_platform.quality.evaluated import failing_lines

    for table, evaluated in found.items():
        if evaluated.problem:
            remark(f"{table}: the rules could not be evaluated: {evaluated.problem}")
        for line in failing_lines(evaluated.failing):
            remark(f"{table}: {line}")


def rule_fields(evaluated: Evaluated | None) -> list[dict[str, Any]] | None:
    if evaluated is None:
        return None
    return [
        {
            "rule": result.rule.text,
            "passed": result.passed,
            "rows": result.rows,
            "failing": result.failing,
            "severity": result.rule.severity,
            "blocking": result.rule.blocking,
            "problem": result.problem,
        }
        for result in evaluated.rules
    ]


def parse_slices(text: str) -> list[Slice]:
    """``2026-01-01..2026-01-31``, ``2026-01-31`` or ``null`` as slices."""
    if text == NULL_SLICE:
        return [NULL_SLICE]
    first, dots, last = text.partition("..")
    try:
        days = [date.fromisoformat(part) for part in ((first, last) if dots else (first, first))]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a day (2026-01-31), nor two days with .. between them, nor null."
        ) from None
    if days[1] < days[0]:
        raise typer.BadParameter(f"{text!r} ends before it starts.")
    if (days[1] - days[0]).days >= SLICES_DAYS_MAX:
        raise typer.BadParameter(f"{text!r} is more than a century.")
    return days_between(days[0], days[1])


def table_named(catalog: Catalog, text: str) -> TableId:
    """``source/table``, or a table's name where only one source has it."""
    if "/" in text:
        table = TableId.parse(text) if re.fullmatch(r"[^/]+/[^/]+", text) else None
        if table is None:
            raise typer.BadParameter(f"{text!r} is not of the form source/table.")
        catalog.table(table)
        return table
    found = [table for table in catalog.table_ids() if table.table == text]
    if len(found) > 1:
        raise typer.BadParameter(f"{text!r} is in several sources: write {' or '.join(map(str, found))}.")
    if not found:
        known = ", ".join(str(table) for table in catalog.table_ids())
        raise ConfigurationError(f"The catalog has no table {text!r}. It has {known}.")
    return found[0]


def choose(
    catalog: Catalog, targets: Sequence[str], refreshed: Collection[TableId] = ()
) -> dict[str, list[str]]:
    """Source to table names, in the catalog's order. Without targets and without tables to
    refresh, everything."""
    wanted: set[TableId] = set(refreshed)
    for target in targets:
        if "/" in target:
            wanted.add(table_named(catalog, target))
        else:
            wanted |= {TableId(target, name) for name in catalog.source(target).tables}
    if not targets and not refreshed:
        wanted = set(catalog.table_ids())
    chosen: dict[str, list[str]] = {}
    for table in catalog.table_ids():
        if table in wanted:
            chosen.setdefault(table.source, []).append(table.table)
    return chosen


def only_partitioned(
    catalog: Catalog, chosen: Mapping[str, Sequence[str]], explicit: Sequence[str]
) -> dict[str, list[str]]:
    kept: dict[str, list[str]] = {}
    for source, names in chosen.items():
        for name in names:
            if catalog.table(TableId(source, name)).partition is not None:
                kept.setdefault(source, []).append(name)
            elif f"{source}/{name}" in explicit:
                raise ConfigurationError(
                    f"{source}/{name} has no partition column, so it has no days to replace: sync it"
                    " without --slices, or with --refresh."
                )
    if not kept:
        raise ConfigurationError("None of these tables has a partition column: leave --slices out.")
    return kept


def exit_code(reports: Sequence[TableReport]) -> int:
    """0 when all is well; the errors' common code when every table failed for the same kind of
    reason (an unreachable source, a full store); 1 when some failed."""
    codes = {report.error.exit_code for report in reports if report.error is not None}
    if not codes:
        return 0
    everything = all(report.error is not None for report in reports)
    return codes.pop() if everything and len(codes) == 1 else SyncFailed.exit_code


def tell_errors(reports: Sequence[TableReport]) -> None:
    """Why tables failed, last, where it is read; what hit several of them is said once."""
    failed: dict[str, list[str]] = {}
    for report in reports:
        if report.error is not None:
            failed.setdefault(str(report.error), []).append(str(report.table))
    for why, tables in failed.items():
        say_error(f"{', '.join(tables)}: {why}")


def unchanged(report: TableReport) -> bool:
    return report.error is None and report.manifest is None


def worth_a_line(report: TableReport) -> bool:
    """Whether there is more to say of it than that nothing changed."""
    complete = report.completeness is None or report.completeness.passed
    return not unchanged(report) or bool(report.loaded) or bool(report.notes) or not complete


def compared(reports: Sequence[TableReport]) -> str:
    """How many tables were held against their source, and agree."""
    found = [report.completeness.passed for report in reports if report.completeness is not None]
    return f"; {sum(found):,} of {len(found):,} compared are complete" if found else ""


def tell(report: TableReport) -> None:
    """One table's line, and what is to be said of it."""
    from data_platform.sync.decide import FIRST_READ

    name, operation = str(report.table), FIRST_READ if FIRST_READ in report.notes else report.operation
    if report.error is not None:
        say(f"{name}: landed but not loaded" if report.landed_only else f"{name}: failed")
        return
    manifest, seconds = report.manifest, f"{report.seconds:.1f} s"
    if manifest is None:
        loaded = f", {plural(len(report.loaded), 'waiting batch')} loaded" if report.loaded else ""
        say(f"{name}: nothing changed ({seconds}){loaded}")
    else:
        say(
            f"{name}: {operation}, {plural(report.rows, 'row')}, {size(report.bytes)},"
            f" batch {manifest.batch_id} ({seconds})"
        )
    completeness = report.completeness
    if completeness is not None and not completeness.passed:
        say_error(
            f"{name}: {plural(len(completeness.differing), 'slice')} of the warehouse differ from the"
            " source in their rows or versions. Replace them with --slices, or the table with --refresh."
        )
    for note in report.notes:
        if note != FIRST_READ:  # it stands in the line
            remark(f"  {note}")


def report_fields(report: TableReport, evaluated: Evaluated | None = None) -> dict[str, Any]:
    """A table of ``sync --json``, as docs/cli.md describes it."""
    manifest, completeness = report.manifest, report.completeness
    return {
        "table": str(report.table),
        "ok": report.error is None,
        "operation": report.operation,
        "changed": manifest is not None,
        "sequence": manifest.sequence if manifest else None,
        "batch_id": manifest.batch_id if manifest else None,
        "rows": report.rows,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "watermark_before": position_fields(report.position_before),
        "watermark_after": position_fields(report.position_after),
        "touched": dict(report.touched),
        "loaded_sequences": [load.sequence for load in report.loaded],
        "landed_only": report.landed_only,
        "complete": completeness.passed if completeness is not None else None,
        "evidence": completeness.record() if completeness is not None else None,
        "rules": rule_fields(evaluated),
        "notes": list(report.notes),
        "error": error_fields(report.error) if report.error is not None else None,
    }


def position_fields(position: Position | None) -> dict[str, Any] | None:
    return None if position is None else dict(position.value)
