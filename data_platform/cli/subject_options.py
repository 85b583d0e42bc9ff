"""How a person is named on the command line: by lookups of ``catalog/subjects.yaml``."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import open_project

if TYPE_CHECKING:
    from data_platform.privacy.subjects.graph import Subject
    from data_platform.sync import Platform

KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="NAME",
        help="Kind of people, as catalog/subjects.yaml names it. Default: the one that can be found so.",
        show_default=False,
    ),
]
EmailOption = Annotated[
    str | None,
    typer.Option("--email", metavar="ADDRESS", help="Short for --by email=ADDRESS.", show_default=False),
]
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="LOOKUP=VALUE",
        help="A lookup of catalog/subjects.yaml and its value; - as the value reads one line from standard input. Repeat it for more.",
        show_default=False,
    ),
]


def whom(
    root: Path | None, environment: str | None, kind: str | None, email: str | None, by: list[str] | None
) -> tuple[Platform, Subject, dict[str, list[str]]]:
    asked: dict[str, list[str]] = {}
    for lookup, value in [*(("email", email) for email in [email] if email), *map(_split, by or ())]:
        asked.setdefault(lookup, []).append(_line() if value == "-" else value)
    if not asked:
        raise typer.BadParameter("Say who is meant: --email ADDRESS, or --by LOOKUP=VALUE.")
    if any(not value.strip() for values in asked.values() for value in values):
        raise typer.BadParameter("A value is empty, and nobody is found by nothing.")
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.subjects import chosen

    return platform, chosen(platform, kind, asked), asked


PeopleOption = Annotated[
    Path | None,
    typer.Option(
        "--people",
        metavar="FILE",
        help="Many people at once: a CSV file with a line a person, and a lookup of catalog/subjects.yaml as the name of each column.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]


def all_of(
    root: Path | None, environment: str | None, kind: str | None, file: Path
) -> tuple[Platform, Subject, dict[int, dict[str, list[str]]]]:
    """What each line of ``file`` has, by the number of the line, which is 1 for the names of the columns."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened)
        lookups = [name.strip() for name in next(reader, [])]
        people: dict[int, dict[str, list[str]]] = {}
        for values in filter(None, reader):
            line = people[reader.line_num] = {}
            for lookup, value in zip(lookups, values, strict=False):
                if value.strip():
                    line[lookup] = [value.strip()]
            if not line or len(values) > len(lookups):
                raise typer.BadParameter(
                    f"Line {reader.line_num} of {file.name} is empty, or has more values than the first line has names.",
                    param_hint="--people",
                )
    if not people:
        raise typer.BadParameter(f"{file.name} has nobody in it.", param_hint="--people")
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.subjects import chosen

    return platform, chosen(platform, kind, dict.fromkeys(lookups, ())), people


def _split(text: str) -> tuple[str, str]:
    lookup, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(
            "--by must be of the form LOOKUP=VALUE, such as --by email=ann@company.example."
        )
    return lookup, value


def _line() -> str:
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
