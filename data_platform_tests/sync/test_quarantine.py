"""Records that a table cannot take: kept with their batch, sealed where they must be, verified, copied, shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.landing import restore_ledger
from data_platform.backups.mirror import Mirrored, mirror
from data_platform.cli.app import run
from data_platform.errors import ConfigurationError, PartDamaged, PartExpired
from data_platform.landing import orphans, quarantine, replaced
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import verify
from data_platform.sources import kinds
from data_platform.stores.local import LocalStore
from data_platform.sync import open_platform, sync_changes
from data_platform.sync.quarantine import shown, waiting
from data_platform_tests.contracts.worlds import ITEMS, ToyLog, World

ADDRESS = "someone@example.org"


@pytest.fixture
def items(tmp_path: Path) -> ToyLog:
    return ToyLog(tmp_path / "logs")


@pytest.fixture
def world(tmp_path: Path, items: ToyLog, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    made = World(tmp_path, items)
    items.make()
    return made.catalog()


def send(items: ToyLog, id_: int, why: str = "status is no number") -> None:
    items.log.append({"id": id_, "email": ADDRESS}, broken=why)


def records(world: World, batch: int | None = None) -> list[tuple[int, str, str, Mapping[str, Any]]]:
    return [
        (sequence, one.record.reason, one.record.origin, json.loads(one.record.bytes))
        for sequence, one in shown(world.platform(), ITEMS, batch, 100)
    ]


def the_object(world: World, sequence: int) -> Path:
    found = world.batches()[sequence - 1].quarantined
    assert found is not None
    return world.root / "landing" / found.key


def test_a_record_that_cannot_be_taken_waits_and_stops_nothing(world: World, items: ToyLog) -> None:
    items.put(1, "good")
    send(items, 2)
    report = world.good()
    assert world.notes() == {1: "good"}
    assert "1 record could not be taken" in " ".join(report.notes)
    row = {"id": 2, "email": ADDRESS}
    assert records(world) == [(1, "status is no number", "items.jsonl offset 1", row)]
    items.put(3, "more")
    world.good()
    send(items, 4, "no JSON")
    assert world.good().manifest is not None, "a batch of nothing but such a record is one"
    assert [(sequence, why) for sequence, why, *_ in records(world)] == [
        (3, "no JSON"),
        (1, "status is no number"),
    ]
    found = waiting(world.platform(), [ITEMS])
    assert [(one.sequence, one.rows, dict(one.reasons)) for one in found] == [
        (3, 1, {"no JSON": 1}),
        (1, 1, {"status is no number": 1}),
    ]
    assert quarantine.count(world.platform().ledger, ITEMS) == 2
    assert records(world, 1) == [(1, "status is no number", "items.jsonl offset 1", row)]
    with pytest.raises(Exception, match="no records in quarantine"):
        records(world, 2)


def test_a_whole_read_takes_the_place_of_what_waited(world: World, items: ToyLog) -> None:
    for n in range(7):  # two steps
        send(items, n)
    world.good()
    assert quarantine.count(world.platform().ledger, ITEMS) == 7
    items.log.truncate(before=6)
    items.log.append({"id": 9, "status": "good"})
    world.good(refresh=["items"])
    assert [sequence for sequence, *_ in records(world)] == [3]
    assert quarantine.count(world.platform().ledger, ITEMS) == 1


def test_what_is_personal_is_sealed(world: World, items: ToyLog) -> None:
    send(items, 1)
    world.good()
    everything = b"".join(
        path.read_bytes() for path in world.root.rglob("*") if path.is_file() and "logs" not in path.parts
    )
    assert ADDRESS.encode() not in everything
    assert waiting(world.platform(), [ITEMS])[0].sealed
    other = open_platform(
        world.root, "local", {"DATA_PLATFORM_HASH_KEY": "another key, long enough to be one"}
    )
    with pytest.raises(ConfigurationError, match="sealed under another key"):
        list(shown(other, ITEMS, None, 1))
    world.catalog(personal=dict.fromkeys(("email", "phone", "iban", "profile"), "keep"))
    send(items, 2)
    world.good()
    assert not waiting(world.platform(), [ITEMS])[0].sealed
    assert ADDRESS.encode() in the_object(world, world.batches()[-1].sequence).read_bytes()


def test_without_a_key_nothing_is_committed(world: World, items: ToyLog) -> None:
    world.catalog(personal={"email": "redact", **dict.fromkeys(("phone", "iban", "profile"), "keep")})
    keyless = open_platform(world.root, "local", {})
    items.put(1, "good")
    (report,) = sync_changes(keyless, "shop")
    assert report.error is None, "the key is asked for where it is needed"
    send(items, 2)
    (report,) = sync_changes(keyless, "shop")
    assert isinstance(report.error, ConfigurationError) and "kept sealed" in str(report.error)
    assert len(world.batches()) == 1
    assert world.good().error is None
    assert [sequence for sequence, *_ in records(world)] == [2]


def test_the_object_is_verified_and_no_orphan(world: World, items: ToyLog) -> None:
    items.put(1, "good")
    send(items, 2)
    world.good()
    platform = world.platform()
    assert verify(platform.ledger, ITEMS, platform.clock()).parts == 2
    later = platform.clock() + timedelta(days=9)
    assert orphans.collect(platform.ledger, ITEMS, later, timedelta(0), remove=True).ripe == ()
    path = the_object(world, 1)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (problem,) = verify(platform.ledger, ITEMS, later, since=0).problems
    assert "quarantine.parquet" in problem and "SHA-256" in problem
    with pytest.raises(PartDamaged, match="quarantine"):
        records(world)
    path.unlink()
    assert "is missing" in verify(platform.ledger, ITEMS, later, since=0).problems[0]
    world.good()
    assert world.notes() == {1: "good"}, "the rows do not hang on it"


def test_what_a_whole_read_replaced_goes_by_the_rule(world: World, items: ToyLog) -> None:
    send(items, 1)
    world.good()
    path = the_object(world, 1)
    world.good(refresh=["items"])
    platform = world.platform()
    later = platform.clock() + timedelta(days=9)
    assert replaced.collect(platform.ledger, ITEMS, later, timedelta(days=1), remove=True).kept_from == 2
    assert not path.exists() and the_object(world, 2).exists()
    assert verify(platform.ledger, ITEMS, later, since=0).problems == ()
    with pytest.raises(PartExpired):
        records(world, 1)


def test_a_kill_before_the_manifest_leaves_no_record_twice(
    world: World, items: ToyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(items, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            world.sync()
    assert len(list(world.root.rglob("quarantine.parquet"))) == 1
    world.good()
    assert len(records(world)) == 1
    platform = world.platform()
    later = platform.clock() + timedelta(days=9)
    (lost,) = orphans.collect(platform.ledger, ITEMS, later, timedelta(0), remove=True).ripe
    assert lost.key.endswith("quarantine.parquet")
    assert len(records(world)) == 1


def test_a_second_copy_is_kept_and_restored(world: World, items: ToyLog, tmp_path: Path) -> None:
    items.put(1, "good")
    send(items, 2)
    world.good()
    archive = Archive("primary", lambda: LocalStore(tmp_path / "archive"))
    ledger = world.platform().ledger
    heads = mirror(ledger, archive, [ITEMS]).heads
    assert mirror(ledger, archive, [ITEMS]) == Mirrored(heads)
    back = Ledger(LocalStore(tmp_path / "back"))
    assert restore_ledger(archive, heads, back.store).manifests == 1
    kept = back.read(ITEMS, 1).quarantined
    assert kept is not None
    assert (tmp_path / "back" / kept.key).read_bytes() == the_object(world, 1).read_bytes()
    send(items, 3)
    world.good()
    the_object(world, 2).unlink()
    (line,) = mirror(ledger, archive, [ITEMS]).damaged
    assert "is missing" in line
    world.good(refresh=["items"])
    later = world.platform().clock() + timedelta(days=9)
    replaced.collect(ledger, ITEMS, later, timedelta(days=1), remove=True)
    heads = mirror(ledger, archive, [ITEMS]).heads  # what the rule deleted is passed over
    again = Ledger(LocalStore(tmp_path / "again"))
    done = restore_ledger(archive, heads, again.store)
    assert (done.manifests, done.damaged) == (3, ())
    assert [one.manifest.sequence for one in quarantine.unresolved(again, ITEMS)] == [3]
    assert sum(quarantine.reasons(again, quarantine.unresolved(again, ITEMS)[0]).values()) == 2
    assert not (tmp_path / "archive" / "ledger" / kept.key).exists(), (
        "what the rule deleted is deleted there too"
    )
    kept = again.read(ITEMS, 3).quarantined
    assert kept is not None
    copy = tmp_path / "archive" / "ledger" / kept.key
    copy.write_bytes(b"x" * kept.bytes)
    (line,) = restore_ledger(archive, heads, LocalStore(tmp_path / "once more")).damaged
    assert kept.key in line and "SHA-256" in line


def test_they_are_listed_and_shown(
    world: World, items: ToyLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.platform().environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_PLATFORM_HOME", str(world.root))

    def command(*words: str) -> str:
        assert run(["quarantine", *words]) == 0
        return capsys.readouterr().out

    assert "No record waits" in command("list")
    for n in range(3):
        send(items, n, "status is \x1b[31mno number")
    world.good()
    listed = command("list", "shop/items")
    assert "\\x1b[31mno number (3)" in listed and "\x1b" not in listed
    (document,) = json.loads(command("list", "--json"))
    assert (document["records"], document["sealed"], document["batch"]) == (3, True, 1)
    told = command("show", "shop/items", "--limit", "2")
    assert told.count(ADDRESS) == 2 and "\x1b" not in told
    first = json.loads(command("show", "shop/items", "--batch", "1", "--json"))[0]
    assert json.loads(first["record"]) == {"id": 0, "email": ADDRESS}
    assert first["encoding"] == "text"
