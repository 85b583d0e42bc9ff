"""Small batches for tests: a chain of manifests of one table and their Parquet parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from data_platform.landing.manifest import Manifest, Part
from data_platform.sql import literal, quoted
from data_platform.tables import SOURCE_XMIN, Column, Layout, Load, Position, Slice, Snapshot, TableId

TABLE = TableId("shop", "orders")
COLUMNS = (
    Column("id", "BIGINT", "bigint", nullable=False),
    Column("at", "TIMESTAMPTZ", "timestamp with time zone"),
    Column("note", "VARCHAR", "text"),
    Column("_source_xmin", "BIGINT", "xid8"),
)
SNAPSHOT = Snapshot("7000000000000000001/5@1", "750:750:", "2026-01-10T00:00:00+00:00")
LAYOUT = Layout(("id",), "at", "UTC", "_source_xmin")
COMMITTED_AT = "2026-01-10T00:00:01.250000+00:00"
GONE = (*COLUMNS, Column("gone", "BOOLEAN", "boolean"))
MARKED: dict[str, Any] = {"columns": GONE, "deleted": "gone"}
"""Of a batch whose last column tells which rows were deleted."""
RULED = [
    (1, "2026-01-01", "a@b", 10),
    (2, "2026-01-02", "", 20),
    (3, None, None, 30),
    (4, "2026-01-03", "it's 5%", 40),
]
"""Rows for the rules."""

_engine = duckdb.connect(config={"threads": 1})
_engine.execute("SET GLOBAL TimeZone = 'UTC'")  # of every cursor: threads have their own


def write_part(path: Path, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Path:
    """``rows`` as one Parquet file; every value stands as text and is cast to its column's type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    types = ", ".join(f"c{n}::{c.type} AS {quoted(c.name)}" for n, c in enumerate(columns))
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    written = [f"({', '.join('NULL' if v is None else literal(str(v)) for v in row)})" for row in rows]
    values = (
        f"VALUES {', '.join(written)}" if rows else f"SELECT {', '.join(['NULL'] * len(columns))} WHERE false"
    )
    _engine.execute(
        f"COPY (SELECT {types} FROM ({values}) t({names})) TO {literal(str(path))} (FORMAT parquet)"
    )
    return path


def part_of(path: Path, key: str, rows: int) -> Part:
    data = path.read_bytes()
    return Part(key, rows, len(data), hashlib.sha256(data).hexdigest())


def position(number: int) -> Position:
    return Position("7000000000000000001/5@1", {"at": number}, f"at {number}")


def manifest(sequence: int, load: Load = "merge", rows: int = 0, **changes: Any) -> Manifest:
    """A plausible manifest of ``TABLE``, not sealed."""
    settings: dict[str, Any] = {
        "table": TABLE,
        "sequence": sequence,
        "operation": {"replace": "refresh", "slice": "slice"}.get(load, "changes"),
        "load": load,
        "key": ("id",),
        "partition": "at",
        "timezone": "UTC",
        "slices": (),
        "snapshot": SNAPSHOT,
        "position_before": None,
        "position_after": None,
        "columns": COLUMNS,
        "parts": (),
        "rows": rows,
        "touched": {},
        "fingerprints": {},
        "measured_whole": False,
        "committed_at": COMMITTED_AT,
        "nonce": f"{sequence:08x}" * 4,
        "previous": None,
    }
    made = settings | changes
    versioned = any(column.name == SOURCE_XMIN for column in made["columns"])
    return Manifest(**({"version": SOURCE_XMIN if versioned else None} | made))


class Chain:
    """Batches in order, each following the one before; parts go below ``folder``."""

    def __init__(self, folder: Path, **always: Any) -> None:
        self.folder = folder
        self.always = always
        self.sequence = 0
        self.digest: str | None = None

    def next(
        self,
        load: Load,
        rows: Sequence[Sequence[Any]],
        slices: Sequence[str] = (),
        promised: int | None = None,
        **changes: Any,
    ) -> tuple[Manifest, list[Path]]:
        """The next batch; its manifest says ``promised`` rows where that is given."""
        self.sequence += 1
        settings = (
            {"slices": tuple(Slice(s) for s in slices), "previous": self.digest} | self.always | changes
        )
        made = manifest(self.sequence, load, len(rows) if promised is None else promised, **settings).sealed()
        self.digest = made.digest
        path = self.folder / f"{self.sequence}.parquet"
        return made, [write_part(path, made.columns, rows)]
