"""``hash``: the hashes under which values are stored, to find a person in a column with the treatment ``hash``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import say


def hash(
    column: Annotated[
        str,
        typer.Option(
            "--column",
            metavar="NAME",
            help="Name of the hashed column. The values of an e-mail column are trimmed and lower-cased first.",
        ),
    ] = "email",
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Print the hash under which a value is stored in a hashed column. Values are read from standard input.

    Each line is one value. The key is read from the environment variable that the catalog names. Nothing else is read.
    """
    from data_platform.privacy.treatments import hash_value

    key = open_project(root, environment, whole=False).hash_key()
    try:
        values = sys.stdin.read().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise typer.BadParameter("Standard input is not UTF-8 text.") from None
    if values == [""]:
        raise typer.BadParameter("Standard input is empty: write one value on each line.")
    for value in values:
        say(hash_value(column, value.removesuffix("\r"), key))
