"""``sync``: reads from the command line which tables to sync and how; ``data_platform.sync`` does the work."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.interrupts import interrupt
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, tell_absences
from data_platform.cli.output import error_fields, plural, progress, remark, say, say_error, say_json, size
from data_platform.errors import ConfigurationError, DataPlatformError, SyncFailed
from data_platform.tables import NULL_SLICE, Position, Slice, TableId, days_between

if TYPE_CHECKING:
    from data_platform.catalog import Catalog
    from data_platform.quality.evaluated import Evaluated
    from data_platform.sync import Platform, TableReport

EACH_TABLE_MAX = 50
"""Above this many tables, unchanged ones get no line of their own: they would hide the others."""
SLICES_DAYS_MAX = 36_600
"""A century: a longer range is a typing error."""


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
            help="Reread this whole table and replace it (source/table, or only its name if one source has it)."
            " Repeatable. Without targets only these tables are synced.",
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            "--slices",
            metavar="FROM..TO",
            help="Replace these days of the partitioned tables instead of reading changes. Give a day,"
            " two days with .. between them (both included), or null.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Also count every slice at the source, compare it with the warehouse and reread what differs.",
        ),
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Like --verify, and also compare every value in a seventh of the slices, a different one each day.",
        ),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Load what changed at the sources into the landing store and the warehouse.

    A table that fails does not stop the others. Running the command again is always safe.
    """
    wanted_slices = parse_slices(slices) if slices else None
    if wanted_slices and (refresh or verify or audit):
        raise typer.BadParameter("--slices cannot be combined with --refresh, --verify or --audit.")
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
    at_source = rules_found_at_source(platform, chosen)
    code = exit_code(reports)
    if json:
        say_json(
            {
                "ok": code == 0,
                "exit_code": code,
                "environment": platform.environment.name,
                "tables": [
                    report_fields(report, found.get(report.table), at_source.get(report.table))
                    for report in reports
                ],
                "not_configured": sorted(platform.catalog.not_configured),
            }
        )
    else:
        tell_errors(reports)
        tell_rules(found)
        tell_rules(at_source, " at the source")
        if not targets:
            tell_absences(platform)
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
    from data_platform.sync.auditing import note_configuration

    note_configuration(platform)
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
    """The results of the rules for the tables that this sync loaded."""
    wanted = {report.table: report.loaded[-1].sequence for report in reports if report.loaded}
    if not wanted:
        return {}
    from data_platform.quality.evaluated import from_text

    try:
        with platform.warehouse(read_only=True) as warehouse:
            recorded = warehouse.recorded_rules()
    except DataPlatformError as error:  # the tables are synced nevertheless
        remark(f"The results of the rules could not be read: {error}")
        return {}
    return {
        table: from_text(recorded[table][1], platform.catalog.table(table))
        for table, sequence in wanted.items()
        if table in recorded and recorded[table][0] == sequence
    }


def rules_found_at_source(
    platform: Platform, chosen: Mapping[str, Sequence[str]]
) -> dict[TableId, Evaluated]:
    """The results of the rules that the sources of the synced tables evaluate themselves."""
    from data_platform.sync.source_rules import evaluate_at_source, keep_found_at_source

    found: dict[TableId, Evaluated] = {}
    for name, tables in chosen.items():
        source = platform.catalog.source(name)
        if evaluated := evaluate_at_source(platform, source, [source.table(table) for table in tables]):
            found |= keep_found_at_source(platform, source, evaluated)
    return found


def tell_rules(found: Mapping[TableId, Evaluated], where: str = "") -> None:
    """Print the rules that fail. They describe the data, so they do not change the exit code."""
    from data_platform.quality.evaluated import failing_lines

    for table, evaluated in found.items():
        if evaluated.problem:
            remark(f"{table}{where}: the rules could not be evaluated: {evaluated.problem}")
        for line in dict.fromkeys(failing_lines(evaluated.failing)):
            remark(f"{table}{where}: {line}")
        if evaluated.not_kept:
            remark(f"{table}{where}: the failing rows could not be kept: {evaluated.not_kept}")


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
            f"{text!r} is not a day (2026-01-31), two days with .. between them, or null."
        ) from None
    if days[1] < days[0]:
        raise typer.BadParameter(f"{text!r} ends before it starts.")
    if (days[1] - days[0]).days >= SLICES_DAYS_MAX:
        raise typer.BadParameter(f"{text!r} is more than a century.")
    return days_between(days[0], days[1])


def table_named(catalog: Catalog, text: str) -> TableId:
    """``source/table``, or only a table's name if exactly one source has it."""
    if "/" in text:
        table = TableId.parse(text) if re.fullmatch(r"[^/]+/[^/]+", text) else None
        if table is None:
            raise typer.BadParameter(f"{text!r} is not of the form source/table.")
        catalog.table(table)
        return table
    found = [table for table in catalog.table_ids() if table.table == text]
    if len(found) > 1:
        raise typer.BadParameter(f"{text!r} exists in several sources: write {' or '.join(map(str, found))}.")
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
                    f"{source}/{name} has no partition column, so single days cannot be replaced: sync it"
                    " without --slices, or with --refresh."
                )
    if not kept:
        raise ConfigurationError("None of these tables has a partition column: leave --slices out.")
    return kept


def exit_code(reports: Sequence[TableReport]) -> int:
    """0 if every table succeeded. If every table failed for the same kind of reason (an unreachable source,
    a full store), the exit code of these errors. Otherwise 1."""
    codes = {report.error.exit_code for report in reports if report.error is not None}
    if not codes:
        return 0
    everything = all(report.error is not None for report in reports)
    return codes.pop() if everything and len(codes) == 1 else SyncFailed.exit_code


def tell_errors(reports: Sequence[TableReport]) -> None:
    """Print why tables failed, at the end, where people look. An error of several tables is printed once."""
    failed: dict[str, list[str]] = {}
    for report in reports:
        if report.error is not None:
            failed.setdefault(str(report.error), []).append(str(report.table))
    for why, tables in failed.items():
        say_error(f"{', '.join(tables)}: {why}")


def unchanged(report: TableReport) -> bool:
    return report.error is None and report.manifest is None


def worth_a_line(report: TableReport) -> bool:
    """Whether there is more to report than that nothing changed."""
    complete = report.completeness is None or report.completeness.passed
    return not unchanged(report) or bool(report.loaded) or bool(report.notes) or not complete


def compared(reports: Sequence[TableReport]) -> str:
    """How many tables were compared with their source, and how many of them are complete."""
    found = [report.completeness.passed for report in reports if report.completeness is not None]
    return f"; {sum(found):,} of {len(found):,} compared are complete" if found else ""


def tell(report: TableReport) -> None:
    """Print one table's line and its notes."""
    from data_platform.sync.decide import FIRST_READ

    name, operation = str(report.table), FIRST_READ if FIRST_READ in report.notes else report.operation
    if report.error is not None:
        say(f"{name}: {_of_failed(report)}")
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
        if note != FIRST_READ:  # the line already says it
            remark(f"  {note}")


def _of_failed(report: TableReport) -> str:
    if report.landed_only:
        return "landed but not loaded"
    if report.manifest is not None:
        return f"failed; {plural(report.rows, 'row')} that were read before landed and are loaded"
    return "failed"


def report_fields(
    report: TableReport, evaluated: Evaluated | None = None, at_source: Evaluated | None = None
) -> dict[str, Any]:
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
        "source_rules": rule_fields(at_source),
        "notes": list(report.notes),
        "error": error_fields(report.error) if report.error is not None else None,
    }


def position_fields(position: Position | None) -> dict[str, Any] | None:
    return None if position is None else dict(position.value)
