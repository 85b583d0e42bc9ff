"""A source whose rows are not asked for one by one gives new rows of the erased: those are left out, and what hangs on them goes by their keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from data_platform.errors import LandingError
from data_platform.landing.verify import verify
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.sync.erasing import hanging
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.door import door_of
from data_platform.sync.erasing.watch import watch
from data_platform.tables import TableId
from data_platform_tests import people

KEYS = {"users": "user_id", "orders": "order_id", "items": "item_id", "pieces": "piece_id"}
LINKS = {
    "shop/orders.user_id": "shop/users.user_id",
    "shop/items.order_id": "shop/orders.order_id",
    "shop/pieces.item": "shop/items.item_id",
}
FIRST: dict[str, list[dict[str, Any]]] = {
    "users": [{"user_id": n, "email": f"person{n}@company.example"} for n in (7, 8)],
    "orders": [{"order_id": 70, "user_id": 7}, {"order_id": 80, "user_id": 8}],
    "items": [
        {"item_id": 700, "order_id": 70, "engraving": "a"},
        {"item_id": 800, "order_id": 80, "engraving": "b"},
    ],
    "pieces": [{"piece_id": 7000, "item": 700}, {"piece_id": 8000, "item": 800}],
}
LATER: dict[str, list[dict[str, Any]]] = {
    "orders": [
        {"order_id": 71, "user_id": 7},
        {"order_id": 72, "user_id": 7},
        {"order_id": 81, "user_id": 8},
    ],
    "items": [
        {"item_id": 701, "order_id": 71, "engraving": "for a needle"},
        {"item_id": 801, "order_id": 81, "engraving": "d"},
        {"item_id": 1, "order_id": None, "engraving": "of nobody"},
    ],
    "pieces": [{"piece_id": 7010, "item": 701}, {"piece_id": 8010, "item": 801}],
}
LEFT = {"users": {8}, "orders": {80, 81}, "items": {800, 801, 1}, "pieces": {8000, 8010}}


@dataclass
class Shop:
    root: Path
    form: str
    written: int = 0

    def make(self) -> Shop:
        sources = self.root / "catalog/sources"
        sources.mkdir(parents=True)
        (self.root / "files").mkdir()
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb"},
        }
        (sources.parent / "platform.yaml").write_text(yaml.safe_dump({"environments": {"local": local}}))
        tables: dict[str, dict[str, Any]] = {
            name: {
                "key": key,
                "files": f"{name}-*.{self.form}",
                "types": {
                    column: "bigint" for column in FIRST[name][0] if column not in ("email", "engraving")
                },
            }
            for name, key in KEYS.items()
        }
        tables["users"]["personal"] = {"email": "keep"}
        tables["items"]["personal"] = {"engraving": "keep"}
        connection = {"path": str(self.root / "files"), "settle_seconds": 0}
        source = {"source": "shop", "kind": "files", "start": "2026-01-01", "connection": connection}
        (sources / "shop.yaml").write_text(yaml.safe_dump({**source, "tables": tables}))
        customer = {"lookups": {"email": "shop/users.email"}, "links": LINKS}
        (sources.parent / "subjects.yaml").write_text(yaml.safe_dump({"subjects": {"customer": customer}}))
        return self

    def put(self, **rows: list[dict[str, Any]]) -> None:
        self.written += 1
        for name, some in rows.items():
            if self.form == "csv":
                values = [[str("" if one is None else one) for one in row.values()] for row in some]
                lines = [",".join(row) for row in [list(some[0]), *values]]
            else:
                lines = [json.dumps(row) for row in some]
            (self.root / f"files/{name}-{self.written}.{self.form}").write_text("\n".join(lines) + "\n")

    def come_in_reverse(self) -> None:
        """What hangs on others lands before them."""
        self.put(**LATER)
        for name in reversed(KEYS):
            self.sync(name)

    def platform(self) -> Platform:
        return open_platform(self.root, "local", os.environ)

    def sync(self, *tables: str) -> None:
        reports = sync_changes(self.platform(), "shop", tables=list(tables) or None)
        assert [report.error for report in reports if report.error] == []

    def landed(self) -> dict[str, set[int]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return {
                name: {int(row[0]) for row in warehouse.query(f"SELECT {key} FROM raw_shop.{name}").rows}
                for name, key in KEYS.items()
            }

    def known(self) -> Mapping[str, frozenset[str]]:
        erased = Book(self.platform()).known(whole=True).erased["customer"]
        return {place.table.table: keys for place, keys in erased.values.items()}

    def holding(self, text: bytes) -> list[str]:
        """Files of the project, its source aside, that hold ``text`` as it is."""
        found = (path for path in self.root.rglob("*") if path.is_file() and "files" not in path.parts)
        return [path.name for path in found if text in path.read_bytes()]


@pytest.fixture(params=["csv", "ndjson"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, redaction_key: str) -> Shop:
    """Somebody with an order was erased."""
    made = Shop(tmp_path, request.param).make()
    made.put(**FIRST)
    made.sync()
    assert people.erased(made.platform(), email="person7@company.example").next_step is None
    return made


def test_what_hangs_on_a_row_that_was_left_out_stays_out(shop: Shop) -> None:
    for name, rows in LATER.items():  # in the order in which they hang on each other
        shop.put(**{name: rows})
        shop.sync(name)
    assert shop.landed() == LEFT
    assert shop.known()["orders"] == {"70", "71", "72"} and shop.known()["items"] == {"700", "701"}
    entries = Book(shop.platform()).log.last()
    shop.sync()
    reports = sync_changes(shop.platform(), "shop", refresh=list(KEYS))
    assert [report.error for report in reports] == [None] * 4
    assert shop.landed() == LEFT
    assert Book(shop.platform()).log.last() == entries, "what is known is not written down again"
    found = watch(shop.platform())
    assert (found.hanging, dict(found.back), len(found.requests)) == (0, {}, 1)


def test_what_had_landed_before_goes_with_all_that_hangs_on_it(shop: Shop) -> None:
    shop.come_in_reverse()
    assert shop.landed()["items"] == LEFT["items"] | {701} and shop.landed()["orders"] == LEFT["orders"]
    assert watch(shop.platform()).hanging == 2
    assert shop.landed() == LEFT
    found = watch(shop.platform())
    assert (found.hanging, dict(found.back), found.stopped) == (0, {}, [])
    second = found.requests[1]
    assert second.authorised_by == hanging.BY and second.rows == {"shop/items": 1, "shop/pieces": 1}
    assert shop.holding(b"for a needle") == []
    platform = shop.platform()
    for name in KEYS:
        assert verify(platform.ledger, TableId("shop", name), platform.clock(), since=0).problems == ()
    shop.sync()
    assert shop.landed() == LEFT


def test_a_request_of_its_own_that_was_killed_is_finished(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.come_in_reverse()

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(hanging, "carry_out", killed)
        with pytest.raises(KeyboardInterrupt):
            watch(shop.platform())
    found = watch(shop.platform())
    assert (len(found.requests), found.stopped) == (2, [])
    assert shop.landed() == LEFT


def test_keys_that_the_log_did_not_take_are_written_at_the_next_try(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, orders = shop.platform(), TableId("shop", "orders")
    door = door_of(platform)
    note = door.came.noting(orders).call
    note(pa.array(["70", None, "71"]))

    def away(*_: Any) -> None:
        raise LandingError("the store is away")

    with monkeypatch.context() as once:
        once.setattr(Book, "came", away)
        with pytest.raises(LandingError):
            door.remember(platform, orders)
    door.remember(platform, orders)
    assert shop.known()["orders"] == {"70", "71"}
    note(pa.array(["71"]))
    entries = Book(platform).log.last()
    door.remember(platform, orders)
    assert Book(platform).log.last() == entries


def test_the_keys_are_written_down_before_the_batch_that_leaves_their_rows_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put(**LATER)
    platform = shop.platform()

    def commit(_: Any) -> Any:
        raise LandingError("the store is away")

    with monkeypatch.context() as away:
        away.setattr(platform.ledger, "commit", commit)
        (report,) = sync_changes(platform, "shop", tables=["orders"])
    assert report.error is not None
    assert shop.known()["orders"] == {"70", "71", "72"}
    for name in KEYS:
        shop.sync(name)
    shop.sync()
    assert shop.landed() == LEFT
