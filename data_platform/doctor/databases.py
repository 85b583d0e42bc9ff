"""Looks at the programs that back up a source's database into a repository of their own."""

from __future__ import annotations

from collections.abc import Iterator

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding, failed
from data_platform.sync.database_backup import backed_up, external, not_encrypted, own_repository
from data_platform.sync.platform import Platform


def look_at_databases(platform: Platform) -> Iterator[Finding]:
    """Whether each program is installed, and what of `backups` does not hold for what it keeps."""
    if platform.environment.backups is None:
        return
    for source in backed_up(platform):
        check = f"backups of {source}"
        try:
            found = external(platform, source)
            if found is None:
                continue
            version = found.look()
        except DataPlatformError as error:
            yield failed(check, error)
            continue
        if refused := not_encrypted(platform, source):
            yield Finding(check, "fail", refused)
        else:
            yield Finding(
                check,
                "warn",
                f"{version} is installed. {own_repository(platform, source)}",
                "Copy and lock that repository by its own means, or choose `engine: native`.",
            )
