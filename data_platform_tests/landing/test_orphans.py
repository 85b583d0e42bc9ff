"""Orphans go after a grace period, and nothing that a manifest may come to name ever does."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import BatchConflict
from data_platform.landing import hint, orphans
from data_platform.landing.keys import manifest_key, part_key, part_sequence
from data_platform.landing.ledger import Ledger
from data_platform.landing.orphans import Collection
from data_platform.stores.local import LocalStore
from data_platform.tables import TableId
from data_platform_tests.contracts.batches import TABLE, manifest
from data_platform_tests.landing.chains import problems_of, unnamed_parts
from data_platform_tests.landing.redactions import (
    ENVIRON,
    file_of,
    land,
    put_part,
    redact,
    redaction,
    rewrite,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "landing")


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, ENVIRON)


def leave(ledger: Ledger, sequence: int, nonce: str = "lost0000") -> str:
    """A part of a writer that never came to commit."""
    assert isinstance(ledger.store, LocalStore)
    return put_part(ledger.store, part_key(TABLE, sequence, nonce), b"lost").key


def collect(ledger: Ledger, now: datetime, *, remove: bool = True, grace: timedelta = DAY) -> Collection:
    return orphans.collect(ledger, TABLE, now, grace, remove=remove)


def keys(found: tuple[orphans.Orphan, ...]) -> list[str]:
    return [orphan.key for orphan in found]


def test_a_part_s_batch_is_in_its_key() -> None:
    assert part_sequence(TABLE, part_key(TABLE, 12, "abc")) == 12
    assert part_sequence(TABLE, part_key(TABLE, 123456789, "abc")) == 123456789
    for key in (f"{TABLE}/batches/readme", "shop/users/batches/00000001-a/p", f"{TABLE}/batches/x-1/p"):
        assert part_sequence(TABLE, key) is None


def test_two_looks_are_needed(ledger: Ledger, store: LocalStore) -> None:
    land(ledger)
    lost = leave(ledger, 1)
    first = collect(ledger, NOW)
    assert (keys(first.ripe), keys(first.waiting)) == ([], [lost])
    assert keys(collect(ledger, NOW + DAY / 2).waiting) == [lost]
    dry = collect(ledger, NOW + DAY, remove=False)
    assert (keys(dry.ripe), dry.bytes) == ([lost], 4)
    assert store.size(lost) == 4
    done = collect(ledger, NOW + DAY)
    assert keys(done.ripe) == [lost]
    with pytest.raises(KeyError):
        store.size(lost)
    assert collect(ledger, NOW + 2 * DAY) == Collection()
    assert problems_of(ledger, TABLE) == []


def test_a_batch_that_may_still_be_committed_is_left_alone(ledger: Ledger) -> None:
    living = leave(ledger, 1, "first000")
    assert collect(ledger, NOW, grace=timedelta()).unlanded == (living,)
    land(ledger)
    next_one, later = leave(ledger, 2), leave(ledger, 3)
    for days in (1, 400):
        found = collect(ledger, NOW + days * DAY, grace=timedelta())
        assert found.unlanded == (next_one, later)
    assert found.ripe == ()
    land(ledger)
    assert keys(collect(ledger, NOW, grace=timedelta()).ripe) == [next_one]


def test_a_lost_manifest_s_parts_are_left_alone(ledger: Ledger) -> None:
    for _ in range(3):
        land(ledger)
    file_of(ledger, manifest_key(TABLE, 2)).unlink()
    assert collect(ledger, NOW, grace=timedelta()) == Collection()
    file_of(ledger, manifest_key(TABLE, 3)).unlink()
    assert collect(ledger, NOW, grace=timedelta()).ripe == ()
    assert len(collect(ledger, NOW, grace=timedelta()).unlanded) == 4


def test_what_a_redaction_replaced_is_an_orphan(ledger: Ledger, store: LocalStore) -> None:
    head = land(ledger)
    collect(ledger, NOW)  # what was looked at before is known to have no orphans
    made = redaction(rewrite(ledger, 1))
    assert collect(ledger, NOW, grace=timedelta()).ripe == (), "its new part is still being written"
    ledger.redact(head, made, "n" * 32)
    old, new = made.parts[0].old.key, made.parts[0].new.key
    assert keys(collect(ledger, NOW).waiting) == [old]
    assert keys(collect(ledger, NOW + DAY).ripe) == [old]
    assert store.size(new) == 15
    assert collect(ledger, NOW + 2 * DAY) == Collection()
    assert problems_of(ledger, TABLE) == []


def test_the_parts_of_a_removed_one_stay_whole(ledger: Ledger) -> None:
    land(ledger, 3)
    redact(ledger, 1)
    assert unnamed_parts(ledger, TABLE) == []


def test_another_s_object_is_not_ours(ledger: Ledger, store: LocalStore) -> None:
    land(ledger)
    store.put_hint(f"{TABLE}/batches/readme.txt", b"")
    store.put_hint("shop/users/batches/00000001-lost/part-0000.parquet", b"")
    assert collect(ledger, NOW, grace=timedelta()) == Collection()
    assert orphans.collect(ledger, TableId("shop", "users"), NOW, DAY, remove=True).unlanded


def test_what_was_looked_at_is_not_read_again(store: LocalStore) -> None:
    calls: Counter[str] = Counter()

    class Counting(LocalStore):
        def read(self, key: str) -> bytes:
            calls["read"] += "/manifests/" in key
            return super().read(key)

    ledger = Ledger(Counting(store.path), ENVIRON)
    for _ in range(50):
        land(ledger, 1)
    leave(ledger, 7)
    collect(ledger, NOW)
    calls.clear()
    land(ledger, 1)
    calls.clear()
    assert len(collect(ledger, NOW).waiting) == 1
    assert calls["read"] == 3, "the head, the new batch, and the one that two claim"


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"{}", b"\xff", b'{"reached":1,"seen":[]}', b'{"reached":1,"seen":{"k":"soon"}}']
)
def test_a_damaged_hint_only_starts_the_grace_anew(ledger: Ledger, store: LocalStore, damaged: bytes) -> None:
    land(ledger)
    lost = leave(ledger, 1)
    collect(ledger, NOW - 2 * DAY)
    store.put_hint(f"{TABLE}/orphans.json", damaged)
    assert keys(collect(ledger, NOW).waiting) == [lost]


def test_a_tampered_hint_removes_nothing_that_is_named(ledger: Ledger, store: LocalStore) -> None:
    made = land(ledger)
    named = made.parts[0].key
    claim = {"reached": 0, "seen": {named: "2000-01-01T00:00:00+00:00"}}
    hint.write(store, f"{TABLE}/orphans.json", claim)
    assert collect(ledger, NOW) == Collection()
    assert problems_of(ledger, TABLE) == []


def test_a_slow_writer_s_part_is_found_however_late_it_comes(ledger: Ledger, store: LocalStore) -> None:
    """Batch 1 has no part, the part of batch 2 is replaced: nothing but the writer's own folder is there."""
    land(ledger, 0)
    land(ledger, 1)
    collect(ledger, NOW)
    redact(ledger, 2)
    for rewritten in ledger.rewrites(TABLE).by_old_key.values():
        store.delete(rewritten.old.key)
    collect(ledger, NOW)
    late = [leave(ledger, 1), leave(ledger, 2), leave(ledger, 3)]
    assert keys(collect(ledger, NOW, grace=timedelta()).ripe) == late
    assert unnamed_parts(ledger, TABLE) == []


def test_writers_that_race_with_a_collector_lose_no_part(store: LocalStore) -> None:
    """Writers leave orphans behind by losing, while a collector without any grace goes round."""
    ended = threading.Event()
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        ledger = Ledger(store, ENVIRON)
        for turn in range(12):
            state = ledger.state(TABLE)
            nonce = f"{writer:04d}{turn:04d}" * 4
            part = put_part(store, part_key(TABLE, state.next_sequence, nonce), nonce.encode(), 1)
            made = manifest(state.next_sequence, rows=1, previous=state.digest, nonce=nonce, parts=(part,))
            try:
                ledger.commit(made)
            except BatchConflict:
                pass
            except BaseException as error:
                failures.append(error)

    def go_round() -> None:
        while not ended.is_set():
            try:
                collect(Ledger(store, ENVIRON), NOW, grace=timedelta())
            except BaseException as error:
                failures.append(error)

    collector = threading.Thread(target=go_round)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in (collector, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    collector.join()
    assert failures == []
    ledger = Ledger(store, ENVIRON)
    assert problems_of(ledger, TABLE) == []
    collect(ledger, NOW, grace=timedelta())
    assert unnamed_parts(ledger, TABLE) == []


steps = st.lists(
    st.sampled_from(["land", "land empty", "lose", "late", "crash", "redact", "sweep", "collect", "look"]),
    max_size=14,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_whatever_happens_nothing_named_goes_and_no_orphan_stays(
    tmp_path_factory: pytest.TempPathFactory, happened: list[str]
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("landing"))
    ledger = Ledger(store, ENVIRON)
    now, n = NOW, 0
    standing: list[int] = []
    for step in happened:
        now, n = now + DAY, n + 1
        last = ledger.last(TABLE)
        if step == "land":
            land(ledger, 1)
            standing.append(last + 1)
        elif step == "land empty":
            land(ledger, 0)
        elif step == "lose" and last:
            leave(ledger, last, f"lost{n:04d}")
        elif step == "late" and last:
            leave(ledger, 1 + n * 7 % last, f"late{n:04d}")
        elif step == "crash":
            leave(ledger, last + 1, f"dead{n:04d}")
        elif step == "redact" and standing:
            head, part = ledger.head(TABLE), rewrite(ledger, standing.pop())
            assert head is not None
            ledger.redact(head, redaction(part), f"{n:032d}")
        elif step == "sweep":
            for rewritten in ledger.rewrites(TABLE).by_old_key.values():
                store.delete(rewritten.old.key)
        elif step in ("collect", "look"):
            collect(ledger, now, remove=step == "collect")
        assert problems_of(ledger, TABLE) == []
    land(ledger, 1)
    collect(ledger, now)
    collect(ledger, now + DAY)
    assert unnamed_parts(ledger, TABLE) == []
    assert problems_of(ledger, TABLE) == []
