"""A stream of any length as objects of bounded size in several archives, and back.

Each object is compressed by itself (``packing.py``), so that ``cat * | zstd -d`` gives the stream without this code. What waits
to be sent is bounded, and so are the memory and the scratch space that a backup takes, whatever the database's size is.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import IO, Any, Self

from data_platform.backups.archive import Archive
from data_platform.backups.database.carry import patiently
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.packing import BLOCK, DENSE, FAST, plain, writing
from data_platform.backups.database.repository import Failures, Repository
from data_platform.backups.manifest import BackupObject
from data_platform.errors import BackupDamaged, DataPlatformError
from data_platform.landing.part import sha256_of

CHUNK_BYTES = 64 << 20
"""Before compression: no object is larger."""
WAITING_MAX = 2
"""Chunks that wait to be sent."""
AHEAD = 8
"""Blocks that are unpacked before they are asked for."""


class Sender:
    """Sends files to every archive that has not failed yet, one after another, beside the caller's work.

    What fails is in ``failed``, by archive. The last one that has not is waited for while its error may pass; then the first
    error of all is raised.
    """

    def __init__(self, archives: Sequence[Archive], prefix: str) -> None:
        self.archives = list(archives)
        self.failed: Failures = {}
        self._prefix = prefix
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="backup")
        self._sending: list[Future[BackupObject]] = []
        self._sent: list[BackupObject] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def send(self, path: Path, what: str) -> None:
        """Send ``path``, which is removed, as ``what``. Waits while too many are on their way."""
        while len(self._sending) >= WAITING_MAX:
            self._collect()
        self._sending.append(self._worker.submit(self._send, path, what))

    def sent(self) -> tuple[BackupObject, ...]:
        """All that was sent, once all of it is."""
        while self._sending:
            self._collect()
        return tuple(self._sent)

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return bool(self._sending or self._sent)

    @property
    def healthy(self) -> list[Archive]:
        return [one for one in self.archives if one.name not in self.failed]

    def _collect(self) -> None:
        self._sent.append(self._sending.pop(0).result())

    def _send(self, path: Path, what: str) -> BackupObject:
        object_ = BackupObject(f"{self._prefix}/{what}", path.stat().st_size, sha256_of(path))
        try:
            for archive in self.healthy:
                try:
                    if len(self.healthy) == 1:
                        patiently(partial(archive.add, path, object_))
                    else:
                        archive.add(path, object_)
                except DataPlatformError as error:
                    self.failed[archive.name] = error
                    if not self.healthy:
                        raise next(iter(self.failed.values())) from None
        finally:
            path.unlink(missing_ok=True)
        return object_


class ChunkWriter:
    """Cuts what is written into objects ``<name>-00000.zst``, ``<name>-00001.zst``, ... of ``sender``. With ``dense`` the first is
    made as small as it can be: what fits into it is sent whole, and what is larger is not held up."""

    def __init__(
        self, sender: Sender, name: str, folder: Path, chunk_bytes: int | None = None, *, dense: bool = False
    ) -> None:
        self.plain_bytes = 0
        self._dense = dense
        self._chunk = chunk_bytes or CHUNK_BYTES
        self._sender, self._name, self._folder = sender, name, folder
        self._number, self._here = 0, 0
        self._path: Path | None = None
        self._target: Any = None

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._target is None:
                self._begin()
            piece = view[: self._chunk - self._here]
            self._target.write(piece)
            self._here += len(piece)
            self.plain_bytes += len(piece)
            view = view[len(piece) :]
            if self._here == self._chunk:
                self._end()

    def close(self) -> None:
        """Send what is left."""
        if self._target is not None:
            self._end()

    def _begin(self) -> None:
        ending = DENSE if self._dense and self._number == 0 else FAST
        self._path = self._folder / f"{self._name}-{self._number:05d}{ending}"
        self._target = writing(self._path)
        self._here = 0

    def _end(self) -> None:
        self._target.close()
        self._target = None
        assert self._path is not None
        self._sender.send(self._path, self._path.name)
        self._number += 1


def packed(sender: Sender, data: bytes, what: str, folder: Path) -> None:
    """``data`` as one object."""
    path = folder / what
    with writing(path) as target:
        target.write(data)
    sender.send(path, what)


def unpacked(repository: Repository, backup: DatabaseBackup, what: str) -> bytes:
    """The plain bytes of the object ``what``. ``BackupDamaged`` if it is not there or is not what it was."""
    object_ = backup.object(what)
    if object_ is None:
        raise BackupDamaged(f"{repository.owner(backup)} in {repository.archive} has no object {what}.")
    return b"".join(_all_blocks(repository, backup, [object_]))


class ChunkReader(io.RawIOBase):
    """``blocks`` as one stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@contextmanager
def chunks(repository: Repository, backup: DatabaseBackup, name: str) -> Iterator[ChunkReader]:
    """The stream that ``ChunkWriter`` cut as ``name``, each object proven before a byte of it is given. It is fetched and
    unpacked by a thread of its own, ahead of its reader."""
    parts = [one for one in backup.objects if one.key.rsplit("/", 1)[-1].startswith(f"{name}-")]
    with ahead(_all_blocks(repository, backup, sorted(parts, key=lambda one: one.key))) as blocks:
        yield ChunkReader(blocks)


def _all_blocks(
    repository: Repository, backup: DatabaseBackup, objects: Sequence[BackupObject]
) -> Generator[bytes]:
    """What ``objects`` hold. Each one is fetched while the one before is unpacked."""

    def fetch(one: BackupObject) -> tuple[ExitStack, Path]:
        held = ExitStack()
        return held, held.enter_context(repository.fetched(backup, one))

    coming: list[Future[tuple[ExitStack, Path]]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        try:
            for one, next_ in zip(objects, [*objects[1:], None], strict=True):
                held, path = (coming.pop() if coming else pool.submit(fetch, one)).result()
                with held:
                    if next_ is not None:
                        coming.append(pool.submit(fetch, next_))
                    yield from _plain(repository, one, path)
        finally:
            for left in coming:
                with suppress(DataPlatformError, OSError):
                    left.result()[0].close()


@contextmanager
def ahead(blocks: Generator[bytes]) -> Iterator[Iterator[bytes]]:
    """``blocks``, made by a thread of its own, at most ``AHEAD`` of them before they are asked for. An error of it is raised where
    its block would have come."""
    made: Queue[bytes | BaseException | None] = Queue(AHEAD)
    stop = threading.Event()

    def offer(one: bytes | BaseException | None) -> bool:
        while not stop.is_set():
            with suppress(Full):
                made.put(one, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            with closing(blocks):
                if all(map(offer, blocks)):
                    offer(None)
        except BaseException as error:  # its reader raises it
            offer(error)

    def given() -> Iterator[bytes]:
        while (one := made.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        yield given()
    finally:
        stop.set()
        worker.join()


class Tee(io.RawIOBase):
    """Reads ``source`` and writes all that it reads to ``writer``."""

    def __init__(self, source: IO[bytes], writer: ChunkWriter) -> None:
        self._source, self._writer = source, writer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        if data:
            self._writer.write(data)
            buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Read on to the end."""
        while data := self._source.read(BLOCK):
            self._writer.write(data)


def _plain(repository: Repository, object_: BackupObject, path: Path) -> Iterator[bytes]:
    """What ``path``, a copy of the object, holds."""
    try:
        yield from plain(path, object_.key)
    except ValueError as error:
        raise BackupDamaged(
            f"The object {object_.key} in {repository.archive} is not compressed as it should be. Restore from"
            " another copy, or from an older backup."
        ) from error


@contextmanager
def scratch(archives: Sequence[Archive]) -> Iterator[Path]:
    """A folder for the chunks under way, in the first store that can give one."""
    problem: DataPlatformError | None = None
    for archive in archives:
        stack = archive.store.scratch()
        try:
            folder = stack.__enter__()
        except DataPlatformError as error:
            problem = problem or error
            continue
        try:
            yield folder
        finally:
            with suppress(OSError):
                stack.__exit__(None, None, None)
        return
    assert problem is not None
    raise problem
