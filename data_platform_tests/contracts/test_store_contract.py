"""What every landing store promises. A new kind joins with one line in ``STORES``."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_platform.stores import Store
from data_platform.stores.local import LocalStore

Reopen = Callable[[], Store]


def _local(folder: Path) -> Reopen:
    return lambda: LocalStore(folder / "store")


STORES: dict[str, Callable[[Path], Reopen]] = {"local": _local}
"""Each opens, any number of times and in any process, the same store."""


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Store:
    return STORES[kind](tmp_path)()


def test_put_new_creates_once(store: Store) -> None:
    assert store.put_new("shop/orders/manifests/9.json", b"first")
    assert not store.put_new("shop/orders/manifests/9.json", b"second")
    assert store.read("shop/orders/manifests/9.json") == b"first"
    assert store.size("shop/orders/manifests/9.json") == 5


def test_what_is_absent_is_a_key_error(store: Store) -> None:
    store.put_new("a/b", b"")
    for absent in ("a", "a/c", "a/b/c", "b"):
        with pytest.raises(KeyError):
            store.read(absent)
        with pytest.raises(KeyError):
            store.size(absent)
        with pytest.raises(KeyError), store.local(absent):
            pass


def test_listing_is_ascending_by_the_whole_key_and_bounded(store: Store) -> None:
    keys = ["t/m/2.json", "t/m/10.json", "t/m.json", "t/m-a/1", "t/m/1/x", "u/1"]
    for key in keys:
        store.put_new(key, b"x")
    assert store.list("t") == sorted(k for k in keys if k.startswith("t/"))
    assert store.list("t/m") == ["t/m/1/x", "t/m/10.json", "t/m/2.json"], "a folder, no mere prefix"
    assert store.list("t", limit=2) == sorted(k for k in keys if k.startswith("t/"))[:2]
    assert store.list("nothing/here") == []
    assert store.list("") == sorted(keys)


def test_put_file_moves_and_scratch_leaves_nothing(store: Store) -> None:
    with store.scratch() as folder:
        (folder / "part").write_bytes(b"rows")
        (folder / "left").write_bytes(b"never put")
        store.put_file("t/batches/1/part-0000.parquet", folder / "part")
        assert not (folder / "part").exists()
    assert not folder.exists()
    assert store.list("") == ["t/batches/1/part-0000.parquet"]
    with store.local("t/batches/1/part-0000.parquet") as path:
        assert path.read_bytes() == b"rows"


def test_a_hint_may_be_overwritten(store: Store) -> None:
    store.put_hint("t/looked.json", b"1")
    store.put_hint("t/looked.json", b"2")
    assert store.read("t/looked.json") == b"2"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", ".scratch/x", "a\\b"])
def test_a_key_never_leads_out_of_the_store(store: Store, key: str) -> None:
    with pytest.raises(ValueError):
        store.put_new(key, b"")


def _race(reopen: Callable[[Path], Reopen], folder: Path, writer: int, start: Any, wins: Any) -> None:
    store = reopen(folder)()
    start.wait()
    for n in range(25):
        if store.put_new(f"t/manifests/{n}", f"{writer}".encode() * 1000):
            wins.put((n, writer))
    wins.put(None)


def test_processes_that_race_for_a_key_have_one_winner_each(kind: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = 3
    start, wins = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=_race, args=(STORES[kind], tmp_path, writer, start, wins))
        for writer in range(writers)
    ]
    for process in processes:
        process.start()
    won: dict[int, int] = {}
    ended = 0
    while ended < writers:
        win = wins.get(timeout=120)
        if win is None:
            ended += 1
        else:
            assert win[0] not in won, "two writers were told that they created one key"
            won[win[0]] = win[1]
    for process in processes:
        process.join()
    store = STORES[kind](tmp_path)()
    assert sorted(won) == list(range(25))
    for n, writer in won.items():
        assert store.read(f"t/manifests/{n}") == f"{writer}".encode() * 1000


def test_a_reader_never_sees_half_an_object(kind: str, tmp_path: Path) -> None:
    whole = b"x" * 200_000
    writer, reader = STORES[kind](tmp_path)(), STORES[kind](tmp_path)()
    done = threading.Event()

    def write() -> None:
        for n in range(30):
            writer.put_new(f"t/{n:02d}", whole)
            writer.put_hint("t/hint", whole)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        for key in reader.list("t"):
            assert reader.read(key) == whole
    thread.join()
    assert len(reader.list("t")) == 31
