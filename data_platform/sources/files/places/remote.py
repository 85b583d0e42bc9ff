"""What places that are not of this machine share."""

from __future__ import annotations

from pathlib import Path

from data_platform.errors import SourceError
from data_platform.sources.files.known import FILES_MAX

LOOKED_AT_MAX = 1_000_000
"""Names of one listing."""
PAGE = 1_000
"""Names of one answer."""
CHANGED = "it changed while it was read. Nothing of this step landed. Sync again"


def scratch_of(into: Path, path: str) -> Path:
    """Where the bytes of ``path`` are put in the folder ``into``."""
    file = into / "fetched" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def is_visible(path: str) -> bool:
    """Names that begin with a dot are no files of a table, and neither are folders."""
    return bool(path) and not any(part.startswith(".") or not part for part in path.split("/"))


def is_enough(found: int, looked_at: int, url: str) -> bool:
    """Whether more need not be listed. SourceError where there is no end in sight."""
    if looked_at > LOOKED_AT_MAX:
        raise SourceError(
            f"{url}: more than {LOOKED_AT_MAX:,} names had to be looked at. Begin `files` or `location` with a folder that holds"
            " fewer."
        )
    return found > FILES_MAX
