"""A store in a folder of this machine, and the YAML that opens it.

Everything that needs the file system to be durable and atomic is here; what the
objects mean is not.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from os.path import normpath
from pathlib import Path, PurePath
from typing import ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import LandingError, StoreFull
from data_platform.private_files import make_private
from data_platform.stores._keys import pieces
from data_platform.stores._scratch import locked_folder, sweep

T = TypeVar("T")
_SCRATCH = ".scratch"


class LocalStoreConfig(BaseModel):
    """``{kind: local, path: .data/landing}``; a relative path starts at the project root."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tiered: ClassVar[bool] = False

    kind: Literal["local"] = Field(description="The kind of store: local, s3 or gcs.")
    path: Path = Field(description="The folder; a relative path starts at the project's folder.")

    def place(self) -> tuple[str, ...]:
        return ("local", *PurePath(normpath(self.path)).parts)

    def files(self, root: Path) -> tuple[Path, ...]:
        return (root / self.path,)

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> LocalStore:
        """The store; nothing is created until something is written. It needs nothing of ``environ``."""
        return LocalStore(root / self.path)


class LocalStore:
    """A ``stores.Store`` over the folder ``path``. Safe among processes on one file system
    that knows hard links; names that start with a dot are the store's own."""

    requests_at_once = 1
    locks = None

    def __init__(self, path: Path) -> None:
        self.path = Path.cwd() / path
        self.url = self.path.as_uri()
        self._folders = threading.Lock()
        self._unsynced: Counter[Path] = Counter()
        """Folders that this process has made but not yet synced into their parents, with the number of threads at work."""

    @property
    def folder(self) -> Path:
        return self.path

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]

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

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        target = self._path(key)  # a rename changes no byte: there is nothing to compare `sha256` with
        with self._readable_errors("write", key):
            self._make_folder(target.parent)
            with path.open("rb") as file:
                os.fchmod(file.fileno(), 0o600)
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

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self._readable_errors("read", key):
            try:
                with self._path(key).open("rb") as file:
                    file.seek(start)
                    return file.read(length)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise KeyError(key) from None

    def size(self, key: str) -> int:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        return path.stat().st_size

    def written_at(self, key: str) -> None:
        if not self._path(key).is_file():
            raise KeyError(key)

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        folder = self._path(prefix) if prefix else self.path
        with self._readable_errors("list", prefix):
            return list(islice(_keys(folder, f"{prefix}/" if prefix else ""), limit))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._readable_errors("delete", key):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            _sync_folder(path.parent)

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        yield path

    def address(self, key: str) -> None:
        return None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        base = self.path / _SCRATCH
        with ExitStack() as stack:
            with self._readable_errors("write", _SCRATCH):
                sweep(base)
                self._make_folder(base)
                folder = stack.enter_context(locked_folder(base))
            yield folder

    def _path(self, key: str) -> Path:
        return self.path.joinpath(*pieces(key))

    def _temporary(self, data: bytes, durable: bool) -> Path:
        """``data`` in a new file of the scratch folder."""
        folder = self.path / _SCRATCH
        make_private(folder)
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
        """``mkdir -p`` that survives a crash: each new name is synced into its parent, by this thread too where
        another one has made it and has not done so yet."""
        if folder.is_dir() and not self._unsynced:
            return
        new = []
        with self._folders:
            while not folder.is_dir() or folder in self._unsynced:
                new.append(folder)
                folder = folder.parent
            self._unsynced.update(new)
            for each in reversed(new):
                each.mkdir(mode=0o700, exist_ok=True)
        for each in reversed(new):
            _sync_folder(each.parent)
        with self._folders:
            self._unsynced.subtract(new)
            self._unsynced = +self._unsynced

    @contextmanager
    def _readable_errors(self, act: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"The store at {self.path} could not {act} {key or 'its objects'}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(
                    f"{what}: no space is left. Free some or give it a larger disk, then run again;"
                    " nothing was committed."
                ) from error
            if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK) and act == "write":
                raise LandingError(
                    f"{what}: its file system refuses hard links or the write itself ({os.strerror(error.errno)})."
                    " Choose a local disk for the store."
                ) from error
            raise LandingError(
                f"{what}: {os.strerror(error.errno) if error.errno else type(error).__name__}. Check that"
                " the folder exists and belongs to the user who runs this, then run again."
            ) from error


def _keys(folder: Path, base: str) -> Iterator[str]:
    """Keys under ``folder``, each after ``base``, in ascending order. A folder is read only when its
    turn comes, so that the first keys of a large store cost no walk through all of it."""
    try:
        with os.scandir(folder) as entries:
            # "m/" and not "m": by whole keys m-1 comes before m/1
            names = sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith("/"):
            yield from _keys(folder / name, base + name)
        else:
            yield base + name


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
