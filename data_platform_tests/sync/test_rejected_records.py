"""Records of any kind that cannot be taken: text that is no JSON, values that are none of the declared type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_platform.landing import quarantine
from data_platform.sources import kinds
from data_platform.sync.quarantine import shown
from data_platform_tests.contracts.worlds import ITEMS, ToyPages, World


@pytest.fixture
def items(tmp_path: Path) -> ToyPages:
    return ToyPages(tmp_path / "pages")


@pytest.fixture
def world(tmp_path: Path, items: ToyPages, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "pages", "data_platform_tests.contracts.toy_pages.kind")  # type: ignore[arg-type]
    made = World(tmp_path, items)
    items.make()
    return made.catalog(personal={}, types={"price": "decimal(10,2)", "at": "timestamp"})


def waiting(world: World) -> list[tuple[str, str, Any]]:
    return [
        (one.record.reason, one.record.origin, one.record.bytes.decode())
        for _, one in shown(world.platform(), ITEMS, None, 99)
    ]


def held(world: World, sql: str) -> list[Any]:
    with world.platform().warehouse(read_only=True) as warehouse:
        return list(warehouse.query(sql).rows)


def test_what_is_not_of_its_declared_type_waits_and_the_rest_lands(world: World, items: ToyPages) -> None:
    bad = {"id": 2, "price": "twelve", "at": "2026-01-01T00:00:00Z"}
    items.pile.put({"id": 1, "price": 1.25, "at": "2026-01-01T00:00:00Z"}, bad, "{this is none", "[1, 2]")
    world.good()
    assert held(world, "SELECT id, price::VARCHAR FROM raw_shop.items ORDER BY id") == [(1, "1.25")]
    found = waiting(world)
    assert sorted(reason for reason, *_ in found) == [
        "it is no JSON",
        "it is no JSON object",
        "price is no decimal(10,2)",
    ]
    assert {text for *_, text in found} == {json.dumps(bad), "{this is none", "[1, 2]"}
    assert {origin for _, origin, _ in found} == {"items.jsonl, line 0", "items.jsonl, line 3"}


def test_a_record_with_two_mistakes_waits_once(world: World, items: ToyPages) -> None:
    items.pile.put(
        {"id": 1, "price": "x", "at": "y"}, {"id": 2, "price": 1, "at": "y"}, {"id": 3, "price": "x"}
    )
    world.good()
    assert [reason for reason, *_ in waiting(world)].count("price is no decimal(10,2)") == 2
    assert quarantine.count(world.platform().ledger, ITEMS) == 3
    assert held(world, "SELECT count(*) FROM raw_shop.items") == [(0,)]


def test_an_earlier_version_of_a_record_stays(world: World, items: ToyPages) -> None:
    items.pile.put({"id": 1, "price": 1})
    world.good()
    items.pile.put({"id": 1, "price": "more"})
    report = world.good()
    assert "1 record could not be taken" in " ".join(report.notes)
    assert held(world, "SELECT id, price::VARCHAR FROM raw_shop.items") == [(1, "1.00")]
    items.pile.put({"id": 1, "price": 2})
    world.good()
    assert held(world, "SELECT id, price::VARCHAR FROM raw_shop.items") == [(1, "2.00")]
    assert len(waiting(world)) == 1, "it waits until somebody looks"


def test_a_record_of_a_sealed_table_is_nowhere_in_clear(world: World, items: ToyPages) -> None:
    world.catalog(personal={"email": "hash"}, types={"price": "decimal(10,2)"})
    items.pile.put({"id": 1, "price": "twelve", "email": "someone@example.org"})
    world.good()
    landed = b"".join(path.read_bytes() for path in (world.root / "landing").rglob("*") if path.is_file())
    assert b"someone" not in landed
    ((_, _, text),) = waiting(world)
    assert json.loads(text)["email"] == "someone@example.org"
