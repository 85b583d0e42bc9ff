"""Checks whether other accounts of this machine can read the platform's files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_platform.findings import Finding
from data_platform.private_files import open_to_others
from data_platform.sync import Platform


def look_at_modes(platform: Platform, environ: Mapping[str, str]) -> Finding:
    """One finding for all files and folders. Those made by an earlier version, which left them open to others, stay
    open until an operator closes them."""
    kept = [path for path in dict.fromkeys(_kept(platform, environ)) if path.exists()]
    open_ = [path for path in kept if open_to_others(path)]
    if not open_:
        return Finding(
            "other accounts", "ok", f"None of them can read the files on this machine ({len(kept)} places)."
        )
    names = ", ".join(map(str, open_))
    return Finding(
        "other accounts",
        "warn",
        f"Every account of this machine can read or enter {names}, which holds rows, records or secrets.",
        f"Remove their access: chmod -R go-rwx {' '.join(shlex.quote(str(path)) for path in open_)}",
    )


def _kept(platform: Platform, environ: Mapping[str, str]) -> Iterator[Path]:
    root, environment = platform.catalog.root, platform.environment
    yield from environment.warehouse.files(root)
    if environment.publish is not None and environment.publish.group is None:
        yield root / environment.publish.path
    backups = environment.backups
    for store in (environment.landing, *(backups.stores.values() if backups else [])):
        yield from store.files(root)
    yield Path(environ.get("DAGSTER_HOME") or root / ".dagster")
    yield root / ".env"
