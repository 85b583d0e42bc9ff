"""What every store promises. A new kind joins with one line in ``KINDS``.

``s3`` runs on SeaweedFS, a real S3 server; ``gcs-emulator`` proves our client code, not Google's
guarantees. Where DATA_PLATFORM_TEST_S3_BUCKET or DATA_PLATFORM_TEST_GCS_BUCKET name a bucket
and the SDK finds credentials, the same tests run there too, under a prefix that is removed.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import ObjectDamaged
from data_platform.stores import Store
from data_platform.stores._remote import MB, Transfer
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.local import LocalStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store
from data_platform_tests.servers.objects import new_prefix

Reopen = Callable[[], Store]
"""Opens, any number of times and in any process, the same store."""
SMALL_PARTS = Transfer(large_bytes=6 * MB, part_bytes=5 * MB)
"""5 MB is the least that S3 takes as a part."""
REAL = {"s3-real": "DATA_PLATFORM_TEST_S3_BUCKET", "gcs-real": "DATA_PLATFORM_TEST_GCS_BUCKET"}
KINDS = (
    "local",
    pytest.param("s3", marks=pytest.mark.slow),
    pytest.param("gcs-emulator", marks=pytest.mark.slow),
    *(pytest.param(kind, marks=pytest.mark.slow) for kind, name in REAL.items() if os.environ.get(name)),
)


def _opener(kind: str, folder: Path, request: pytest.FixtureRequest) -> Reopen:
    if kind == "local":
        return partial(LocalStore, folder / "store")
    scratch, prefix = folder / "scratch", new_prefix()
    if kind == "s3-real":
        s3 = S3StoreConfig(kind="s3", bucket=os.environ[REAL[kind]], prefix=prefix)
        return partial(S3Store, s3, scratch, transfer=SMALL_PARTS)
    if kind == "gcs-real":
        gcs = GCSStoreConfig(kind="gcs", bucket=os.environ[REAL[kind]], prefix=prefix)
        return partial(GCSStore, gcs, scratch, transfer=SMALL_PARTS)
    server = request.getfixturevalue({"s3": "s3_server", "gcs-emulator": "gcs_server"}[kind])
    opener: Reopen = server.opener(scratch, prefix, SMALL_PARTS)
    return opener


@pytest.fixture(params=KINDS)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    opener = _opener(request.param, tmp_path, request)
    yield opener
    if request.param in REAL:
        store = opener()
        for key in store.list(""):
            store.delete(key)


@pytest.fixture
def store(reopen: Reopen) -> Store:
    return reopen()


def test_put_new_creates_once(store: Store) -> None:
    assert store.put_new("shop/orders/manifests/9.json", b"first")
    assert not store.put_new("shop/orders/manifests/9.json", b"second")
    assert store.read("shop/orders/manifests/9.json") == b"first"
    assert store.size("shop/orders/manifests/9.json") == 5
    at = store.written_at("shop/orders/manifests/9.json")  # None where no other clock tells
    assert at is None or abs(datetime.now(UTC) - at) < timedelta(minutes=5)


def test_what_is_absent_is_a_key_error(store: Store) -> None:
    store.put_new("a/b", b"")
    for absent in ("a", "a/c", "a/b/c", "b"):
        with pytest.raises(KeyError):
            store.read(absent)
        with pytest.raises(KeyError):
            store.size(absent)
        with pytest.raises(KeyError):
            store.written_at(absent)
        with pytest.raises(KeyError), store.local(absent):
            pass


def test_listing_is_ascending_by_the_whole_key_and_bounded(store: Store) -> None:
    keys = ["t/m/2.json", "t/m/10.json", "t/m.json", "t/m-a/1", "t/m/1/x", "u/1"]
    for key in keys:
        store.put_new(key, b"x")
    assert store.list("t") == sorted(k for k in keys if k.startswith("t/"))
    assert store.list("t/m") == ["t/m/1/x", "t/m/10.json", "t/m/2.json"], "a folder, no mere prefix"
    assert store.list("t/m", limit=2) == ["t/m/1/x", "t/m/10.json"]
    assert store.list("nothing/here") == []
    assert store.list("") == sorted(keys)
    if not isinstance(store, S3Store):  # SeaweedFS goes folder by folder, and S3 by whole keys
        assert store.list("t", limit=2) == sorted(k for k in keys if k.startswith("t/"))[:2]


def test_a_listing_of_more_than_a_page_is_whole(store: Store) -> None:
    keys = [f"t/{n // 500}/{n:06d}" for n in range(1_150)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda key: store.put_new(key, b"x"), random.Random(1).sample(keys, len(keys))))
    assert store.list("t") == keys
    assert store.list("t", limit=1_100) == keys[:1_100]
    assert store.list("t", limit=1) == keys[:1]


def test_a_range_is_read_alone_and_ends_with_the_object(store: Store) -> None:
    store.put_new("t/a", b"0123456789")
    store.put_new("t/empty", b"")
    assert store.read_range("t/a", 0, 4) == b"0123"
    assert store.read_range("t/a", 3, 4) == b"3456"
    assert store.read_range("t/a", 8, 100) == b"89"
    assert store.read_range("t/a", 10, 1) == b""
    assert store.read_range("t/a", 50, 5) == b""
    assert store.read_range("t/a", 2, 0) == b""
    assert store.read_range("t/empty", 0, 5) == b""
    for length in (0, 5):
        with pytest.raises(KeyError):
            store.read_range("t/b", 0, length)


def test_what_is_deleted_is_absent_and_may_be_created_again(store: Store) -> None:
    store.put_new("t/a", b"1")
    store.put_new("t/b", b"2")
    store.delete("t/a")
    store.delete("t/a")
    store.delete("t/never/was")
    assert store.list("") == ["t/b"]
    with pytest.raises(KeyError):
        store.read("t/a")
    assert store.put_new("t/a", b"3")
    assert store.read("t/a") == b"3"


def test_a_large_file_arrives_whole_and_comes_back(store: Store, tmp_path: Path) -> None:
    content = random.Random(2).randbytes(40 * MB + 17)
    part = tmp_path / "part"
    part.write_bytes(content)
    store.put_file("t/large", part, sha256=hashlib.sha256(content).hexdigest())
    assert not part.exists()
    assert store.size("t/large") == len(content)
    assert store.list("") == ["t/large"], "the pieces of it are gone"
    with store.local("t/large") as path:
        assert path.read_bytes() == content
    assert store.read_range("t/large", 5 * MB - 3, 7) == content[5 * MB - 3 : 5 * MB + 4]


@pytest.mark.parametrize("size", [0, 1, 5 * MB, 10 * MB])
def test_files_of_every_size_are_put_and_fetched(reopen: Reopen, size: int) -> None:
    content = random.Random(size).randbytes(size)
    store = reopen()
    with store.scratch() as folder:
        (folder / "part").write_bytes(content)
        store.put_file("t/part", folder / "part")
    with reopen().local("t/part") as path:
        assert path.read_bytes() == content


def test_a_file_that_is_not_what_was_hashed_is_refused(store: Store, tmp_path: Path) -> None:
    if isinstance(store, LocalStore):
        pytest.skip("a rename alters nothing, so a folder does not read the file again")
    for size in (100, 12 * MB):
        (tmp_path / "part").write_bytes(bytes(size))
        with pytest.raises(ObjectDamaged, match=r"The store at .* could not write t/part"):
            store.put_file("t/part", tmp_path / "part", sha256=hashlib.sha256(b"other").hexdigest())
        assert store.list("") == []
        assert (tmp_path / "part").exists()


def test_put_file_moves_and_scratch_leaves_nothing(store: Store) -> None:
    with store.scratch() as folder:
        (folder / "part").write_bytes(b"rows")
        (folder / "left").write_bytes(b"never put")
        store.put_file("t/batches/1/part-0000.parquet", folder / "part")
        assert not (folder / "part").exists()
        with store.local("t/batches/1/part-0000.parquet") as path:
            assert path.read_bytes() == b"rows"
    assert not folder.exists()
    assert store.list("") == ["t/batches/1/part-0000.parquet"]
    with store.local("t/batches/1/part-0000.parquet") as path:
        assert path.read_bytes() == b"rows"


def test_an_address_leads_others_to_the_object(store: Store, tmp_path: Path) -> None:
    """By a client that knows nothing of the store's prefix; the store itself asks nothing for it."""
    store.put_new("shop/a=b/part 1.parquet", b"rows")
    address = store.address("shop/a=b/part 1.parquet")
    if isinstance(store, LocalStore):
        assert address is None
        return
    assert address is not None and address.startswith(f"{store.url}/")
    scheme, _, rest = address.partition("://")
    bucket, _, name = rest.partition("/")
    whole = store.config.model_copy(update={"bucket": bucket, "prefix": ""})
    other = type(store)(whole, tmp_path / "other", environ=store._environ)
    assert (scheme, other.read(name)) == ({"S3Store": "s3", "GCSStore": "gs"}[type(store).__name__], b"rows")
    with pytest.raises(ValueError):
        store.address("../outside")


def test_a_hint_may_be_overwritten(store: Store) -> None:
    store.put_hint("t/looked.json", b"1")
    store.put_hint("t/looked.json", b"2")
    assert store.read("t/looked.json") == b"2"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", ".scratch/x", "a\\b"])
def test_a_key_never_leads_out_of_the_store(store: Store, key: str) -> None:
    with pytest.raises(ValueError):
        store.put_new(key, b"")


def _race(reopen: Reopen, writer: int, start: Any, wins: Any) -> None:
    store = reopen()
    start.wait()
    for n in range(25):
        if store.put_new(f"t/manifests/{n}", f"{writer}".encode() * 1000):
            wins.put((n, writer))
    wins.put(None)


def test_processes_that_race_for_a_key_have_one_winner_each(reopen: Reopen) -> None:
    context = multiprocessing.get_context("spawn")
    writers = 3
    start, wins = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=_race, args=(reopen, writer, start, wins)) for writer in range(writers)
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
    store = reopen()
    assert sorted(won) == list(range(25))
    for n, writer in won.items():
        assert store.read(f"t/manifests/{n}") == f"{writer}".encode() * 1000


def test_a_reader_never_sees_half_an_object(reopen: Reopen) -> None:
    whole = b"x" * 200_000
    writer, reader = reopen(), reopen()
    done = threading.Event()

    def write() -> None:
        try:
            for n in range(30):
                writer.put_new(f"t/{n:02d}", whole)
                writer.put_hint("t/hint", whole)
        finally:
            done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        for key in reader.list("t"):
            assert reader.read(key) == whole
    thread.join()
    assert len(reader.list("t")) == 31


def test_requests_are_answered_together_in_order_and_the_first_error_is_told(store: Store) -> None:
    keys = [f"shop/orders/{number}.json" for number in range(25)]
    assert store.requests_at_once >= 1
    store.together([partial(store.put_hint, key, key.encode()) for key in keys])
    assert store.together([partial(store.read, key) for key in keys]) == [key.encode() for key in keys]
    assert store.together([]) == []
    with pytest.raises(KeyError, match="absent-1"):
        store.together([partial(store.read, key) for key in (*keys, "absent-1", "absent-2")])
