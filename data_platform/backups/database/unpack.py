"""Writes the files of a backup's tar stream. A data folder has a thousand small files, and making one takes longer than filling
it, so several threads make them while the stream is read on."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self, cast

READ_BYTES = 64 << 10
"""Of the tar stream at a time. Python's reader copies what is left of so much for each file, so more would be slower."""
SMALL_BYTES = 1 << 20
"""Larger files are written while they are read."""
WRITERS = 2
WAITING_MAX = 32
"""Small files that are read and not yet written."""


class Unwanted(Exception):
    """The stream holds what no data folder holds; the text says what."""


def write_files(stream: io.RawIOBase, folder: Path) -> None:
    """Write the files of ``stream`` into ``folder``, which nobody else may write to, closed to other accounts. ``Unwanted`` for
    anything but files and folders inside of it; ``tarfile.TarError`` if the stream is no whole archive."""
    with (
        _Writers() as writers,
        tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=READ_BYTES) as tar,
    ):
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # or every file's entry would be kept
            path = folder / _inside(member)
            if member.isdir():
                path.mkdir(mode=0o700, exist_ok=True)
                continue
            content = cast("IO[bytes]", tar.extractfile(member))
            if member.size <= SMALL_BYTES:
                writers.write(path, content.read())
            else:
                _write(path, iter(lambda content=content: content.read(READ_BYTES), b""))  # type: ignore[misc]


def _inside(member: tarfile.TarInfo) -> PurePosixPath:
    if not (member.isreg() or member.isdir()):
        raise Unwanted(f"{member.name[:120]!r}, which is neither a file nor a folder")
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise Unwanted(f"{member.name[:120]!r}, which leads out of the data folder")
    return name


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    # a name that comes twice fails, and so no link is followed either: the folder was empty
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123
        for block in blocks:
            file.write(block)


class _Writers:
    """Threads that write small files. The first error is raised by a later ``write`` or at the end of the block."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="unpack")
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            for one in self._waiting:
                one.result()

    def write(self, path: Path, content: bytes) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(_write, path, (content,)))
