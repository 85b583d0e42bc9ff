"""``backup``: make, list, verify and prune second copies of the warehouse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import (
    ago,
    error_fields,
    plural,
    progress,
    remark,
    say,
    say_error,
    say_json,
    say_table,
    size,
)
from data_platform.errors import BackupDamaged, BackupError, ConfigurationError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_platform.backups.archive import Archive
    from data_platform.backups.export import FileToKeep
    from data_platform.sync import Platform
    from data_platform.warehouses.snapshots import NativeSnapshot

app = typer.Typer(name="backup", help="Verified second copies of the warehouse.", no_args_is_help=True)

CopyOption = Annotated[
    str | None,
    typer.Option(
        "--copy",
        metavar="NAME",
        help="Use only this copy: primary, or a name under `copies:`. Default: all.",
        show_default=False,
    ),
]


@app.command("run")
def run(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Back up the warehouse, the ledger and Dagster's storage, and read every byte back."""
    platform = open_project(root, environment)
    from data_platform.sync.backup import archive, make_backup

    with progress("backing up") as bars:
        report = make_backup(
            platform,
            lambda folder: _instance_files(platform, folder),
            lambda table, rows: bars.part(table, rows, 0),
        )
    manifest = report.manifest
    if json:
        say_json(
            {
                "ok": not report.failed and not report.mirrored.damaged,
                "id": manifest.id,
                "tables": len(manifest.tables),
                "rows": manifest.rows,
                "bytes": manifest.bytes,
                "landing": {"parts": report.mirrored.parts, "bytes": report.mirrored.bytes},
                "damaged": list(report.mirrored.damaged),
                "stored": list(report.stored),
                "failed": {name: error_fields(error) for name, error in report.failed.items()},
            }
        )
    else:
        for name in report.stored:
            say(
                f"{manifest.id}: {plural(len(manifest.tables), 'table')}, {manifest.rows:,} rows,"
                f" {size(manifest.bytes)}, verified in {archive(platform, name)}"
            )
        mirrored = report.mirrored
        say(f"{plural(mirrored.parts, 'new part')} of the landing store copied, {size(mirrored.bytes)}")
        for line in mirrored.damaged:
            say_error(f"Not copied: {line}")
        for name, error in report.failed.items():
            say_error(f"The copy {name}: {error}")
    if report.failed or report.mirrored.damaged:
        raise typer.Exit(BackupError.exit_code)


@app.command("list")
def list_(
    copy: CopyOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """List every backup and where it is stored, the newest first."""
    platform = open_project(root, environment)
    from data_platform.backups.manifest import made_at

    found = {one.name: one.ids() for one in _chosen(platform, copy)}
    ids = sorted({id_ for ids in found.values() for id_ in ids}, reverse=True)
    rows = [(id_, made_at(id_), [name for name, ids in found.items() if id_ in ids]) for id_ in ids]
    if json:
        say_json([{"id": id_, "made_at": at.isoformat(), "stored": stored} for id_, at, stored in rows])
    elif not rows:
        say("There is no backup yet. Make one: data-platform backup run")
    else:
        now = platform.clock()
        say_table(
            ["backup", "made", "age", "stored in"],
            [
                [id_, at.strftime("%Y-%m-%d %H:%M UTC"), ago(at, now), ", ".join(stored)]
                for id_, at, stored in rows
            ],
        )


@app.command("verify")
def verify(
    which: Annotated[
        str, typer.Argument(metavar="[BACKUP]", help="`latest`, a day such as 2026-11-22, or an id.")
    ] = "latest",
    copy: CopyOption = None,
    sign: Annotated[
        bool,
        typer.Option(
            "--sign",
            help="If nothing is wrong, sign a backup that was made before there was a key.",
        ),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Reread every object of a backup and compare it with its hash."""
    platform = open_project(root, environment)
    problems: dict[str, list[str]] = {}
    read = 0
    archives = _chosen(platform, copy)
    with progress("reading the backup", total=len(archives)) as bars:
        for one in archives:
            try:
                manifest = one.unsigned(which) if sign else one.chosen(which)
                problems[one.name] = one.damage(manifest, deep=True)
                if sign and not problems[one.name]:
                    one.adopt(manifest)
                read += manifest.bytes
            except BackupError as error:
                problems[one.name] = [str(error)]
            bars.step()
    found = [line for lines in problems.values() for line in lines]
    if json:
        say_json({"ok": not found, "bytes": read, "problems": problems})
    else:
        for line in found:
            say_error(line)
        if not found:
            say(f"{size(read)} read in {plural(len(archives), 'archive')}: every byte is as it was written.")
    if found:
        raise typer.Exit(BackupDamaged.exit_code)


@app.command("prune")
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it, only list them.")] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Remove backups older than the retention, but never the last good one."""
    platform = open_project(root, environment)
    from data_platform.sync import backup

    days = backup.settings(platform).retention.days
    gone = backup.prune(platform) if yes else backup.prunable(platform)
    if json:
        say_json({"days": days, "removed": yes, "backups": gone})
        return
    for name, ids in gone.items():
        for id_ in ids:
            say(f"{name}: {id_} {'removed' if yes else 'would be removed'}")
    total = sum(map(len, gone.values()))
    if not total:
        say(f"No backup is older than {days} days, except possibly the last good one, which is kept.")
    elif not yes:
        remark(f"{plural(total, 'backup')} would be removed. Give --yes to remove them.")


@app.command("snapshot")
def snapshot(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the snapshots, and which of them would be removed.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Make a snapshot by the warehouse's own engine, and remove those that are too old. It does not replace a backup."""
    platform = open_project(root, environment)
    from data_platform.sync.snapshots import make_snapshot, survey

    if dry_run:
        seen = survey(platform)
        if json:
            say_json({"snapshots": [_described(one, one in seen.expired) for one in seen.there]})
        elif not seen.there:
            say("There is no snapshot yet. Make one: data-platform backup snapshot")
        else:
            now = platform.clock()
            rows = [
                (one.name, ago(one.taken_at, now), _holds(one), _state(one, one in seen.expired))
                for one in seen.there
            ]
            say_table(["snapshot", "taken", "holds", "state"], rows)
        return
    with progress("making a snapshot"):
        report = make_snapshot(platform)
    if json:
        say_json(
            {
                "ok": not report.left,
                "made": _described(report.made, False),
                "removed": list(report.removed),
                "left": {name: error_fields(error) for name, error in report.left.items()},
            }
        )
    else:
        say(f"{report.made.name}: {_holds(report.made)}, as of one instant")
        for name in report.removed:
            say(f"{name}: removed")
        for name, error in report.left.items():
            say_error(f"{name} could not be removed: {error}")
    if report.left:
        raise typer.Exit(WarehouseError.exit_code)


def _described(one: NativeSnapshot, expired: bool) -> dict[str, object]:
    return {
        "name": one.name,
        "taken_at": one.taken_at.isoformat(),
        "objects": list(one.objects),
        "whole": one.whole,
        "expired": expired,
    }


def _holds(one: NativeSnapshot) -> str:
    tables = any("." in held for held in one.objects)
    return plural(len(one.objects), "table" if tables else "schema")


def _state(one: NativeSnapshot, expired: bool) -> str:
    state = "whole" if one.whole else "interrupted"
    return f"{state}, would be removed" if expired else state


def _chosen(platform: Platform, copy: str | None) -> list[Archive]:
    from data_platform.sync import backup

    return [backup.archive(platform, copy)] if copy else backup.archives(platform)


def _instance_files(platform: Platform, folder: Path) -> Sequence[FileToKeep]:
    """Dagster's storage if it is SQLite files. If it is in PostgreSQL, the asset `backup/warehouse` backs it up."""
    from data_platform.backups.instance import sqlite_files

    home = Path(os.environ.get("DAGSTER_HOME") or platform.catalog.root / ".dagster")
    if os.environ.get("DAGSTER_HOME") and not home.is_dir():
        raise ConfigurationError(
            f"DAGSTER_HOME is {home}, which is not a folder. Unset it, or set it to the folder that holds dagster.yaml."
        )
    return sqlite_files(home, folder) if home.is_dir() else []
