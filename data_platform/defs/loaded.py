"""The definitions of a process, built once: Dagster asks for them up to five times to start one run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from data_platform.catalog import Catalog, catalog_files, load_catalog
from data_platform.defs import dbt_manifest
from data_platform.defs.build import build
from data_platform.defs.surroundings import variables
from data_platform.sync import configured

Made = tuple[str, Path, tuple[tuple[str, int, int, int], ...]]
_last: tuple[Made, dg.Definitions] | None = None


def loaded(root: Path, environment: str) -> dg.Definitions:
    """The definitions of the project at ``root``, as its catalog and its models are now."""
    global _last
    if _last is None or _last[0] != _made_of(root, environment):
        definitions = build(present(root, environment), environment)
        # looked at afterwards, since the manifest may have been built on the way
        _last = _made_of(root, environment), definitions
    return _last[1]


def present(root: Path, environment: str) -> Catalog:
    """The catalog without mistaken files, and without the optional sources that are not configured."""
    catalog, environ = load_catalog(root, whole=False), variables(root)
    landing = catalog.environment(environment).landing
    return configured(catalog, environ, lambda: landing.open(catalog.root, environ))


def _made_of(root: Path, environment: str) -> Made:
    """What they are read from: a file that is written again has another time, size or number."""
    manifest = dbt_manifest.manifest_path(root)
    files = [
        *(path for path in catalog_files(root) if path.is_file()),
        *dbt_manifest.parsed(dbt_manifest.dbt_folder(root)),
        *(
            path
            for path in (root / ".env", manifest, manifest.with_name(dbt_manifest.DIGEST_NAME))
            if path.exists()
        ),
    ]
    seen = ((str(path), path.stat()) for path in files)
    return environment, root, tuple((name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in seen)
