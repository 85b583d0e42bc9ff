"""``backup database``: backs up a source's own database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import error_fields, plural, progress, remark, say, say_error, say_json, size
from data_platform.errors import BackupError

if TYPE_CHECKING:
    from data_platform.sync import Platform
    from data_platform.sync.backup import Pruned
    from data_platform.sync.database_backup import DatabaseReport


def database(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose database is backed up.")],
    full: Annotated[
        bool, typer.Option("--full", help="Make a full backup, although an incremental one would do.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Back up the database of a source into every store, and read every byte back."""
    platform = open_project(root, environment)
    from data_platform.sync.database_backup import back_up_database

    with progress(f"backing up the database of {source}"):
        report = back_up_database(platform, source, full=full)
    if json:
        say_json(_described(report))
    else:
        _say(report)
    if report.failed or report.not_pruned:
        raise typer.Exit(BackupError.exit_code)


def prune_databases(platform: Platform, yes: bool) -> dict[str, Pruned]:
    """By source, what was removed, or would be without ``yes``."""
    from data_platform.sync.database_backup import backed_up, prunable_databases, prune_database

    act = prune_database if yes else prunable_databases
    return {source: act(platform, source) for source in backed_up(platform)}


def say_pruned(databases: dict[str, Pruned], yes: bool) -> int:
    """A line for each; returns their number."""
    lines = [
        f"{archive}: database {source} {id_} {'removed' if yes else 'would be removed'}"
        for source, by_archive in databases.items()
        for archive, ids in by_archive.gone.items()
        for id_ in ids
    ]
    for line in lines:
        say(line)
    return len(lines)


def _described(report: DatabaseReport) -> dict[str, object]:
    made = report.backup
    return {
        "ok": not report.failed and not report.not_pruned,
        "id": made.id,
        "kind": made.way,
        "engine": made.engine,
        "parent": made.parent or None,
        "bytes": made.bytes,
        "plain_bytes": made.plain_bytes,
        "seconds": round(report.seconds, 3),
        "chain": report.chain,
        "as_of": made.ended_at.isoformat(),
        "stored": list(report.stored),
        "notes": list(made.notes),
        "remarks": list(report.remarks),
        "expired": report.expired,
        "failed": {name: error_fields(error) for name, error in report.failed.items()},
        "not_pruned": {name: error_fields(error) for name, error in report.not_pruned.items()},
    }


def _say(report: DatabaseReport) -> None:
    made = report.backup
    built = f", built on {plural(report.chain - 1, 'earlier backup')}" if report.chain > 1 else ""
    say(
        f"{made.id}: {made.way} backup of the database of {made.source}{built}; {size(made.plain_bytes)} read,"
        f" {size(made.bytes)} stored and read back in {report.seconds:.1f} s, in {', '.join(report.stored)}"
    )
    for note in (*made.notes, *report.remarks):
        remark(note[:1].upper() + note[1:] + ".")
    for name, error in report.failed.items():
        say_error(f"The archive {name}: {error}")
    for name, error in report.not_pruned.items():
        say_error(f"What is too old could not be removed from the archive {name}: {error}")
