"""The options that several commands share, and the project they select."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.catalog import Catalog
    from data_platform.privacy.purposes import Exportable
    from data_platform.sync import Platform

NAME_BYTES_MAX = 255
"""The longest file name, on every common file system."""

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
        help="Project folder, which holds catalog/platform.yaml. Default: $DATA_PLATFORM_HOME, else the current"
        " folder or the nearest one above it that is a project.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
AuthorisedByOption = Annotated[
    str, typer.Option("--authorised-by", metavar="NAME", help="Who authorised it.")
]
CopyOption = Annotated[
    str | None,
    typer.Option(
        "--copy",
        metavar="NAME",
        help="Use only this copy: primary, or a name under `copies:`. Default: all.",
        show_default=False,
    ),
]


def output(path: Path, option: str, *, folder: bool = False) -> Path:
    """``path`` of an option that names the output; ConfigurationError if it cannot be written."""
    text = str(path)
    if not text.isprintable():
        raise ConfigurationError(f"{option} must be a path without control characters.")
    if any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in path.parts):
        raise ConfigurationError(f"{option}: a name in {text[:100]} is too long.")
    try:
        if path.is_dir() and not folder:
            raise ConfigurationError(f"{option}: {path} is a folder; name a file.")
        if path.exists() and not path.is_dir() and folder:
            raise ConfigurationError(f"{option}: {path} is a file; name a folder.")
        there = next(above for above in path.absolute().parents if above.exists())
    except OSError as error:
        raise ConfigurationError(f"{option}: {text[:100]} cannot be used: {error.strerror}.") from None
    if not there.is_dir():
        raise ConfigurationError(f"{option}: {there} is a file, so nothing can be written below it.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{option}: this user may not write into {there}.")
    return path


def output_warehouse(platform: Platform, name: str, option: str) -> None:
    """Refuse ``name`` for a new warehouse: a path that cannot be written, or what the engine takes for no name."""
    warehouse = platform.environment.warehouse
    if warehouse.traits.in_files:
        output(Path(name), option)
    warehouse.elsewhere(name)


def project(root: Path | None) -> Path:
    """The project folder. Its ``.env`` is loaded; variables that are already set win."""
    if root is None:
        from data_platform.catalog import project_root

        found = project_root()
    elif _is_project(root):
        found = root.resolve()
    else:
        raise ConfigurationError(
            f"{str(root)[:100]} holds no catalog/platform.yaml: give the project's folder to --root."
        )
    from dotenv import load_dotenv

    load_dotenv(found / ".env", override=False)
    return found


def _is_project(folder: Path) -> bool:
    try:
        return (folder / "catalog" / "platform.yaml").is_file()
    except (OSError, ValueError):  # a name that no folder can have
        return False


def tell_absences(platform: Platform) -> None:
    """A note for each source that is not configured."""
    from data_platform.cli.output import remark

    for sentence in platform.catalog.absences():
        remark(sentence)


def open_project(root: Path | None, environment: str | None, *, whole: bool = True) -> Platform:
    """The platform of the chosen project and environment. Connects to nothing yet. Without ``whole``,
    a source whose file has a mistake is left out, with a note."""
    found = project(root)
    from data_platform.cli.output import remark
    from data_platform.sync import open_platform

    platform = open_platform(found, environment, os.environ, whole=whole, exportable=_exportable)
    for mistake in platform.catalog.left_out:
        remark(f"This source is left out until its file is corrected: {mistake}", style="yellow")
    return platform


def _exportable(catalog: Catalog) -> Exportable:
    from data_platform.defs.purposes import exportable

    return exportable(catalog)
