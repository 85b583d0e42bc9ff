"""``recover``: brings a source's database, or everything, back to any second, and tries what that needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, output
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json, size
from data_platform.cli.rebuild import parse_instant
from data_platform.errors import BackupDamaged, DataPlatformError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from data_platform.audit.event import Event
    from data_platform.backups.database.recover import RecoveryReport
    from data_platform.sync import Platform
    from data_platform.sync.recovered import Recovered

app = typer.Typer(
    name="recover",
    help="Bring a database, or everything, back to any second, and prove it.",
    no_args_is_help=True,
)

AtOption = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="TIMESTAMP",
        help="The instant, with a time zone: 2026-11-22T10:15:00Z.",
        show_default=False,
    ),
]
IntoOption = Annotated[
    Path, typer.Option("--into", metavar="FOLDER", help="An empty or new folder.", show_default=False)
]
CopyOption = Annotated[
    str,
    typer.Option(
        "--copy", metavar="NAME", help="Recover from this copy: primary, or a name under `copies:`."
    ),
]


@app.callback(invoke_without_command=True)
def _group(
    context: typer.Context,
    checklist: Annotated[
        bool,
        typer.Option(
            "--checklist", help="Print every secret that a restore needs, and try each. No value is printed."
        ),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Bring a database back to any second, and prove it; or try every secret that a restore needs."""
    if context.invoked_subcommand is not None:
        return
    if not checklist:
        raise typer.BadParameter("Name what to recover, or give --checklist.")
    from data_platform.cli.recover_checklist import tell

    tell(json=json, environment=environment, root=root)


@app.command("database")
def database(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose database is recovered.")],
    at: AtOption,
    into: IntoOption,
    copy: CopyOption = "primary",
    backup: Annotated[
        str | None,
        typer.Option(
            "--backup",
            metavar="ID",
            help="Start from this backup. Default: the newest one before the instant.",
            show_default=False,
        ),
    ] = None,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Leave the recovered server running, on a free port of 127.0.0.1."),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Recover a source's database as of an instant into a folder, and prove it. Nothing else is changed."""
    instant = parse_instant(at)
    output(into, "--into", folder=True)
    platform = open_project(root, environment)
    from data_platform.sync.auditing import audited_if_possible
    from data_platform.sync.recovery import recover_database

    event = _event(f"database/{source}", instant, copy)
    with progress(f"recovering the database of {source}"), audited_if_possible(platform, event, remark):
        report = recover_database(platform, source, instant, into, copy=copy, backup=backup, serve=serve)
    _remark_erased(_erased_since(platform, instant))
    if json:
        say_json(_described(report))
    else:
        _say(report)


@app.command("everything")
def everything(
    at: AtOption,
    into: IntoOption,
    copy: CopyOption = "primary",
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Recover one instant of the sources' databases, the landing store, the warehouse and Dagster's records into a folder.

    Only the backup store is read. Every table of a recovered database is then compared with the recovered warehouse.
    """
    instant = parse_instant(at)
    output(into, "--into", folder=True)
    platform = open_project(root, environment)
    from data_platform.defs.derived_models import derived_models
    from data_platform.sync.auditing import audited_if_possible
    from data_platform.sync.everything import recover_everything

    event = _event("everything", instant, copy)
    with progress("recovering everything"), audited_if_possible(platform, event, remark):
        found = recover_everything(
            platform, instant, into, copy=copy, derived=lambda: derived_models(platform)
        )
    _remark_erased(found.erased_since)
    if json:
        say_json({"ok": found.proven, **found.evidence()})
    else:
        _say_everything(found, into)
    if not found.proven:
        raise typer.Exit(BackupDamaged.exit_code)


def _erased_since(platform: Platform, instant: datetime) -> Sequence[str]:
    from data_platform.sync.erasing.restored import asked_after

    try:
        return asked_after(platform, instant)
    except DataPlatformError as error:  # the landing store may be what was lost
        remark(f"Nobody knows who was erased since {instant.isoformat()}: {error}")
        return ()


def _remark_erased(requests: Sequence[str]) -> None:
    if requests:
        remark(
            f"The recovered database has people who were erased after this instant: {', '.join(requests)} (`data-platform subject certificate"
            " ID`). Erase them there before it serves anyone."
        )


def _event(what: str, instant: datetime, copy: str) -> Event:
    """What is no name is left out: it is whatever somebody typed."""
    from data_platform.audit.event import Event, is_name

    details = {"at": instant.isoformat(), **({"copy": copy} if is_name(copy) else {})}
    return Event("recovery", (what,) if is_name(what) else (), details=details)


def _say_everything(found: Recovered, into: Path) -> None:
    from data_platform.sync.everything import DATABASES, EVIDENCE, LANDING, RECORDS, WAREHOUSE

    took = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in found.seconds.items())
    say(f"{into} holds everything as of {found.at.isoformat()}, from the archive {found.archive} ({took}).")
    for source, command in found.databases.items():
        say(f"{into / DATABASES / source}: the database of {source}, stopped. Start it with: {command}")
    landing = found.landing
    say(
        f"{into / LANDING}: {plural(landing.manifests, 'manifest')} and {plural(landing.parts, 'part')}, {size(landing.bytes)}"
        + (f", {plural(landing.deliveries, 'object')} of deliveries that wait" if landing.deliveries else "")
    )
    say(f"{into / WAREHOUSE}: {found.origin}")
    if found.backup:
        say(f"{into / RECORDS}: Dagster's records of the backup {found.backup}")
    for source, rows in found.read.items():
        say(
            f"{source}: {plural(rows, 'row')} had been committed by then and not landed; they were read from the recovered database"
        )
    if found.proven:
        say(
            f"Proven: {plural(len(found.agreed), 'table')} with {found.rows:,} rows are equal in database and warehouse, row"
            f" for row in the same version. {into / EVIDENCE} has it."
        )
    for line in found.problems:
        say_error(line)
    if not found.agreed:
        say_error("Nothing was compared: no source with a backed-up database has tables that can be counted.")


def _described(report: RecoveryReport) -> dict[str, object]:
    return {
        "ok": True,
        "source": report.source,
        "archive": report.archive,
        "backup": report.backup,
        "chain": report.chain,
        "at": report.at.isoformat(),
        "target": report.target,
        "folder": str(report.folder),
        "start": report.start_command,
        "url": report.url or None,
        "seconds": report.seconds,
        "bytes": report.bytes,
        "rows": report.rows,
        "heartbeat": report.beat.isoformat() if report.beat else None,
        "page_checksums": report.checksums,
        "notes": list(report.notes),
    }


def _say(report: RecoveryReport) -> None:
    from data_platform.backups.database.shown import shown

    say(
        f"The database of {report.source} as of {shown(report.at)} is in {report.folder}: {plural(len(report.rows), 'table')},"
        f" {sum(report.rows.values()):,} rows. It took {report.total_seconds:.1f} s"
        f" ({', '.join(f'{name} {seconds:.1f}' for name, seconds in report.seconds.items())}) for {size(report.bytes)}."
    )
    say(
        f"Recovered from the backup {report.backup} of {report.archive}"
        + (f", built on {plural(report.chain - 1, 'earlier one')}" if report.chain > 1 else "")
        + f", by {report.target}."
    )
    pages = "every page matches its checksum" if report.checksums else "the server keeps no page checksums"
    beat = (
        f"the newest heartbeat there is of {shown(report.beat)}"
        if report.beat
        else "there is no heartbeat in it"
    )
    say(f"Proven: {report.files}, every table was read, {pages}; {beat}.")
    for note in report.notes:
        remark(f"{note}.")
    say(f"It runs: {report.url}" if report.url else f"It is stopped. Start it with: {report.start_command}")
