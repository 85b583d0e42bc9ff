"""``recover``: brings a source's database back to any second."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, output
from data_platform.cli.output import plural, progress, remark, say, say_json, size
from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.backups.database.recover import RecoveryReport

app = typer.Typer(
    name="recover", help="Bring a database back to any second, and prove it.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Without a callback, Typer turns a group of one command into that command."""


@app.command("database")
def database(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose database is recovered.")],
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIMESTAMP",
            help="The instant, with a time zone: 2026-11-22T10:15:00Z.",
            show_default=False,
        ),
    ],
    into: Annotated[
        Path,
        typer.Option("--into", metavar="FOLDER", help="An empty or new folder.", show_default=False),
    ],
    copy: Annotated[
        str,
        typer.Option(
            "--copy", metavar="NAME", help="Recover from this copy: primary, or a name under `copies:`."
        ),
    ] = "primary",
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
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        raise ConfigurationError(
            f"--at {at!r} is not an instant. Write it like 2026-11-22T10:15:00Z."
        ) from None
    output(into, "--into", folder=True)
    platform = open_project(root, environment)
    from data_platform.sync.recovery import recover_database

    with progress(f"recovering the database of {source}"):
        report = recover_database(platform, source, instant, into, copy=copy, backup=backup, serve=serve)
    if json:
        say_json(_described(report))
    else:
        _say(report)


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
    from data_platform.backups.database.window import shown

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
    say(f"Proven: every file by PostgreSQL's manifest, every table was read, {pages}; {beat}.")
    for note in report.notes:
        remark(f"{note}.")
    say(f"It runs: {report.url}" if report.url else f"It is stopped. Start it with: {report.start_command}")
