"""Entries are appended whole, in order, by any number of writers, and read back in few requests."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.chained import log as module
from data_platform.chained.block import ENTRY_BYTES_MAX
from data_platform.chained.log import Log
from data_platform.chained.verify import verify
from data_platform.errors import ConfigurationError, LedgerBroken, StoreUnreachable
from data_platform.landing.signing import NOT_SIGNED, Signer, SigningConfig
from data_platform.stores import Store
from data_platform.stores.local import LocalStore
from data_platform_tests.chained.logs import OTHER, SIGNER, CountingStore, filled
from data_platform_tests.servers.objects import ObjectServer, new_prefix

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(appended=st.lists(BODIES, min_size=1, max_size=5))
def test_what_is_appended_reads_back(
    appended: list[list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("log"))
    log = Log(store, "audit", SIGNER)
    made = [entry for bodies in appended for entry in log.append(bodies)]
    read = list(Log(store, "audit", SIGNER).entries())
    assert read == made
    assert [entry.number for entry in read] == list(range(1, len(read) + 1))
    assert [entry.body for entry in read] == [body for bodies in appended for body in bodies]
    half = len(read) // 2
    assert [entry.number for entry in log.entries(after=half)] == list(range(half + 1, len(read) + 1))
    assert not verify(log).problems


def test_a_log_that_is_empty_is_whole(tmp_path: Path) -> None:
    log = Log(LocalStore(tmp_path), "audit", SIGNER)
    assert list(log.entries()) == [] and log.head() is None
    assert verify(log).problems == () and verify(log).entries == 0
    assert log.append([]) == [] and log.last() == 0


@pytest.mark.parametrize(
    "bad", [{"a": float("nan")}, {"a": object()}, {1: "a"}, {"a": "x" * ENTRY_BYTES_MAX}, {"a": (1, 2)}]
)
def test_what_does_not_read_back_as_it_was_is_refused(bad: dict[str, Any], tmp_path: Path) -> None:
    log = Log(LocalStore(tmp_path), "audit", SIGNER)
    with pytest.raises((ValueError, TypeError)):
        log.append([{"good": 1}, bad])
    assert log.last() == 0


def test_two_logs_of_one_store_are_apart(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    audit, _ = filled(store, 3)
    erasures, _ = filled(store, 2, name="erasures")
    store.put_new(audit.key(4), store.read(erasures.key(2)))
    with pytest.raises(LedgerBroken, match=r"holds block 2 of the log erasures"):
        list(audit.entries())


def test_many_entries_make_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_MAX", 3)
    log = Log(LocalStore(tmp_path), "audit", SIGNER)
    assert [entry.number for entry in log.append([{"n": n} for n in range(8)])] == list(range(1, 9))
    assert log.last() == 3


def test_a_missing_or_wrong_key_appends_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    filled(store, 2)
    demanded = Signer.of(SigningConfig(required=True), "local", {})
    for signer, error in (
        (NOT_SIGNED, ConfigurationError),
        (demanded, ConfigurationError),
        (OTHER, LedgerBroken),
    ):
        with pytest.raises(error):
            Log(store, "audit", signer).append([{"n": 1}])
    assert Log(store, "audit", SIGNER).last() == 2


def test_a_log_from_before_there_was_a_key_is_signed_from_then_on(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    filled(store, 3, NOT_SIGNED)
    assert verify(Log(store, "audit")).problems == ()
    log = Log(store, "audit", SIGNER)
    assert "is not signed, though LEDGER_KEY is set" in str(verify(log).problems)
    log.append([{"n": 1}])
    found = verify(log)
    assert found.problems == () and found.signed_from == 4


def test_the_previous_key_still_counts(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    filled(store, 3)
    changed = Signer("LEDGER_KEY", (OTHER.keys[0], SIGNER.keys[0]))
    Log(store, "audit", changed).append([{"n": 1}])
    assert verify(Log(store, "audit", changed)).problems == ()
    assert "is not signed under the key in LEDGER_KEY" in str(verify(Log(store, "audit", OTHER)).problems)


def test_requests(tmp_path: Path) -> None:
    counting = CountingStore(LocalStore(tmp_path))
    log, _ = filled(counting, 1)
    counting.requests.clear()
    log.append([{"n": n} for n in range(500)])
    assert counting.requests == {"put_new": 1, "put_hint": 1}, "a group is one object, and a hint"
    counting.requests.clear()
    Log(counting, "audit", SIGNER).append([{"n": 1}])
    assert counting.requests == {"read": 3, "list": 1, "put_new": 1, "put_hint": 1}


def test_a_packed_log_is_read_in_few_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACK", 10)
    counting = CountingStore(LocalStore(tmp_path))
    log, _ = filled(counting, 47)
    assert log.pack() == 4 and log.pack() == 0
    counting.requests.clear()
    assert len(list(log.entries())) == 95
    assert counting.requests == {"list": 2, "read": 1 + 4 + 7}, (
        "the hint, the packs, and the blocks after them"
    )
    folder = tmp_path / "_audit" / "packs"
    pack = folder / "000000002.jsonl"
    pack.write_bytes(pack.read_bytes().replace(b'"block":15', b'"block":51'))
    (folder / "000000003.jsonl").write_bytes(b"")
    assert [entry.body for entry in log.entries()] == [
        entry.body for entry in filled(LocalStore(tmp_path / "b"), 47)[0].entries()
    ]


def _append(open_store: Callable[[], Store], writer: int, count: int) -> None:
    log = Log(open_store(), "audit", SIGNER)
    for number in range(count):
        log.append([{"writer": writer, "number": number}, {"writer": writer, "number": number}])


def _holds_all(store: Store, writers: int, count: int) -> None:
    log = Log(store, "audit", SIGNER)
    entries = list(log.entries())
    for writer in range(writers):
        own = [entry for entry in entries if entry.body["writer"] == writer]
        assert [entry.body["number"] for entry in own] == [n for n in range(count) for _ in (0, 1)]
        assert all(b.number == a.number + 1 for a, b in zip(own[::2], own[1::2], strict=True)), (
            "a group is together"
        )
    assert len(entries) == writers * count * 2
    assert verify(log).problems == ()


def test_threads_with_logs_of_their_own_or_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(_append, partial(LocalStore, tmp_path / "a"), n, 15) for n in range(6)]:
            future.result()
        _holds_all(LocalStore(tmp_path / "a"), 6, 15)
        log = Log(LocalStore(tmp_path / "b"), "audit", SIGNER)
        list(pool.map(lambda n: log.append([{"n": n}]), range(50)))
    assert {entry.body["n"] for entry in log.entries()} == set(range(50)) and log.last() == 50


def test_processes_over_a_folder(tmp_path: Path) -> None:
    _in_processes(partial(LocalStore, tmp_path), 4, 15)
    _holds_all(LocalStore(tmp_path), 4, 15)


def test_processes_over_s3(s3_server: ObjectServer, tmp_path: Path) -> None:
    opener = s3_server.opener(tmp_path / "scratch", new_prefix())
    _in_processes(opener, 3, 8)
    _holds_all(opener(), 3, 8)
    log = Log(opener(), "audit", SIGNER)
    log.store.delete(log.key(24))
    assert "was truncated: it ends at block 23, though block 24" in str(verify(log).problems)


def test_threads_over_gcs(gcs_server: ObjectServer, tmp_path: Path) -> None:
    opener = gcs_server.opener(tmp_path / "scratch", new_prefix())
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(_append, opener, n, 5) for n in range(3)]:
            future.result()
    _holds_all(opener(), 3, 5)


def _in_processes(opener: Callable[[], Store], writers: int, count: int) -> None:
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_append, args=(opener, n, count)) for n in range(writers)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * writers


def test_killed_writers_leave_a_whole_log(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    log = Log(LocalStore(tmp_path), "audit", SIGNER)
    for round_ in range(12):
        process = context.Process(target=_append, args=(partial(LocalStore, tmp_path), round_, 100_000))
        process.start()
        before = log.last()
        deadline = time.monotonic() + 30
        while log.last() == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.003 * (round_ % 5))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert log.last() > before
        entries = list(log.entries())
        assert len(entries) == 2 * log.last(), "no half of a group"
    log.append([{"writer": -1}])
    assert verify(log).problems == ()


@pytest.mark.parametrize("after", [False, True], ids=["not done", "answer lost"])
def test_a_store_that_fails_once_at_each_call(after: bool, tmp_path: Path) -> None:
    """What was answered for is there once; a call that failed may have been appended or not, and is loud unless it was a hint."""
    failed = 0
    for call in range(1, 14):
        counting = CountingStore(LocalStore(tmp_path / str(call)), call, after=after)
        log = Log(counting, "audit", SIGNER)
        sure, unsure = [], []
        for number in range(4):
            try:
                log.append([{"n": number}])
                sure.append(number)
            except StoreUnreachable:
                unsure.append(number)
        failed += len(unsure)
        log = Log(LocalStore(tmp_path / str(call)), "audit", SIGNER)
        found = [entry.body["n"] for entry in log.entries()]
        assert sorted(set(found)) == sorted(found) and set(sure) <= set(found) <= {*sure, *unsure}
        assert len(unsure) <= 1
        assert verify(log).problems == ()
    assert failed >= 4
