"""Files out of a stream: closed to others, never outside of their folder, and what goes wrong in a thread is raised."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.manifest import DatabaseBackup, objects_of
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.stream import AHEAD, ChunkWriter, Sender, ahead, chunks, scratch
from data_platform.backups.database.unpack import SMALL_BYTES, WAITING_MAX, Unwanted, write_files
from data_platform.backups.manifest import BackupObject
from data_platform.errors import BackupDamaged
from data_platform.landing.part import sha256_of
from data_platform.stores.local import LocalStore

ID = "20261130T000000Z-" + "a" * 8


class Stream(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return self._data.readinto(buffer)  # type: ignore[arg-type]


def archive(*members: tuple[str, bytes | None, bytes]) -> bytes:
    """Of name, content (None for what has none) and tar's type."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode = kind, len(content or b""), 0o777
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(content) if content is not None else None)
    return file.getvalue()


def test_every_file_has_its_bytes_and_is_closed_to_others(tmp_path: Path) -> None:
    files = {f"base/1/{n}": bytes([n % 251]) * (n * 37) for n in range(4 * WAITING_MAX)}
    files |= {"base/1/large": b"0123456789" * (SMALL_BYTES // 5), "base/1/exact": b"x" * SMALL_BYTES}
    members = [(name, content, tarfile.REGTYPE) for name, content in files.items()]
    folders = [("base", None, tarfile.DIRTYPE), ("base/1", None, tarfile.DIRTYPE)]
    write_files(Stream(archive(*folders, *members)), tmp_path)
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in found} == files
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert (tmp_path / "base/1").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("pg_tblspc/1", tarfile.SYMTYPE, "neither a file nor a folder"),
        ("hard", tarfile.LNKTYPE, "neither a file nor a folder"),
        ("../outside", tarfile.REGTYPE, "leads out of the data folder"),
        ("a/../../outside", tarfile.REGTYPE, "leads out of the data folder"),
        ("/tmp/outside", tarfile.REGTYPE, "leads out of the data folder"),
    ],
)
def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, name: str, kind: bytes, words: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    content = b"x" if kind == tarfile.REGTYPE else None
    with pytest.raises(Unwanted, match=words):
        write_files(Stream(archive((name, content, kind))), folder)
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_name_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("whole")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/link").symlink_to(tmp_path / "target")
    for name in ("twice", "link"):
        twice = [(name, b"x", tarfile.REGTYPE)] * (2 if name == "twice" else 1)
        with pytest.raises(FileExistsError):
            write_files(Stream(archive(*twice)), tmp_path / "data")
    assert (tmp_path / "target").read_text() == "whole"


def test_a_stream_that_is_cut_is_no_archive(tmp_path: Path) -> None:
    whole = archive(("one", b"x" * 100_000, tarfile.REGTYPE))
    with pytest.raises(tarfile.TarError):
        write_files(Stream(whole[:50_000]), tmp_path)


@pytest.mark.parametrize("after", [0, 3 * WAITING_MAX])
def test_what_a_thread_could_not_write_is_raised(tmp_path: Path, after: int) -> None:
    more = [(f"file{n}", b"x", tarfile.REGTYPE) for n in range(after)]
    with pytest.raises(FileNotFoundError, match="no-such-folder"):
        write_files(Stream(archive(("no-such-folder/x", b"x", tarfile.REGTYPE), *more)), tmp_path)


class Blocks:
    """Blocks that count themselves; the one at ``broken`` is an error."""

    def __init__(self, count: int, broken: int = -1) -> None:
        self.made, self.closed, self.thread = 0, False, ""
        self._count, self._broken = count, broken

    def all(self) -> Generator[bytes]:
        self.thread = threading.current_thread().name
        try:
            for n in range(self._count):
                if n == self._broken:
                    raise ValueError("broken")
                self.made += 1
                yield bytes([n])
        finally:
            self.closed = True


def test_blocks_come_in_their_order_and_an_error_in_its_place() -> None:
    blocks = Blocks(5, broken=3)
    got = []
    with ahead(blocks.all()) as given, pytest.raises(ValueError, match="broken"):
        got += [next(given), next(given), next(given)]
        next(given)
    assert got == [b"\0", b"\1", b"\2"] and blocks.thread == "ahead"


def test_a_reader_that_leaves_early_ends_what_makes_the_blocks() -> None:
    blocks = Blocks(200)
    with ahead(blocks.all()) as given:
        next(given)
    assert blocks.closed and blocks.made <= AHEAD + 3
    assert "ahead" not in {one.name for one in threading.enumerate()}


@pytest.fixture(params=[False, True], ids=["fast", "dense"])
def cut(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Repository, DatabaseBackup, bytes]:
    """A stream that was cut into ten objects."""
    archive_ = Archive("primary", lambda: LocalStore(tmp_path / "store"))
    content = b"".join(bytes([n]) * 1000 for n in range(10))
    with scratch([archive_]) as folder, Sender([archive_], objects_of("shop", ID)) as sender:
        writer = ChunkWriter(sender, "base", folder, 1000, dense=request.param)
        writer.write(content)
        writer.close()
        objects = sender.sent()
    now = datetime(2026, 11, 30, tzinfo=UTC)
    backup = DatabaseBackup(
        id=ID, source="shop", environment="local", engine="native", way="full", parent="", system="1",
        version="18", began_at=now, ended_at=now, objects=objects, plain_bytes=len(content), database="shop",
    )  # fmt: skip
    return Repository(archive_, "shop"), backup, content


def test_objects_are_one_stream(cut: tuple[Repository, DatabaseBackup, bytes]) -> None:
    repository, backup, content = cut
    names = [one.key.rsplit("/", 1)[-1] for one in backup.objects]
    first = names[0].removeprefix("base-00000")
    assert first in (".zst", ".xz") and names[1:] == [f"base-{n:05d}.zst" for n in range(1, 10)]
    with chunks(repository, backup, "base") as stream:
        assert stream.read() == content


def test_what_is_not_compressed_as_its_name_says_is_damage(
    cut: tuple[Repository, DatabaseBackup, bytes],
) -> None:
    """Whose hash is right: it was written so."""
    repository, backup, _ = cut
    first = backup.objects[0]
    path = repository.archive.store.folder / first.key  # type: ignore[attr-defined]
    data = b"no such bytes" * 5
    path.write_bytes(data)
    written = BackupObject(first.key, len(data), sha256_of(path))
    backup = replace(backup, objects=(written, *backup.objects[1:]))
    with (
        chunks(repository, backup, "base") as stream,
        pytest.raises(BackupDamaged, match=r"base-00000\.(xz|zst) .* not compressed"),
    ):
        stream.read(1000)


def test_nothing_behind_a_damaged_object_is_given(cut: tuple[Repository, DatabaseBackup, bytes]) -> None:
    repository, backup, content = cut
    path = repository.archive.store.folder / backup.objects[4].key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    got = b""
    with (
        chunks(repository, backup, "base") as stream,
        pytest.raises(BackupDamaged, match=r"base-00004\.zst"),
    ):
        while True:
            got += stream.read(100)
    assert got == content[:4000]


def test_who_stops_reading_leaves_no_thread(cut: tuple[Repository, DatabaseBackup, bytes]) -> None:
    repository, backup, content = cut
    before = set(threading.enumerate())
    with chunks(repository, backup, "base") as stream:
        assert stream.read(10) == content[:10]
    assert set(threading.enumerate()) <= before
