"""What places that are not of this machine share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sources.files.connection import Address, FilesConnection
from data_platform.sources.files.known import FILES_MAX, Listed

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


class Bucket:
    """A ``Place`` whose objects are whole as soon as they are listed, and fetched in the version that was listed."""

    scheme: ClassVar[str]
    local = False

    def __init__(
        self, at: Address, connection: FilesConnection, environ: Mapping[str, str], source: str
    ) -> None:
        self._at, self._connection = at, connection
        self._environ, self._source = environ, source
        service = f" at {connection.endpoint_url}" if connection.endpoint_url else ""
        self.url = f"{self.scheme}://{at.host}/{at.folder}{service}"
        self._opened: Any = None

    def same(self, listed: Listed) -> bool:
        return True  # the bytes that were fetched are those that were listed


def whole(file: Path, listed: Listed) -> Path:
    """``file``; SourceUnreachable where only a part of it arrived."""
    arrived = file.stat().st_size
    if arrived != listed.size:
        raise SourceUnreachable(
            f"{listed.path}: {arrived:,} of its {listed.size:,} bytes arrived. Sync again."
        )
    return file
