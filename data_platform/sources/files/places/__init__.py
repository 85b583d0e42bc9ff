"""Where files lie: what each kind of place can do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from data_platform.errors import ConfigurationError
from data_platform.sources.files.config import FilesConnection
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern


class Place(Protocol):
    @property
    def url(self) -> str:
        """What it is called; holds no secret."""

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        """The files that match, by path. SourceError where the place itself is not there."""

    def fetch(self, listed: Listed, into: Path) -> Path:
        """A file of this machine with the bytes of ``listed``, in the folder ``into`` or where it lies."""

    def same(self, listed: Listed) -> bool:
        """Whether the file is still the one that was listed."""


def open_place(connection: FilesConnection, environ: Mapping[str, str], source: str) -> Place:
    """The place of a source. ConfigurationError where its variable is not set."""
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
