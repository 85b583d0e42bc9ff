"""What is particular to a store in a folder: crashes, full disks, other file systems."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from data_platform.errors import LandingError, StoreFull
from data_platform.stores import local
from data_platform.stores.local import LocalStore, LocalStoreConfig


def test_a_relative_path_starts_at_the_root_and_opening_writes_nothing(tmp_path: Path) -> None:
    store = LocalStoreConfig.model_validate({"kind": "local", "path": ".data/landing"}).open(tmp_path)
    assert store.path == tmp_path / ".data/landing"
    assert store.url == f"file://{tmp_path}/.data/landing"
    assert store.list("") == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValidationError):
        LocalStoreConfig.model_validate({"path": "x", "paht": "y"})


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_full_disk_is_said_and_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = LocalStore(tmp_path)
    store.put_new("t/0", b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(StoreFull, match="no space is left"):
            store.put_new("t/1", b"after")
    assert store.list("") == ["t/0"]
    assert list((tmp_path / ".scratch").iterdir()) == [], "the temporary file is taken away"
    assert store.put_new("t/1", b"after")


def test_a_file_system_without_hard_links_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LandingError, match="hard links"):
        LocalStore(tmp_path).put_new("t/1", b"")


def test_a_path_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(LandingError, match="could not write t/1"):
        LocalStore(tmp_path / "store").put_new("t/1", b"")


def test_a_file_from_another_file_system_is_copied_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    part = tmp_path / "elsewhere"
    part.write_bytes(b"rows")

    def other_device(self: Path, target: Path) -> Path:
        if self == part:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", other_device)
    store = LocalStore(tmp_path / "store")
    store.put_file("t/part", part)
    assert store.read("t/part") == b"rows"
    assert not part.exists()


def test_what_a_killed_process_left_in_scratch_is_swept_and_a_living_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from data_platform.stores.local import LocalStore\n"
        "with LocalStore(Path(sys.argv[1])).scratch() as folder:\n"
        "    (folder / 'part').write_bytes(b'x' * 1000)\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    try:
        with LocalStore(tmp_path).scratch():
            assert (folder / "part").exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (folder / "part").exists()
    with LocalStore(tmp_path).scratch() as own:
        assert not folder.exists()
        assert own.exists()


def test_a_folder_that_another_thread_is_making_is_synced_before_what_lies_in_it_is_said_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread has made `t` and hangs before its name is durable: who finds it there may not rely on it."""
    store, sync = LocalStore(tmp_path / "store"), local._sync_folder
    store.put_new("other", b"")
    hanging, go_on = threading.Event(), threading.Event()
    synced: list[Path] = []

    def syncing(folder: Path) -> None:
        if threading.current_thread() is not first:
            synced.append(folder)
        elif folder == store.path and not hanging.is_set():
            hanging.set()
            assert go_on.wait(30)
        sync(folder)

    monkeypatch.setattr(local, "_sync_folder", syncing)
    first = threading.Thread(target=store.put_new, args=("t/a/1", b"x"))
    first.start()
    assert hanging.wait(30)
    assert store.put_new("t/b/1", b"y")
    assert synced == [store.path, store.path / "t", store.path / "t/b"]
    synced.clear()
    go_on.set()
    first.join()
    assert store.put_new("t/b/2", b"z")
    assert synced == [store.path / "t/b"], "what is durable is not synced again"
    assert store.list("t") == ["t/a/1", "t/b/1", "t/b/2"]


def test_the_first_keys_are_found_without_a_walk_through_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    for folder in range(20):
        for n in range(5):
            store.put_new(f"t/manifests/{folder:02d}/{n}", b"")
    read: list[str] = []
    scandir = os.scandir

    def counting(path: Path) -> object:
        read.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    assert store.list("t/manifests", limit=1) == ["t/manifests/00/0"]
    assert read == ["manifests", "00"]
    read.clear()
    assert store.list("t", limit=6) == [*(f"t/manifests/00/{n}" for n in range(5)), "t/manifests/01/0"]
    assert read == ["t", "manifests", "00", "01"]
