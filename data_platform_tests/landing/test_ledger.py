"""The chain: folding, racing, kills at every step, and every kind of damage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import BatchConflict, LedgerBroken, PartDamaged
from data_platform.landing.keys import manifest_key, part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Measured
from data_platform.landing.state import CHECKPOINT_EVERY, TableState, fold
from data_platform.landing.stored_parts import open_parts
from data_platform.stores.local import LocalStore
from data_platform.tables import Fingerprint, Slice, TableId
from data_platform_tests.contracts.batches import TABLE, manifest, part_of, position
from data_platform_tests.landing.chains import problems_of, unnamed_parts

DAYS = [Slice(f"2026-01-{day:02d}") for day in range(1, 5)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "landing")


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store)


def grow(ledger: Ledger, batches: int, **changes: Any) -> list[Manifest]:
    made = []
    for _ in range(batches):
        head = ledger.head(TABLE)
        sequence = head.sequence + 1 if head else 1
        made.append(ledger.commit(manifest(sequence, previous=head.digest if head else None, **changes)))
    return made


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.head(TABLE) is None
    assert ledger.state(TABLE) == TableState()
    assert ledger.state(TABLE).next_sequence == 1
    assert ledger.pending(TABLE, 0) == []
    assert problems_of(ledger, TABLE) == []
    assert ledger.last(TABLE) == 0
    assert ledger.looks().last(TABLE) is None


def test_the_head_is_the_newest_and_state_is_its_position(ledger: Ledger) -> None:
    grow(ledger, 11)
    newest = grow(ledger, 1, position_after=position(900))[0]
    state = ledger.state(TABLE)
    assert ledger.head(TABLE) == newest == state.head
    assert (state.next_sequence, state.digest) == (13, newest.digest)
    assert state.position == position(900)
    assert state.columns == newest.columns
    assert [m.sequence for m in ledger.since(TABLE, 9)] == [10, 11, 12]
    assert ledger.last(TABLE) and not ledger.last(TableId("shop", "users"))


def test_pending_starts_at_the_last_batch_that_replaces_the_table(ledger: Ledger) -> None:
    grow(ledger, 3)
    grow(ledger, 1, load="replace")
    grow(ledger, 2)
    assert [m.sequence for m in ledger.pending(TABLE, 0)] == [4, 5, 6]
    assert [m.sequence for m in ledger.pending(TABLE, 4)] == [5, 6]
    assert [m.sequence for m in ledger.pending(TABLE, 6)] == []


measurements = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(DAYS), st.builds(Fingerprint, st.integers(0, 9), st.integers(0, 9))),
        st.booleans(),
        st.sets(st.sampled_from(DAYS)),
    ),
    max_size=12,
)


def naive(batches: list[Manifest]) -> tuple[dict[Slice, Measured], int | None]:
    """Oldest to newest, forgetting everything at a whole measurement and what a batch touched."""
    known: dict[Slice, Measured] = {}
    whole_at = None
    for made in batches:
        if made.measured_whole:
            known, whole_at = {}, made.sequence
        known = {slice_: measured for slice_, measured in known.items() if slice_ not in made.touched}
        known |= {s: Measured(f, made.sequence) for s, f in made.fingerprints.items()}
    return known, whole_at


@given(measurements)
@settings(max_examples=100, deadline=None)
def test_the_fold_is_the_naive_model(steps: list[tuple[dict[Slice, Fingerprint], bool, set[Slice]]]) -> None:
    batches = [
        manifest(n, fingerprints=prints, measured_whole=whole, touched=dict.fromkeys(touched, 1))
        for n, (prints, whole, touched) in enumerate(steps, 1)
    ]
    assert fold(reversed(batches)) == naive(batches)


def test_checkpoints_change_nothing_but_how_far_is_read(store: LocalStore, ledger: Ledger) -> None:
    made: list[Manifest] = []
    for n in range(1, 2 * CHECKPOINT_EVERY + 6):
        prints = {DAYS[n % 3]: Fingerprint(n, n)} if n % 2 else {}
        made += grow(ledger, 1, fingerprints=prints, measured_whole=n == 3, touched={DAYS[n % 4]: 1})
    assert [m.sequence for m in made if m.checkpoint is not None] == [CHECKPOINT_EVERY, 2 * CHECKPOINT_EVERY]
    reads: list[str] = []

    class Counting(LocalStore):
        def read(self, key: str) -> bytes:
            reads.append(key)
            return super().read(key)

    state = Ledger(Counting(store.path)).state(TABLE)
    assert (state.measured, state.measured_whole_at) == naive(made)
    assert len(reads) <= CHECKPOINT_EVERY + 1


def test_a_second_writer_of_a_sequence_is_told_and_the_first_stays(ledger: Ledger) -> None:
    first = grow(ledger, 1)[0]
    with pytest.raises(BatchConflict, match="batch 1 of shop/orders"):
        ledger.commit(manifest(1, nonce="other" * 4))
    assert ledger.head(TABLE) == first


def test_committing_again_after_a_lost_answer_is_once(ledger: Ledger) -> None:
    first = grow(ledger, 1)[0]
    assert ledger.commit(manifest(1)) == first
    altered = manifest(1, rows=5)
    with pytest.raises(BatchConflict):
        ledger.commit(altered)


def test_writers_that_race_never_both_commit_a_sequence(store: LocalStore) -> None:
    committed: list[tuple[int, str]] = []
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        ledger = Ledger(store)
        start.wait()
        for turn in range(8):
            state = ledger.state(TABLE)
            nonce = f"{writer:04d}{turn:04d}" * 4
            try:
                done = ledger.commit(manifest(state.next_sequence, previous=state.digest, nonce=nonce))
                committed.append((done.sequence, nonce))
            except BatchConflict:
                pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chain = Ledger(store).since(TABLE, 0)
    assert sorted(committed) == [(m.sequence, m.nonce) for m in chain]
    assert problems_of(Ledger(store), TABLE) == []


class Killed(BaseException):
    pass


class KilledAfter(LocalStore):
    """Dies at the ``steps``-th call that writes: before it, or after it took effect."""

    def __init__(self, path: Path, steps: int, effective: bool) -> None:
        super().__init__(path)
        self.steps, self.effective = steps, effective

    def _step(self) -> bool:
        self.steps -= 1
        if self.steps == 0 and not self.effective:
            raise Killed
        return self.steps == 0

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        dies = self._step()
        super().put_file(key, path, sha256)
        if dies:
            raise Killed

    def put_new(self, key: str, data: bytes) -> bool:
        dies = self._step()
        done = super().put_new(key, data)
        if dies:
            raise Killed
        return done


def land(store: LocalStore, nonce: str) -> Manifest:
    """A whole landing: two parts, then the manifest."""
    ledger = Ledger(store)
    state = ledger.state(TABLE)
    parts = []
    with store.scratch() as folder:
        for index in range(2):
            path = folder / f"{index}"
            path.write_bytes(f"part {index} of {nonce}".encode())
            key = part_key(TABLE, state.next_sequence, nonce, index)
            parts.append(part_of(path, key, 1))
            store.put_file(key, path)
    return ledger.commit(
        manifest(state.next_sequence, previous=state.digest, nonce=nonce, parts=tuple(parts))
    )


@pytest.mark.parametrize("effective", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_at_any_step_leaves_nothing_to_repair(tmp_path: Path, step: int, effective: bool) -> None:
    store = LocalStore(tmp_path)
    first = land(store, "aaaaaaaa1")
    with pytest.raises(Killed):
        land(KilledAfter(tmp_path, step, effective), "bbbbbbbb2")
    reached = 2 if (step, effective) == (3, True) else 1
    ledger = Ledger(store)
    assert [m.sequence for m in ledger.since(TABLE, 0)] == list(range(1, reached + 1))
    assert problems_of(ledger, TABLE) == []
    again = land(store, "cccccccc3")
    assert again.sequence == reached + 1
    assert ledger.since(TABLE, 0)[0] == first
    assert problems_of(ledger, TABLE) == []
    left = unnamed_parts(ledger, TABLE)
    assert all("bbbbbbbb" in key for key in left)
    assert bool(left) == ((step, effective) not in [(1, False), (3, True)])


def path_of(store: LocalStore, sequence: int) -> Path:
    return store.path / manifest_key(TABLE, sequence)


def test_a_missing_manifest_is_a_broken_chain(store: LocalStore, ledger: Ledger) -> None:
    grow(ledger, 4)
    path_of(store, 2).unlink()
    with pytest.raises(LedgerBroken, match="Batch 2 of shop/orders has no manifest"):
        ledger.since(TABLE, 0)
    with pytest.raises(LedgerBroken):
        ledger.since(TABLE, 2)
    assert [m.sequence for m in ledger.since(TABLE, 3)] == [4], "what lies behind is not asked for"
    assert len(problems_of(ledger, TABLE)) == 1


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_flipped_byte_anywhere_in_the_chain_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("landing"))
    ledger = Ledger(store)
    grow(ledger, 3)
    path = path_of(store, data.draw(st.integers(1, 3)))
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    with pytest.raises(LedgerBroken):
        ledger.since(TABLE, 0)
    assert problems_of(ledger, TABLE)


def test_a_manifest_that_was_replaced_by_a_valid_one_breaks_the_chain(
    store: LocalStore, ledger: Ledger
) -> None:
    chain = grow(ledger, 3)
    forged = replace(chain[1], rows=999).sealed()
    path_of(store, 2).write_bytes(forged.to_json())
    with pytest.raises(LedgerBroken, match="does not follow"):
        ledger.since(TABLE, 0)
    with pytest.raises(LedgerBroken, match="does not follow"):
        ledger.state(TABLE)
    assert any("batch 3" in problem for problem in problems_of(ledger, TABLE))


def test_a_manifest_in_another_place_is_refused(store: LocalStore, ledger: Ledger) -> None:
    grow(ledger, 2)
    path_of(store, 3).write_bytes(path_of(store, 2).read_bytes())
    with pytest.raises(LedgerBroken, match="belongs to batch 2"):
        ledger.head(TABLE)


def test_a_stranger_among_the_manifests_is_named(store: LocalStore, ledger: Ledger) -> None:
    grow(ledger, 1)
    store.put_hint(f"{TABLE}/manifests/000.txt", b"")
    with pytest.raises(LedgerBroken, match=r"000\.txt"):
        ledger.head(TABLE)


def test_the_warehouse_s_digest_shows_a_lost_or_exchanged_tail(store: LocalStore, ledger: Ledger) -> None:
    chain = grow(ledger, 3)
    assert ledger.pending(TABLE, 3, chain[2].digest) == []
    assert [m.sequence for m in ledger.pending(TABLE, 2, chain[1].digest)] == [3]
    for reached in (2, 3):
        with pytest.raises(LedgerBroken, match="is not the one"):
            ledger.pending(TABLE, reached, "0" * 64)
    path_of(store, 3).unlink()
    with pytest.raises(LedgerBroken, match="ends at batch 2"):
        ledger.pending(TABLE, 3, chain[2].digest)


def test_a_commit_follows_the_chain_or_fails(ledger: Ledger) -> None:
    grow(ledger, 1)
    with pytest.raises(LedgerBroken):
        ledger.commit(manifest(3, previous="0" * 64))
    with pytest.raises(LedgerBroken):
        ledger.commit(manifest(2, previous="0" * 64))
    with pytest.raises(LedgerBroken):
        ledger.commit(manifest(1, previous="0" * 64))


@pytest.fixture
def landed(store: LocalStore) -> Iterator[tuple[Ledger, Manifest, Path]]:
    made = land(store, "aaaaaaaa1")
    yield Ledger(store), made, store.path / made.parts[1].key


def test_whole_parts_open(landed: tuple[Ledger, Manifest, Path]) -> None:
    ledger, made, _ = landed
    with open_parts(ledger, made) as paths:
        assert [path.read_bytes()[:6] for path in paths] == [b"part 0", b"part 1"]


@pytest.mark.parametrize("damage", ["missing", "short", "altered"])
def test_a_damaged_part_is_named(landed: tuple[Ledger, Manifest, Path], damage: str) -> None:
    ledger, made, path = landed
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] if damage == "short" else whole[:-1] + b"!")
    with (
        pytest.raises(PartDamaged, match=r"part-0001\.parquet of batch 1 of shop/orders"),
        _opened(ledger, made),
    ):
        pass
    assert len(problems_of(ledger, TABLE)) == 1


def _opened(ledger: Ledger, made: Manifest) -> AbstractContextManager[list[Path]]:
    return open_parts(ledger, made)


def test_a_look_is_remembered_and_a_damaged_hint_costs_nothing(store: LocalStore, ledger: Ledger) -> None:
    ledger.looked([TABLE], "2026-01-01T00:00:00+00:00")
    assert ledger.looks().last(TABLE) == "2026-01-01T00:00:00+00:00"
    assert ledger.looks().last(TableId("shop", "users")) is None
    for damaged in (b"", b"[]", b"{}", b'{"at":5}', b"\xff"):
        store.put_hint(f"{TABLE}/looked.json", damaged)
        assert ledger.looks().last(TABLE) is None
    assert ledger.head(TABLE) is None


def test_what_had_landed_by_an_instant_is_a_beginning_of_the_chain(ledger: Ledger) -> None:
    def at(minute: int) -> datetime:
        return datetime(2026, 1, 1, 12, minute, tzinfo=UTC)

    head: Manifest | None = None
    for sequence, (minute, load) in enumerate(
        [(1, "replace"), (2, "merge"), (9, "merge"), (4, "merge"), (5, "replace"), (6, "merge")], 1
    ):
        previous = head.digest if head else None
        head = ledger.commit(
            manifest(sequence, load, previous=previous, committed_at=at(minute).isoformat())  # type: ignore[arg-type]
        )
    for minute, expected in {
        0: [],
        1: [1],
        3: [1, 2],
        4: [1, 2, 3, 4],  # the clock stepped back: batch 4 has landed, so batch 3 had
        5: [5],
        59: [5, 6],
    }.items():
        assert [m.sequence for m in ledger.until(TABLE, at(minute))] == expected
    assert ledger.until(TABLE, None) == ledger.pending(TABLE, 0)
    assert ledger.until(TableId("shop", "users"), None) == []
