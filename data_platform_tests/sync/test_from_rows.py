"""Columns that are found in the rows: new ones, missing ones, wider and narrower types, as far as the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import SchemaDrift
from data_platform.privacy.treatments import hash_value
from data_platform.sources import kinds
from data_platform.sync.rebuild import rebuild
from data_platform_tests.contracts.worlds import HASH_KEY, ToyLog, World


@dataclass
class Found(ToyLog):
    @property
    def connection(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder), "step": 5, "from_rows": True}

    def line(self, **row: Any) -> None:
        self.log.append(row)


@pytest.fixture
def items(tmp_path: Path) -> Found:
    made = Found(tmp_path / "logs", columns={"id": "BIGINT"})
    made.make()
    return made


@pytest.fixture
def world(tmp_path: Path, items: Found, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    return World(tmp_path, items).catalog(personal={})


def held(world: World, *names: str) -> Sequence[Any]:
    with world.platform().warehouse(read_only=True) as warehouse:
        return warehouse.query(f"SELECT {', '.join(names)} FROM raw_shop.items ORDER BY id").rows


def types(world: World) -> dict[str, str]:
    head = world.batches()[-1]
    return {column.name: column.type for column in head.columns if not column.name.startswith("_")}


def test_a_column_that_a_batch_lacks_is_no_change(world: World, items: Found) -> None:
    items.line(id=1, amount=5, kind="a")
    world.good()
    items.line(id=2)
    report = world.good()
    assert report.operation == "changes" and not report.notes
    assert types(world) == {"id": "BIGINT", "amount": "BIGINT", "kind": "VARCHAR"}
    items.line(id=3, more=True, kind="b")
    assert "new column more" in " ".join(world.good().notes)
    assert held(world, "id", "amount", "kind", "more") == [
        (1, 5, "a", None),
        (2, None, None, None),
        (3, None, "b", True),
    ]


def test_a_wider_type_is_told_and_widened_without_a_whole_read(
    world: World, items: Found, tmp_path: Path
) -> None:
    items.line(id=1, amount=5)
    world.good()
    items.line(id=2, amount=0.25)
    report = world.good()
    assert report.operation == "changes"
    assert report.notes == ("the column amount was BIGINT and is DECIMAL(38,18): it is widened",)
    items.line(id=3, amount=7)
    assert world.good().notes == ()
    assert types(world)["amount"] == "DECIMAL(38,18)", "a whole number is one of it"
    rows = [(1, Decimal(5)), (2, Decimal("0.25")), (3, Decimal(7))]
    assert held(world, "id", "amount") == rows
    platform, rebuilt = world.platform(), tmp_path / "rebuilt.duckdb"
    rebuild(platform, rebuilt)
    with platform.environment.warehouse.elsewhere(rebuilt).open(world.root, True) as warehouse:
        assert warehouse.query("SELECT id, amount FROM raw_shop.items ORDER BY id").rows == rows


def test_a_step_after_the_first_widens_too(world: World, items: Found) -> None:
    for n in range(5):
        items.line(id=n, amount=n)
    for n in range(5, 10):
        items.line(id=n, amount=n + 0.5, late="x")
    world.good()
    assert len(world.batches()) == 2
    assert [amount for _, amount in held(world, "id", "amount")] == [
        *map(Decimal, range(5)),
        *(n + Decimal("0.5") for n in range(5, 10)),
    ]


def test_another_kind_of_value_waits_for_somebody(world: World, items: Found) -> None:
    items.line(id=1, amount=5)
    world.good()
    items.line(id=2, amount="five")
    error = world.sync().error
    assert isinstance(error, SchemaDrift) and "amount was BIGINT" in str(error)
    world.good(refresh=["items"])
    assert held(world, "id", "amount") == [(1, "5"), (2, "five")]


def test_a_key_of_another_text_is_read_anew(world: World, items: Found) -> None:
    items.line(id=1)
    world.good()
    items.log.make("first", {"id": "DECIMAL(38,18)"})
    items.line(id=2.5)
    report = world.good()
    assert report.operation == "refresh", "what is known of the key by its text would be another"
    assert held(world, "id") == [(Decimal(1),), (Decimal("2.5"),)]


def test_a_treated_column_stays_treated_where_a_batch_lacks_it(world: World, items: Found) -> None:
    world.catalog(personal={"email": "hash"})
    items.add_column("email")
    items.line(id=1, email="a@b.example")
    world.good()
    items.drop_column("email")
    items.line(id=2)
    world.good()
    assert held(world, "id", "email") == [
        (1, hash_value("email", "a@b.example", HASH_KEY.encode())),
        (2, None),
    ]
    world.catalog(personal={"email": "redact"})
    items.line(id=3)
    assert world.good().operation == "refresh", "another treatment is one of all rows"


def test_what_the_catalog_leaves_out_is_read_anew_without(world: World, items: Found) -> None:
    items.line(id=1, amount=5, kind="a")
    world.good()
    world.catalog(personal={}, only=["id", "kind"])
    items.line(id=2, amount=5, kind="b")
    report = world.good()
    assert report.operation == "refresh"
    assert "omits the column amount" in " ".join(report.notes)
    assert types(world) == {"id": "BIGINT", "kind": "VARCHAR"}
