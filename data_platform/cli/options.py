"""The options that several commands share, and the project they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.sync import Platform

EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment",
        "-e",
        metavar="NAME",
        help="Environment of catalog/platform.yaml. Default: $DATA_PLATFORM_ENV, else local.",
        show_default=False,
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="Project folder, the one that holds catalog/platform.yaml. Default: $DATA_PLATFORM_HOME,"
        " else the nearest one above the current folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def project(root: Path | None) -> Path:
    """The project folder, with its ``.env`` loaded; what the environment already says wins."""
    if root is None:
        from data_platform.catalog import project_root

        found = project_root()
    elif (root / "catalog" / "platform.yaml").is_file():
        found = root.resolve()
    else:
        raise ConfigurationError(
            f"{root} holds no catalog/platform.yaml: give --root the folder of the project."
        )
    from dotenv import load_dotenv

    load_dotenv(found / ".env", override=False)
    return found


def open_project(root: Path | None, environment: str | None) -> Platform:
    """The platform of the chosen project and environment. Connects to nothing yet."""
    found = project(root)
    from data_platform.sync import open_platform

    return open_platform(found, environment, os.environ)
