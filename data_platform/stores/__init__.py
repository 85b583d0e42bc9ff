"""Where landed batches live: one file a kind of store, one small interface.

A store keeps named objects. Nothing here knows what a batch or a manifest is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol


class StoreConfig(Protocol):
    """The YAML of a store. Opening one connects to nothing."""

    @property
    def kind(self) -> str: ...

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> Store:
        """``root`` is the project's folder, ``environ`` holds the variables that the YAML names."""

    def place(self) -> tuple[str, ...]:
        """Where it keeps its objects, as steps from the outside in. One store lies in another if its steps begin
        with the other's."""

    def files(self, root: Path) -> tuple[Path, ...]:
        """The folders of this machine that hold its objects."""


class Store(Protocol):
    """Keys are ``/``-separated and relative; a reader never sees half an object."""

    url: str

    @property
    def folder(self) -> Path:
        """Every file that ``local`` and ``scratch`` give lies below it."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Create ``key`` durably unless it exists. False when it did: nothing was written.

        Where the answer of a remote store was lost, the bytes that stand there decide: two
        writers of equal bytes may then both hear True. What must have one winner carries
        a number of its writer's own. After an error the object may exist or not.
        """

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Move the file at ``path`` (best made in ``scratch()``) to ``key``, durably.

        A remote store proves that it holds the same bytes: those of ``sha256`` (hex) where the
        caller has hashed them already. ``ObjectDamaged`` when not, and nothing is kept.
        """

    def put_hint(self, key: str, data: bytes) -> None:
        """Write or overwrite ``key``: for hints whose loss costs nothing."""

    def read(self, key: str) -> bytes:
        """The object's bytes; ``KeyError`` when there is none."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start`` on, fewer where the object ends; ``KeyError`` when absent."""

    def size(self, key: str) -> int:
        """The object's length in bytes; ``KeyError`` when there is none."""

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        """Keys under ``prefix`` (a folder, no trailing slash) in ascending order."""

    def written_at(self, key: str) -> datetime | None:
        """When ``key`` was written, by the store's own clock; None if that is this machine's. ``KeyError`` when
        absent."""

    def delete(self, key: str) -> None:
        """Remove ``key``; that it is absent is no error."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """The object as a local file for the length of the block; ``KeyError`` when absent."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A private empty folder for files about to be put; removed at the end of the block."""
