"""Every kind of damage is named, and a verification costs what is new and a sample."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import ConfigurationError, LedgerBroken
from data_platform.landing import hint, tail
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import Verification, forget, recall, verify
from data_platform.stores.local import LocalStore
from data_platform.tables import TableId
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, NONCE, file_of, land, redact, redaction, rewrite

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Counting(LocalStore):
    """Counts its calls, and how many names the folders it listed hold."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: Counter[str] = Counter()
        self.opened: list[str] = []

    def read(self, key: str) -> bytes:
        self.calls["read"] += 1
        return super().read(key)

    def size(self, key: str) -> int:
        self.calls["size"] += 1
        return super().size(key)

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        self.calls["list"] += 1
        return super().list(prefix, limit)

    def put_hint(self, key: str, data: bytes) -> None:
        self.calls["put_hint"] += 1
        super().put_hint(key, data)

    def local(self, key: str) -> Any:
        self.opened.append(key)
        return super().local(key)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "landing")


@pytest.fixture
def ledger(store: Counting) -> Ledger:
    return Ledger(store, ENVIRON)


def chain(ledger: Ledger, batches: int) -> None:
    for n in range(batches):
        land(ledger, 1, committed_at=(NOW - timedelta(days=batches - n)).isoformat())


def checked(ledger: Ledger, **options: Any) -> Verification:
    return verify(ledger, TABLE, NOW, **{"sample": 0.0, **options})


def test_nothing_landed_is_whole(ledger: Ledger, store: Counting) -> None:
    found = checked(ledger, sample=1.0)
    assert (found.since, found.last, found.manifests, found.problems) == (0, 0, 0, ())
    assert store.calls["put_hint"] == 0


def test_the_first_time_everything_then_what_is_new(ledger: Ledger) -> None:
    chain(ledger, 5)
    first = checked(ledger)
    assert (first.since, first.last, first.manifests, first.parts, first.problems) == (0, 5, 5, 5, ())
    assert first.bytes == sum(m.bytes for m in ledger.since(TABLE, 0))
    chain(ledger, 2)
    then = checked(ledger)
    assert (then.since, then.last, then.manifests, then.parts) == (5, 7, 2, 2)
    assert recall(ledger, TABLE).sequence == 7


@pytest.mark.parametrize("batches", [1, 40, 400])
def test_nothing_new_costs_the_same_however_long_the_chain_is(
    ledger: Ledger, store: Counting, batches: int
) -> None:
    chain(ledger, batches)
    checked(ledger)
    store.calls.clear()
    store.opened.clear()
    assert checked(ledger).manifests == 0
    assert store.calls == {"read": 6, "list": 2, "put_hint": 1}
    assert store.opened == []


def test_the_sample_is_its_seed_s(ledger: Ledger, store: Counting) -> None:
    chain(ledger, 40)
    checked(ledger)

    def sampled(seed: int, sample: float = 0.1) -> list[str]:
        store.opened.clear()
        found = checked(ledger, sample=sample, seed=seed)
        assert found.manifests == found.parts == len(store.opened)
        return list(store.opened)

    assert sampled(1) == sampled(1)
    assert len(sampled(1)) == 4
    assert len({tuple(sampled(seed)) for seed in range(5)}) > 1
    assert len(sampled(1, 1.0)) == 40
    assert len(sampled(1, 0.001)) == 1, "a share above none is at least one"


def test_since_is_a_batch_or_a_day(ledger: Ledger) -> None:
    chain(ledger, 10)  # one a day, the newest yesterday
    checked(ledger)
    assert checked(ledger, since=0).manifests == 10
    assert checked(ledger, since=7).manifests == 3
    assert checked(ledger, since=99).manifests == 0
    assert checked(ledger, since=NOW - timedelta(days=3)).manifests == 3
    assert checked(ledger, since=NOW - timedelta(days=3, hours=-1)).manifests == 2
    assert checked(ledger, since=NOW - timedelta(days=300)).manifests == 10
    assert checked(ledger, since=NOW).manifests == 0


def test_a_redaction_is_as_new_as_it_says(ledger: Ledger) -> None:
    land(ledger, 1, committed_at="2026-01-01T00:00:00+00:00")
    done = redact(ledger, 1)
    assert done.redaction is not None
    day = datetime.fromisoformat(done.redaction.at)
    assert checked(ledger, since=day).manifests == 1
    assert checked(ledger, since=day + timedelta(days=1)).manifests == 0


def test_what_was_skipped_is_not_remembered_as_verified(ledger: Ledger) -> None:
    chain(ledger, 6)
    assert checked(ledger, since=4).problems == ()
    assert recall(ledger, TABLE).sequence == 0
    checked(ledger)
    chain(ledger, 4)
    checked(ledger, since=8)
    assert recall(ledger, TABLE).sequence == 6
    checked(ledger, since=5)
    assert recall(ledger, TABLE).sequence == 10


def test_a_look_past_the_mark_does_not_renew_it(ledger: Ledger) -> None:
    chain(ledger, 3)
    checked(ledger)
    manifest_file(ledger, 3).unlink()
    tail.forget(ledger.store, TABLE)
    land(ledger, 1, notes=("another batch 3",))
    chain(ledger, 2)
    for since in (4, None, None):
        problems = checked(ledger, since=since).problems
        assert any("not the one that was verified" in problem for problem in problems)


def test_progress_is_told(ledger: Ledger) -> None:
    chain(ledger, 3)
    told: list[tuple[int, int]] = []
    checked(ledger, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def part_file(ledger: Ledger, sequence: int) -> Path:
    return file_of(ledger, ledger.read(TABLE, sequence).parts[0].key)


def manifest_file(ledger: Ledger, sequence: int) -> Path:
    return file_of(ledger, manifest_key(TABLE, sequence))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def replace_by_an_older_one(ledger: Ledger) -> None:
    shutil.copyfile(part_file(ledger, 2), part_file(ledger, 3))


def swap_manifests(ledger: Ledger) -> None:
    one, two = manifest_file(ledger, 3), manifest_file(ledger, 4)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def replace_manifest(ledger: Ledger) -> None:
    forged = replace(ledger.read(TABLE, 3), notes=("forged",)).sealed()
    manifest_file(ledger, 3).write_bytes(forged.to_json())


def redact_unsigned(ledger: Ledger) -> None:
    head = ledger.head(TABLE)
    assert head is not None
    forged = head.redacting(redaction(rewrite(ledger, 3)), NONCE).sealed()
    ledger.store.put_new(manifest_key(TABLE, forged.sequence), forged.to_json())


def forget_a_redaction(ledger: Ledger) -> None:
    """A batch after a redaction that denies it, sealed well."""
    redact(ledger, 3)
    head = ledger.head(TABLE)
    assert head is not None
    denying = replace(
        head, sequence=7, kind="data", redaction=None, redacted_before=None, previous=head.digest
    ).sealed()
    ledger.store.put_new(manifest_key(TABLE, 7), denying.to_json())


Damage = Callable[[Ledger], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "flipped byte": (
        lambda it: flip(part_file(it, 3)),
        r"part-0000\.parquet of batch 3 of shop/orders does not match",
    ),
    "truncated part": (
        lambda it: part_file(it, 3).write_bytes(b"short"),
        r"part .* of batch 3 of shop/orders has 5 bytes",
    ),
    "missing part": (
        lambda it: part_file(it, 3).unlink(),
        r"part .* of batch 3 of shop/orders is missing",
    ),
    "older part": (replace_by_an_older_one, r"part .* of batch 3 of shop/orders does not match"),
    "deleted manifest": (
        lambda it: manifest_file(it, 3).unlink(),
        "Batch 3 of shop/orders has no manifest",
    ),
    "altered manifest": (lambda it: flip(manifest_file(it, 3)), "999999999997.json"),
    "swapped manifests": (swap_manifests, "belongs to batch 4"),
    "replaced manifest": (replace_manifest, "batch 4 of shop/orders does not follow"),
    "unsigned redaction": (redact_unsigned, "redaction in batch 6 of shop/orders is not signed"),
    "denied redaction": (forget_a_redaction, "batch 7 of shop/orders does not follow"),
    "stranger": (
        lambda it: it.store.put_hint(f"{TABLE}/manifests/000.txt", b""),
        r"000\.txt in the landing store is not a manifest",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_kind_of_damage_is_named(ledger: Ledger, name: str) -> None:
    chain(ledger, 5)
    damage, said = DAMAGES[name]
    damage(ledger)
    found = checked(ledger)
    assert any(re.search(said, problem) for problem in found.problems), found.problems
    assert all("shop/orders" in problem for problem in found.problems)
    again = checked(ledger)
    assert again.problems, "it is found until it is mended"
    assert recall(ledger, TABLE).sequence < 4


@pytest.mark.parametrize("name", [name for name in DAMAGES if name not in ("stranger", "unsigned redaction")])
def test_damage_to_what_was_verified_is_in_the_whole_sample(ledger: Ledger, name: str) -> None:
    chain(ledger, 5)
    checked(ledger)
    DAMAGES[name][0](ledger)
    assert recall(ledger, TABLE).sequence == 5
    assert checked(ledger, sample=1.0).problems
    assert recall(ledger, TABLE).sequence < 5
    assert checked(ledger).problems, "what was found in a sample is looked at again"


def test_mended_damage_is_whole_again(ledger: Ledger) -> None:
    chain(ledger, 5)
    checked(ledger)
    file = part_file(ledger, 4)
    whole = file.read_bytes()
    flip(file)
    assert checked(ledger, sample=1.0).problems
    assert recall(ledger, TABLE).sequence == 3
    file.write_bytes(whole)
    mended = checked(ledger)
    assert (mended.problems, mended.since) == ((), 3)
    assert recall(ledger, TABLE).sequence == 5


def test_a_lost_tail_is_seen_and_may_be_accepted(ledger: Ledger) -> None:
    chain(ledger, 5)
    checked(ledger)
    for sequence in (4, 5):
        manifest_file(ledger, sequence).unlink()
    for since in (None, 0, NOW, None):
        problems = checked(ledger, since=since).problems
        assert any("ends at batch 3, though batch 5 was verified" in problem for problem in problems)
    forget(ledger, TABLE)
    assert checked(ledger).manifests == 3
    assert checked(ledger).problems == ()


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_a_tail_lost_before_it_was_verified_is_seen(ledger: Ledger, lost: int) -> None:
    chain(ledger, 5)
    for sequence in range(6 - lost, 6):
        manifest_file(ledger, sequence).unlink()
    said = f"shop/orders .* ends at batch {5 - lost}, though batch 5 was committed"
    assert any(re.search(said, problem) for problem in checked(ledger).problems)
    with pytest.raises(LedgerBroken, match=said):
        land(ledger, 1)
    assert ledger.last(TABLE) == 5 - lost, "its numbers are kept for the manifests that may come back"
    forget(ledger, TABLE)
    land(ledger, 1)
    assert checked(ledger).problems == ()


def test_another_last_manifest_is_seen_before_it_was_verified(ledger: Ledger) -> None:
    chain(ledger, 3)
    forged = replace(ledger.read(TABLE, 3), notes=("forged",)).sealed()
    manifest_file(ledger, 3).write_bytes(forged.to_json())
    found = checked(ledger).problems
    assert any("Batch 3 of shop/orders is not the one that was committed" in problem for problem in found)


def test_what_is_no_manifest_is_named_wherever_it_sorts(ledger: Ledger) -> None:
    chain(ledger, 3)
    for name in ("zzz.json", "999999999/1", "1000000000/1000000000000.json"):
        file_of(ledger, f"{TABLE}/manifests/{name}").parent.mkdir(exist_ok=True)
        ledger.store.put_hint(f"{TABLE}/manifests/{name}", b"{}")
    found = checked(ledger)
    assert [problem.split()[0].rpartition("manifests/")[2] for problem in found.problems] == [
        "1000000000/1000000000000.json",
        "999999999/1",
        "zzz.json",
    ]


def test_another_chain_in_its_place_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    chain(ledger, 3)
    checked(ledger)
    other = Ledger(LocalStore(tmp_path / "other"), ENVIRON)
    for _ in range(5):
        land(other, 1)
    for sequence in range(1, 6):
        data = other.store.read(manifest_key(TABLE, sequence))
        file = manifest_file(ledger, sequence)
        file.write_bytes(data)
    for _ in range(2):
        found = checked(ledger)
        assert any("Batch 3 of shop/orders is not the one that was verified" in p for p in found.problems)
        assert found.manifests == 5


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"{}", b"\xff", b'{"sequence":9,"digest":"","at":""}', b'{"seal":"x"}', b"null"]
)
def test_a_lost_hint_costs_a_whole_verification(ledger: Ledger, damaged: bytes) -> None:
    chain(ledger, 3)
    checked(ledger)
    ledger.store.put_hint(f"{TABLE}/verified.json", damaged)
    found = checked(ledger)
    assert (found.since, found.manifests, found.problems) == (0, 3, ())


def test_a_tampered_hint_is_overruled(ledger: Ledger) -> None:
    chain(ledger, 3)
    flip(part_file(ledger, 2))
    head = ledger.head(TABLE)
    assert head is not None
    claim = {"sequence": 3, "digest": head.digest, "at": "2026-01-01"}
    hint.write(ledger.store, f"{TABLE}/verified.json", claim)
    assert checked(ledger).problems == ()
    assert len(checked(ledger, since=0).problems) == 1


def test_a_redacted_part_is_whole_as_the_redaction_says(ledger: Ledger) -> None:
    chain(ledger, 4)
    checked(ledger)
    done = redact(ledger, 2)
    found = checked(ledger, sample=1.0)
    assert (found.problems, found.manifests, found.parts) == ((), 5, 5)
    assert checked(ledger, since=0).problems == ()
    assert done.redaction is not None
    flip(file_of(ledger, done.redaction.parts[0].new.key))
    assert any("batch 2 of shop/orders" in problem for problem in checked(ledger, since=0).problems)
    assert checked(ledger, since=4).problems, "what a redaction wrote is new with it"
    with pytest.raises(ConfigurationError):
        checked(Ledger(ledger.store, {}))


def test_another_table_is_another_matter(ledger: Ledger) -> None:
    chain(ledger, 2)
    flip(part_file(ledger, 1))
    assert verify(ledger, TableId("shop", "users"), NOW).problems == ()


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_flipped_byte_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    ledger = Ledger(LocalStore(tmp_path_factory.mktemp("landing")), ENVIRON)
    chain(ledger, 3)
    redact(ledger, 1)
    head = ledger.head(TABLE)
    assert head is not None
    assert head.redaction is not None
    files = [manifest_file(ledger, n) for n in range(1, 5)] + [part_file(ledger, n) for n in (2, 3)]
    files.append(file_of(ledger, head.redaction.parts[0].new.key))
    file = data.draw(st.sampled_from(files))
    whole = bytearray(file.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(whole)
    assert checked(ledger).problems
