"""What the stores in a bucket share: files on their way, and what is known of them.

An object put from ``scratch()`` is read from there again as long as its block lasts, so
that a sync does not fetch what it has just written.
"""

from __future__ import annotations

import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data_platform.errors import ConfigurationError, LandingError, ObjectDamaged, StoreFull
from data_platform.private_files import is_own, make_private
from data_platform.stores._keys import pieces, visible
from data_platform.stores._scratch import locked_folder, sweep

if TYPE_CHECKING:
    from data_platform.stores.locks import Locks

T = TypeVar("T")
URL = r"^https?://[^/\s@?#]+(/[^\s?#]*)?$"
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Transfer:
    """Timeouts and retries of a store, and how it splits large files: ``threads`` pieces of ``part_bytes`` are
    transferred at once, and no more than these are in memory."""

    attempts: int = 5
    connect_seconds: float = 10
    answer_seconds: float = 60
    """Without a byte; a large file may take as long as it needs."""
    pause_seconds_max: float = 8
    large_bytes: int = 32 * MB
    part_bytes: int = 16 * MB
    threads: int = 4


def checked_prefix(prefix: str) -> str:
    """``prefix`` without slashes around it; ValueError when it is no folder of keys."""
    prefix = prefix.strip("/")
    if prefix:
        pieces(prefix)
    return prefix


def scratch_base(root: Path, cache: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for files on their way: the one that is configured, else this user's cache, else one of
    their own among the temporary files, where nobody else may have been first (``_make_base``)."""
    if cache is not None:
        return (root / cache).resolve()
    homes = [environ.get("XDG_CACHE_HOME", ""), f"{environ['HOME']}/.cache" if environ.get("HOME") else ""]
    for home in (Path(name) for name in homes if name.startswith("/")):
        there = home if home.exists() else home.parent
        if is_own(there) and os.access(there, os.W_OK | os.X_OK):
            return home / "data-platform"
    return Path(tempfile.gettempdir()) / f"data-platform-{os.geteuid()}"


class OddListing(Exception):
    """The answer to a listing cannot be what the service sent; its text goes on after "the answer"."""


class RemoteStore(ABC):
    """The part of a ``stores.Store`` that is the same for every bucket."""

    transfer: Transfer
    requests_at_once = 10  # as many connections as either client keeps

    def __init__(self, url: str, prefix: str, base: Path, environ: Mapping[str, str] | None) -> None:
        self.url = f"{url}/{prefix}".rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._base = base
        self._environ = environ
        self._folders: set[Path] = set()
        self._kept: dict[str, Path] = {}
        """Objects that were put from a scratch folder that still exists."""

    @property
    def locks(self) -> Locks | None:
        return None

    @property
    def folder(self) -> Path:
        return self._base

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        with ThreadPoolExecutor(self.requests_at_once, thread_name_prefix="store") as pool:
            return list(pool.map(lambda call: call(), calls))

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        name = self._name(key)
        with self._readable_errors("write", key):
            self._upload(key, name, path, sha256)
            home = next((f for f in tuple(self._folders) if path.is_relative_to(f)), None)
            if home is None:
                path.unlink()
                return
            descriptor, kept = tempfile.mkstemp(prefix=".kept-", dir=home)
            os.close(descriptor)
            self._kept[key] = path.rename(kept)

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        """No service sends a checksum with a listing, so one that contradicts itself or its question is asked for again.
        A name that was altered and could be one is seen by who reads it."""
        start = self._folder(prefix)
        page = 1000 if limit is None else max(1, min(limit, 1000))
        odd = ""
        with self._readable_errors("list", prefix):
            for _ in range(self.transfer.attempts):
                try:
                    keys = (self._key(name, start) for name in self._names(start, page))
                    # The order is asked of the server; SeaweedFS puts m/1 before m-1, which sorting mends.
                    return sorted(islice(filter(visible, keys), limit))
                except OddListing as error:
                    odd = str(error)
        raise ObjectDamaged(
            f"{self._could_not('list', prefix)}: the answer {odd}, each of {self.transfer.attempts} times. Run again; if it"
            " repeats, the service or the network alters data."
        )

    @abstractmethod
    def _names(self, start: str, page: int) -> Iterator[str]:
        """The names that begin with ``start``, asked for in pages of so many. OddListing where an answer is none."""

    def _key(self, name: str, start: str) -> str:
        if not name.startswith(start):
            raise OddListing(f"names {name!r}, which is not below it")
        return name[len(self._prefix) :]

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        name = self._name(key)
        kept = self._kept.get(key)
        if kept is not None and kept.exists():
            yield kept
            return
        with self.scratch() as folder:
            path = folder / name.rsplit("/", 1)[-1]
            with self._readable_errors("read", key):
                size = self._download(key, name, path)
                if path.stat().st_size != size:
                    raise ObjectDamaged(
                        f"{self._could_not('read', key)}: {path.stat().st_size:,} of its {size:,} bytes arrived."
                        " Run again."
                    )
            yield path

    def address(self, key: str) -> str:
        return f"{self.url}/{'/'.join(pieces(key))}"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with ExitStack() as stack:
            with self._readable_errors("write", "scratch files"):
                self._make_base()
                sweep(self._base)
                folder = stack.enter_context(locked_folder(self._base))
            self._folders.add(folder)
            try:
                yield folder
            finally:
                self._folders.discard(folder)
                for key, path in list(self._kept.items()):  # threads may share the store
                    if path.parent == folder:
                        self._kept.pop(key, None)

    def _name(self, key: str) -> str:
        """The object's name in the bucket."""
        return self._prefix + "/".join(pieces(key))

    def _folder(self, prefix: str) -> str:
        """What the names of all objects under ``prefix`` start with."""
        return f"{self._name(prefix)}/" if prefix else self._prefix

    def _could_not(self, act: str, key: str) -> str:
        return f"The store at {self.url} could not {act} {key or 'its objects'}"

    def _secret(self, setting: str, variable: str) -> str:
        """The value of the environment variable named by ``setting``."""
        value = (os.environ if self._environ is None else self._environ).get(variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"The environment variable {variable} is not set; `{setting}` of the store at {self.url} names"
                " it. Set it, for example in .env, or leave the key out to use what the machine itself is"
                " allowed."
            )
        return value

    def _make_base(self) -> None:
        """The scratch folder, closed to other accounts: its files may hold personal data."""
        with suppress(FileExistsError):  # a dangling link
            make_private(self._base)
        if not is_own(self._base):
            raise LandingError(
                f"The folder {self._base} for files on their way to {self.url} is a link, belongs to another user or"
                " can be written by others, so files in it are not safe. Remove it, close it"
                f" (`chmod go-rwx {self._base}`), or name a folder of your own under `cache` in catalog/platform.yaml."
            )

    def _disk_error(self, error: OSError, act: str, key: str) -> LandingError:
        what = self._could_not(act, key)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFull(
                f"{what}: no space is left in {self._base}, where files wait on their way. Free some, or"
                " name a folder on a larger disk under `cache` in catalog/platform.yaml, then run again."
            )
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return LandingError(
            f"{what}: {reason}, in the folder {self._base} for files on their way. Check that it belongs to"
            " the user who runs this, then run again."
        )

    def _altered(self, key: str) -> ObjectDamaged:
        return ObjectDamaged(
            f"{self._could_not('write', key)}: the store received different bytes than were sent, or the file changed"
            " after it was hashed. Nothing was kept; run again. If it happens again, the network or this"
            " machine's memory or disk alters data."
        )

    def _discard(self, key: str) -> None:
        """Remove an object that proved wrong. If that fails, the error that follows still reports it."""
        with suppress(LandingError):
            self.delete(key)

    @abstractmethod
    def delete(self, key: str) -> None: ...

    @abstractmethod
    def _upload(self, key: str, name: str, path: Path, sha256: str | None) -> None:
        """Put the file and prove that the store holds its bytes; ``ObjectDamaged`` if it does not."""

    @abstractmethod
    def _download(self, key: str, name: str, path: Path) -> int:
        """Download the object to ``path``; returns the length that the store reports."""

    @abstractmethod
    def _readable_errors(self, act: str, key: str) -> AbstractContextManager[None]:
        """Turns the SDK's exceptions in the block into a LandingError that says what to do."""
