"""``restore``: restores a warehouse, a ledger and Dagster's storage from a backup."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.backup_cold import PayOption, SpeedOption, wait_until_readable
from data_platform.cli.options import (
    EnvironmentOption,
    JsonOption,
    RootOption,
    open_project,
    output,
)
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json, size
from data_platform.errors import BackupDamaged

if TYPE_CHECKING:
    from data_platform.sync import Platform

app = typer.Typer(name="restore", help="Restore a backup and prove it equal.", no_args_is_help=True)

FromOption = Annotated[
    str,
    typer.Option(
        "--from", metavar="BACKUP", help="`latest`, a day such as 2026-11-22 (its last one), or an id."
    ),
]
CopyOption = Annotated[
    str,
    typer.Option(
        "--copy", metavar="NAME", help="Restore from this copy: primary, or a name under `copies:`."
    ),
]


@app.command("warehouse")
def warehouse(
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="NAME",
            help="The warehouse to make: the path of a file NAME.duckdb, or the engine's name for one, such as a dataset.",
            show_default=False,
        ),
    ],
    from_: FromOption = "latest",
    copy: CopyOption = "primary",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace an existing warehouse, once the new one is proven equal."),
    ] = False,
    as_backed_up: Annotated[
        bool,
        typer.Option(
            "--as-backed-up",
            help="Leave people in it who were erased since the backup. Treat it like the backup that it is from.",
        ),
    ] = False,
    speed: SpeedOption = None,
    yes: PayOption = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Restore a warehouse from a backup. It appears only when the fingerprint of every table matches, and without the people who were
    erased since.
    """
    platform = open_project(root, environment)
    from data_platform.cli.retention import models_of
    from data_platform.defs.derived_models import derived_models
    from data_platform.sync.backup import archive, restorable, restore_warehouse
    from data_platform.sync.erasing.restored import forgetting

    if restorable(platform, into).traits.in_files:
        output(Path(into), "--into")
    chosen = archive(platform, copy)
    wait_until_readable(chosen, chosen.chosen(from_), speed, yes)

    then = (
        None
        if as_backed_up
        else forgetting(platform, lambda: derived_models(platform), lambda: models_of(platform), chosen)
    )
    said = {"as_backed_up": True} if as_backed_up else {}

    with progress("restoring") as bars, _audited(platform, "warehouse", from_, copy, **said):
        report = restore_warehouse(
            platform,
            from_,
            into,
            copy=copy,
            replace=replace,
            progress=lambda table, rows: bars.part(table, rows, rows),
            then=then,
        )
    if json:
        say_json({"ok": True, **asdict(report), "into": into})
    else:
        say(
            f"{into} holds the backup {report.id} of {report.archive}: {plural(report.tables, 'table')},"
            f" {report.rows:,} rows, each table's fingerprint as it was backed up; {size(report.bytes)} read in"
            f" {report.seconds:.1f} s."
        )
        if report.removed:
            say(
                f"{sum(report.removed.values()):,} rows of people who were erased since then were taken out of {', '.join(report.removed)}."
            )


@app.command("files")
def files(
    into: Annotated[
        Path,
        typer.Option("--into", metavar="FOLDER", help="An empty or new folder.", show_default=False),
    ],
    from_: FromOption = "latest",
    copy: CopyOption = "primary",
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Restore what was backed up together with the warehouse: the landing store and Dagster's storage."""
    output(into, "--into", folder=True)
    platform = open_project(root, environment)
    from data_platform.sync.backup import restore_beside

    with _audited(platform, "files", from_, copy):
        count, ledger = restore_beside(platform, from_, into, copy=copy)
    if json:
        say_json(
            {
                "ok": not ledger.damaged,
                "files": count,
                "manifests": ledger.manifests,
                "parts": ledger.parts,
                "deliveries": ledger.deliveries,
                "bytes": ledger.bytes,
                "damaged": list(ledger.damaged),
                "into": str(into),
            }
        )
    else:
        say(
            f"{plural(count, 'file')} of Dagster's restored into {into}/instance; {plural(ledger.manifests, 'manifest')}"
            f" and {plural(ledger.parts, 'part')} of the landing store ({size(ledger.bytes)}) into {into}/ledger."
        )
        if ledger.deliveries:
            say(f"{plural(ledger.deliveries, 'object')} of deliveries that no table had taken wait there.")
        for line in ledger.damaged:
            say_error(line)
    if ledger.damaged:
        raise typer.Exit(BackupDamaged.exit_code)


@app.command("archive")
def archive(
    into: Annotated[
        Path,
        typer.Option("--into", metavar="FOLDER", help="An empty or new folder.", show_default=False),
    ],
    from_: FromOption = "latest",
    copy: CopyOption = "primary",
    speed: SpeedOption = None,
    yes: PayOption = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Bring the files of an archive back, as they are: Parquet, and a README.txt that says how to read it."""
    output(into, "--into", folder=True)
    platform = open_project(root, environment)
    from data_platform.backups.shelf import ARCHIVE
    from data_platform.sync.backup import archive as archive_of
    from data_platform.sync.longterm import fetch_archive

    chosen = archive_of(platform, copy, ARCHIVE)
    wait_until_readable(chosen, chosen.chosen(from_), speed, yes)

    with progress("fetching"), _audited(platform, "archive", from_, copy):
        manifest = fetch_archive(platform, from_, into, copy=copy)
    if json:
        say_json(
            {
                "ok": True,
                "id": manifest.id,
                "tables": len(manifest.tables),
                "rows": manifest.rows,
                "bytes": manifest.bytes,
                "into": str(into),
            }
        )
    else:
        say(
            f"{into} holds the archive {manifest.id}: {plural(len(manifest.tables), 'table')}, {manifest.rows:,} rows,"
            f" {size(manifest.bytes)}, each file proven by its SHA-256. README.txt in it says how to read it."
        )


def _audited(
    platform: Platform, what: str, from_: str, copy: str, **said: bool
) -> AbstractContextManager[None]:
    """Record the restore. What is no name is left out: it is whatever somebody typed."""
    from data_platform.audit.event import Event, is_name
    from data_platform.sync.auditing import audited_if_possible

    typed = {"copy": copy, "backup": from_}
    details = said | {name: value for name, value in typed.items() if is_name(value)}
    return audited_if_possible(platform, Event("restore", (what,), details=details), remark)
