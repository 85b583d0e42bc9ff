"""Files in a folder of this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_platform.errors import SourceError
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern


class LocalPlace:
    """``Place``. Names that begin with a dot, and links that lead nowhere, are no files of a table."""

    local = True

    def __init__(self, folder: Path, settle_seconds: float) -> None:
        self._folder = folder.absolute()
        self._settle_seconds = settle_seconds
        self.url = self._folder.as_uri()

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        if not self._folder.is_dir():
            raise SourceError(
                f"There is no folder {self._folder}. Make it, or correct `path` of the source's connection."
            )
        now = time.time_ns()
        found: dict[str, Listed] = {}
        try:
            for entry in _files(self._folder / pattern.folder, pattern.depth):
                path = Path(entry.path).relative_to(self._folder).as_posix()
                if pattern.matches(path):
                    found[path] = self._listed(path, entry.stat(), now)
        except PermissionError as error:
            raise SourceError(
                f"{error.filename} may not be read by this user. Allow it (chmod), then sync again."
            ) from None
        return found

    def _listed(self, path: str, about: os.stat_result, now: int) -> Listed:
        settled = has_settled(now, about.st_mtime_ns, self._settle_seconds)
        return Listed(path, about.st_size, f"{about.st_mtime_ns}:{about.st_ctime_ns}", settled)

    def fetch(self, listed: Listed, into: Path) -> Path:
        return self._folder / listed.path

    def same(self, listed: Listed) -> bool:
        try:
            about = (self._folder / listed.path).stat()
        except OSError:
            return False
        return self._listed(listed.path, about, 0)[:3] == listed[:3]

    def close(self) -> None:
        """Nothing is open."""


def has_settled(now: int, modified: int, seconds: float) -> bool:
    """Whether a file that was ``modified`` then has held still; both in nanoseconds."""
    still = now - modified
    return still >= int(seconds * 1e9) or still < -60_000_000_000  # a clock that is ahead says nothing


def _files(folder: Path, depth: int | None) -> Iterator[os.DirEntry[str]]:
    """All below ``folder``, at most ``depth`` folders down."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if depth != 0:
                    yield from _files(Path(entry.path), None if depth is None else depth - 1)
            elif entry.is_file():
                yield entry
