"""The shop's history as text: words for codes, hexadecimal for identifiers, CSV files for COPY.

Arrays come from ``history.py`` and go to ``generate.py`` as files, written by Arrow.
Columns are built from buffers: ``pyarrow.array`` imports pandas, which takes longer
than generating the demo's whole history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.sandbox import history

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

COPY_OPTIONS = r"FORMAT csv, DELIMITER E'\t'"
"""How PostgreSQL reads the files."""

FIRST_NAMES = (
    "Ada Amir Amelie Ben Bianca Carlos Chloe Clara Daniel Diego Elena Emma Ethan Fatima Felix Freya George "
    "Grace Hana Hugo Ines Isla Jack Julia Kai Lars Laura Leo Lina Lucas Maria Mateo Maya Mia Nadia Noah Nora "
    "Olivia Omar Oscar Paula Priya Rafael Rosa Samuel Sara Sofia Theo Tom Vera Yara Zoe"
).split()
LAST_NAMES = (
    "Adams Ahmed Almeida Baker Bauer Bernard Brown Carter Chen Costa Davies Dubois Evans Fischer Garcia Gomez "
    "Gupta Harris Hoffmann Iyer Jackson Johnson Jones Khan Kim Kowalski Lambert Lee Lopez Martin Meyer Miller "
    "Moore Moreau Murphy Nguyen Novak Oliveira Patel Perez Petrov Reddy Rossi Santos Schmidt Silva Singh Smith "
    "Taylor Thomas Walker Weber Williams Wilson Wood Young"
).split()
FIRSTS, LASTS = len(FIRST_NAMES), len(LAST_NAMES)
COUNTRIES = ("US", "GB", "DE", "FR", "CA", "IN", "BR", "AU")
CALLING_CODES = ("1", "44", "49", "33", "1", "91", "55", "61")
CURRENCY = "USD"
"""The shop sells abroad too, in one currency: prices come from one list."""
ADJECTIVES = ("Classic", "Compact", "Premium")
CATEGORIES = ("Kitchen", "Home", "Garden", "Office", "Outdoor", "Toys", "Electronics", "Beauty")
NOUNS = ("Lamp", "Bottle", "Bag", "Set", "Box", "Stand", "Kit", "Holder", "Mat", "Light")
COUPONS = ("WELCOME10", "SPRING15", "VIP5", "BLACKFRIDAY", "FRIENDS", "COMEBACK")
METHODS = ("card", "card", "card", "paypal", "apple_pay", "bank_transfer", "card")
DEVICES = ("mobile", "mobile", "desktop", "desktop", "tablet")
SEGMENTS = ("consumer", "business", "vip")
EVENT_PROPERTIES = [
    f'{{"product_id": {product}, "device": "{device}"}}'
    for product in range(1, history.PRODUCTS + 1)
    for device in DEVICES
]


class Writer:
    """Writes chunks of history to files for COPY, and counts the rows of each table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, int] = {}
        self._files = 0

    def write(self, table: str, columns: history.Columns) -> Path:
        import pyarrow as pa
        from pyarrow import csv

        arrays = _FORMAT[table](columns)
        batch = pa.RecordBatch.from_arrays(arrays, [str(n) for n in range(len(arrays))])
        self.rows[table] = self.rows.get(table, 0) + batch.num_rows
        self._files += 1
        path = self.folder / f"{self._files}.csv"
        # Only JSON holds quotes; without them PostgreSQL reads the file faster.
        quoting = "needed" if table == "events" else "none"
        options = csv.WriteOptions(
            include_header=False, delimiter="\t", quoting_style=quoting, batch_size=8192
        )
        csv.write_csv(batch, path, options)
        return path


# ---------------------------------------------------------------- one column


def _fixed(values: Array, type_: pa.DataType, valid: Array | None = None) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(type_, len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


def _number(values: Array) -> pa.Array:
    """NULL for -1."""
    import numpy as np
    import pyarrow as pa

    return _fixed(values.astype(np.int64), pa.int64(), values != -1)


def _flag(values: Array) -> pa.Array:
    """NULL for -1."""
    import numpy as np
    import pyarrow as pa

    bits = [pa.py_buffer(np.packbits(mask, bitorder="little")) for mask in (values != -1, values == 1)]
    return pa.Array.from_buffers(pa.bool_(), len(values), bits)


def _time(values: Array) -> pa.Array:
    import pyarrow as pa

    return _fixed(values, pa.timestamp("us"), values != history.NONE)


def _date(days: Array) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return _fixed(days.astype(np.int32), pa.date32())


def _money(cents: Array, valid: Array | None = None) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    wide = np.empty((len(cents), 2), dtype=np.int64)  # 128 bits, two's complement
    wide[:, 0], wide[:, 1] = cents, cents >> 63
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.decimal128(14, 2), len(cents), [bits, pa.py_buffer(wide)])


def _text(values: Sequence[str | None]) -> pa.StringArray:
    import numpy as np
    import pyarrow as pa

    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in encoded])]).astype(np.int32)
    valid = np.packbits(np.array([value is not None for value in values]), bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.StringArray.from_buffers(len(encoded), buffers[1], buffers[2], buffers[0])


def _words(words: Sequence[str], index: Array) -> pa.StringArray:
    """The word at each zero-based index; NULL below zero."""
    import numpy as np
    import pyarrow as pa

    indices = _fixed(index.astype(np.int32), pa.int32(), index >= 0)
    return pa.DictionaryArray.from_arrays(indices, _text(words)).dictionary_decode()


def _uuid(high: Array, low: Array) -> pa.StringArray:
    """32 hexadecimal digits from each two halves of 64 bits."""
    import numpy as np
    import pyarrow as pa

    both = np.empty((len(high), 2), dtype=">u8")
    both[:, 0], both[:, 1] = high, low
    offsets = np.arange(0, 32 * len(high) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(high), pa.py_buffer(offsets), pa.py_buffer(both.tobytes().hex().encode())
    )


# ---------------------------------------------------------------- the columns of schema.sql, in its order


def _users(c: history.Columns) -> list[pa.Array]:
    """Users are few (an eighth of the orders), so their text is made in plain Python."""
    import numpy as np

    email, phone, ssn = [], [], []
    names = ("user_id", "first", "last", "country", "bad_email", "phone", "phone_style", "ssn")
    for number, first, last, country, bad, digits, style, social in zip(
        *(c[n].tolist() for n in names), strict=True
    ):
        email.append(
            _email(f"{FIRST_NAMES[first % FIRSTS]}.{LAST_NAMES[last % LASTS]}{number}", first // 1000, bad)
        )
        phone.append(_phone(CALLING_CODES[country], str(digits), style))
        ssn.append(
            f"{social // 10**6}-{social // 10**4 % 100:02}-{social % 10**4:04}" if country == 0 else None
        )
    return [
        _number(c["user_id"]), _text(email), _text(phone), _text(ssn),
        _words(FIRST_NAMES, c["first"] % FIRSTS), _words(LAST_NAMES, c["last"] % LASTS), _number(c["age"]),
        _words(COUNTRIES, c["country"]), _words(SEGMENTS, np.where(c["loyal"], 2, c["business"].astype(np.int64))),
        _flag(c["opt_in"]), _time(c["created_at"]), _time(c["updated_at"]),
    ]  # fmt: skip


def _email(mailbox: str, luck: int, bad: bool) -> str:
    if bad:
        return f"{mailbox.lower()} at example.com"
    if luck % 97 == 0:  # typed with capitals and a blank, which a hash must not tell apart
        return f"{mailbox}@Example.com "
    return f"{mailbox.lower()}@{('example.com', 'example.org', 'mail.example')[luck % 3]}"


def _phone(code: str, digits: str, style: int) -> str | None:
    """``style`` is of 100."""
    area, middle, line = digits[:3], digits[3:6], digits[6:]
    if style < 3:
        return None
    if style < 6:
        return f"({area}) {middle}-{line}"  # without its country
    if style < 7:
        return "call after 6pm" if digits[-1] < "5" else "n/a"
    if style < 20:
        return f"00{code} {area}/{middle}{line}"
    return f"+{code} {area} {middle} {line}" if style < 60 else f"+{code}{digits}"


def _products(c: history.Columns) -> list[pa.Array]:
    numbers = c["product_id"].tolist()
    category = [CATEGORIES[n % len(CATEGORIES)] for n in numbers]
    name = [f"{ADJECTIVES[n // 80 % 3]} {category[i]} {NOUNS[n // 8 % 10]}" for i, n in enumerate(numbers)]
    return [
        _number(c["product_id"]), _text([f"SKU-{n:05}" for n in numbers]), _text(name), _text(category),
        _money(c["price"]), _money(c["cost"]), _flag(c["is_active"]), _time(c["created_at"]), _time(c["updated_at"]),
    ]  # fmt: skip


def _orders(c: history.Columns) -> list[pa.Array]:
    return [
        _number(c["order_id"]), _number(c["user_id"]), _words(history.STATUSES, c["status"]), _date(c["order_day"]),
        _money(c["revenue"]), _money(c["discount"], c["coupon"] >= 0), _words((CURRENCY,), c["user_id"] * 0), _words(COUPONS, c["coupon"]),
        _time(c["created_at"]), _time(c["updated_at"]),
    ]  # fmt: skip


def _order_items(c: history.Columns) -> list[pa.Array]:
    created = _time(c["created_at"])
    return [
        _number(c["order_item_id"]), _number(c["order_id"]), _number(c["product_id"]), _number(c["quantity"]),
        _money(c["unit_price"]), created, created,
    ]  # fmt: skip


def _payments(c: history.Columns) -> list[pa.Array]:
    created = _time(c["created_at"])
    return [
        _uuid(c["id_high"], c["id_low"]), _number(c["order_id"]), _number(c["user_id"]), _money(c["amount"]),
        _words(METHODS, c["method"]), _words(history.PAYMENT_STATUSES, c["status"]), _time(c["paid_at"]),
        created, created,
    ]  # fmt: skip


def _events(c: history.Columns) -> list[pa.Array]:
    import numpy as np

    bought = c["order_id"] > 0
    purchases = [f'{{"order_id": {number}}}' for number in c["order_id"][bought].tolist()]
    properties = np.where(c["product"] > 0, (c["product"] - 1) * len(DEVICES) + c["device"], -1)
    properties[bought] = len(EVENT_PROPERTIES) + np.arange(len(purchases))
    return [
        _uuid(c["id_high"], c["id_low"]), _number(c["user_id"]), _words(history.EVENT_TYPES, c["event_type"]),
        _uuid(c["session_high"], c["session_low"]), _words(EVENT_PROPERTIES + purchases, properties),
        _time(c["occurred_at"]),
    ]  # fmt: skip


_FORMAT: Mapping[str, Callable[[history.Columns], list[pa.Array]]] = {
    "users": _users, "products": _products, "orders": _orders, "order_items": _order_items,
    "payments": _payments, "events": _events,
}  # fmt: skip
