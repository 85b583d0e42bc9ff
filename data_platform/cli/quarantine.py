"""``quarantine``: the records that sources sent and no table could take."""

from __future__ import annotations

import base64
import sys
from typing import Annotated, Any

import typer

from data_platform.cli.options import (
    AuthorisedByOption,
    EnvironmentOption,
    JsonOption,
    RootOption,
    open_project,
)
from data_platform.cli.output import plural, remark, say, say_json, say_table, size
from data_platform.cli.sync import choose, table_named
from data_platform.tables import TableId

SHOWN = 20
WORDS_MAX = 1_000

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
        (sequence, one.number, one.record.reason, one.record.origin, *_text(one.record.bytes))
        for sequence, one in shown(platform, id_, batch, limit)
    ]
    if json:
        keys = ("batch", "number", "reason", "origin", "record", "encoding")
        say_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    for sequence, number, reason, origin, text, _ in rows:
        say(f"batch {sequence:,}, record {number:,}, {origin}: {reason}", style="bold")
        say(f"  {text}")
    remark(f"{plural(len(rows), 'record')} shown." if rows else f"No record of {id_} waits in quarantine.")


@app.command("replay")
def replay(
    table: Annotated[str, typer.Argument(metavar="SOURCE/TABLE", help="Whose records to take again.")],
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Take again the records that wait, by the catalog of today.

    Those that parse by now land as a batch and are loaded. None takes the place of a later version of its row. The rest waits, with
    the reason of today.
    """
    platform = open_project(root, environment)
    from data_platform.sync.replay import replay

    found = replay(platform, table_named(platform.catalog, table))
    if json:
        say_json(
            {
                "table": table,
                "landed": found.landed,
                "superseded": found.superseded,
                "waiting": found.left,
                "batch": found.manifest.sequence if found.manifest else None,
            }
        )
    elif found.manifest is None:
        say(
            f"{table}: nothing changed; {plural(found.left, 'record')} in quarantine"
            if found.left
            else f"No record of {table} waits in quarantine."
        )
    else:
        old = (
            f", {plural(found.superseded, 'older version')} of rows that are there"
            if found.superseded
            else ""
        )
        say(
            f"{table}: {plural(found.landed, 'record')} landed{old}, {found.left:,} still in quarantine (batch"
            f" {found.manifest.batch_id})"
        )


@app.command("settle")
def settle(
    table: Annotated[str, typer.Argument(metavar="SOURCE/TABLE", help="Whose records are settled.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they need not be taken any more.")
    ],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decided it.")],
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="N", min=1, help="Only the records of this batch.")
    ] = None,
    record: Annotated[
        list[int] | None,
        typer.Option("--record", metavar="N", min=0, help="Only this record of the batch. May be repeated."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All records of the table that wait.")] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Say of records that they wait no more. They stay in the ledger, with the reason."""
    if all_ == (batch is not None) or (record and batch is None):
        raise typer.BadParameter("name the records: --all, or --batch N with or without --record N.")
    _say_why(reason, "--reason")
    _say_why(by, "--by")
    platform = open_project(root, environment)
    from data_platform.sync import settle as settling

    id_ = table_named(platform.catalog, table)
    chosen = settling.choose(platform, id_, batch, record or [])
    if not chosen.count:
        say(f"No record of {id_} waits in quarantine.")
        return
    done = settling.settle(platform, id_, chosen, reason, by)
    say(f"{id_}: {plural(chosen.count, 'record')} settled (batch {done.batch_id})")


@app.command("redact")
def redact(
    table: Annotated[str, typer.Argument(metavar="SOURCE/TABLE", help="Whose records to search.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The request, without the person's name.")
    ],
    by: AuthorisedByOption,
    yes: Annotated[bool, typer.Option("--yes", help="Erase them. Without it, only count them.")] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Erase the records that hold a value of a person. The values are read from standard input, one a line.

    Every record that was ever kept is searched, those that were replayed or settled too. The manifest that says so is signed
    with DATA_PLATFORM_REDACTION_KEY.
    """
    _say_why(reason, "--reason")
    _say_why(by, "--authorised-by")
    values = [line.strip().encode() for line in sys.stdin if line.strip()]
    if not values:
        raise typer.BadParameter("standard input holds no value to search for; write one a line.")
    platform = open_project(root, environment)
    from data_platform.sync import settle as settling

    id_ = table_named(platform.catalog, table)
    chosen = settling.holding(platform, id_, values)
    told = f"{plural(chosen.count, 'record')} in quarantine"
    if not chosen.count or not yes:
        say(
            f"{id_}: {told} would be erased. Give --yes to erase."
            if chosen.count
            else f"{id_}: none is found."
        )
        return
    done = settling.erase(platform, id_, chosen, reason, by)
    say(f"{id_}: {told} erased (batch {done.batch_id})")


def _say_why(text: str, option: str) -> None:
    if not text.strip() or len(text) > WORDS_MAX:
        raise typer.BadParameter(f"{option} is a text of 1 to {WORDS_MAX:,} characters.")


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
