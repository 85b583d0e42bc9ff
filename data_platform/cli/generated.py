"""The files made from the catalog: dbt's sources and the published JSON Schemas.

They are committed, so that dbt and editors need nothing of this platform; ``validate
--check-generated`` fails when one no longer says what the catalog says, ``validate --write``
mends it.
"""

from __future__ import annotations

from pathlib import Path

from data_platform.catalog import Catalog
from data_platform.catalog.schema import render_json_schemas
from data_platform.dbt_sources import MARK, STAGING, render_dbt_sources


def rendered(catalog: Catalog) -> dict[str, str]:
    """Path relative to the project root -> text of every generated file."""
    return {**render_json_schemas(), **render_dbt_sources(catalog)}


def differences(catalog: Catalog) -> list[str]:
    """A line for each generated file that is missing, old, or of a source that is gone."""
    found = []
    for path, wanted in rendered(catalog).items():
        file = catalog.root / path
        if not file.is_file():
            found.append(f"{path}: is missing; write it with `data-platform validate --write`")
        elif file.read_text(encoding="utf-8") != wanted:
            found.append(
                f"{path}: differs from what the catalog says; write it anew with"
                " `data-platform validate --write`"
            )
    for file in leftovers(catalog):
        found.append(
            f"{file.relative_to(catalog.root).as_posix()}: its source is no longer in the catalog;"
            " `data-platform validate --write` removes it"
        )
    return found


def write_all(catalog: Catalog) -> list[str]:
    """Write what differs, remove what is left over; returns the paths that changed."""
    changed = []
    for path, wanted in rendered(catalog).items():
        file = catalog.root / path
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted, encoding="utf-8")
            file.chmod(0o644)  # no secret is in it, and an image's other account reads it
            changed.append(path)
    for file in leftovers(catalog):
        file.unlink()
        changed.append(file.relative_to(catalog.root).as_posix())
    return changed


def leftovers(catalog: Catalog) -> list[Path]:
    """Generated dbt sources that no source of the catalog stands for. A file without our mark
    is somebody's own."""
    wanted = rendered(catalog)
    return [
        file
        for file in sorted((catalog.root / STAGING).glob("*/_*__sources.yml"))
        if file.relative_to(catalog.root).as_posix() not in wanted
        and file.read_text(encoding="utf-8").startswith(MARK)
    ]
