"""Stores over another store: all objects below a prefix, or with other bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from data_platform.stores import Store
from data_platform.stores.locks import Locks
from data_platform.stores.tiering import Tiering, tiering

T = TypeVar("T")


class WrappedStore:
    """Passes everything on to ``store``, under the key that ``_key`` makes of each key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.requests_at_once = store.requests_at_once

    @property
    def locks(self) -> Locks | None:
        return self._store.locks

    @property
    def folder(self) -> Path:
        return self._store.folder

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return self._store.together(calls)

    @property
    def tiering(self) -> Tiering | None:
        """The storage classes of the store below, whose keys are the same."""
        return tiering(self._store)

    def put_new(self, key: str, data: bytes) -> bool:
        return self._store.put_new(self._key(key), data)

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        self._store.put_file(self._key(key), path, sha256=sha256)

    def put_hint(self, key: str, data: bytes) -> None:
        self._store.put_hint(self._key(key), data)

    def read(self, key: str) -> bytes:
        return self._store.read(self._key(key))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        return self._store.read_range(self._key(key), start, length)

    def size(self, key: str) -> int:
        return self._store.size(self._key(key))

    def written_at(self, key: str) -> datetime | None:
        return self._store.written_at(self._key(key))

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        return self._store.list(prefix, limit)

    def delete(self, key: str) -> None:
        self._store.delete(self._key(key))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with self._store.local(self._key(key)) as path:
            yield path

    def address(self, key: str) -> str | None:
        return self._store.address(self._key(key))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._store.scratch() as folder:
            yield folder

    def _key(self, key: str) -> str:
        return key


class PrefixedStore(WrappedStore):
    """A store's objects below ``prefix``, as a store."""

    def __init__(self, store: Store, prefix: str) -> None:
        super().__init__(store)
        self._prefix = prefix
        self.url = f"{store.url}/{prefix}"

    @property
    def locks(self) -> Locks | None:
        return _PrefixedLocks(self, self._store.locks) if self._store.locks else None

    @property
    def tiering(self) -> None:
        """None: the classes' keys are those of the store below."""

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        below = f"{self._prefix}/{prefix}" if prefix else self._prefix
        return [key.removeprefix(f"{self._prefix}/") for key in self._store.list(below, limit)]

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}"


class _PrefixedLocks:
    def __init__(self, store: PrefixedStore, locks: Locks) -> None:
        self._store, self._locks = store, locks

    @property
    def days(self) -> int:
        return self._locks.days

    @property
    def keeps_versions(self) -> bool:
        return self._locks.keeps_versions

    def until(self, key: str) -> datetime | None:
        return self._locks.until(self._store._key(key))

    def extend(self, key: str, until: datetime) -> bool:
        return self._locks.extend(self._store._key(key), until)

    def hidden(self, prefix: str) -> list[str]:
        base = self._store._key("")
        below = self._store._key(prefix).rstrip("/")
        return [key.removeprefix(base) for key in self._locks.hidden(below)]

    def is_hidden(self, key: str) -> bool:
        return self._locks.is_hidden(self._store._key(key))

    def unhide(self, key: str) -> None:
        self._locks.unhide(self._store._key(key))
