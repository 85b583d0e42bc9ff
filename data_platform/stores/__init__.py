"""Where landed batches are stored: a small interface, implemented by one module for each kind of store.

A store keeps named objects. Nothing here knows what a batch or a manifest is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from data_platform.stores.locks import Locks

T = TypeVar("T")


class StoreConfig(Protocol):
    """The YAML of a store. Opening one connects to nothing."""

    @property
    def kind(self) -> str: ...

    @property
    def tiered(self) -> bool:
        """Whether its store has storage classes (``tiering.py``)."""

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> Store:
        """``root`` is the project's folder, ``environ`` holds the variables that the YAML names."""

    def place(self) -> tuple[str, ...]:
        """Where it keeps its objects, as steps from the outside in. One store lies in another if its steps begin
        with the other's."""

    def files(self, root: Path) -> tuple[Path, ...]:
        """The folders of this machine that hold its objects."""


class Store(Protocol):
    """Keys are ``/``-separated and relative. A reader never sees a partly written object."""

    url: str
    requests_at_once: int
    """How many requests it answers side by side; 1 where that gains nothing."""

    @property
    def locks(self) -> Locks | None:
        """What is known of locked objects; None for a store that locks nothing."""

    @property
    def folder(self) -> Path:
        """All files of ``local`` and ``scratch`` are below this folder."""

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """The answers of ``calls``, each a request or a few that depend on no other one, in their order: so many of
        them at a time as ``requests_at_once`` says. The first error is raised."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Create ``key`` durably unless it exists. False if it exists: nothing was written.

        If the answer of a remote store is lost, the stored bytes decide: two writers of
        equal bytes may then both get True. Objects that must have exactly one writer
        therefore include a random number chosen by that writer. After an error, the object
        may or may not exist.
        """

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Move the file at ``path`` (best made in ``scratch()``) to ``key``, durably.

        A remote store proves that it holds the same bytes: those of ``sha256`` (hex) if the caller
        has already hashed them. Otherwise it raises ``ObjectDamaged`` and keeps nothing.
        """

    def put_hint(self, key: str, data: bytes) -> None:
        """Write or overwrite ``key``. For hints, whose loss does no harm."""

    def read(self, key: str) -> bytes:
        """The object's bytes; ``KeyError`` if it does not exist."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start`` on, fewer if the object ends before; ``KeyError`` if it does not exist."""

    def size(self, key: str) -> int:
        """The object's length in bytes; ``KeyError`` if it does not exist."""

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        """Keys under ``prefix`` (a folder, no trailing slash) in ascending order."""

    def written_at(self, key: str) -> datetime | None:
        """When ``key`` was written, by the store's own clock; None if that is this machine's. ``KeyError`` when
        absent."""

    def delete(self, key: str) -> None:
        """Remove ``key``; no error if it does not exist. ``ObjectLocked`` while it is locked: then it is left."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """The object as a local file while the block runs; ``KeyError`` if it does not exist."""

    def address(self, key: str) -> str | None:
        """Where others find the object, such as ``s3://bucket/prefix/key``: an engine of the cloud reads it from there.
        None in a store that is no bucket. Nothing is asked; the object may not exist."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A private, empty folder for files that will be put; removed at the end of the block."""
