"""``backup``: make, list, verify and prune second copies of the warehouse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli import backup_cold, backup_overview, backup_reencrypt
from data_platform.cli.backup_database import database, prune_databases, say_pruned
from data_platform.cli.options import CopyOption, EnvironmentOption, JsonOption, RootOption, open_project
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
    from collections.abc import Mapping, Sequence

    from data_platform.backups.archive import Archive
    from data_platform.backups.export import BackupReport, FileToKeep
    from data_platform.backups.shelf import Shelf
    from data_platform.sync import Platform
    from data_platform.sync.backup import Pruned
    from data_platform.warehouses.snapshots import NativeSnapshot

app = typer.Typer(name="backup", help="Verified second copies of the warehouse.", no_args_is_help=True)

backup_overview.add_to(app)
backup_cold.add_to(app)
backup_reencrypt.add_to(app)

ClassOption = Annotated[
    str,
    typer.Option("--class", metavar="CLASS", help="The class of the backup: warehouse or archive."),
]


@app.command("run")
def run(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Back up the warehouse, the ledger and Dagster's storage, and read every byte back."""
    platform = open_project(root, environment)
    from data_platform.sync.auditing import note_configuration
    from data_platform.sync.backup import make_backup

    note_configuration(platform)
    with progress("backing up") as bars:
        report = make_backup(
            platform,
            lambda folder: _instance_files(platform, folder),
            lambda table, rows: bars.part(table, rows, 0),
        )
    _report(platform, report, json)


@app.command("archive")
def archive(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Write the warehouse into the archive for years, in an open format, and read every byte back."""
    platform = open_project(root, environment)
    from data_platform.sync.longterm import make_archive

    with progress("archiving") as bars:
        report = make_archive(platform, lambda table, rows: bars.part(table, rows, 0))
    _report(platform, report, json)


def _report(platform: Platform, report: BackupReport, json: bool) -> None:
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
                "remarks": list(report.remarks),
                "stored": list(report.stored),
                "failed": {name: error_fields(error) for name, error in report.failed.items()},
            }
        )
    else:
        stores = {one.name: one for one in _chosen(platform, None)}
        for name in report.stored:
            say(
                f"{manifest.id}: {plural(len(manifest.tables), 'table')}, {manifest.rows:,} rows,"
                f" {size(manifest.bytes)}, verified in {stores[name]}"
            )
        mirrored = report.mirrored
        say(f"{plural(mirrored.parts, 'new part')} of the landing store copied, {size(mirrored.bytes)}")
        for line in report.remarks:
            remark(line[:1].upper() + line[1:] + ".")
        for line in mirrored.damaged:
            say_error(f"Not copied: {line}")
        for name, error in report.failed.items():
            say_error(f"The copy {name}: {error}")
    if report.failed or report.mirrored.damaged:
        raise typer.Exit(BackupError.exit_code)


app.command("database")(database)


@app.command("verify")
def verify(
    which: Annotated[
        str, typer.Argument(metavar="[BACKUP]", help="`latest`, a day such as 2026-11-22, or an id.")
    ] = "latest",
    copy: CopyOption = None,
    class_: ClassOption = "warehouse",
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
    archives = _chosen(platform, copy, class_)
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
    """Remove backups and archives older than the retention, but never the last good one."""
    platform = open_project(root, environment)
    from data_platform.backups.shelf import ARCHIVE, WAREHOUSE
    from data_platform.sync import backup

    config = backup.settings(platform)
    days = config.retention.days
    shelves = [WAREHOUSE, *([ARCHIVE] if config.archive is not None else [])]
    gone = {
        shelf: backup.prune(platform, shelf) if yes else backup.prunable(platform, shelf) for shelf in shelves
    }
    databases = prune_databases(platform, yes)
    failed = [
        (name, error) for one in (*gone.values(), *databases.values()) for name, error in one.failed.items()
    ]
    if json:
        found = {
            "backups": gone[WAREHOUSE].gone,
            "archives": gone[ARCHIVE].gone if ARCHIVE in gone else {},
            "databases": {source: one.gone for source, one in databases.items()},
            "failed": [{"archive": name, **error_fields(error)} for name, error in failed],
        }
        say_json({"ok": not failed, "days": days, "removed": yes, **found})
    else:
        total = say_pruned(databases, yes) + _say_pruned(gone, yes)
        if not total and not failed:
            kept = (
                f"{days} days"
                if config.archive is None
                else f"{days} days, no archive than {config.archive.keep_years} years"
            )
            say(f"No backup is older than {kept}, except possibly the last good one, which is kept.")
        elif total and not yes:
            remark(f"{plural(total, 'backup')} would be removed. Give --yes to remove them.")
        for name, error in failed:
            say_error(f"What is too old could not be removed from the archive {name}: {error}")
    if failed:
        raise typer.Exit(BackupError.exit_code)


def _say_pruned(gone: Mapping[Shelf, Pruned], yes: bool) -> int:
    total = 0
    for shelf, by_store in gone.items():
        for name, ids in by_store.gone.items():
            for id_ in ids:
                total += 1
                say(f"{name}: {shelf.word} {id_} {'removed' if yes else 'would be removed'}")
    return total


@app.command("uncover")
def uncover(
    copy: CopyOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Bring them back. Without it, only list them.")] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Bring back locked objects that somebody hid: by a delete marker, or by another object of the same name."""
    platform = open_project(root, environment)
    found = {one.name: one.covered() for one in _chosen(platform, copy)}
    if yes:
        for one in _chosen(platform, copy):
            for key in found[one.name]:
                one.uncover(key)
    if json:
        say_json({"uncovered": yes, "objects": found})
        return
    for name, keys in found.items():
        for key in keys:
            say(f"{name}: {key} {'is back' if yes else 'is hidden, and its locked version is there'}")
    total = sum(map(len, found.values()))
    if not total:
        say("No locked object is hidden.")
    elif not yes:
        remark(f"{plural(total, 'object')} would be brought back. Give --yes to do so.")


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


def _chosen(platform: Platform, copy: str | None, class_: str = "warehouse") -> list[Archive]:
    from data_platform.backups.shelf import ARCHIVE, WAREHOUSE
    from data_platform.sync import backup

    shelves = {shelf.name: shelf for shelf in (WAREHOUSE, ARCHIVE)}
    if class_ not in shelves:
        raise ConfigurationError(
            f"--class: there is no class {class_!r} here; there are {', '.join(shelves)}."
        )
    shelf = shelves[class_]
    return [backup.archive(platform, copy, shelf)] if copy else backup.archives(platform, shelf)


def _instance_files(platform: Platform, folder: Path) -> Sequence[FileToKeep]:
    """Dagster's storage if it is SQLite files. If it is in PostgreSQL, the asset `backup/warehouse` backs it up."""
    from data_platform.backups.instance import sqlite_files

    home = Path(os.environ.get("DAGSTER_HOME") or platform.catalog.root / ".dagster")
    if os.environ.get("DAGSTER_HOME") and not home.is_dir():
        raise ConfigurationError(
            f"DAGSTER_HOME is {home}, which is not a folder. Unset it, or set it to the folder that holds dagster.yaml."
        )
    return sqlite_files(home, folder) if home.is_dir() else []
