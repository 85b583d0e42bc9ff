"""Whether other accounts of this machine may read what the platform keeps on it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_platform.findings import Finding
from data_platform.private_files import open_to_others
from data_platform.sync import Platform


def look_at_modes(platform: Platform, environ: Mapping[str, str]) -> Finding:
    """One finding for all of it: what was made by a version that left it open stays open until somebody closes it."""
    kept = [path for path in dict.fromkeys(_kept(platform, environ)) if path.exists()]
    open_ = [path for path in kept if open_to_others(path)]
    if not open_:
        return Finding(
            "other accounts", "ok", f"None may read what is kept on this machine ({len(kept)} places)."
        )
    names = ", ".join(map(str, open_))
    return Finding(
        "other accounts",
        "warn",
        f"Every account of this machine may read or enter {names}: rows, records and secrets lie there.",
        f"Close it: chmod -R go-rwx {' '.join(shlex.quote(str(path)) for path in open_)}",
    )


def _kept(platform: Platform, environ: Mapping[str, str]) -> Iterator[Path]:
    root, environment = platform.catalog.root, platform.environment
    yield from environment.warehouse.files(root)
    backups = environment.backups
    for store in (environment.landing, *([backups.store, *backups.copies.values()] if backups else [])):
        yield from store.files(root)
    yield Path(environ.get("DAGSTER_HOME") or root / ".dagster")
    yield root / ".env"
