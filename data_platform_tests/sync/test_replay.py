"""Records in quarantine taken up: replayed, settled by a person, erased; each by one manifest, or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.landing import restore_ledger
from data_platform.backups.mirror import mirror
from data_platform.cli.app import run
from data_platform.errors import BatchConflict, ConfigurationError, SchemaDrift
from data_platform.landing import quarantine
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.landing.verify import verify
from data_platform.sources import kinds
from data_platform.stores.local import LocalStore
from data_platform.sync.quarantine import shown
from data_platform.sync.replay import replay
from data_platform.sync.settle import choose, erase, holding, settle
from data_platform_tests.contracts.worlds import ITEMS, ToyLog, ToyPages, World

PRICED = {"price": "decimal(10,2)"}
KEEP = {"email": "keep"}
WORDS = ("the shop sent test data", "somebody")


@pytest.fixture
def items(tmp_path: Path) -> ToyPages:
    made = ToyPages(tmp_path / "pages")
    made.environ = {KEY_VARIABLE: "a key for redactions, long enough to be one"}
    return made


@pytest.fixture
def world(tmp_path: Path, items: ToyPages, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "pages", "data_platform_tests.contracts.toy_pages.kind")  # type: ignore[arg-type]
    made = World(tmp_path, items)
    items.make()
    return made.catalog(personal=KEEP, types=PRICED)


def again(world: World) -> tuple[int, int, int]:
    found = replay(world.platform(), ITEMS)
    return found.landed, found.superseded, found.left


def rows(world: World, columns: str = "id, price::VARCHAR") -> list[Any]:
    with world.platform().warehouse(read_only=True) as warehouse:
        return list(warehouse.query(f"SELECT {columns} FROM raw_shop.items ORDER BY id").rows)


def waiting(world: World) -> list[tuple[int, str]]:
    return [(batch, one.record.reason) for batch, one in shown(world.platform(), ITEMS, None, 99)]


def count(world: World) -> int:
    return quarantine.count(world.platform().ledger, ITEMS)


def sound(world: World) -> None:
    platform = world.platform()
    assert verify(platform.ledger, ITEMS, platform.clock(), since=0).problems == ()


def test_what_would_be_read_whole_is_said_and_what_is_as_it_was_is_no_batch(
    world: World, items: ToyPages
) -> None:
    items.pile.put({"id": 1, "price": 1}, {"id": 2, "price": "2.5 EUR"}, {"id": 3, "price": "x"}, "[")
    world.good()
    assert again(world) == (0, 0, 3) and len(world.batches()) == 1, "as it was: no batch"
    world.catalog(personal=KEEP, types={"price": "text"})
    with pytest.raises(SchemaDrift, match="sync --refresh shop/items"):
        replay(world.platform(), ITEMS)
    world.catalog(personal=KEEP, types=PRICED, key="price")
    with pytest.raises(ConfigurationError, match=r"key changed.*takes again what waits"):
        replay(world.platform(), ITEMS)
    assert count(world) == 3 and len(world.batches()) == 1


def test_what_parses_by_now_lands_and_the_rest_waits_with_its_new_reason(
    world: World, items: ToyPages
) -> None:
    items.pile.put({"id": 1, "status": "a"}, {"id": 2, "status": "b", "at": "yesterday", "price": "1.239"})
    items.pile.put({"id": 3, "status": "c", "price": "none"})
    world.good()
    assert [reason for _, reason in waiting(world)] == ["price is no decimal(10,2)"] * 2
    head = world.batches()[-1]
    world.catalog(personal=KEEP, types={"price": "decimal(12,3)"})
    assert again(world) == (1, 0, 1)
    assert rows(world, 'id, price::VARCHAR, "at"') == [(1, None, None), (2, "1.239", "yesterday")]
    batch = world.batches()[-1]
    assert (batch.operation, batch.load, batch.rows) == ("changes", "merge", 1)
    assert (batch.position_after, batch.snapshot) == (head.position_after, head.snapshot), "nobody looked"
    assert waiting(world) == [(2, "price is no decimal(12,3)")] and count(world) == 1
    assert len(list(shown(world.platform(), ITEMS, 1, 9))) == 2, (
        "the first batch keeps what it could not take"
    )
    items.pile.put({"id": 3, "status": "d", "price": 1})
    world.good()
    sound(world)


def test_a_newer_version_stays(world: World, items: ToyPages) -> None:
    items.pile.put(*({"id": n, "price": "0.001"} for n in range(1, 6)))
    world.good()
    items.pile.put({"id": 1, "price": 9}, {"id": 3, "price": "0.003"}, {"id": 3, "price": "0.004"})
    items.pile.put(
        {"id": 4, "price": "0.005"}, {"id": 4, "price": 8}, {"id": 5, "price": 7}, {"id": 5, "price": "0.006"}
    )
    world.good()
    items.pile.put({"id": 2}, gone=True)
    world.good()
    assert count(world) == 9
    world.catalog(personal=KEEP, types={"price": "decimal(12,3)"})
    assert again(world) == (2, 7, 0)
    assert rows(world) == [(1, "9.000"), (3, "0.004"), (4, "8.000"), (5, "0.006")]
    assert count(world) == 0 and again(world) == (0, 0, 0)
    sound(world)


def test_a_kill_anywhere_leaves_it_as_it_was_or_done(
    world: World, items: ToyPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    items.pile.put({"id": 1, "price": "0.001"}, {"id": 2, "price": "x"})
    world.good()
    world.catalog(personal=KEEP, types={"price": "decimal(12,3)"})
    commit = Ledger.commit
    for after in (False, True):

        def killed(self: Ledger, manifest: Any, after: bool = after) -> Any:
            if after:
                commit(self, manifest)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "commit", killed)
            with pytest.raises(KeyboardInterrupt):
                replay(world.platform(), ITEMS)
        assert count(world) == (1 if after else 2)
    assert again(world) == (0, 0, 1)
    world.good()
    assert rows(world) == [(1, "0.001")], "the next sync loads what landed"
    assert len(world.batches()) == 2
    sound(world)


def test_a_sync_that_was_faster_is_not_overwritten(
    world: World, items: ToyPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    items.pile.put({"id": 1, "price": "0.001"})
    world.good()
    world.catalog(personal=KEEP, types={"price": "decimal(12,3)"})
    state = Ledger.state

    def late(self: Ledger, table: Any) -> Any:
        found = state(self, table)
        monkeypatch.setattr(Ledger, "state", state)
        items.pile.put({"id": 1, "price": 5})
        world.good()
        return found

    monkeypatch.setattr(Ledger, "state", late)
    with pytest.raises(BatchConflict):
        replay(world.platform(), ITEMS)
    assert again(world) == (0, 1, 0)
    assert rows(world) == [(1, "5.000")]


def test_personal_values_are_treated_and_what_is_left_is_sealed(world: World, items: ToyPages) -> None:
    world.catalog(personal={"email": "hash"}, types=PRICED, key="email")
    items.pile.put({"email": "a@example.org", "price": "0.001"}, {"email": "b@example.org", "price": "x"})
    items.pile.put({"email": "c@example.org", "price": "0.002"})
    items.pile.put({"email": "d@example.org", "price": 1})
    world.good()
    items.pile.put({"email": "c@example.org", "price": 3})
    world.good()
    world.catalog(personal={"email": "hash"}, types={"price": "decimal(12,3)"}, key="email")
    assert again(world) == (1, 1, 1)
    landed = b"".join(path.read_bytes() for path in (world.root / "landing").rglob("*") if path.is_file())
    assert b"@example.org" not in landed
    ((_, one),) = shown(world.platform(), ITEMS, None, 9)
    assert json.loads(one.record.bytes)["email"] == "b@example.org"


def test_what_cannot_be_taken_by_itself_is_said(
    world: World, items: ToyPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items.pile.put("[")
    world.good()
    with pytest.raises(ConfigurationError, match="no record of it could be taken yet"):
        replay(world.platform(), ITEMS)
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", ToyLog(tmp_path / "logs"))
    other.items.make()
    other.catalog()
    other.items.log.append({"id": 1}, broken="it is broken")  # type: ignore[attr-defined]
    other.good()
    with pytest.raises(ConfigurationError, match=r"cannot be taken by itself.*--refresh shop/items"):
        replay(other.platform(), ITEMS)


def test_a_person_settles_records_and_they_stay(world: World, items: ToyPages) -> None:
    items.pile.put({"id": 1, "price": 1}, *({"id": n, "price": "x"} for n in range(10, 15)))
    world.good()
    items.pile.put({"id": 20, "price": "x"})
    world.good()
    platform = world.platform()
    with pytest.raises(ConfigurationError, match=r"Record 7 of batch 1 .* does not wait"):
        choose(platform, ITEMS, 1, [7])
    with pytest.raises(ConfigurationError, match="No record of batch 9"):
        choose(platform, ITEMS, 9, [])
    landed_at = world.batches()[-1].landed_at
    done = settle(platform, ITEMS, choose(platform, ITEMS, 1, [0, 1, 3]), *WORDS)
    assert (done.rows, done.landed_at, done.settled and done.settled.records) == (
        0,
        landed_at,
        ((1, 0, 1), (1, 3, 3)),
    )
    assert count(world) == 3 and [batch for batch, _ in waiting(world)] == [2, 1, 1]
    settle(platform, ITEMS, choose(platform, ITEMS, 2, []), *WORDS)
    assert count(world) == 2 and [batch for batch, _ in waiting(world)] == [1, 1]
    with pytest.raises(ConfigurationError, match="does not wait"):
        choose(platform, ITEMS, 1, [0])
    items.pile.put({"id": 30, "price": "x"}, {"id": 2, "price": 2})
    world.good()
    assert count(world) == 3 and rows(world) == [(1, "1.00"), (2, "2.00")]
    settle(platform, ITEMS, choose(platform, ITEMS, None, []), *WORDS)
    assert count(world) == 0 and waiting(world) == []
    assert len(list(shown(platform, ITEMS, 1, 99))) == 5
    items.pile.put({"id": 40, "price": "x"})
    world.good()
    assert count(world) == 1 == len(waiting(world))
    sound(world)


def test_a_person_is_erased_from_every_batch_and_its_copy(
    world: World, items: ToyPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.catalog(personal={"email": "hash"}, types=PRICED)
    wrong: list[Mapping[str, Any]] = [
        {"id": n, "email": f"p{n}@example.org", "price": "0.001"} for n in range(4)
    ]
    items.pile.put(*wrong)
    world.good()
    platform = world.platform()
    monkeypatch.setenv(KEY_VARIABLE, platform.environ[KEY_VARIABLE])
    settle(platform, ITEMS, choose(platform, ITEMS, 1, [0]), *WORDS)
    items.pile.put({"id": 9, "email": "p0@example.org", "price": "x"})
    world.good()
    archive = Archive("primary", lambda: LocalStore(tmp_path / "archive"))
    ledger = platform.ledger
    mirror(ledger, archive, [ITEMS])
    chosen = holding(platform, ITEMS, [b"p0@example.org", b"p2@example.org"])
    assert ({n: list(those) for n, those in chosen.records.items()}, chosen.open) == ({3: [0], 1: [0, 2]}, 2)
    erase(platform, ITEMS, chosen, "request 12", "dpo@example.org")
    assert holding(platform, ITEMS, [b"p0@", b"p2@"]).count == 0
    assert count(world) == 2 and [reason for _, reason in waiting(world)] == ["price is no decimal(10,2)"] * 2
    assert [one.record.reason for _, one in shown(platform, ITEMS, 1, 9)][0::2] == ["erased on request"] * 2
    assert len(list((world.root / "landing").rglob("quarantine*.parquet"))) == 2, "the old objects are gone"
    sound(world)
    heads = mirror(ledger, archive, [ITEMS]).heads
    assert len(list((tmp_path / "archive").rglob("quarantine*.parquet"))) == 2, "in the copy too"
    back = Ledger(LocalStore(tmp_path / "back"), platform.environ)
    restore_ledger(archive, heads, back.store)
    assert quarantine.count(back, ITEMS) == 2
    assert verify(back, ITEMS, platform.clock(), since=0).problems == ()
    items.pile.put({"id": 3, "email": "p3@example.org", "price": 7})
    world.good()
    world.catalog(personal={"email": "hash"}, types={"price": "decimal(12,3)"})
    assert again(world) == (1, 1, 0)
    assert rows(world) == [(1, "0.001"), (3, "7.000")]


def test_the_commands(
    world: World, items: ToyPages, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.platform().environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_PLATFORM_HOME", str(world.root))

    def command(*words: str, code: int = 0, given: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        assert run(["quarantine", *words]) == code
        told = capsys.readouterr()
        return told.out + told.err

    items.pile.put(
        {"id": 1, "price": 1}, *({"id": n, "price": p} for n, p in ((2, "0.002"), (3, "x"), (4, "eve")))
    )
    world.good()
    assert "3 records in quarantine" in command("replay", "shop/items")
    world.catalog(personal=KEEP, types={"price": "decimal(12,3)"})
    assert "1 record landed, 2 still in quarantine" in command("replay", "shop/items")
    assert json.loads(command("replay", "shop/items", "--json"))["waiting"] == 2
    assert json.loads(command("show", "shop/items", "--json"))[1]["number"] == 1
    why = ("--reason", "sent by mistake", "--by", "somebody")
    assert "name the records" in command("settle", "shop/items", *why, code=2)
    assert "text of 1 to" in command("settle", "shop/items", "--all", "--reason", " ", "--by", "x", code=2)
    assert "1 record settled" in command("settle", "shop/items", "--batch", "2", "--record", "0", *why)
    asked = ("redact", "shop/items", "--reason", "request 1", "--authorised-by", "dpo")
    assert "no value to search for" in command(*asked, code=2)
    assert "2 records in quarantine would be erased" in command(*asked, given="eve\n")
    assert "2 records in quarantine erased" in command(*asked, "--yes", given="eve\n\n")
    assert "none is found" in command(*asked, given="eve\n")
    assert "No record" in command("list") and "No record" in command("settle", "shop/items", "--all", *why)
