"""Reading a chain costs the same however long it is. Requests and names are counted, never seconds."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.landing.keys import FOLDER_MAX, manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.landing.state import CHECKPOINT_EVERY, TableState
from data_platform.stores.local import LocalStore
from data_platform.tables import Fingerprint, Slice, TableId
from data_platform_tests.contracts.batches import TABLE, manifest

DAY = Slice("2026-01-01")


class Memory:
    """A store of objects in memory that counts its requests."""

    def __init__(self) -> None:
        self.url = "memory:"
        self.objects: dict[str, bytes] = {}
        self.names: list[str] = []
        self.requests: Counter[str] = Counter()

    def put_new(self, key: str, data: bytes) -> bool:
        self.requests["put"] += 1
        if key in self.objects:
            return False
        self._put(key, data)
        return True

    def put_hint(self, key: str, data: bytes) -> None:
        self.requests["put"] += 1
        self._put(key, data)

    def _put(self, key: str, data: bytes) -> None:
        if key not in self.objects:
            self.names.insert(bisect_left(self.names, key), key)
        self.objects[key] = data

    def read(self, key: str) -> bytes:
        self.requests["get"] += 1
        return self.objects[key]

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        start = bisect_left(self.names, f"{prefix}/")
        found = (name for name in islice(self.names, start, None) if name.startswith(f"{prefix}/"))
        names = list(islice(found, limit))
        self.requests["list"] += max(1, -(-len(names) // 1000))
        return names

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not for reading a chain")


def grow(ledger: Ledger, batches: int, head: Manifest | None = None) -> Manifest:
    for sequence in range(head.sequence + 1 if head else 1, batches + 1):
        prints = {DAY: Fingerprint(sequence, 1)} if sequence % 3 else {}
        previous = head.digest if head else None
        head = ledger.commit(manifest(sequence, previous=previous, fingerprints=prints, touched={DAY: 1}))
    assert head is not None
    return head


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def ledger(memory: Memory) -> Ledger:
    return Ledger(memory)  # type: ignore[arg-type]


@pytest.mark.parametrize("batches", [1, 31, 32, 33, 1000])
def test_a_chain_of_any_length_is_read_by_as_many_requests(
    memory: Memory, ledger: Ledger, batches: int
) -> None:
    head = grow(ledger, batches)
    memory.requests.clear()
    state = ledger.state(TABLE)
    assert state.head == head
    assert memory.requests["list"] == 1
    assert 1 <= memory.requests["get"] <= CHECKPOINT_EVERY
    assert set(memory.requests) == {"list", "get"}
    for act, most in {
        lambda: ledger.head(TABLE): 1,
        lambda: ledger.pending(TABLE, batches, head.digest): 2,
        lambda: ledger.since(TABLE, batches - 1): 2,
        lambda: (ledger.last(TABLE), ledger.last(TableId("shop", "users"))): 0,
        lambda: ledger.rewrites(TABLE): 1,
    }.items():
        memory.requests.clear()
        act()
        assert memory.requests["get"] <= most
        assert memory.requests["list"] <= 2


def test_a_commit_costs_the_same_anywhere_in_the_chain(memory: Memory, ledger: Ledger) -> None:
    head, most = None, Counter[str]()
    for sequence in range(1, 70):
        memory.requests.clear()
        head = grow(ledger, sequence, head)
        most |= memory.requests
    assert most == {"get": CHECKPOINT_EVERY + 1, "put": 2}, "one of each is the hint of its end"


def test_a_rebuild_reads_no_further_back_than_the_last_replacement(memory: Memory, ledger: Ledger) -> None:
    first = grow(ledger, 100)
    swapped = ledger.commit(manifest(101, "replace", previous=first.digest))
    head = grow(ledger, 103, swapped)
    memory.requests.clear()
    assert [m.sequence for m in ledger.pending(TABLE, 0)] == [101, 102, 103]
    assert memory.requests == {"list": 1, "get": 3}
    assert [m.sequence for m in ledger.pending(TABLE, 100, first.digest)] == [101, 102, 103]
    assert [m.sequence for m in ledger.pending(TABLE, 50, ledger.read(TABLE, 50).digest)] == [101, 102, 103]
    assert [m.sequence for m in ledger.pending(TABLE, 103, head.digest)] == []


@given(st.integers(1, 10**9))
def test_keys_descend_and_a_folder_holds_a_thousand(sequence: int) -> None:
    here, after = manifest_key(TABLE, sequence), manifest_key(TABLE, sequence + 1)
    assert after < here
    assert here.count("/") == 4
    folder = here.rpartition("/")[0]
    assert not manifest_key(TABLE, sequence + 1000).startswith(folder)


def test_the_newest_is_the_first_across_folders(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for sequence in (999, 1000, 1001, 1002, 2000, 2001):
        store.put_hint(manifest_key(TABLE, sequence), b"")
        assert store.list(f"{TABLE}/manifests", limit=1) == [manifest_key(TABLE, sequence)]


@contextmanager
def names_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How many folders are listed meanwhile, and how many names they hold."""
    counted: Counter[str] = Counter()
    scandir = os.scandir

    @contextmanager
    def counting(path: Any) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(path) as entries:
            found = list(entries)
        counted["folders"] += 1
        counted["names"] += len(found)
        yield iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", counting)
        yield counted


def long_chain(root: Path, batches: int) -> TableState:
    """The newest are real and the rest only names, which is all that a listing sees of them."""
    real = 2 * CHECKPOINT_EVERY
    for sequence in range(1, batches + 1):
        file = root / manifest_key(TABLE, sequence)
        if sequence % FOLDER_MAX in (0, 1):
            file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT))
    previous = "0" * 64
    for sequence in range(batches - real + 1, batches + 1):
        checkpoint = {} if sequence % CHECKPOINT_EVERY == 0 else None
        made = manifest(sequence, previous=previous, checkpoint=checkpoint, touched={DAY: 1}).sealed()
        previous = made.digest
        (root / manifest_key(TABLE, sequence)).write_bytes(made.to_json())
    return TableState(made, columns=made.columns)


@pytest.mark.parametrize("batches", [1_500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain_on_a_disk_is_not_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    expected = long_chain(tmp_path, batches)
    reads: list[str] = []

    class Counting(LocalStore):
        def read(self, key: str) -> bytes:
            reads.append(key)
            return super().read(key)

    with names_counted(monkeypatch) as counted:
        assert Ledger(Counting(tmp_path)).state(TABLE) == expected
    assert len(reads) <= CHECKPOINT_EVERY
    assert 0 < counted["folders"] <= 3
    assert 0 < counted["names"] <= 1000 + batches // 1000 + 2


def test_what_waits_to_be_loaded_is_held_without_what_loading_does_not_need(ledger: Ledger) -> None:
    head = grow(ledger, 3 * CHECKPOINT_EVERY)
    assert head.checkpoint is not None
    for held in (ledger.pending(TABLE, 0), ledger.until(TABLE, None)):
        assert [m.digest for m in held] == [m.digest for m in ledger.since(TABLE, 0)]
        assert all(m.checkpoint is None and m.columns is held[-1].columns for m in held)
