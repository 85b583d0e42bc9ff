"""``rebuild``: makes the raw tables from the landing ledger, as of now or a past instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import (
    EnvironmentOption,
    JsonOption,
    RootOption,
    open_project,
    output_warehouse,
)
from data_platform.cli.output import plural, progress, remark, say, say_json, size
from data_platform.tables import TableId

if TYPE_CHECKING:
    from data_platform.sync.rebuild import RebuiltTable


def rebuild(
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="NAME",
            help="The warehouse to make: a file's path, or the engine's name for one, such as a dataset.",
            show_default=False,
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIMESTAMP",
            help="As of this instant, with its zone: 2026-01-31T18:00:00Z. Default: everything landed.",
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="SOURCE/TABLE",
            help="Rebuild only this table, even if it is no longer in the catalog. Repeatable."
            " Default: every table of the catalog.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing warehouse, once the new one is complete.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Rebuild the raw tables from the landing ledger alone, as of now or any past instant.

    Neither the source nor the warehouse is read. Everything read is verified, and the new warehouse appears only
    when it is complete.
    """
    instant = parse_instant(at) if at is not None else None
    wanted = [parse_table(name) for name in table] if table else None
    platform = open_project(root, environment)
    output_warehouse(platform, into, "--into")
    from data_platform.sync.auditing import note_configuration
    from data_platform.sync.rebuild import rebuild as rebuild_tables

    note_configuration(platform)
    with progress("rebuilding") as bars:
        rebuilt = rebuild_tables(
            platform, into, at=instant, tables=wanted, replace=replace, progress=bars.part
        )
    if json:
        say_json(
            {
                "ok": True,
                "environment": platform.environment.name,
                "into": into,
                "at": instant.isoformat() if instant else None,
                "tables": [fields(one) for one in rebuilt],
            }
        )
    else:
        tell(into, instant, rebuilt)


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant with its time zone. A day, or a time without a zone, is refused: the moment must
    not be guessed."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is not an instant with a time zone. Write it like 2026-01-31T18:00:00Z or"
            " 2026-01-31T19:00:00+01:00."
        )
    return instant.astimezone(UTC)


def parse_table(text: str) -> TableId:
    try:
        return TableId.parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not of the form source/table.") from None


def tell(into: str, instant: datetime | None, rebuilt: Sequence[RebuiltTable]) -> None:
    for one in rebuilt:
        if one.last is not None and one.last_at is not None:
            say(
                f"{one.table}: {plural(one.rows, 'row')} as of {one.last_at.isoformat()}, from"
                f" {plural(one.batches, 'batch')} up to {one.last}; {size(one.bytes)} read ({one.seconds:.1f} s)"
            )
        elif one.begins_at is not None:
            say(
                f"{one.table}: nothing had landed by then; its first batch was committed at {one.begins_at.isoformat()}"
            )
        else:
            say(f"{one.table}: nothing has landed yet")
    made = [one for one in rebuilt if one.batches]
    when = f"as of {instant.isoformat()}" if instant else "as of the newest batch of each"
    rows = plural(sum(one.rows for one in made), "row")
    remark(f"{into} holds {plural(len(made), 'raw table')} {when}: {rows}.")


def fields(one: RebuiltTable) -> dict[str, Any]:
    """A table of ``rebuild --json``, as docs/cli.md describes it."""
    return {
        "table": str(one.table),
        "batches": one.batches,
        "first_sequence": one.first,
        "last_sequence": one.last,
        "last_at": one.last_at.isoformat() if one.last_at else None,
        "begins_at": one.begins_at.isoformat() if one.begins_at else None,
        "rows": one.rows,
        "bytes": one.bytes,
        "seconds": round(one.seconds, 3),
    }
