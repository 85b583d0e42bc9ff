"""What lies in the folder at a given time, and what is in each file.

Pure but for the reading of the shop. A file has versions: the agency corrects some of
its days, the feed follows the shop's products. The bytes of a version do not depend on when it is written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from data_platform.sandbox.services.files.xlsx import Cell, workbook
from data_platform.sandbox.services.ga4.sql import CHANNEL_OF_SESSION, SOURCE_LUCK

Rows = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]

SPEND_DAYS, STOCK_DAYS, QUARTERS, CALL_MONTHS = 120, 30, 6, 3
HOUR = timedelta(hours=1)
DELIVERED, LATE, CORRECTED = (
    timedelta(days=1, hours=6),
    timedelta(days=4, hours=6),
    timedelta(days=3, hours=9),
)
"""After the beginning of the day that a file of the agency tells of."""
TRACKED_SHARE = 0.2
"""Of the visitors; the agency counts the clicks of all of them."""
COSTS = {"brand": 0.42, "kitchen": 1.35, "retargeting": 0.64, "autumn": 0.88}
"""By campaign, for a click."""
CALL_SHARE = 0.03
CALLS_HEADER = "call_id,started_at,phone,order_id,duration_seconds,outcome\n"


@dataclass(frozen=True, slots=True)
class Due:
    """A version of a file that lies in the folder since ``at``; ``day`` is what it tells of."""

    path: str
    version: str
    at: datetime
    day: date


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def due(now: datetime, first_day: date) -> Iterator[Due]:
    """The newest version of each dated file that is there by ``now``."""
    today = now.date()
    for day in (today - timedelta(days=n) for n in range(1, SPEND_DAYS + 1)):
        late, corrected = agency_is_late(day), agency_corrects(day)
        arrives = _midnight(day) + (LATE if late else DELIVERED)
        corrects = arrives + CORRECTED - DELIVERED
        if arrives <= now and day >= first_day:
            second = corrected and corrects <= now
            yield Due(f"marketing/spend_{day}.csv", "corrected" if second else "first", corrects if second else arrives, day)  # fmt: skip
    for day in (today - timedelta(days=n) for n in range(1, STOCK_DAYS + 1)):
        if day >= first_day:
            yield Due(f"stock/stock_{day}.parquet", "first", _midnight(day) + 24 * HOUR, day)
    quarter = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    for _ in range(QUARTERS):
        name = f"supplier/prices_{quarter.year}-Q{(quarter.month + 2) // 3}.xlsx"
        yield Due(name, "first", _midnight(quarter) + 8 * HOUR, quarter)
        before = quarter - timedelta(days=1)
        quarter = date(before.year, 3 * ((before.month - 1) // 3) + 1, 1)


def agency_is_late(day: date) -> bool:
    return day.toordinal() % 11 == 3


def agency_corrects(day: date) -> bool:
    return day.toordinal() % 7 == 2


# ---------------------------------------------------------------- the agency's CSV


def spend(rows: Rows, days: list[date]) -> dict[date, list[tuple[str, str, int]]]:
    """Channel, campaign and tracked sessions of the paid campaigns, by day (UTC)."""
    query = (
        "SELECT day, channel, campaign, count(*) FROM (SELECT session_id, min(occurred_at)::date AS day FROM events "
        "WHERE occurred_at >= %(begin)s AND occurred_at < %(end)s GROUP BY 1) AS s, "
        f"{CHANNEL_OF_SESSION} WHERE low <= {SOURCE_LUCK} AND {SOURCE_LUCK} < high AND channel LIKE 'Paid%%' "
        "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    found: dict[date, list[tuple[str, str, int]]] = {day: [] for day in days}
    if days:
        values = {"begin": _midnight(min(days)), "end": _midnight(max(days)) + 24 * HOUR}
        for day, channel, campaign, sessions in rows(query, values):
            found.setdefault(day, []).append((channel, campaign, sessions))
    return found


def spend_csv(day: date, sessions: list[tuple[str, str, int]], version: str) -> bytes:
    """German habits: semicolons, a decimal comma, day.month.year, Latin-1, lines that end in CR LF."""
    lines = ["Datum;Kanal;Kampagne;Währung;Impressionen;Klicks;Kosten;Bemerkung"]
    for channel, campaign, count in sessions:
        random = Random(f"spend {day} {campaign}")
        clicks = round(count / TRACKED_SHARE * random.uniform(0.9, 1.2))
        seen, cost = (
            round(clicks * random.uniform(18, 60)),
            clicks * COSTS[campaign] * random.uniform(0.85, 1.2),
        )
        if version == "first" and agency_corrects(day):  # the platform takes back clicks of machines later
            clicks, cost = round(clicks * 1.07), cost * 1.07
        note = "für Küche & Garten" if campaign == "kitchen" else ""
        paid = f"{cost:.2f}".replace(".", ",")
        lines.append(f"{day:%d.%m.%Y};{channel};{campaign};USD;{seen};{clicks};{paid};{note}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


# ---------------------------------------------------------------- the shop's feed, the supplier, the warehouse

_PRODUCTS = "SELECT product_id, sku, product_name, category, price, cost, is_active, updated_at FROM products ORDER BY product_id"


def feed_version(rows: Rows) -> tuple[str, datetime]:
    (row,) = rows("SELECT count(*), coalesce(max(updated_at), now()) FROM products", {})
    return f"{row[0]}@{row[1].isoformat()}", row[1]


def feed(rows: Rows) -> bytes:
    """A line of JSON a product; prices are texts, so that they stay exact."""
    lines = [
        json.dumps(
            {
                "id": sku, "title": name, "product_type": ["Home & Living", category], "link": f"https://shop.example/products/{number}",
                "price": {"amount": str(price), "currency": "USD"}, "availability": "in_stock" if active else "discontinued",
                "updated_at": updated.isoformat(),
            },
            ensure_ascii=False,
        )
        for number, sku, name, category, price, _, active, updated in rows(_PRODUCTS, {})
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def prices(rows: Rows, quarter: date, newest: date) -> bytes:
    """The supplier's list: two lines of title, an empty one, the heads of the columns in the fourth."""
    behind = (newest.year - quarter.year) * 4 + (newest.month - quarter.month) // 3
    table: list[list[Cell]] = [
        ["Price list", None, None, None, None],
        ["Valid from", quarter, None, None, None],
        [None] * 5,
        ["SKU", "Description", "Purchase price", "Currency", "Pack size"],
    ]
    for number, sku, name, _, _, cost, _, _ in rows(_PRODUCTS, {}):
        price = (cost * (1 - Decimal("0.012") * behind)).quantize(Decimal("0.01"))
        table.append([sku, name, price, "USD", (1, 6, 12)[number % 3]])
    return workbook("Prices", table)


_SOLD = """
SELECT order_date, product_id, sum(quantity) FROM orders JOIN order_items USING (order_id)
WHERE order_date >= %(begin)s::date AND order_date <= %(end)s::date GROUP BY 1, 2
"""


def stock(rows: Rows, days: list[date]) -> Iterator[tuple[date, bytes]]:
    """A Parquet file a day: what lies in each warehouse in the evening."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not days:
        return
    sold = {
        (day, product): count for day, product, count in rows(_SOLD, {"begin": min(days), "end": max(days)})
    }
    products = rows(_PRODUCTS, {})
    for day in days:
        lines = []
        for number, sku, *_, cost, _, _ in products:
            for place, share in (("east", 0.6), ("west", 0.4)):
                base = Random(f"stock {day} {number} {place}").randint(5, 90)
                left = max(0, base - round(int(sold.get((day, number), 0)) * share))
                lines.append({"sku": sku, "warehouse": place, "on_hand": left, "reserved": left // 7, "unit_cost": cost, "counted_at": _midnight(day) + 22 * HOUR})  # fmt: skip
        schema = pa.schema(
            [
                ("sku", pa.string()), ("warehouse", pa.string()), ("on_hand", pa.int32()), ("reserved", pa.int32()),
                ("unit_cost", pa.decimal128(10, 2)), ("counted_at", pa.timestamp("us", tz="UTC")),
            ]
        )  # fmt: skip
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(lines, schema=schema), file, compression="zstd")
        yield day, file.getvalue()


# ---------------------------------------------------------------- the telephone's log

_CALLS = """
SELECT o.order_id, extract(epoch FROM o.created_at)::float8, u.phone FROM orders o JOIN users u USING (user_id)
WHERE (hashint8extended(o.order_id, 21) & 1048575) / 1048576.0 < %(share)s AND o.created_at >= %(begin)s ORDER BY o.order_id
"""


def calls(rows: Rows, now: datetime) -> dict[str, list[tuple[int, str]]]:
    """The lines of each month's log so far, with the number of each call; later ones come to the end of a file.

    Half of the calls come seconds after the order, the others within 12 hours.
    """
    first = now.date().replace(day=1)
    for _ in range(CALL_MONTHS - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    found: list[tuple[float, int, str]] = []
    for order, at, phone in rows(_CALLS, {"share": CALL_SHARE, "begin": _midnight(first)}):
        random = Random(f"call {order}")
        started = at + (random.uniform(1, 4) if random.random() < 0.5 else random.uniform(600, 43200))
        if started <= now.timestamp():
            outcome = random.choice(("answered", "answered", "missed", "voicemail"))
            when = datetime.fromtimestamp(int(started), UTC).isoformat().replace("+00:00", "Z")
            number = f'"{phone}"' if phone else ""
            line = f"{order},{when},{number},{order},{random.randint(12, 900) if outcome != 'missed' else 0},{outcome}\n"
            found.append((started, order, line))
    months: dict[str, list[tuple[int, str]]] = {}
    for started, order, line in sorted(found):
        month = datetime.fromtimestamp(started, UTC).strftime("%Y-%m")
        months.setdefault(f"calls/calls_{month}.csv", []).append((order, line))
    return months
