"""The sandbox's folder of files: forms, days that come late or change, a log that grows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
import requests

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.files import contents
from data_platform.sandbox.services.files.service import SERVICE, Folder
from data_platform.sandbox.services.files.xlsx import workbook
from data_platform_tests.conftest import SHOP_TODAY
from data_platform_tests.sandbox.services.serving import own_shop, served

NOON = datetime(SHOP_TODAY.year, SHOP_TODAY.month, SHOP_TODAY.day, 12, tzinfo=UTC)


class Shelf:
    def __init__(self, root: Path, url: str) -> None:
        root.mkdir(parents=True)
        self.root, self.url, self.folder = root, url, Folder(root)

    def rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, options="-c timezone=UTC") as connection:
            return connection.execute(query.encode(), values).fetchall()

    def at(self, moment: datetime) -> list[str]:
        return self.folder.refresh(self.rows, moment.timestamp())

    def files(self, kind: str) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in (self.root / kind).iterdir())

    def spend(self, day: date) -> list[dict[str, str]]:
        text = (self.root / f"marketing/spend_{day}.csv").read_bytes().decode("latin-1")
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


@pytest.fixture(scope="module")
def own(postgres: PostgresServer, shop: str) -> Iterator[str]:
    with own_shop(postgres, "files_shared") as url:
        yield url


@pytest.fixture
def shelf(own: str, tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "shelf/files", own)
    shelf.at(NOON)
    return shelf


def test_the_same_time_gives_the_same_bytes(shelf: Shelf, own: str, tmp_path: Path) -> None:
    other = Shelf(tmp_path / "other/files", own)
    other.at(NOON - timedelta(days=9))
    other.at(NOON)
    ours = {path: (shelf.root / path).read_bytes() for path in shelf.files("marketing") + shelf.files("stock") + shelf.files("calls")}  # fmt: skip
    assert len(ours) > contents.SPEND_DAYS
    assert all((other.root / path).read_bytes() == body for path, body in ours.items())
    assert shelf.at(NOON) == []


def test_the_agencys_days_have_its_habits(shelf: Shelf) -> None:
    path = next(p for p in shelf.files("marketing"))
    body = (shelf.root / path).read_bytes()
    assert b"W\xe4hrung" in body
    assert body.count(b"\r\n") == body.count(b"\n")
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    days = [SHOP_TODAY - timedelta(days=n) for n in range(20, 80)]
    rows = [row for day in days for row in shelf.spend(day)]
    assert {row["Kanal"] for row in rows} == {"Paid Search", "Paid Social"}
    costs = [Decimal(row["Kosten"].replace(",", ".")) for row in rows]
    assert all("," in row["Kosten"] and "." not in row["Kosten"] for row in rows)
    assert sum(costs) > 0
    assert all(int(row["Impressionen"]) > int(row["Klicks"]) for row in rows if int(row["Klicks"]))
    assert datetime.strptime(rows[0]["Datum"], "%d.%m.%Y").date() in days


def test_clicks_follow_the_sessions_of_paid_campaigns(shelf: Shelf) -> None:
    days = [SHOP_TODAY - timedelta(days=n) for n in range(20, 110)]
    told = contents.spend(shelf.rows, days)
    for day in days:
        clicks = {row["Kampagne"]: int(row["Klicks"]) for row in shelf.spend(day)}
        assert set(clicks) == {campaign for _, campaign, _ in told[day]}
        for _, campaign, sessions in told[day]:
            assert sessions * 4 < clicks[campaign] < sessions * 7


def test_a_late_day_comes_after_younger_ones_and_a_corrected_one_changes(shelf: Shelf, own: str, tmp_path: Path) -> None:  # fmt: skip
    late = next(d for n in range(20, 60) if contents.agency_is_late(d := SHOP_TODAY - timedelta(days=n)))
    fixed = next(d for n in range(20, 60) if contents.agency_corrects(d := SHOP_TODAY - timedelta(days=n)) and not contents.agency_is_late(d))  # fmt: skip
    watched = Shelf(tmp_path / "watched/files", own)

    def midday(day: date, days: int) -> datetime:
        return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=days)

    watched.at(midday(late, 3))
    names = watched.files("marketing")
    assert f"marketing/spend_{late}.csv" not in names
    assert f"marketing/spend_{late + timedelta(days=1)}.csv" in names
    assert f"marketing/spend_{late}.csv" in watched.at(midday(late, 4))

    other = Shelf(tmp_path / "corrected/files", own)
    other.at(midday(fixed, 1))
    before, path = other.spend(fixed), other.root / f"marketing/spend_{fixed}.csv"
    first_change = path.stat().st_mtime
    assert f"marketing/spend_{fixed}.csv" in other.at(midday(fixed, 3))
    after = other.spend(fixed)
    assert [row["Kampagne"] for row in after] == [row["Kampagne"] for row in before]
    assert path.stat().st_mtime > first_change
    assert after != before or not before
    other.at(midday(fixed, 1))  # the folder never goes back
    assert other.spend(fixed) == after


def test_the_feed_follows_the_products(shop_copy: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files/files", shop_copy)
    shelf.at(NOON)

    def amounts() -> dict[str, str]:
        lines = (shelf.root / "products/feed.ndjson").read_text().splitlines()
        return {item["id"]: item["price"]["amount"] for item in map(json.loads, lines)}

    before = amounts()
    assert len(before) == 240
    with psycopg.connect(shop_copy) as connection:
        connection.execute("UPDATE products SET price = 12.30 WHERE sku = 'SKU-00007'")
    assert shelf.at(NOON) == ["products/feed.ndjson"]
    assert amounts() == {**before, "SKU-00007": "12.30"}


def test_the_call_log_only_grows_at_its_end(shop_copy: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files/files", shop_copy)
    shelf.at(NOON)
    path = shelf.root / f"calls/calls_{NOON:%Y-%m}.csv"
    before = path.read_bytes()
    inode = path.stat().st_ino
    with psycopg.connect(shop_copy) as connection:
        connection.execute(
            "INSERT INTO orders (user_id, status, order_date, revenue, created_at) "
            "SELECT 1, 'pending', current_date, 1, %s FROM generate_series(1, 400)", (NOON,),
        )  # fmt: skip
    assert shelf.at(NOON + timedelta(hours=11)) == [f"calls/calls_{NOON:%Y-%m}.csv"]
    after = path.read_bytes()
    assert after.startswith(before)
    assert path.stat().st_ino == inode
    assert len(after) > len(before)
    calls = list(csv.DictReader(io.StringIO(after.decode())))
    assert len({call["call_id"] for call in calls}) == len(calls)


def test_stock_and_price_lists_are_read_by_their_libraries(shelf: Shelf) -> None:
    stock = pq.read_table(shelf.root / shelf.files("stock")[-1])
    assert stock.num_rows == 480
    assert [str(stock.schema.field(name).type) for name in ("on_hand", "unit_cost", "counted_at")] == [
        "int32",
        "decimal128(10, 2)",
        "timestamp[us, tz=UTC]",
    ]
    assert len(shelf.files("stock")) == contents.STOCK_DAYS
    newest = shelf.root / shelf.files("supplier")[-1]
    assert newest.name == "prices_2026-Q4.xlsx"
    prices = _excel(newest, "Prices", "A4:E244")
    with psycopg.connect(shelf.url) as connection:
        costs = connection.execute("SELECT sku, product_name, cost FROM products ORDER BY product_id").fetchall()  # fmt: skip
    assert [(sku, name, Decimal(str(price)).quantize(Decimal("0.01"))) for sku, name, price, *_ in prices] == costs  # fmt: skip
    assert _excel(newest, "Prices", "B2:B2", header=False) == [(date(2026, 10, 1),)]


def test_a_workbook_keeps_what_is_put_into_it(tmp_path: Path) -> None:
    path = tmp_path / "one.xlsx"
    path.write_bytes(workbook("A & B", [["na<me", "n"], ["é \"x\" & 'y'", 12], ["last", Decimal("0.10")]]))
    assert _excel(path, "A & B", "A1:B3") == [("é \"x\" & 'y'", 12.0), ("last", 0.1)]
    assert workbook("S", [["a"]]) == workbook("S", [["a"]])


def _excel(path: Path, sheet: str, range_: str, header: bool = True) -> list[tuple[Any, ...]]:
    import duckdb_extension_excel as wheel

    folder = Path(str(wheel.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    with duckdb.connect() as connection:
        connection.load_extension(str(folder / "excel.duckdb_extension"))
        return connection.execute(
            "SELECT * FROM read_xlsx(?, sheet = ?, range = ?, header = ?)", [str(path), sheet, range_, header]
        ).fetchall()


def test_another_shop_begins_with_an_empty_folder(shelf: Shelf, shop_copy: str) -> None:
    stray = shelf.root / "marketing/spend_1999-01-01.csv"
    stray.touch()
    shelf.url = shop_copy
    shelf.at(NOON)
    assert not stray.exists()
    assert len(shelf.files("stock")) == contents.STOCK_DAYS


def test_the_service_lists_moves_on_and_spoils(shop_copy: str, tmp_path: Path) -> None:
    with served(SERVICE, tmp_path, shop_copy) as place:
        listed = requests.get(place.url, timeout=30).json()
        root = Path(SERVICE.variables(place)["SHOP_FILES"])
        assert listed["folder"] == str(root)
        assert {one["path"] for one in listed["files"]} == {
            p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()
        }
        assert root.stat().st_mode & 0o077 == 0
        control = {"Sandbox-Control": "1"}
        moved = requests.put(f"{place.url}/_sandbox/behaviour", json={"clock_offset_seconds": 86400 * 5}, headers=control, timeout=30).json()  # fmt: skip
        assert sum(path.startswith("marketing/") for path in moved["changed"]) >= 4
        path = moved["changed"][0]
        spoilt = requests.post(f"{place.url}/_sandbox/spoil", json={"path": path, "line": "not;a;row"}, headers=control, timeout=30)  # fmt: skip
        assert spoilt.status_code == 200
        assert (root / path).read_bytes().endswith(b"not;a;row\n")
        outside = requests.post(f"{place.url}/_sandbox/spoil", json={"path": "../written.json", "line": ""}, headers=control, timeout=30)  # fmt: skip
        assert (outside.status_code, "no file" in outside.text) == (400, True)
