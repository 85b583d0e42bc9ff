"""A malformed record lands nowhere: one that is of somebody who is erased leaves quarantine with the request, or on the day after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.landing import quarantine
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.sources import kinds
from data_platform.sync import sync_changes
from data_platform.sync.erasing.watch import watch
from data_platform.sync.quarantine import sealer_of
from data_platform_tests import people
from data_platform_tests.contracts.toy_source.log import Log
from data_platform_tests.contracts.worlds import ITEMS, ToyLog, World

SUBJECTS = {
    "subjects": {
        "customer": {
            "lookups": {"id": "shop/people.id", "email": "shop/people.email"},
            "links": {"shop/items.owner": "shop/people.id"},
        }
    }
}


@pytest.fixture
def items(tmp_path: Path) -> ToyLog:
    return ToyLog(tmp_path / "logs")


@pytest.fixture
def world(tmp_path: Path, items: ToyLog, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two people, of whom nobody has an item yet."""
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    monkeypatch.setenv(KEY_VARIABLE, "a key that only these tests use, long enough")
    world = World(tmp_path, items).catalog()
    items.make()
    items.add_column("owner")
    source = tmp_path / "catalog/sources/shop.yaml"
    document = yaml.safe_load(source.read_text())
    document["tables"]["people"] = {"key": "id", "personal": {"email": "keep"}}
    source.write_text(yaml.safe_dump(document))
    (tmp_path / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    made = Log(items.folder, "people")
    made.make("first", {"id": "BIGINT", "email": "VARCHAR"})
    for number in (7, 8):
        made.append({"id": number, "email": f"person{number}@company.example"})
    return world


def sent(world: World, items: ToyLog, **said: Any) -> None:
    items.log.append(said, broken="status is no number")
    assert [report.error for report in sync_changes(world.platform(), "shop")] == [None, None]


def left(world: World) -> set[int]:
    platform = world.platform()
    return {
        json.loads(one.record.bytes)["id"]
        for batch in platform.ledger.newest_first(ITEMS)
        if batch.quarantined is not None
        for one in quarantine.records(platform.ledger, batch, sealer_of(platform, batch))
        if not quarantine.is_gone(one.record)
    }


def test_records_leave_with_the_request_and_those_that_come_later_on_the_next_day(
    world: World, items: ToyLog
) -> None:
    sent(world, items, id=1, owner=7)
    sent(world, items, id=2, owner=8)
    sent(world, items, id=3, note="from person7@company.example")
    sent(world, items, id=4, owner="7 or so")
    done = people.erased(world.platform(), id="7", email="person7@company.example")
    assert done.done["quarantine"]["shop/items"] == {"records": 2}
    assert left(world) == {2, 4}
    assert watch(world.platform()).late == 0
    sent(world, items, id=5, owner=7)
    sent(world, items, id=6, owner="8")
    sent(world, items, id=7, owner=None, note="again person7@company.example")
    assert left(world) == {2, 4, 5, 6, 7}
    assert watch(world.platform()).late == 2
    assert left(world) == {2, 4, 6}
    assert watch(world.platform()).late == 0
