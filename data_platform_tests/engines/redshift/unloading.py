"""UNLOAD of the stand-in: rows as PostgreSQL sends them in COPY's binary form, as Parquet files and a manifest in S3.

It writes two files, as two slices of a cluster would, and neither a file nor a manifest for no row. It refuses what UNLOAD
would: a folder that is not empty, and types whose form in a file the platform does not rely on.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import struct
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

UNLOAD = re.compile(
    r"UNLOAD \('(?P<query>(?:[^']|'')*)'\) TO '(?P<to>s3://[^']+)' IAM_ROLE (?:default|'(?P<role>[^']+)')"
    r" FORMAT AS PARQUET MANIFEST VERBOSE",
    re.I | re.S,
)
_SIMPLE = {16: pa.bool_(), 17: pa.binary(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 25: pa.string()} | {
    700: pa.float32(), 701: pa.float64(), 1043: pa.string(), 1082: pa.date32()
}  # fmt: skip
_NUMBERS = {16: "!?", 20: "!q", 21: "!h", 23: "!i", 700: "!f", 701: "!d"}
_DIGITS = Context(prec=60)
_FIRST_DAY = datetime.date(2000, 1, 1)


class Unwritable(Exception):
    """UNLOAD would not write this."""


def described(body: bytes) -> list[tuple[str, int, int]]:
    """Name, type and its modifier of each column, of PostgreSQL's description of rows."""
    (count,), at, found = struct.unpack("!h", body[:2]), 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        oid, _size, modifier = struct.unpack("!ihi", body[end + 7 : end + 17])
        found.append((body[at:end].decode(), oid, modifier))
        at = end + 19
    return found


def unload(s3: Any, to: str, columns: Sequence[tuple[str, int, int]], data: bytes) -> None:
    bucket, _, prefix = to.removeprefix("s3://").partition("/")
    if s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("KeyCount"):
        raise Unwritable(
            "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix"
        )
    schema = pa.schema([(name.lower(), _type(name, oid, modifier)) for name, oid, modifier in columns])
    rows = list(_rows(data, columns))
    entries = []
    for number, part in enumerate((rows[::2], rows[1::2])):
        if not part:
            continue
        values = [pa.array([row[n] for row in part], field.type) for n, field in enumerate(schema)]
        file = io.BytesIO()
        pq.write_table(pa.table(values, schema), file, compression="snappy")
        key = f"{prefix}{number:04}_part_00.parquet"
        s3.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
        meta = {"content_length": len(file.getvalue()), "record_count": len(part)}
        entries.append({"url": f"s3://{bucket}/{key}", "meta": meta})
    if entries:
        s3.put_object(Bucket=bucket, Key=f"{prefix}manifest", Body=json.dumps({"entries": entries}).encode())


def _type(name: str, oid: int, modifier: int) -> pa.DataType:
    if oid == 1700 and modifier >= 4:
        return pa.decimal128((modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0xFFFF)
    if oid not in _SIMPLE:
        raise Unwritable(f"UNLOAD of {name}: how a type {oid} is written to Parquet is not relied on")
    return _SIMPLE[oid]


def _rows(data: bytes, columns: Sequence[tuple[str, int, int]]) -> Iterator[list[Any]]:
    at = 19  # the signature, flags, and the length of what follows them
    while (count := struct.unpack("!h", data[at : at + 2])[0]) >= 0:
        at += 2
        row = []
        for _, oid, _modifier in columns[:count]:
            (length,) = struct.unpack("!i", data[at : at + 4])
            at += 4
            row.append(None if length < 0 else _value(oid, data[at : at + length]))
            at += max(length, 0)
        yield row


def _value(oid: int, data: bytes) -> Any:
    if oid in _NUMBERS:
        return struct.unpack(_NUMBERS[oid], data)[0]
    if oid == 17:
        return data
    if oid == 1082:
        return _FIRST_DAY + datetime.timedelta(days=struct.unpack("!i", data)[0])
    if oid == 1700:
        return _decimal(data)
    return data.decode()


def _decimal(data: bytes) -> Decimal:
    count, weight, sign, scale = struct.unpack("!hhHh", data[:8])
    total = Decimal(0)
    for n, digit in enumerate(struct.unpack(f"!{count}h", data[8:])):
        total = _DIGITS.add(total, _DIGITS.multiply(Decimal(digit), Decimal(10) ** (4 * (weight - n))))
    return _DIGITS.quantize(_DIGITS.minus(total) if sign == 0x4000 else total, Decimal(1).scaleb(-scale))
