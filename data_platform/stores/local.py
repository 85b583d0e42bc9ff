"""A landing store in a folder of this machine, and the YAML that opens it.

Everything that needs the file system to be durable and atomic is here; what the
objects mean is not.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import LandingError, StoreFull

_SCRATCH = ".scratch"
_ABANDONED_SECONDS = 24 * 3600
"""A scratch file that nobody locks may still be new; a day covers the longest single write."""


class LocalStoreConfig(BaseModel):
    """``{kind: local, path: .data/landing}``; a relative path starts at the project root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = Field(default="local", description="The kind of store.")
    path: Path = Field(description="The folder; a relative path starts at the project's folder.")

    def open(self, root: Path) -> LocalStore:
        """The store; nothing is created until something is written."""
        return LocalStore(root / self.path)


class LocalStore:
    """A ``stores.Store`` over the folder ``path``. Safe among processes on one file system
    that knows hard links; names that start with a dot are the store's own."""

    def __init__(self, path: Path) -> None:
        self.path = Path.cwd() / path
        self.url = self.path.as_uri()

    def put_new(self, key: str, data: bytes) -> bool:
        target = self._path(key)
        with self._readable_errors("write", key):
            self._make_folder(target.parent)
            temporary = self._temporary(data, durable=True)
            try:
                # link() is the one call that both refuses an existing name and shows the whole
                # content at once: O_EXCL leaves an empty object when killed, rename overwrites.
                os.link(temporary, target)
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
            _sync_folder(target.parent)
        return True

    def put_file(self, key: str, path: Path) -> None:
        target = self._path(key)
        with self._readable_errors("write", key):
            self._make_folder(target.parent)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            try:
                path.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy_in(path, target)
            _sync_folder(target.parent)

    def put_hint(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with self._readable_errors("write", key):
            self._make_folder(target.parent)
            self._temporary(data, durable=False).replace(target)

    def read(self, key: str) -> bytes:
        with self._readable_errors("read", key):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise KeyError(key) from None

    def size(self, key: str) -> int:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        return path.stat().st_size

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        folder = self._path(prefix) if prefix else self.path
        with self._readable_errors("list", prefix):
            keys = self._keys(folder)
            return sorted(keys) if limit is None else heapq.nsmallest(limit, keys)

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        yield path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._readable_errors("write", _SCRATCH):
            self._sweep()
            self._make_folder(self.path / _SCRATCH)
            folder = Path(tempfile.mkdtemp(prefix="parts-", dir=self.path / _SCRATCH))
            lock = os.open(folder / ".locking", os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / ".locking").rename(folder / ".lock")  # seen only once it is held
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def _path(self, key: str) -> Path:
        pieces = key.split("/")
        if any(not piece or piece.startswith(".") or "\\" in piece or "\0" in piece for piece in pieces):
            raise ValueError(
                f"{key!r} is no object key: names joined by /, none empty or starting with a dot"
            )
        return self.path.joinpath(*pieces)

    def _keys(self, folder: Path) -> Iterator[str]:
        for where, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = Path(where).relative_to(self.path).as_posix()
            base = "" if base == "." else base + "/"
            yield from (base + name for name in files if not name.startswith("."))

    def _temporary(self, data: bytes, durable: bool) -> Path:
        """``data`` in a new file of the scratch folder."""
        folder = self.path / _SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="put-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except BaseException:
            Path(name).unlink()
            raise
        return Path(name)

    def _copy_in(self, path: Path, target: Path) -> None:
        """Move a file from another file system: copy it beside the target, then rename."""
        self._make_folder(self.path / _SCRATCH)
        handle, name = tempfile.mkstemp(prefix="put-", dir=self.path / _SCRATCH)
        try:
            with path.open("rb") as source, os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            Path(name).rename(target)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        path.unlink()

    def _make_folder(self, folder: Path) -> None:
        """``mkdir -p`` that survives a crash: each new name is synced into its parent."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            _sync_folder(new.parent)

    def _sweep(self) -> None:
        """Remove what killed processes left in the scratch folder: theirs is the lock that is free."""
        with suppress(FileNotFoundError), os.scandir(self.path / _SCRATCH) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir() and _lock_is_free(Path(entry.path) / ".lock"):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    elif entry.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                        if entry.is_file():
                            Path(entry.path).unlink()
                        elif not (Path(entry.path) / ".lock").exists():
                            shutil.rmtree(entry.path, ignore_errors=True)

    @contextmanager
    def _readable_errors(self, act: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"The landing store at {self.path} could not {act} {key or 'its objects'}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(
                    f"{what}: no space is left. Free some or give it a larger disk, then run again;"
                    " nothing was committed."
                ) from error
            if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK) and act == "write":
                raise LandingError(
                    f"{what}: its file system refuses hard links or the write itself ({os.strerror(error.errno)})."
                    " Choose a local disk for the landing store."
                ) from error
            raise LandingError(
                f"{what}: {os.strerror(error.errno) if error.errno else type(error).__name__}. Check that"
                " the folder exists and belongs to the user who runs this, then run again."
            ) from error


def _lock_is_free(path: Path) -> bool:
    """Whether the owner of the lock file ``path`` is gone; False while there is no such file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
