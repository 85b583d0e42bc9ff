"""Parts that a whole read replaced go by the catalog's rule alone, and every instant of its days can be rebuilt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import PartDamaged, PartExpired
from data_platform.landing import replaced
from data_platform.landing.keys import hint_key, manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.replaced import Replaced
from data_platform.landing.signing import Signer
from data_platform.landing.stored_parts import open_parts
from data_platform.landing.verify import verify
from data_platform.stores.local import LocalStore
from data_platform.tables import Load
from data_platform_tests.contracts.batches import TABLE, manifest
from data_platform_tests.landing.chains import unnamed_parts
from data_platform_tests.landing.redactions import put_part

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SIGNED = Signer("LEDGER_KEY", (b"k" * 32,))


def land(ledger: Ledger, day: int, load: Load) -> None:
    """One batch of one part, committed ``day`` days after the start."""
    sequence = ledger.last(TABLE) + 1
    assert isinstance(ledger.store, LocalStore)
    part = put_part(
        ledger.store, f"{TABLE}/batches/{sequence:08d}-{day:08d}/part-0000.parquet", b"rows" * sequence
    )
    head = ledger.head(TABLE)
    ledger.commit(
        manifest(
            sequence,
            load,
            1,
            operation="refresh" if load == "replace" else "changes",
            parts=(part,),
            nonce=f"{day:08d}" + "0" * 24,
            committed_at=(START + day * DAY).isoformat(),
            previous=head.digest if head else None,
        )
    )


@pytest.fixture(params=[None, SIGNED], ids=["unsigned", "signed"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Ledger:
    """Whole reads on the days 0, 10 and 20, changes a day after each."""
    store = LocalStore(tmp_path / "landing")
    made = Ledger(store, {}, request.param) if request.param else Ledger(store, {})
    for day in (0, 10, 20):
        land(made, day, "replace")
        land(made, day + 1, "merge")
    return made


def collect(ledger: Ledger, day: int, keep: int, *, remove: bool = True) -> Replaced:
    return replaced.collect(ledger, TABLE, START + day * DAY, keep * DAY, remove=remove)


def problems(ledger: Ledger) -> tuple[str, ...]:
    return verify(ledger, TABLE, START + 40 * DAY, since=0).problems


def test_nothing_goes_while_an_instant_of_the_days_needs_it(ledger: Ledger) -> None:
    before = ledger.store.list(f"{TABLE}/batches")
    for day, keep in ((25, 30), (25, 25), (9, 5), (21, 12)):
        assert collect(ledger, day, keep).parts == (), (day, keep)
    assert ledger.store.list(f"{TABLE}/batches") == before
    assert problems(ledger) == ()


def test_what_was_replaced_goes_and_the_chain_stays_whole(ledger: Ledger) -> None:
    assert len(collect(ledger, 25, 10, remove=False).parts) == 2
    assert len(ledger.store.list(f"{TABLE}/batches")) == 6, "counted only"
    found = collect(ledger, 25, 10)
    assert (found.kept_from, found.kept_since, len(found.parts)) == (3, START + 10 * DAY, 2)
    assert problems(ledger) == ()
    assert [m.sequence for m in ledger.since(TABLE, 0)] == [1, 2, 3, 4, 5, 6]
    assert ledger.state(TABLE).head is not None
    assert unnamed_parts(ledger, TABLE) == []
    # every instant of the ten days before
    for day in range(15, 26):
        for batch in ledger.until(TABLE, START + day * DAY):
            with open_parts(ledger, batch):
                pass
    (old, *_) = ledger.until(TABLE, START + 5 * DAY)
    with (
        pytest.raises(PartExpired, match=r"batch 1 of shop/orders .*keep_replaced_days.*batch 3"),
        open_parts(ledger, old),
    ):
        pass
    assert collect(ledger, 25, 10).parts == (), "once is enough"
    assert len(collect(ledger, 40, 10).parts) == 2
    assert problems(ledger) == ()


def test_a_part_that_is_kept_and_missing_is_damage(ledger: Ledger) -> None:
    collect(ledger, 25, 10)
    batch = ledger.read(TABLE, 3)
    ledger.store.delete(batch.parts[0].key)
    assert any("batch 3" in problem and "missing" in problem for problem in problems(ledger))
    with pytest.raises(PartDamaged), open_parts(ledger, batch):
        pass


def test_a_kill_between_the_hint_and_the_last_part_leaves_nothing_to_mend(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = ledger.store.delete

    def killed(key: str) -> None:
        delete(key)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger.store, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(ledger, 25, 10)
    assert problems(ledger) == ()
    assert len(collect(ledger, 25, 10).parts) == 1
    assert len(ledger.store.list(f"{TABLE}/batches")) == 4


def test_two_collectors_do_not_meet_in_an_error(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ledger.store.list

    def while_another_deletes(prefix: str, **options: Any) -> list[str]:
        keys = list(listed(prefix, **options))
        if prefix.endswith("/batches"):
            ledger.store.delete(keys[0])
        return keys

    monkeypatch.setattr(ledger.store, "list", while_another_deletes)
    assert len(collect(ledger, 25, 10).parts) == 1
    monkeypatch.undo()
    assert problems(ledger) == ()


def test_a_lost_hint_is_loud_and_the_rule_writes_it_again(ledger: Ledger) -> None:
    collect(ledger, 25, 10)
    ledger.store.delete(hint_key(TABLE, "kept"))
    assert len([p for p in problems(ledger) if "missing" in p]) == 2
    collect(ledger, 25, 10)
    assert problems(ledger) == ()


def test_a_hint_of_somebody_without_the_key_hides_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "landing")
    signed = Ledger(store, {}, SIGNED)
    for day in (0, 10):
        land(signed, day, "replace")
    stranger = Ledger(store, {}, Signer("LEDGER_KEY", (b"x" * 32,)))
    replaced.hint.write(store, hint_key(TABLE, "kept"), {"sequence": 2, "at": "now"}, stranger.signer)
    store.delete(signed.read(TABLE, 1).parts[0].key)
    assert any("batch 1" in problem for problem in problems(signed))


def reads(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, act: Any) -> tuple[Any, int]:
    """What ``act`` returns, and how many manifests it read."""
    count = 0
    ours = Ledger.read

    def counting(self: Ledger, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return ours(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "read", counting)
        return act(), count


def test_looking_again_costs_what_is_new_in_the_chain(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(30, 70):
        land(ledger, day, "merge")
    _, first = reads(ledger, monkeypatch, lambda: collect(ledger, 70, 65, remove=False))
    assert first > 40
    for day in range(70, 73):
        found, again = reads(ledger, monkeypatch, lambda: collect(ledger, 73, 65, remove=False))
        assert found == Replaced(1, START, (), 0) and again <= 4
        land(ledger, day, "merge")


@pytest.mark.parametrize("lost", [None, "damaged", "forged"])
def test_what_the_hint_tells_is_what_the_chain_tells(ledger: Ledger, lost: str | None) -> None:
    """Whatever the rule said before, however the chain grew since, and where the hint is not what was written."""
    other = Ledger(ledger.store, {}, ledger.signer)
    rules = [(21, 1), (25, 10), (25, 30), (31, 5), (31, 20), (45, 12), (45, 40), (60, 1), (60, 30), (80, 5)]
    key = hint_key(TABLE, "wholes")
    for number, (day, keep) in enumerate(rules):
        if lost == "damaged":
            ledger.store.put_hint(key, b"{}")
        elif lost == "forged":
            ledger.store.put_hint(key, ledger.store.read(key).replace(b"1", b"2") if number else b"[]")
        found = collect(ledger, day, keep, remove=False)
        ledger.store.delete(key)
        assert collect(other, day, keep, remove=False) == found
        if number % 2:
            ledger.store.delete(key)
            collect(ledger, day, keep, remove=False)
        land(ledger, day, "replace" if number % 3 == 0 else "merge")
        if number == 7:
            collect(ledger, day, keep)
    assert problems(ledger) == ()


def test_a_hint_of_another_chain_is_not_believed(tmp_path: Path) -> None:
    """The ledger was set back to a copy, and grew on."""
    ledger = Ledger(LocalStore(tmp_path), {})
    for day in (0, 10):
        land(ledger, day, "replace")
    collect(ledger, 11, 30, remove=False)
    ledger.store.delete(manifest_key(TABLE, 2))
    ledger.store.delete(f"{TABLE}/tail.json")
    for day in (12, 13, 14):
        land(ledger, day, "merge")
    assert collect(ledger, 50, 5, remove=False) == Replaced(1, START, (), 0)
