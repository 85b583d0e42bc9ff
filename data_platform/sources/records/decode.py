"""From the JSON texts of records to columns, with what was seen in them.

A *chunk* is some ten thousand records as one Arrow table. Each column has the form in which Arrow holds all its values
exactly: ``int``, ``double``, ``bool``, ``text`` (strings as they are) or ``json`` (each value's own JSON text). What type
it lands as is decided when the step is complete; ``select.py`` knows how one becomes the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from data_platform.sources.records.keys import GONE, RECORD, VALUE, RecordSettings
from data_platform.sources.records.paths import Paths
from data_platform.sources.records.types import Values
from data_platform.sources.records.uncollected import uncollected
from data_platform.sources.rejected import Rejected

if TYPE_CHECKING:
    import pyarrow as pa

Form = Literal["int", "double", "bool", "text", "json"]
SURE_LENGTH = 17
"""A number written in fewer characters has at most 15 digits: a double holds it exactly."""
BLOCK = 250
ORIGIN, ORDER = "_origin", "_order"
_BIGINT, _IN_DOUBLE = 2**63, 2**53
_EXACT = ("text", "json", "decimal")
"""Declared words whose values are taken from the number as it is written."""


@dataclass
class Chunk:
    """``forms`` and ``values`` by field, in the order in which they were met. The table has a column for each field
    under ``f<n>``, and ``RECORD``, ``GONE``, ``ORIGIN``, ``ORDER``."""

    table: pa.Table
    forms: Mapping[str, Form]
    values: Mapping[str, Values]

    @property
    def names(self) -> Mapping[str, str]:
        return {name: f"f{n}" for n, name in enumerate(self.forms)}


@dataclass
class Batch:
    """Records on their way into a chunk: their texts, whether each names a key that is gone, and their origins. Of two
    with one key the one of the higher ``orders`` holds; elements of one array have that of their parent. Of a child
    table also the parents' keys and the positions, which become fields."""

    records: list[bytes] = field(default_factory=list)
    gone: list[bool] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    beside: dict[str, list[Any]] = field(default_factory=dict)
    size: int = 0

    def __len__(self) -> int:
        return len(self.records)

    def add(
        self,
        records: Sequence[bytes],
        origin: str | Sequence[str],
        orders: Iterable[int],
        gone: Iterable[bool],
    ) -> None:
        self.records += records
        self.gone += gone
        self.origins += [origin] * len(records) if isinstance(origin, str) else origin
        self.orders += orders
        self.size += sum(map(len, records))


def _number(text: str) -> float | Decimal:
    """The double that is the number ``text``; the number itself where there is none."""
    value = float(text)
    if len(text) < SURE_LENGTH and 1e-290 < abs(value) < 1e290:
        return value
    exact = Decimal(text)
    return value if isfinite(value) and Decimal(repr(value)) == exact else exact


_VALUE = msgspec.json.Decoder(float_hook=_number)
_PLAIN = msgspec.json.Decoder()
_DIGITS = bytes.maketrans(b"123456789.", b"0" * 10)
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder(decimal_format="number")
decode: Callable[[bytes], Any] = _VALUE.decode
"""The value of a JSON text. Integers and fractions are exact: what no double holds is a Decimal."""


def _decoder(records: Sequence[bytes]) -> Callable[[bytes], Any]:
    """The quickest that is exact: where no number is long or has an exponent, every fraction is a double."""
    text = b"".join(records).translate(_DIGITS)
    if b"0" * SURE_LENGTH in text or b"0e" in text or b"0E" in text:
        return decode
    return _PLAIN.decode


def make_chunk(
    batch: Batch, settings: RecordSettings, types: Mapping[str, str], paths: Paths
) -> tuple[Chunk | None, list[Rejected]]:
    """The chunk of the records of ``batch`` that are objects, and the others. ``types`` are the declared words;
    ``paths`` takes what is within documents."""
    with uncollected():
        return _make_chunk(batch, settings, types, paths)


def _make_chunk(
    batch: Batch, settings: RecordSettings, types: Mapping[str, str], paths: Paths
) -> tuple[Chunk | None, list[Rejected]]:
    objects, rejected = _objects(batch, bare=settings.parent is not None)
    if not objects:
        return None, rejected
    kept = [n for n, _ in objects] if rejected else range(len(batch))
    rows = [row for _, row in objects]
    raws = [batch.records[n] for n in kept]
    beside = {name: [values[n] for n in kept] for name, values in batch.beside.items()}
    columns: dict[str, list[Any]] = {
        **beside,
        **{name: _column(rows, name) for name in dict.fromkeys(chain.from_iterable(rows))},
        **{name: [_within(row, path) for row in rows] for name, path in settings.fields.items()},
        **beside,  # a field that has the name of one is told by the record alone
    }
    texts = _Texts(raws, settings)
    arrays, forms, values = {}, {}, {}
    for name, column in columns.items():
        seen = _seen(column)
        if seen & Values.DOCUMENT and name not in settings.fields:
            paths.add(name, column)
        if seen == Values.NONE and name not in types:
            continue
        form = _form(seen, types.get(name, ""))
        values[name], forms[name] = seen, form
        if form == "json":
            column = _encoded(column) if name in batch.beside else texts(name, column)
        arrays[f"f{len(forms) - 1}"] = _array(form, column)
    import pyarrow as pa

    table = pa.table(
        {
            **arrays,
            RECORD: pa.array(raws, pa.string()),
            GONE: pa.array([batch.gone[n] for n in kept], pa.bool_()),
            ORIGIN: pa.array([batch.origins[n] for n in kept], pa.string()).dictionary_encode(),
            ORDER: pa.array([batch.orders[n] for n in kept], pa.int64()),
        }
    )
    return Chunk(table, forms, values), rejected


def _objects(batch: Batch, *, bare: bool) -> tuple[list[tuple[int, dict[str, Any]]], list[Rejected]]:
    """The records that are objects, with their positions. ``bare``: another value is the object of one field."""
    try:
        decoded: Iterable[Any] = _decoded(batch.records)
        broken: dict[int, str] = {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        decoded, broken = _one_by_one(batch.records)
    objects, rejected = [], []
    for n, value in enumerate(decoded):
        if n in broken:
            rejected.append(Rejected(broken[n], batch.origins[n], batch.records[n]))
        elif isinstance(value, dict):
            objects.append((n, value))
        elif bare:
            objects.append((n, {VALUE: value}))
        else:
            rejected.append(Rejected("it is no JSON object", batch.origins[n], batch.records[n]))
    return objects, rejected


def _decoded(records: Sequence[bytes]) -> list[Any]:
    """A record with a long number, or one with an exponent, makes the others of its block slower, not all."""
    values: list[Any] = []
    for at in range(0, len(records), BLOCK):
        block = records[at : at + BLOCK]
        values += map(_decoder(block), block)
    return values


def _column(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _one_by_one(records: Sequence[bytes]) -> tuple[list[Any], dict[int, str]]:
    decoded, broken = [], {}
    for n, record in enumerate(records):
        try:
            decoded.append(decode(record))
        except (msgspec.DecodeError, ValueError, RecursionError):
            decoded.append(None)
            broken[n] = "it is no JSON"
    return decoded, broken


def _within(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class _Texts:
    """The JSON texts of single values, as they are written in their records."""

    def __init__(self, records: Sequence[bytes], settings: RecordSettings) -> None:
        self._records, self._settings = records, settings
        self._fields: list[Mapping[str, Any]] | None = None

    def __call__(self, name: str, column: Sequence[Any]) -> list[str | None]:
        if self._fields is None:
            self._fields = list(map(_raw_fields, self._records))
        path = self._settings.fields.get(name, (name,))
        return [
            None if value is None else _raw_within(fields, path)
            for fields, value in zip(self._fields, column, strict=True)
        ]


def _encoded(column: Sequence[Any]) -> list[str | None]:
    """The JSON texts of values that are not in the record itself."""
    return [None if value is None else _ENCODER.encode(value).decode() for value in column]


def _raw_fields(record: bytes) -> Mapping[str, Any]:
    if record.lstrip().startswith(b"{"):
        return _RAW.decode(record)
    return {VALUE: record}


def _raw_within(fields: Mapping[str, Any], path: Sequence[str]) -> str:
    raw = fields[path[0]]
    for key in path[1:]:
        raw = _RAW.decode(raw)[key]
    return str(raw, "utf-8").strip()


def _seen(column: Sequence[Any]) -> Values:
    seen = Values.NONE
    kinds = set(map(type, column))
    if int in kinds:
        integers = column if kinds == {int} else [v for v in column if type(v) is int]
        low, high = min(integers), max(integers)
        seen |= Values.SMALL
        if low < -_IN_DOUBLE or high > _IN_DOUBLE:
            seen |= Values.BIGINT
        if low < -_BIGINT or high >= _BIGINT:
            seen |= Values.LONG if low > -(10**38) and high < 10**38 else Values.NUMBER
    if float in kinds:
        seen |= Values.DOUBLE
    if Decimal in kinds:
        for value in column:
            if type(value) is Decimal:
                seen |= _fraction(value)
    if str in kinds:
        seen |= Values.TEXT
    if bool in kinds:
        seen |= Values.BOOL
    if dict in kinds or list in kinds:
        seen |= Values.DOCUMENT
    return seen


def _fraction(value: Decimal) -> Values:
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    fits = exponent >= -18 and len(digits) + exponent <= 20
    return Values.FRACTION if fits else Values.NUMBER


def _form(seen: Values, declared: str) -> Form:
    exact = declared.startswith(_EXACT)
    if seen in (Values.TEXT, Values.NONE):
        return "json" if declared == "json" else "text"
    if seen == Values.BOOL and not exact:
        return "bool"
    if not seen & ~(Values.SMALL | Values.BIGINT):
        return "int"
    if not seen & ~(Values.SMALL | Values.DOUBLE) and not exact:
        return "double"
    return "json"


def _array(form: Form, column: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    types = {"int": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    return pa.array(column, types.get(form, pa.string()))
