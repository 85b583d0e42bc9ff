"""``reveal``: sealed columns in clear, for a purpose."""

from __future__ import annotations

from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import plural, remark
from data_platform.cli.query import TABLE_ROWS, Format, show
from data_platform.errors import ConfigurationError


def reveal(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A table of the catalog, as source/table.")],
    columns: Annotated[
        list[str],
        typer.Option(
            "--column",
            "-c",
            metavar="NAME",
            help="A column to print. Repeat it for each; sealed ones are opened.",
        ),
    ],
    purpose: Annotated[
        str,
        typer.Option(
            "--purpose",
            metavar="TEXT",
            help="What the values are read for. The audit trail keeps it: write no personal data into it.",
        ),
    ],
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="VALUE",
            help="Only rows of this person, by the clear value of the table's subject column. - reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="SQL", help="Only rows for which this condition is true.", show_default=False
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="How to print the rows.")] = Format.table,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many rows.")] = TABLE_ROWS,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Print rows of a raw table with its sealed columns in clear. Needs the keystore and its master key.

    A value whose key was destroyed is NULL. Exit code 1 if a value did not open.
    """
    import sys

    from data_platform.sync.reveal import Request
    from data_platform.sync.reveal import reveal as revealed
    from data_platform.tables import TableId

    if (subject is None) == (where is None):
        raise typer.BadParameter("Give --subject, or --where to choose the rows (--where true is all).")
    try:
        named = TableId.parse(table)
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from None
    if subject == "-":
        subject = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    platform = open_project(root, environment, whole=False)
    found = revealed(platform, Request(named, tuple(columns), purpose, subject, where, limit))
    show(found, found.rows, format)
    if found.erased:
        remark(f"{plural(found.erased, 'value')} erased: the key was destroyed, so NULL is shown.")
    if found.unopened:
        remark(
            f"{plural(found.unopened, 'value')} did not open and stayed as they landed: they were changed or moved, or the keystore"
            " lacks their key (`data-platform keystore restore`).",
            style="yellow",
        )
        raise typer.Exit(1)
