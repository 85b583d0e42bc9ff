"""The files generated from the catalog: dbt's sources, what dbt leaves out, and the published JSON Schemas.

They are committed, so that dbt and editors work without this platform. ``validate
--check-generated`` fails if one no longer matches the catalog; ``validate --write``
writes it again.
"""

from __future__ import annotations

from pathlib import Path

from data_platform.catalog import Catalog
from data_platform.catalog.schema import render_json_schemas
from data_platform.dbt_sources import (
    CATALOG_TABLES,
    CONSENTS,
    IGNORED,
    MARK,
    PEOPLE_MARK,
    STAGING,
    absent_sources,
    render_catalog_tables,
    render_consents,
    render_dbt_sources,
    render_ignored,
)


def rendered(catalog: Catalog) -> dict[str, str]:
    """Every generated file: path relative to the project root -> text."""
    return {
        **render_json_schemas(),
        **render_dbt_sources(catalog),
        **render_consents(catalog),
        CATALOG_TABLES: render_catalog_tables(catalog),
        IGNORED: render_ignored(absent_sources(catalog)),
    }


def differences(catalog: Catalog) -> list[str]:
    """A line for each generated file that is missing, outdated, or belongs to a source no longer in the catalog."""
    found = []
    for path, wanted in rendered(catalog).items():
        file = catalog.root / path
        if not file.is_file():
            found.append(f"{path}: is missing; write it with `data-platform validate --write`")
        elif file.read_text(encoding="utf-8") != wanted:
            found.append(
                f"{path}: does not match the catalog; write it again with `data-platform validate --write`"
            )
    for file in leftovers(catalog):
        found.append(
            f"{file.relative_to(catalog.root).as_posix()}: what it was made of is no longer in the catalog;"
            " `data-platform validate --write` removes it"
        )
    return found


def write_all(catalog: Catalog) -> list[str]:
    """Write the files that differ, remove those without a source; returns the paths that changed."""
    changed = []
    for path, wanted in rendered(catalog).items():
        file = catalog.root / path
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted, encoding="utf-8")
            file.chmod(0o644)  # it holds no secret, and a container image reads it as another account
            changed.append(path)
    for file in leftovers(catalog):
        file.unlink()
        changed.append(file.relative_to(catalog.root).as_posix())
    return changed


def leftovers(catalog: Catalog) -> list[Path]:
    """Generated dbt sources whose source is no longer in the catalog, and the view of consents where it has no purposes. A file without our
    mark was written by somebody else and is kept."""
    wanted = rendered(catalog)
    consents = [file for path in CONSENTS if (file := catalog.root / path).is_file()]
    return [
        file
        for file in [*sorted((catalog.root / STAGING).glob("*/_*__sources.yml")), *consents]
        if file.relative_to(catalog.root).as_posix() not in wanted
        and any(mark in file.read_text(encoding="utf-8").partition("\n")[0] for mark in (MARK, PEOPLE_MARK))
    ]
