"""A redaction holds where it was signed, replaces parts for every reader, and is refused otherwise."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import BatchConflict, ConfigurationError, LedgerBroken, PartDamaged, PartReplaced
from data_platform.landing.keys import manifest_key, part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.redaction import (
    KEY_VARIABLE,
    Redaction,
    Rewrites,
    Rewritten,
    from_fields,
    redaction_key,
    to_fields,
)
from data_platform.landing.state import CHECKPOINT_EVERY
from data_platform.landing.stored_parts import open_parts
from data_platform.stores.local import LocalStore
from data_platform.tables import Fingerprint, Slice, TableId
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.batches import (
    COLUMNS,
    TABLE,
    Chain,
    manifest,
    part_of,
    position,
    write_part,
)
from data_platform_tests.landing.chains import problems_of
from data_platform_tests.landing.redactions import (
    ENVIRON,
    KEY,
    NONCE,
    arbitrary,
    file_of,
    land,
    part,
    redact,
    redaction,
    rewrite,
)

SECRET = KEY.encode()
DAY = Slice("2026-01-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(LocalStore(tmp_path / "landing"), ENVIRON)


@given(arbitrary)
@settings(max_examples=60, deadline=None)
def test_round_trip(made: Redaction) -> None:
    assert made.mistakes() == []
    assert from_fields(to_fields(made)) == made


@given(arbitrary, st.integers(2, 10**6), st.none() | st.text("0123456789abcdef", min_size=64, max_size=64))
@settings(max_examples=60, deadline=None)
def test_a_signature_holds_for_its_place_and_its_key_alone(
    made: Redaction, sequence: int, previous: str | None
) -> None:
    signed = made.signed(TABLE, sequence, previous, SECRET)
    assert signed.is_signed(TABLE, sequence, previous, SECRET)
    assert not made.is_signed(TABLE, sequence, previous, SECRET)
    assert not signed.is_signed(TABLE, sequence, previous, SECRET + b"!")
    assert not signed.is_signed(TableId("shop", "users"), sequence, previous, SECRET)
    assert not signed.is_signed(TABLE, sequence + 1, previous, SECRET)
    assert not signed.is_signed(TABLE, sequence, "0" * 63, SECRET)


def test_a_signature_covers_every_field() -> None:
    signed = redaction().signed(TABLE, 2, "p", SECRET)
    first = signed.parts[0]
    other: dict[str, Any] = {
        "parts": (replace(first, new=replace(first.new, rows=1)),),
        "reason": "another",
        "authorised_by": "another",
        "at": "2026-02-01T00:00:01+00:00",
        "algorithm": "none",
    }
    assert other.keys() == {f.name for f in fields(Redaction)} - {"signature"}
    for field, value in other.items():
        assert not replace(signed, **{field: value}).is_signed(TABLE, 2, "p", SECRET), field


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parts": ()}, "names no part"),
        ({"reason": " "}, "does not say why"),
        ({"authorised_by": ""}, "who authorised"),
        ({"at": "2026-02-01T00:00:00"}, "time zone"),
        ({"at": "soon"}, "time zone"),
        ({"algorithm": "none"}, "HMAC-SHA-256"),
        ({"parts": (Rewritten(1, 0, part("a"), part("a")),)}, "twice"),
        ({"parts": (Rewritten(1, 0, part("a"), part("b")), Rewritten(1, 1, part("b"), part("c")))}, "twice"),
        ({"parts": (Rewritten(1, 0, part("a", 1), part("b", 2)),)}, "gains rows"),
        ({"parts": (Rewritten(0, 0, part("a"), part("b")),)}, "not described"),
        ({"parts": (Rewritten(1, 0, part("a"), replace(part("b"), sha256="x")),)}, "not described"),
    ],
)
def test_what_is_no_redaction(changes: dict[str, Any], why: str) -> None:
    wrong = replace(redaction(), **changes)
    assert any(why in mistake for mistake in wrong.mistakes())
    with pytest.raises(ValueError, match=why):
        from_fields(to_fields(wrong))


def test_rewrites_follow_one_another() -> None:
    first = Rewritten(1, 0, part("a", 3), part("b", 2))
    then = Rewritten(1, 0, first.new, part("c", 1))
    rewrites = Rewrites.of(TABLE, [(2, redaction(first)), (3, redaction(then))])
    assert rewrites.current(TABLE, 1, 0, first.old) == then.new
    assert rewrites.parts(TABLE, 1, [part("x"), part("y")]) == (part("x"), part("y"))
    for wrong in ((2, 0, first.old), (1, 1, first.old), (1, 0, replace(first.old, rows=9))):
        with pytest.raises(LedgerBroken, match="otherwise than batch"):
            rewrites.current(TABLE, *wrong)


@pytest.mark.parametrize("again", [("a", "d"), ("b", "a")], ids=["twice", "back"])
def test_a_part_is_replaced_once_and_for_good(again: tuple[str, str]) -> None:
    first = Rewritten(1, 0, part("a"), part("b"))
    then = Rewritten(1, 0, part(again[0]), part(again[1]))
    with pytest.raises(LedgerBroken, match="batch 3 of shop/orders"):
        Rewrites.of(TABLE, [(2, redaction(first)), (3, redaction(then))])


def test_a_redaction_cannot_name_a_later_batch() -> None:
    with pytest.raises(LedgerBroken, match="later"):
        Rewrites.of(TABLE, [(2, redaction(Rewritten(2, 0, part("a"), part("b"))))])


def test_the_key_is_asked_for_by_name() -> None:
    assert redaction_key(ENVIRON) == SECRET
    for environ in ({}, {KEY_VARIABLE: "short"}):
        with pytest.raises(ConfigurationError, match=KEY_VARIABLE) as raised:
            redaction_key(environ)
        assert "short" not in str(raised.value).replace("shorter", "")


def test_state_is_what_it_was_before(ledger: Ledger) -> None:
    land(
        ledger,
        position_after=position(700),
        measured_whole=True,
        fingerprints={DAY: Fingerprint(4, 5)},
    )
    before = ledger.state(TABLE)
    for _ in range(CHECKPOINT_EVERY + 1):  # over a checkpoint, too
        standing = ledger.rewrites(TABLE).current(TABLE, 1, 0, ledger.read(TABLE, 1).parts[0])
        head = redact(ledger, 1, old=standing)
    after = ledger.state(TABLE)
    assert after.head == head
    assert (after.position, after.columns) == (before.position, before.columns)
    assert (after.measured, after.measured_whole_at) == (before.measured, before.measured_whole_at)
    assert before.head is not None
    for name in ("snapshot", "committed_at", "key", "partition", "timezone", "key_enforced"):
        assert getattr(head, name) == getattr(before.head, name), name
    assert (head.rows, head.parts, head.touched, head.supersedes) == (0, (), {}, (1,))
    assert Ledger(ledger.store, {}).state(TABLE) == after, "the state needs no key"


def test_pending_loads_what_stands_now(ledger: Ledger) -> None:
    first = land(ledger)
    land(ledger)
    once = redact(ledger, 1)
    land(ledger)
    assert once.redaction is not None
    redact(ledger, 1, old=once.redaction.parts[0].new)
    pending = ledger.pending(TABLE, 0)
    assert [m.sequence for m in pending] == [1, 2, 3, 4, 5]
    assert [m.digest for m in pending] == [m.digest for m in ledger.since(TABLE, 0)]
    assert (pending[0].rows, first.rows) == (3, 4)
    with open_parts(ledger, pending[0]) as paths:
        assert [path.read_bytes()[:4] for path in paths] == [b"one ", b"rows"]
    with pytest.raises(PartReplaced), open_parts(ledger, first):
        pass
    assert [m.parts for m in ledger.pending(TABLE, 1)] == [m.parts for m in ledger.since(TABLE, 1)]
    assert problems_of(ledger, TABLE) == []


def test_redactions_are_found_without_reading_the_chain(ledger: Ledger) -> None:
    land(ledger)
    redact(ledger, 1)
    for _ in range(20):
        land(ledger, 1)
    redact(ledger, 5)
    land(ledger, 0)
    reads: list[str] = []

    class Counting(LocalStore):
        def read(self, key: str) -> bytes:
            reads.append(key)
            return super().read(key)

    assert isinstance(ledger.store, LocalStore)
    reading = Ledger(Counting(ledger.store.path))
    assert [m.sequence for m in reading.redactions(TABLE)] == [2, 23]
    assert len(reads) == 3
    redact(ledger, 7)
    reads.clear()
    assert [m.sequence for m in reading.redactions(TABLE)] == [2, 23, 25]
    assert len(reads) == 2, "the head, and the one that was not read before"


def test_a_part_that_is_neither_the_old_nor_the_new_is_damage(ledger: Ledger) -> None:
    land(ledger)
    done = redact(ledger, 1)
    assert done.redaction is not None
    file = file_of(ledger, done.redaction.parts[0].new.key)
    file.write_bytes(b"One row is left")
    assert any("does not match its SHA-256" in problem for problem in problems_of(ledger, TABLE))
    with pytest.raises(PartDamaged, match="part-0010"), open_parts(ledger, ledger.pending(TABLE, 0)[0]):
        pass


def commit_signed(ledger: Ledger, made: Redaction) -> Manifest:
    """As somebody would who writes to the store without ``Ledger.redact``."""
    head = ledger.head(TABLE)
    assert head is not None
    return ledger.commit(head.redacting(made, NONCE))


def test_an_unsigned_redaction_is_not_committed(ledger: Ledger) -> None:
    land(ledger)
    with pytest.raises(LedgerBroken, match="batch 2 of shop/orders is not signed"):
        commit_signed(ledger, redaction(rewrite(ledger, 1)))
    with pytest.raises(ConfigurationError):
        commit_signed(Ledger(ledger.store, {}), redaction(rewrite(ledger, 1)))
    assert ledger.last(TABLE) == 1


def forge(ledger: Ledger, made: Redaction) -> None:
    head = ledger.head(TABLE)
    assert head is not None
    forged = head.redacting(made, NONCE).sealed()
    ledger.store.put_new(manifest_key(TABLE, forged.sequence), forged.to_json())


def test_a_forged_redaction_is_named_and_nothing_is_read_through_it(ledger: Ledger) -> None:
    land(ledger)
    forge(ledger, redaction(rewrite(ledger, 1)).signed(TABLE, 2, None, SECRET))
    for act in (ledger.rewrites, lambda table: ledger.pending(table, 0)):
        with pytest.raises(LedgerBroken, match="batch 2 of shop/orders is not signed"):
            act(TABLE)
    assert any("batch 2 of shop/orders is not signed" in problem for problem in problems_of(ledger, TABLE))
    assert ledger.state(TABLE).next_sequence == 3
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        Ledger(ledger.store, {}).pending(TABLE, 0)


def test_a_redaction_cut_short_is_named(ledger: Ledger) -> None:
    land(ledger)
    forge(ledger, replace(redaction(rewrite(ledger, 1)), parts=()))
    with pytest.raises(LedgerBroken, match=manifest_key(TABLE, 2)):
        ledger.head(TABLE)


def test_a_kind_and_what_it_holds_belong_together() -> None:
    for made in (manifest(1, kind="redact"), manifest(2, redaction=redaction())):
        with pytest.raises(LedgerBroken, match="here"):
            Manifest.from_json(made.sealed().to_json(), "here")


def test_only_what_stands_can_be_redacted(ledger: Ledger) -> None:
    first = land(ledger)
    head = land(ledger)
    good = rewrite(ledger, 1)
    elsewhere = replace(good, new=replace(good.new, key=f"{TABLE}/batches/00000001-x/part-0000.parquet"))
    for wrong in (
        replace(good, index=1),
        replace(good, index=2),
        replace(good, sequence=2),
        replace(good, sequence=3),
        replace(good, old=replace(first.parts[0], rows=9)),
        elsewhere,
    ):
        with pytest.raises(LedgerBroken, match="was not committed"):
            ledger.redact(head, redaction(wrong), NONCE)
    with pytest.raises(LedgerBroken, match="names no part"):
        ledger.redact(head, replace(redaction(), parts=()), NONCE)
    whole = file_of(ledger, good.new.key).read_bytes()
    file_of(ledger, good.new.key).write_bytes(whole[:-1])
    with pytest.raises(PartDamaged, match=good.new.key):
        ledger.redact(head, redaction(good), NONCE)
    file_of(ledger, good.new.key).write_bytes(whole)
    assert ledger.last(TABLE) == 2
    ledger.redact(head, redaction(good), NONCE)
    with pytest.raises(LedgerBroken, match="was not committed"):
        ledger.redact(head, redaction(good), NONCE)


def test_a_redaction_that_loses_the_race_is_told(ledger: Ledger) -> None:
    head = land(ledger)
    made = redaction(rewrite(ledger, 1))
    land(ledger)
    with pytest.raises(BatchConflict):
        ledger.redact(head, made, NONCE)


@pytest.mark.parametrize("key", [("id",), ()], ids=["keyed", "keyless"])
def test_a_warehouse_passes_over_a_redaction(tmp_path: Path, key: tuple[str, ...]) -> None:
    chain = Chain(tmp_path / "parts", key=key)
    first, parts = chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-01", "b", 1)])
    passed = first.redacting(redaction(), NONCE).sealed()
    chain.sequence, chain.digest = passed.sequence, passed.digest
    after, more = chain.next("replace", [(1, "2026-01-01", "a", 2)])
    with DuckDBConfig(kind="duckdb", path=Path("w.duckdb")).open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.load(first, parts)
        result = warehouse.load(passed, [])
        assert (result.sequence, result.rows_inserted, result.rows_deleted, result.touched) == (2, 0, 0, {})
        again = warehouse.load(passed, [])
        assert again.rows_inserted == 0
        loaded = warehouse.loaded(TABLE)
        assert loaded is not None
        assert (loaded.sequence, loaded.digest) == (2, passed.digest)
        assert warehouse.query("select count(*) from raw_shop.orders").rows == [(2,)]
        warehouse.load(after, more)
        assert warehouse.query("select count(*) from raw_shop.orders").rows == [(1,)]


def test_a_warehouse_rebuilt_after_a_redaction_lacks_what_was_erased(ledger: Ledger, tmp_path: Path) -> None:
    rows = [(1, "2026-01-01", "a", 1), (2, "2026-01-01", "b", 1)]

    def parquet(key: str, wanted: list[tuple[Any, ...]]) -> Part:
        assert isinstance(ledger.store, LocalStore)
        path = write_part(tmp_path / "new.parquet", COLUMNS, wanted)
        made = part_of(path, key, len(wanted))
        ledger.store.put_file(key, path)
        return made

    whole = parquet(part_key(TABLE, 1, "first000"), rows)
    first = ledger.commit(manifest(1, "replace", 2, parts=(whole,)))
    less = parquet(part_key(TABLE, 2, NONCE), rows[1:])
    ledger.redact(first, redaction(Rewritten(1, 0, whole, less)), NONCE)
    ledger.store.delete(whole.key)
    with DuckDBConfig(kind="duckdb", path=Path("w.duckdb")).open(tmp_path, files=[tmp_path]) as warehouse:
        for batch in ledger.pending(TABLE, 0):
            with open_parts(ledger, batch) as paths:
                warehouse.load(batch, paths)
        assert warehouse.query("select id from raw_shop.orders").rows == [(2,)]
        loaded = warehouse.loaded(TABLE)
    assert loaded is not None
    assert ledger.pending(TABLE, loaded.sequence, loaded.digest) == []
