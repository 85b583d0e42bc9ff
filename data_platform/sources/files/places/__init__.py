"""Where files lie: what each kind of place can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from data_platform.errors import ConfigurationError
from data_platform.sources.files.connection import FilesConnection, address
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern


class Place(Protocol):
    @property
    def url(self) -> str:
        """What it is called; holds no secret."""

    @property
    def local(self) -> bool:
        """Whether the files are read where they lie."""

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        """The files that match, by path. SourceError where the place itself is not there."""

    def fetch(self, listed: Listed, into: Path) -> Path:
        """A file of this machine with the bytes of ``listed``, in the folder ``into`` or where it lies."""

    def same(self, listed: Listed) -> bool:
        """Whether the file is still the one that was listed."""

    def close(self) -> None: ...


class Listings:
    """What ``place`` lists, asked once for each pattern: a table and those within its documents see the same files."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, Mapping[str, Listed]] = {}

    def __call__(self, pattern: Pattern) -> Mapping[str, Listed]:
        if pattern.text not in self._known:
            self._known[pattern.text] = self._place.list(pattern)
        return self._known[pattern.text]


@contextmanager
def place_of(connection: FilesConnection, environ: Mapping[str, str], source: str) -> Iterator[Place]:
    """The place of a source, closed at the end. ConfigurationError where its variable is not set."""
    place = _place_of(connection, environ, source)
    try:
        yield place
    finally:
        place.close()


def _place_of(connection: FilesConnection, environ: Mapping[str, str], source: str) -> Place:
    if connection.location is not None:
        at = address(connection.location)
        if at.scheme == "s3":
            from data_platform.sources.files.places.s3 import S3Place

            return S3Place(at, connection, environ, source)
        if at.scheme == "gs":
            from data_platform.sources.files.places.gcs import GCSPlace

            return GCSPlace(at, connection, environ, source)
        from data_platform.sources.files.places.sftp import SftpPlace

        return SftpPlace(at, connection, environ, source)
    path = connection.path
    if path is None:
        assert connection.path_env is not None
        path = environ.get(connection.path_env, "").strip()
        if not path:
            raise ConfigurationError(
                f"{connection.path_env} is not set; it holds the folder of the files of the source {source!r}. Set it in"
                " .env or the environment."
            )
    from data_platform.sources.files.places.local import LocalPlace

    return LocalPlace(connection.root / Path(path).expanduser(), connection.settle_seconds)
