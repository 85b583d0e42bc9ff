"""What was truncated, reordered, edited, put in between or back-dated is named; and that costs what is new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from data_platform.chained import copies
from data_platform.chained.block import Block
from data_platform.chained.log import Log
from data_platform.chained.verify import accept, verify
from data_platform.errors import LandingError, LedgerBroken
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores.local import LocalStore
from data_platform.stores.wrapped import WrappedStore
from data_platform_tests.chained.logs import OTHER, SIGNER, CountingStore, filled

BLOCKS = 12


@pytest.fixture(params=[SIGNER, NOT_SIGNED], ids=["signed", "unsigned"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    made, _ = filled(LocalStore(tmp_path / "own"), BLOCKS, request.param)
    return made


@pytest.fixture
def second(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "second")


def path(log: Log, number: int) -> Path:
    return log.store.folder / log.key(number)


def block(log: Log, number: int) -> Block:
    return log.read(number)


def write(log: Log, number: int, made: Block, signer: Signer) -> None:
    """What somebody writes who may write to the store, sealed under ``signer``."""
    path(log, number).parent.mkdir(parents=True, exist_ok=True)
    path(log, number).write_bytes(made.sealed(signer).to_json())


def rewrite_from(
    log: Log, number: int, change: Callable[[Block], list[Block]], signer: Signer = NOT_SIGNED
) -> None:
    """The log written again from block ``number`` on, as consistent as somebody without the key can make it."""
    before = block(log, number - 1)
    later = [block(log, n) for n in range(number, log.last() + 1)]
    changed = [*change(later[0]), *later[1:]]
    for at, one in enumerate(changed, number):
        made = replace(one, number=at, first=before.last + 1, previous=before.digest).sealed(signer)
        write(log, at, made, signer)
        before = made


def forget_hints(log: Log) -> None:
    for name in ("tail", "verified"):
        log.store.delete(f"{log.folder}/{name}.json")


def said(log: Log, *stores: LocalStore) -> str:
    fresh = Log(log.store, log.name, log.signer, log.clock)
    return "\n".join(verify(fresh, stores).problems)


def test_nothing_is_wrong(log: Log, second: LocalStore) -> None:
    assert said(log) == ""
    copies.sign_head(log, [second])
    copies.copy(log, second)
    found = verify(log, [second], whole=True)
    assert found.problems == () and (found.last, found.entries, found.blocks) == (12, 24, 12)
    assert found.signed_from == (1 if log.signer.signs else None)


@pytest.mark.parametrize("number", [1, 5, BLOCKS])
@pytest.mark.parametrize("verified", [False, True])
def test_an_edited_entry(log: Log, number: int, verified: bool) -> None:
    assert not verified or said(log) == ""
    path(log, number).write_bytes(path(log, number).read_bytes().replace(b'"part":0', b'"part":9'))
    found = verify(log, whole=True).problems
    assert f"{log.key(number)} does not match its digest: it was edited" in "\n".join(found)
    with pytest.raises(LedgerBroken, match="it was edited"):
        list(log.entries())


@pytest.mark.parametrize("number", [1, 5, 11])
def test_an_edited_entry_with_a_digest_that_fits(log: Log, number: int) -> None:
    write(log, number, replace(block(log, number), bodies=({"block": 0},)), NOT_SIGNED)
    text = said(log)
    if log.signer.signs:
        assert f"Block {number} of" in text or f"Block {number + 1} of" in text
    assert f"Block {number + 1} of the log audit" in text and "does not follow" in text


def test_one_signed_by_somebody_else(log: Log) -> None:
    if not log.signer.signs:
        pytest.skip("nobody can tell without a key")
    write(log, 5, replace(block(log, 5), bodies=({"block": 0},)), OTHER)
    assert f"{log.key(5)} is not signed under the key in LEDGER_KEY: it was forged" in said(log)


@pytest.mark.parametrize("gone", [1, 2, 12])
def test_a_truncated_end(log: Log, gone: int, second: LocalStore) -> None:
    copies.sign_head(log, [second])
    for number in range(BLOCKS, BLOCKS - gone, -1):
        path(log, number).unlink()
    expected = f"was truncated: it ends at block {BLOCKS - gone}, though block 12 (up to entry 24)"
    assert expected in said(log), "the hint knows"
    forget_hints(log)
    shutil.rmtree(log.store.folder / log.folder / "heads")
    assert said(log) == "", "by itself it looks whole"
    assert expected in said(log, second) and second.url in said(log, second)


def test_a_log_that_is_shorter_than_its_copy_is_not_copied(log: Log, second: LocalStore) -> None:
    copies.copy(log, second)
    path(log, BLOCKS).unlink()
    forget_hints(log)
    expected = "was truncated: it ends at block 11, though block 12"
    with pytest.raises(LedgerBroken, match=expected):
        copies.copy(log, second)
    assert expected in said(log, second)


def test_nothing_is_appended_to_a_truncated_log(log: Log) -> None:
    path(log, BLOCKS).unlink()
    with pytest.raises(LedgerBroken, match="was truncated: it ends at block 11, though block 12"):
        Log(log.store, log.name, log.signer).append([{"n": 1}])
    with pytest.raises(LedgerBroken, match="was truncated"):
        list(log.entries())
    assert not path(log, BLOCKS).exists()


def test_a_writer_that_knew_the_end_leaves_a_gap_that_is_named(log: Log) -> None:
    path(log, BLOCKS).unlink()
    log.append([{"n": 1}])
    assert "Block 12 of the log audit is missing" in said(log)


@pytest.mark.parametrize("number", [1, 6])
def test_one_removed_in_the_middle(log: Log, number: int) -> None:
    path(log, number).unlink()
    assert f"Block {number} of the log audit is missing: {log.key(number)}" in said(log)
    with pytest.raises(LedgerBroken, match=f"Block {number} of the log audit is missing"):
        list(log.entries())


def test_two_that_changed_places(log: Log) -> None:
    four, seven = path(log, 4).read_bytes(), path(log, 7).read_bytes()
    path(log, 4).write_bytes(seven)
    path(log, 7).write_bytes(four)
    text = said(log)
    assert (
        f"{log.key(4)} in {log.store.url} holds block 7 of the log audit: it was moved or reordered" in text
    )
    assert f"{log.key(7)} in {log.store.url} holds block 4" in text


def test_two_that_changed_places_and_numbers(log: Log) -> None:
    four, seven = block(log, 4), block(log, 7)
    for at, one, standing in ((4, seven, four), (7, four, seven)):
        write(log, at, replace(one, number=at, first=standing.first, previous=standing.previous), NOT_SIGNED)
    text = said(log)
    assert "Block 5 of the log audit" in text and "Block 8 of the log audit" in text and "reordered" in text


@pytest.mark.parametrize("verified", [False, True])
def test_one_put_in_between(log: Log, second: LocalStore, verified: bool) -> None:
    assert not verified or said(log) == ""
    copies.sign_head(log, [second])
    rewrite_from(log, 6, lambda one: [replace(one, bodies=({"block": "another"},)), one])
    forget_hints(log)
    shutil.rmtree(log.store.folder / log.folder / "heads")
    text = said(log, second)
    assert "Block 12 of the log audit is not the one that was the newest in the head in" in text
    assert second.url in text and "put in between" in text
    if log.signer.signs:
        assert "Block 6 of the log audit (entries 12 to 12) is not signed, though the one before is" in text
    else:
        assert said(log) == "", "without a key and without the head nobody can know"


def test_a_copy_knows_it_too(log: Log, second: LocalStore) -> None:
    copies.copy(log, second)
    rewrite_from(log, 6, lambda one: [replace(one, bodies=({"block": "another"},) * len(one.bodies))])
    forget_hints(log)
    assert "Block 12 of the log audit is not the one that is in the copy in" in said(log, second)
    with pytest.raises(LedgerBroken, match="Block 12 of the log audit is not the one that is in"):
        copies.copy(log, second)


def test_one_back_dated_by_who_has_the_key(log: Log) -> None:
    clock = log.clock
    late = Log(log.store, log.name, log.signer, lambda: clock() - timedelta(hours=3))
    late.append([{"n": 1}])
    text = said(log)
    assert (
        "Block 13 of the log audit (entries 25 to 25) is dated 2026-03-01 09:00:00+00:00, though block 12"
        in text
    )
    assert "it was back-dated" in text


def test_one_dated_before_a_head_that_lacked_it(log: Log, second: LocalStore) -> None:
    clock = log.clock
    clock.forward(48)  # type: ignore[attr-defined]
    copies.sign_head(log, [second])
    Log(log.store, log.name, log.signer, lambda: clock() - timedelta(hours=30)).append([{"n": 1}])
    assert said(log) != "", "the log's own store has the head too"
    shutil.rmtree(log.store.folder / log.folder / "heads")
    log.forget("verified")
    text = said(log, second)
    assert (
        "but was not there on 2026-03-03 12:00:00+00:00, when the end of the log was signed: it was back-dated"
        in text
    )


def test_one_dated_in_the_future(log: Log) -> None:
    clock = log.clock
    Log(log.store, log.name, log.signer, lambda: clock() + timedelta(hours=3)).append([{"n": 1}])
    log.append([{"n": 2}])
    text = said(log)
    assert (
        "Block 13 of the log audit (entries 25 to 25) is dated 2026-03-01 15:00:00+00:00, which is in the future"
        in text
    )
    assert "Block 14" not in text, "the one after it is well dated"


class Clocked(WrappedStore):
    """A store with a clock of its own, as a bucket has."""

    at: datetime

    def written_at(self, key: str) -> datetime:
        return self.at


def test_one_that_the_store_wrote_later_than_it_says(tmp_path: Path) -> None:
    store = Clocked(LocalStore(tmp_path))
    log, clock = filled(store, 4)
    store.at = clock() + timedelta(hours=9)
    text = said(log)
    assert (
        "Block 4 of the log audit" in text
        and "was written on 2026-03-01 13:00:00+00:00 by the clock of" in text
    )
    clock.forward(9)
    copies.sign_head(log, [])
    assert said(log) == "", "what a head has was there then, whenever its object was made"


def test_what_is_not_a_block(log: Log) -> None:
    for content in (b"", b"[]", b"{}", b'{"format":2}', b"\xff", b"[" * 5_000):
        path(log, 6).write_bytes(content)
        assert f"{log.key(6)} is not a block of a log" in said(log)
    (path(log, 6).parent / "000.json").write_bytes(b"x")
    assert "000.json" in said(log) and "is no block of the log audit" in said(log)


def test_a_pack_that_is_no_copy(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_platform.chained.log.PACK", 4)
    assert log.pack() == 3 and not verify(log, whole=True).problems
    pack = log.store.folder / log.folder / "packs" / "000000002.jsonl"
    lines, before = list[bytes](), block(log, 4)
    for number in range(5, 9):
        bodies = ({"block": "another"},) * len(block(log, number).bodies)
        made = replace(block(log, number), bodies=bodies, previous=before.digest).sealed(NOT_SIGNED)
        lines, before = [*lines, made.to_json()], made
    pack.write_bytes(b"\n".join(lines))
    found = "".join(verify(log, whole=True).problems)
    assert "packs/000000002.jsonl" in found and "is no copy of its blocks" in found
    pack.unlink()
    assert log.pack() == 1 and not verify(log, whole=True).problems


def test_a_forged_head_is_named(log: Log, second: LocalStore) -> None:
    copies.sign_head(log, [second])
    (key,) = second.list("_audit/heads")
    fields = json.loads(second.read(key)) | {"number": 11, "digest": block(log, 11).digest}
    (second.path / key).write_bytes(json.dumps(fields).encode())
    if log.signer.signs:
        assert f"{key} in {second.url} is no head of the log audit that this platform signed" in said(
            log, second
        )
    (second.path / key).write_bytes(b"[")
    assert "is no head of the log audit" in said(log, second)


def test_damage_is_named_again_until_it_is_mended(log: Log) -> None:
    assert said(log) == ""
    whole = path(log, 5).read_bytes()
    path(log, 5).write_bytes(b"{}")
    assert log.key(5) in "".join(verify(log, whole=True).problems)
    for _ in range(3):
        assert log.key(5) in said(log), "not left to chance"
    path(log, 5).write_bytes(whole)
    assert said(log) == ""


def test_the_cost_is_that_of_what_is_new(tmp_path: Path, second: LocalStore) -> None:
    counting = CountingStore(LocalStore(tmp_path / "own"))
    log, clock = filled(counting, 60)
    copies.sign_head(log, [second])
    copies.copy(log, second)
    assert verify(log, [second]).blocks == 60
    clock.forward()
    log.append([{"n": 1}])
    counting.requests.clear()
    found = verify(log, [second], sample=0)
    assert (found.since, found.blocks, found.problems) == (60, 1, ())
    assert counting.requests["read"] + counting.requests["list"] <= 16
    assert 2 <= verify(log, [second], sample=0.05).blocks <= 8


def test_the_sample_finds_what_is_old(log: Log) -> None:
    assert said(log) == ""
    write(log, 4, replace(block(log, 4), bodies=({"block": 0},)), NOT_SIGNED)
    assert "Block 5 of the log audit" in "".join(verify(log, sample=1).problems)


def test_a_copy_is_added_to_and_restores(log: Log, second: LocalStore) -> None:
    assert copies.copy(log, second) == 12 and copies.copy(log, second) == 0
    log.append([{"n": 1}])
    assert copies.copy(log, second) == 1
    second.delete(log.key(7))  # as a copy that was killed leaves it
    assert copies.copy(log, second) == 0 and second.read(log.key(7)) == log.store.read(log.key(7))
    whole = [entry.body for entry in log.entries()]
    path(log, 3).write_bytes(b"{}")
    path(log, 13).unlink()
    path(log, 12).unlink()
    assert copies.restore(log, second) == [3, 12, 13]
    assert [entry.body for entry in log.entries()] == whole and said(log, second) == ""
    write(log, 4, replace(block(log, 4), bodies=({"block": 0},)), log.signer)
    with pytest.raises(LedgerBroken, match="Block 4 of the log audit is not the one that is in"):
        copies.restore(log, second)


def test_a_copy_killed_at_any_call_converges(tmp_path: Path) -> None:
    log, _ = filled(LocalStore(tmp_path / "own"), 6)
    for call in range(1, 12):
        for after in (False, True):
            second = CountingStore(LocalStore(tmp_path / f"{call}-{after}"), call, after=after)
            for _ in range(2):
                try:
                    copies.copy(log, second)
                    copies.sign_head(log, [second])
                except LandingError:
                    continue
            assert verify(log, [second], whole=True).problems == ()
            assert len(list(Log(second, "audit", SIGNER).entries())) == 12


def test_what_was_accepted_is_not_named_again(log: Log, second: LocalStore) -> None:
    clock = log.clock
    copies.sign_head(log, [second])
    path(log, 4).write_bytes(b"{}")
    path(log, BLOCKS).unlink()
    assert said(log, second) != ""
    clock.forward()  # type: ignore[attr-defined]
    accept(log)
    fresh = Log(log.store, log.name, log.signer, clock)
    fresh.append([{"accepted": True}])
    accept(fresh)
    assert said(log, second) == "" and said(log, second) == ""
    assert verify(fresh, [second], whole=True).problems == ()
    clock.forward()  # type: ignore[attr-defined]
    fresh.append([{"n": 1}])
    copies.sign_head(fresh, [second])
    path(log, 13).unlink()
    assert "was truncated: it ends at block 12, though block 13" in said(log, second)


def test_a_signed_acceptance_cannot_be_forged(log: Log) -> None:
    if not log.signer.signs:
        pytest.skip("nobody can tell without a key")
    path(log, 4).write_bytes(b"{}")
    Log(log.store, log.name, NOT_SIGNED, log.clock).mark("accepted", block(log, BLOCKS))
    assert log.key(4) in said(log)
