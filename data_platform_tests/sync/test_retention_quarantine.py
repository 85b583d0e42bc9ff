"""Records in quarantine leave by the retention of their table: by the day that they say, else by the day on which they were rejected."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.backups.mirror import mirror
from data_platform.landing import quarantine
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.landing.verify import verify
from data_platform.sources import kinds
from data_platform.sources.kind import KindSettings
from data_platform.sources.records.ages import day_of
from data_platform.sources.records.keys import RecordSettings
from data_platform.sync import Platform, sync_changes
from data_platform.sync.backup import archives
from data_platform.sync.erasing import freeze
from data_platform.sync.erasing.book import Book
from data_platform.sync.quarantine import sealer_of
from data_platform.sync.retention.apply import ask, carry_out, plan
from data_platform_tests.contracts.toy_source.log import Log
from data_platform_tests.contracts.worlds import ITEMS, ToyLog, World

RULE = {"days": 40, "by": "made_at"}
SUBJECTS = {
    "subjects": {
        "customer": {"lookups": {"id": "shop/people.id"}, "links": {"shop/items.owner": "shop/people.id"}}
    }
}


@pytest.fixture
def items(tmp_path: Path) -> ToyLog:
    return ToyLog(tmp_path / "logs")


@pytest.fixture
def world(tmp_path: Path, items: ToyLog, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    monkeypatch.setenv(KEY_VARIABLE, "a key that only these tests use, long enough")
    made = World(tmp_path, items)
    items.make()
    items.columns["made_at"] = "TIMESTAMPTZ"
    items.log.make("first", items.columns)
    return made.catalog(retention=RULE)


def send(items: ToyLog, id_: int, made_at: object = None, **more: Any) -> None:
    items.log.append({"id": id_, "made_at": made_at, **more}, broken="status is no number")


def later(world: World, days: int) -> Platform:
    """The platform as of some days after the records were rejected."""
    return replace(world.platform(), clock=lambda: datetime.now(UTC) + timedelta(days=days))


def left(world: World) -> set[int]:
    """The numbers of the records that are in quarantine yet, whether they wait or not."""
    platform = world.platform()
    found = set()
    for batch in platform.ledger.newest_first(ITEMS):
        if batch.quarantined is not None:
            for one in quarantine.records(platform.ledger, batch, sealer_of(platform, batch)):
                if one.record.bytes:
                    found.add(int(json.loads(one.record.bytes)["id"]))
    return found


def copied(world: World) -> None:
    """The catalog has a copy of the landing store."""
    file = world.root / "catalog/platform.yaml"
    document = yaml.safe_load(file.read_text())
    store = {"kind": "local", "path": "backups"}
    document["environments"]["local"]["backups"] = {"store": store, "start": "2026-01-01"}
    file.write_text(yaml.safe_dump(document))


def held(world: World, keys: list[str]) -> int:
    """How many files there are of these objects, copies among them."""
    return sum(path.as_posix().endswith(key) for path in world.root.rglob("*.parquet") for key in keys)


def apply(platform: Platform) -> dict[str, Any]:
    asked = ask(platform, plan(platform), "the DPO")
    if asked is None:
        return {}
    done = carry_out(platform, asked.id, lambda: []).done["landing"]
    return {name: said for name, said in done.items() if name != "at"}


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def test_old_records_leave_quarantine_and_its_copies(world: World, items: ToyLog) -> None:
    items.put(1, "good")
    send(items, 2, ago(41))
    send(items, 3, ago(39))
    send(items, 4, "no day")
    world.good()
    send(items, 5, ago(90)[:10])
    world.good()
    copied(world)
    now = later(world, 0)
    (archive,) = archives(now)
    mirror(now.ledger, archive, [ITEMS])
    old = [batch.quarantined.key for batch in world.batches() if batch.quarantined is not None]
    assert held(world, old) == 4, "both objects are in the store and in its copy"
    assert [(one.rejected, one.rejected_late, one.rows) for one in plan(now)] == [(2, 1, 0)]
    assert apply(now) == {"shop/items": {"records_in_quarantine": 2}}
    assert left(world) == {3, 4}
    assert quarantine.count(now.ledger, ITEMS) == 2, "the others wait still"
    assert plan(now)[0].rejected == 0 and apply(now) == {}
    assert verify(now.ledger, ITEMS, now.clock(), sample=1).problems == ()
    assert held(world, old) == 0
    assert apply(later(world, 2)) == {"shop/items": {"records_in_quarantine": 1}}
    assert left(world) == {4}, "it says no day, and was rejected today"
    assert apply(later(world, 40)) == {}
    assert apply(later(world, 41)) == {"shop/items": {"records_in_quarantine": 1}}
    assert left(world) == set() and quarantine.count(now.ledger, ITEMS) == 0
    assert world.notes() == {1: "good"}


def test_records_of_people_on_hold_stay_and_those_that_do_not_say_whose_they_are(
    world: World, items: ToyLog
) -> None:
    platform = world.root / "catalog/sources/shop.yaml"
    document = yaml.safe_load(platform.read_text())
    document["tables"]["people"] = {"key": "id"}
    platform.write_text(yaml.safe_dump(document))
    (world.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    items.add_column("owner")
    people = Log(items.folder, "people")
    people.make("first", {"id": "BIGINT"})
    for number in (7, 8):
        people.append({"id": number})
    send(items, 2, ago(50), owner=7)
    send(items, 3, ago(50), owner=8)
    send(items, 4, ago(50))
    assert [report.error for report in sync_changes(world.platform(), "shop")] == [None, None]
    now = world.platform()
    customer = now.catalog.subject("customer")
    freeze.hold(now, customer, freeze.found(now, customer, {"id": ["7"]}), "court", "a case", "counsel")
    apply(now)
    assert left(world) == {2, 4}
    Book(now).release("court", "it is over", "counsel")
    apply(world.platform())
    assert left(world) == set()


@pytest.mark.parametrize(
    "value, word, expected",
    [
        ("2026-01-31", "", date(2026, 1, 31)),
        ("2026-01-31T23:30:00Z", "", date(2026, 2, 1)),
        ("2026-01-31 23:30:00", "", date(2026, 1, 31)),
        (1769902200, "epoch", date(2026, 2, 1)),
        (1769902200000, "epoch_ms", date(2026, 2, 1)),
        (1769902200, "", None),
        (True, "epoch", None),
        (1e300, "epoch", None),
        ("yesterday", "", None),
        (None, "", None),
        ({"at": 1}, "", None),
    ],
)
def test_the_day_that_a_record_says(value: object, word: str, expected: date | None) -> None:
    settings = RecordSettings("t", types={"at": word} if word else {}, fields={"at": ("head", "at")})
    assert day_of({"head": {"at": value}}, settings, "at", "Europe/Berlin") == expected
    if not word:
        assert day_of({"at": value}, KindSettings("t"), "at", "Europe/Berlin") == expected
    assert day_of({"head": [1]}, settings, "at", "Europe/Berlin") is None
