"""Small tables of the platform's own that people open: failing rows, metrics, verdicts. Those about checks are in the schema ``quality``.

A module that keeps something declares a ``JournalTable``; ``keep`` writes rows and ``read`` reads them, in every engine. The
table is made at the first writing, and a column that a later version declares is added to it. What is kept here describes
the data and is no part of it: a rebuilt warehouse begins without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from data_platform.tables import Column
from data_platform.warehouses import Warehouse
from data_platform.warehouses.counted import count_rows
from data_platform.warehouses.dialect import Dialect, relation

JOURNAL_SCHEMA = "quality"
GOVERNANCE_SCHEMA = "governance"
TEXT_MAX = 16_000
"""Characters of a text; a longer one is cut and ends in an ellipsis. The smallest limit of an engine is 65,535 bytes."""
TRANSACTION_MAX = 500_000
"""Characters of the values of a transaction: no engine takes less than 1 MB in one request."""

Kind = Literal["text", "bigint", "double", "timestamp"]
Value = str | int | float | datetime | None
Row = Mapping[str, Value]
Where = Mapping[str, str | Sequence[str]]
"""By text column, its value, or several of which one must match."""

_LANDED: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "timestamp": "TIMESTAMPTZ",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class JournalTable:
    """A table of the schema ``quality``, or of another of the platform's own. Names are lower-case letters and ``_``, and reserved words of no engine."""

    name: str
    columns: Mapping[str, Kind]
    schema: str = JOURNAL_SCHEMA

    @property
    def landed(self) -> tuple[Column, ...]:
        """The columns with the types that ``Dialect.type`` knows."""
        return tuple(Column(name, _LANDED[kind], "") for name, kind in self.columns.items())

    def missing(self, held: Mapping[str, str]) -> list[Column]:
        """The columns that a table with the columns ``held`` lacks."""
        return [column for column in self.landed if column.name not in held]


def keep(
    warehouse: Warehouse, table: JournalTable, rows: Sequence[Row], *, replacing: Where | None = None
) -> None:
    """Add ``rows``, in one transaction with the removal of the rows that match ``replacing``.

    Of two that replace the same rows at once, the later one removes what the earlier one added. A column that a row leaves out is NULL; a ``datetime`` has a zone. An answer of the engine may be lost after the commit, and the
    work is then done again: give ``replacing`` where a row must not be there twice. Values of more than
    ``TRANSACTION_MAX`` characters are written in several transactions, the removal in the first one.
    ``ValueError`` for a value that does not fit its column; ``WarehouseError`` of the engine.
    """
    dialect = warehouse.dialect
    target = relation(dialect, table.schema, table.name)
    names = ", ".join(map(dialect.quote, table.columns))
    work = [[f"INSERT INTO {target} ({names}) VALUES {values}"] for values in _packed(dialect, table, rows)]
    # only where nothing is added may it be asked before: between question and transaction another may add its rows
    if replacing is not None and (work or _holds(warehouse, table, replacing)):
        delete = f"DELETE FROM {target} WHERE {_condition(dialect, replacing)}"
        work = [[delete, *work[0]], *work[1:]] if work else [[delete]]
    for statements in work:
        warehouse.keep(table, statements)


def read(
    warehouse: Warehouse,
    table: JournalTable,
    where: Where | None = None,
    *,
    order: Sequence[str] = (),
    limit: int | None = None,
) -> list[dict[str, Value]]:
    """The rows that match ``where``, ordered by the columns ``order``; instants are in UTC. Empty if nothing was kept yet."""
    dialect = warehouse.dialect
    held = _columns(warehouse, table)
    known = {name: kind for name, kind in table.columns.items() if name in held}
    if not known or any(name not in known for name in where or {}):
        return []
    shown = [
        dialect.micros(dialect.quote(name)) if kind == "timestamp" else dialect.quote(name)
        for name, kind in known.items()
    ]
    query = f"SELECT {', '.join(shown)} FROM {relation(dialect, table.schema, table.name)}"
    if where:
        query += f" WHERE {_condition(dialect, where)}"
    if order:
        query += f" ORDER BY {', '.join(map(dialect.quote, order))}"
    if limit is not None:
        query += f" LIMIT {int(limit)}"
    nothing: dict[str, Value] = dict.fromkeys(table.columns)
    return [
        nothing | {name: _read(kind, value) for (name, kind), value in zip(known.items(), row, strict=True)}
        for row in warehouse.query(query).rows
    ]


def _read(kind: Kind, value: object) -> Value:
    if value is None:
        return None
    if kind == "timestamp":
        return _EPOCH + timedelta(microseconds=int(str(value)))
    if kind == "text":
        return str(value)
    return int(str(value)) if kind == "bigint" else float(str(value))


def _packed(dialect: Dialect, table: JournalTable, rows: Sequence[Row]) -> Iterator[str]:
    """The rows as what follows VALUES, cut where a transaction would be too long."""
    pack: list[str] = []
    size = 0
    for row in rows:
        if unknown := sorted(set(row) - set(table.columns)):
            raise ValueError(f"{table.name} has no column {', '.join(unknown)}")
        values = [_value(dialect, name, kind, row.get(name)) for name, kind in table.columns.items()]
        text = f"({', '.join(values)})"
        if pack and size + len(text) > TRANSACTION_MAX:
            yield ", ".join(pack)
            pack, size = [], 0
        pack.append(text)
        size += len(text)
    if pack:
        yield ", ".join(pack)


def _value(dialect: Dialect, name: str, kind: Kind, value: Value) -> str:
    if value is None:
        return f"CAST(NULL AS {dialect.type(_LANDED[kind])})"
    if kind == "text" and isinstance(value, str):
        text = value.replace("\0", "\ufffd")  # PostgreSQL's family has no such character
        return dialect.literal(text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…")
    if kind == "timestamp" and isinstance(value, datetime) and value.tzinfo is not None:
        return dialect.instant(value.astimezone(UTC).isoformat())
    if kind == "bigint" and isinstance(value, int) and -(2**63) <= value < 2**63:
        return str(int(value))
    if kind == "double" and isinstance(value, int | float) and math.isfinite(value):
        return dialect.number(repr(float(value)))
    raise ValueError(f"the column {name} is a {kind}, and the value given for it is none")


def _condition(dialect: Dialect, where: Where) -> str:
    met = []
    for name, wanted in where.items():
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        if not values:
            return "1 = 0"
        met.append(f"{dialect.quote(name)} IN ({', '.join(map(dialect.literal, values))})")
    return " AND ".join(met) or "1 = 1"


def _columns(warehouse: Warehouse, table: JournalTable) -> Mapping[str, str]:
    found = warehouse.describe(table.schema, table.name)
    return dict(found[0].columns) if found else {}


def _holds(warehouse: Warehouse, table: JournalTable, where: Where) -> bool:
    """Whether a row matches."""
    held = _columns(warehouse, table)
    if any(name not in held for name in where) or not held:
        return False
    return bool(count_rows(warehouse, table.schema, table.name, _condition(warehouse.dialect, where)))
