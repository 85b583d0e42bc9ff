"""Who may write to the store, but has no key, puts nothing there that is read: digests made anew do not help."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import ConfigurationError, LedgerBroken
from data_platform.landing import hint, tail
from data_platform.landing.keys import hint_key, manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import canonical
from data_platform.landing.signing import Signer, SigningConfig
from data_platform.landing.tail import Mark
from data_platform.landing.verify import sign, verify
from data_platform.stores.local import LocalStore
from data_platform_tests.contracts.batches import TABLE, manifest

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FIRST, SECOND = "first key of a test, long enough to be taken", "second key of a test, long enough, too"


def signer(key: str = FIRST, previous: str = "", environment: str = "local") -> Signer:
    config = SigningConfig(key_env="KEY", previous_key_env="OLD")
    return Signer.of(config, environment, {"KEY": key, "OLD": previous})


def ledger(folder: Path, key: str = FIRST, previous: str = "") -> Ledger:
    return Ledger(LocalStore(folder), {}, signer(key, previous))


def grow(to: Ledger, batches: int) -> list[Manifest]:
    """``batches`` more, each without rows."""
    made = []
    for _ in range(batches):
        head = to.head(TABLE)
        sequence = head.sequence + 1 if head else 1
        load: Any = "merge" if head else "replace"
        made.append(
            to.commit(
                manifest(sequence, load, previous=head.digest if head else None, measured_whole=not head)
            )
        )
    return made


def put(folder: Path, sequence: int, forged: Manifest) -> None:
    """What the attacker writes: any bytes, at any key."""
    path = folder / manifest_key(TABLE, sequence)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(forged.to_json())


READS: list[Callable[[Ledger], object]] = [
    lambda it: it.head(TABLE),
    lambda it: it.state(TABLE),
    lambda it: it.pending(TABLE, 0),
    lambda it: it.since(TABLE, 0),
    lambda it: it.until(TABLE, None),
    lambda it: it.redactions(TABLE),
    lambda it: grow(it, 1),
]


def refused(it: Ledger, match: str) -> None:
    for read in READS:
        with pytest.raises(LedgerBroken, match=match):
            read(it)
    assert verify(it, TABLE, NOW, since=0).problems


def test_what_is_committed_is_signed_and_read(tmp_path: Path) -> None:
    it = ledger(tmp_path)
    grow(it, 9)
    found = verify(it, TABLE, NOW)
    assert (found.problems, found.signed_from, found.last) == ((), 1, 9)
    assert it.state(TABLE).next_sequence == 10
    raw = json.loads((tmp_path / manifest_key(TABLE, 9)).read_bytes())
    assert len(raw["signature"]) == 64
    assert FIRST not in repr(it.signer)


@pytest.mark.parametrize("signature", ["", "0" * 64])
def test_a_forged_head_and_a_whole_forged_chain_are_refused(tmp_path: Path, signature: str) -> None:
    it = ledger(tmp_path)
    grow(it, 3)
    before = it.read(TABLE, 2).digest
    forged = manifest(3, previous=before, notes=("forged",)).sealed()
    put(tmp_path, 3, replace(forged, signature=signature))
    refused(it, "not signed")
    digest = None
    for sequence in (1, 2, 3):  # every digest made anew
        forged = manifest(sequence, "merge" if digest else "replace", previous=digest).sealed()
        put(tmp_path, sequence, replace(forged, signature=signature))
        digest = forged.digest
    refused(it, "not signed")
    put(tmp_path, 4, manifest(4, previous=digest).sealed())
    refused(it, "not signed")


def test_a_batch_put_after_or_between_signed_ones_is_refused(tmp_path: Path) -> None:
    it = ledger(tmp_path)
    made = grow(it, 4)
    put(tmp_path, 2, replace(manifest(2, previous=made[0].digest, notes=("forged",)).sealed()))
    problems = verify(it, TABLE, NOW, since=0).problems
    assert any("batch 2 of shop/orders is not signed, though the one before is" in line for line in problems)
    assert any("does not follow the one before" in line for line in problems)
    with pytest.raises(LedgerBroken):
        it.since(TABLE, 0)
    put(tmp_path, 2, made[1])
    assert not verify(it, TABLE, NOW, since=0).problems
    put(tmp_path, 5, manifest(5, previous=made[3].digest).sealed())
    refused(it, "batch 5 of shop/orders is not signed")


def test_a_signature_holds_for_its_own_manifest_and_kind_alone(tmp_path: Path) -> None:
    it = ledger(tmp_path)
    made = grow(it, 2)
    put(tmp_path, 2, replace(manifest(2, previous=made[0].digest).sealed(), signature=made[0].signature))
    refused(it, "not signed under the key in KEY")
    other = manifest(2, previous=made[0].digest, notes=("x",)).sealed()
    put(tmp_path, 2, replace(other, signature=it.signer.sign("backup", other.digest)))
    refused(it, "not signed under the key in KEY")


def test_a_chain_from_before_the_key_is_taken_once_and_no_further(tmp_path: Path) -> None:
    old = Ledger(LocalStore(tmp_path), {})
    grow(old, 3)
    it = ledger(tmp_path)
    refused(it, "verify shop/orders --sign")
    assert sign(it, TABLE, NOW).problems == ()
    assert it.head(TABLE) is not None
    grow(it, 2)
    assert verify(it, TABLE, NOW, since=0).signed_from == 4
    with pytest.raises(ConfigurationError, match=r"ledger of shop/orders is signed.*has no key"):
        grow(old, 1)
    # one that was forged before it was taken is not taken
    forged = Ledger(LocalStore(tmp_path / "forged"), {})
    made = grow(forged, 2)
    put(tmp_path / "forged", 1, manifest(1, "replace", notes=("forged",)).sealed())
    assert sign(ledger(tmp_path / "forged"), TABLE, NOW).problems
    put(tmp_path / "forged", 1, made[0])
    # nor is the word for another one, or one without the key
    fields = {"sequence": 2, "digest": made[1].digest}
    hint.write(forged.store, hint_key(TABLE, "adopted"), fields)
    refused(ledger(tmp_path / "forged"), "is not signed")
    hint.write(forged.store, hint_key(TABLE, "adopted"), {**fields, "sequence": 1}, signer())
    refused(ledger(tmp_path / "forged"), "is not signed")


def test_a_ledger_set_back_is_told_by_what_the_warehouse_has_loaded(tmp_path: Path) -> None:
    it = ledger(tmp_path)
    made = grow(it, 3)
    loaded = Mark(3, made[2].digest, "was loaded into the warehouse")
    assert not verify(it, TABLE, NOW, since=0, loaded=loaded).problems
    (tmp_path / manifest_key(TABLE, 3)).unlink()
    for name in ("tail", "verified"):  # whoever sets a ledger back takes its hints, too
        (tmp_path / hint_key(TABLE, name)).unlink(missing_ok=True)
    assert not verify(it, TABLE, NOW, since=0).problems, "a shorter chain is a whole one"
    (problem,) = verify(it, TABLE, NOW, since=0, loaded=loaded).problems
    assert "ends at batch 2, though batch 3 was loaded into the warehouse" in problem
    grow(it, 1)
    (problem,) = verify(it, TABLE, NOW, since=0, loaded=replace(loaded, digest="0" * 64)).problems
    assert "Batch 3 of shop/orders is not the one that was loaded into the warehouse" in problem
    with pytest.raises(LedgerBroken, match="restored from elsewhere or altered"):
        it.pending(TABLE, 3, "0" * 64)


def test_keys_change_one_after_the_other(tmp_path: Path) -> None:
    grow(ledger(tmp_path), 2)
    both = ledger(tmp_path, SECOND, FIRST)
    grow(both, 2)
    assert verify(both, TABLE, NOW, since=0).problems == ()
    refused(ledger(tmp_path), "not signed under the key in KEY")
    with pytest.raises(LedgerBroken, match="previous_key_env"):
        ledger(tmp_path, SECOND).since(TABLE, 0)
    assert Ledger(LocalStore(tmp_path), {}).head(TABLE) is not None, "without a key nothing is asked"


def test_hints_are_signed_too(tmp_path: Path) -> None:
    it = ledger(tmp_path)
    made = grow(it, 2)
    assert tail.recall(it.store, TABLE, it.signer).sequence == 2
    hint.write(
        it.store, hint_key(TABLE, "tail"), {"sequence": 1, "digest": made[0].digest}
    )  # a digest, no signature
    assert tail.recall(it.store, TABLE, it.signer) == Mark()
    assert tail.recall(it.store, TABLE, signer(SECOND, FIRST)) == Mark()
    tail.remember(it.store, made[1], it.signer)
    assert tail.recall(it.store, TABLE, signer(SECOND, FIRST)).sequence == 2
    for odd in ({"sequence": "2", "digest": "x"}, {"sequence": 2}, {"sequence": 10**30, "digest": "0" * 64}):
        hint.write(it.store, hint_key(TABLE, "tail"), odd, it.signer)
        hint.write(it.store, hint_key(TABLE, "verified"), odd, it.signer)
        assert verify(it, TABLE, NOW).problems == ()
    (tmp_path / hint_key(TABLE, "tail")).write_bytes(b"[" * 100_000)
    assert tail.recall(it.store, TABLE, it.signer) == Mark()


def test_the_environment_prod_asks_for_a_key_and_says_how_to_make_one(tmp_path: Path) -> None:
    for bad in (signer("", environment="prod"), signer("short"), signer("", FIRST)):
        it = Ledger(LocalStore(tmp_path), {}, bad)
        with pytest.raises(ConfigurationError, match=r"variable KEY is .*openssl rand -hex 32"):
            it.head(TABLE)
        with pytest.raises(ConfigurationError, match=r"variable KEY is .*openssl rand -hex 32"):
            it.commit(manifest(1, "replace"))
    signer("", environment="local").ready()
    config = SigningConfig(required=False)
    Signer.of(config, "prod", {}).ready()
    with pytest.raises(ConfigurationError, match="DATA_PLATFORM_LEDGER_KEY is not set"):
        Signer.of(SigningConfig(required=True), "local", {}).ready()


def test_a_manifest_without_a_signature_has_no_field_for_it() -> None:
    """What was written before there were signatures stays readable, byte for byte."""
    sealed = manifest(1).sealed()
    assert b"signature" not in sealed.to_json()
    odd = canonical({**json.loads(sealed.to_json()), "signature": ""})
    with pytest.raises(LedgerBroken):
        Manifest.from_json(odd, "here")
    with pytest.raises(LedgerBroken, match="its signature is invalid"):
        Manifest.from_json(canonical({**json.loads(sealed.to_json()), "signature": 1}), "here")
