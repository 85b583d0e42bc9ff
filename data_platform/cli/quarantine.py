"""``quarantine``: the records that sources sent and no table could take."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, remark, say, say_json, say_table, size
from data_platform.cli.sync import choose, table_named
from data_platform.tables import TableId

SHOWN = 20

app = typer.Typer(name="quarantine", help="Records that came and could not be taken.", no_args_is_help=True)


@app.command("list")
def list_(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE[/TABLE]]...", help="What to list. Default: every table."),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """List the batches whose records wait, with the reasons."""
    platform = open_project(root, environment)
    from data_platform.sync.quarantine import waiting

    found = waiting(platform, _tables(platform, targets))
    if json:
        say_json(
            [
                {
                    "table": str(one.table),
                    "batch": one.sequence,
                    "landed_at": one.landed_at.isoformat(),
                    "records": one.rows,
                    "bytes": one.bytes,
                    "sealed": one.sealed,
                    "reasons": dict(one.reasons),
                }
                for one in found
            ]
        )
    elif not found:
        say("No record waits in quarantine.")
    else:
        say_table(
            ["table", "batch", "landed", "records", "bytes", "why"],
            [
                [
                    str(one.table),
                    f"{one.sequence:,}",
                    one.landed_at.strftime("%Y-%m-%d %H:%M UTC"),
                    f"{one.rows:,}",
                    size(one.bytes),
                    "; ".join(f"{reason} ({count:,})" for reason, count in one.reasons.items()),
                ]
                for one in found
            ],
            right=["batch", "records", "bytes"],
        )


@app.command("show")
def show(
    table: Annotated[str, typer.Argument(metavar="SOURCE/TABLE", help="Whose records to show.")],
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", min=1, help="Only the records of this batch. Default: all that wait."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Show at most this many records.")
    ] = SHOWN,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show the records that wait, as they came, with the reason of each.

    Records of a table that declares personal data are opened with the key that hashes it. What is printed is not
    treated: be careful where it goes.
    """
    platform = open_project(root, environment)
    from data_platform.sync.quarantine import shown

    id_ = table_named(platform.catalog, table)
    rows = [
        (sequence, record.reason, record.origin, *_text(record.bytes))
        for sequence, record in shown(platform, id_, batch, limit)
    ]
    if json:
        keys = ("batch", "reason", "origin", "record", "encoding")
        say_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    for sequence, reason, origin, text, _ in rows:
        say(f"batch {sequence:,}, {origin}: {reason}", style="bold")
        say(f"  {text}")
    remark(f"{plural(len(rows), 'record')} shown." if rows else f"No record of {id_} waits in quarantine.")


def _text(record: bytes) -> tuple[str, str]:
    """The record, and whether it is its text or, where it is none, its bytes in Base64."""
    try:
        return record.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(record).decode(), "base64"


def _tables(platform: Any, targets: list[str] | None) -> list[TableId]:
    return [
        TableId(source, name)
        for source, names in choose(platform.catalog, targets or []).items()
        for name in names
    ]
