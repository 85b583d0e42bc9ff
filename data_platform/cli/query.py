"""``query``: runs one read-only statement in the publication or the warehouse and prints its result in one of three formats."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import ago, plural, remark, say_json, say_table
from data_platform.errors import QueryFailed, UnknownRelation
from data_platform.plain_values import cell, no_formula, plain
from data_platform.printable import printable

if TYPE_CHECKING:
    from data_platform.sync import Platform
    from data_platform.sync.reveal import Revealed
    from data_platform.warehouses import QueryResult

TABLE_ROWS = 100
"""The default for a table, which a person reads. Scripts that read csv or json want all rows."""


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; - reads it from standard input.")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How to print the rows.")] = Format.table,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            "--bind",
            metavar="VALUE",
            help="The value of the next ? in the statement, as a text. Repeat it for each.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            help="At most this many rows; 0 is all. Default: 100 as a table, all as csv or json.",
            show_default=False,
        ),
    ] = None,
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet",
            help="In csv, put an apostrophe before text that a spreadsheet would run as a formula.",
        ),
    ] = False,
    warehouse: Annotated[
        bool,
        typer.Option(
            "--warehouse",
            help="Read the warehouse itself, which waits while something is loaded. Default: the publication, if there is one and it"
            " holds every table that the statement names.",
        ),
    ] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Run one statement in the publication or the warehouse. It can change nothing and reach no file and no network.

    Exact types stay exact: in json, decimals, dates and times are strings.
    """
    text = sys.stdin.read() if sql == "-" else sql
    if not text.strip():
        raise typer.BadParameter("The statement is empty.")
    most = limit if limit is not None else (TABLE_ROWS if format is Format.table else 0)
    platform = open_project(root, environment, whole=False)
    # Fetch one row more than is shown, to see whether there are more.
    from data_platform.sync.auditing import recorded_query

    with recorded_query(platform, text):
        result = ask(platform, text, most + 1 if most else None, bind or (), itself=warehouse)
    rows = result.rows[:most] if most else result.rows
    show(result, rows, format, formulas_as_text=spreadsheet)
    if len(rows) < len(result.rows):
        remark(f"There are more than these {plural(most, 'row')}: --limit 0 shows all.")


def ask(
    platform: Platform, text: str, limit: int | None, bound: Sequence[str] = (), *, itself: bool
) -> QueryResult:
    """The result, with ``bound`` in the place of each ``?``, from the publication where there is one that holds what ``text`` names, else from the warehouse. A note
    tells which was read, and as of when."""
    from data_platform.sync import publish as publishing

    if itself or not publishing.is_there(platform):
        return _of_warehouse(platform, text, limit, bound)
    with publishing.published(platform) as (copy, publication):
        made = datetime.fromisoformat(publication.made_at)
        age = ago(made, platform.clock())
        which = f"the publication of {made:%Y-%m-%d %H:%M:%S} UTC ({age}), {publishing.place(platform)}"
        try:
            result = copy.query(text, bound, limit)
        except UnknownRelation:
            remark(f"The statement names a table that is not in {which}.")
        except QueryFailed:
            remark(f"This was asked of {which}. --warehouse reads the warehouse itself.")
            raise
        else:
            remark(f"Read from {which}. --warehouse reads the warehouse itself.")
            return result
    return _of_warehouse(platform, text, limit, bound)


def _of_warehouse(platform: Platform, text: str, limit: int | None, bound: Sequence[str]) -> QueryResult:
    with platform.warehouse(read_only=True) as warehouse:
        result = warehouse.query(text, bound, limit)
    if platform.environment.publish is not None:
        remark("Read from the warehouse itself, as it is now.")
    return result


def show(
    result: QueryResult | Revealed,
    rows: Sequence[Sequence[Any]],
    format: Format,
    *,
    formulas_as_text: bool = False,
) -> None:
    if format is Format.json:
        say_json([dict(zip(result.columns, map(plain, row), strict=True)) for row in rows], indent=None)
    elif format is Format.csv:
        # a file gets the bytes as they are, a terminal what it can show
        shown = printable if sys.stdout.isatty() else str
        text = no_formula if formulas_as_text else str
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow([shown(text(name)) for name in result.columns])
        out.writerows(
            ["" if v is None else shown(text(v) if isinstance(v, str) else cell(v)) for v in row]
            for row in rows
        )
    else:
        numbers = [name for name, type_ in zip(result.columns, result.types, strict=True) if is_number(type_)]
        say_table(
            result.columns, [[grid(value) for value in row] for row in rows], right=numbers, upright=True
        )
        remark(plural(len(rows), "row"))


def grid(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return cell(value)


def is_number(type_: str) -> bool:
    return (
        type_.upper().startswith(("DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "UHUGEINT"))
        or type_.upper().endswith("INT")
        or type_.upper().endswith("INTEGER")
    )
