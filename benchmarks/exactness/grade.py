"""What a target holds against what the source holds, and the words for it. Knows no tool.

The comparison is generous to the target: only values count, never their types (the number 5
equals the text '5'), a time without a zone is taken as UTC, and extra columns are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg

KEY = "order_id"

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Contents:
    """A table as it stands: its columns, and its rows by key (more than one is a duplicate)."""

    columns: tuple[str, ...] = ()
    rows: Mapping[str | None, Sequence[Row]] = field(default_factory=dict)


def contents(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Contents:
    found: dict[str | None, list[Row]] = {}
    for values in rows:
        row = dict(zip(columns, map(canonical, values), strict=True))
        found.setdefault(row.get(KEY), []).append(row)
    return Contents(tuple(columns), found)


def canonical(value: Any) -> str | None:
    """One text for values that are equal, whatever type carries them."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value))
        return f"{number.normalize():f}" if number.is_finite() else str(number)
    return str(value)


def read_postgres(url: str, table: str) -> Contents:
    """All of a PostgreSQL table; empty when it is not there."""
    with psycopg.connect(url) as connection:
        try:
            cursor = connection.execute(f"select * from {table}".encode())
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return Contents()
        return contents([column.name for column in cursor.description or ()], cursor.fetchall())


def read_duckdb(path: Path, table: str) -> Contents:
    """All of a DuckDB table; empty when it is not there."""
    if not path.exists():
        return Contents()
    with duckdb.connect(str(path), read_only=True) as connection:
        try:
            cursor = connection.execute(f"select * from {table}")
        except duckdb.CatalogException:
            return Contents()
        return contents([column[0] for column in cursor.description or ()], cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of the target that are wrong, by how; ``new``, ``changed``, ``deleted`` and ``standing``
    are how many rows the case brought, changed and took away, and how many stood before."""

    lost_new: int
    lost_old: int
    stale: int
    left: int
    duplicated: int
    missing_columns: tuple[str, ...]
    new: int
    changed: int
    deleted: int
    standing: int

    @property
    def nothing(self) -> bool:
        wrong = self.lost_new, self.lost_old, self.stale, self.left, self.duplicated
        return not any(wrong) and not self.missing_columns

    def __str__(self) -> str:
        parts = [f"no column {name}" for name in self.missing_columns]
        parts += [f"lost {_of(self.lost_new, self.new, 'new row')}"] if self.lost_new else []
        parts += [f"lost {_of(self.lost_old, self.standing, 'standing row')}"] if self.lost_old else []
        stale = self.stale > self.changed  # rows that the case left alone are wrong too
        noun, whole = ("row", self.standing) if stale else ("changed row", self.changed)
        parts += [f"stale {_of(self.stale, whole, noun)}"] if self.stale else []
        parts += [f"left {_of(self.left, self.deleted, 'deleted row')}"] if self.left else []
        parts += [f"duplicated {_of(self.duplicated, self.standing + self.new, 'row')}"] * bool(
            self.duplicated
        )
        return ", ".join(parts) or "kept"


def compare(before: Contents, after: Contents, target: Contents) -> Difference:
    """``before`` and ``after`` are the source as it was last synced and as it is now."""
    old, new = before.rows.keys(), after.rows.keys()
    held = target.rows.keys()
    missing = tuple(c for c in after.columns if c not in target.columns) if target.columns else ()
    compared = [column for column in after.columns if column not in missing]

    def differs(key: str | None) -> bool:
        (row,) = after.rows[key]
        return any(any(copy[c] != row[c] for c in compared) for copy in target.rows[key])

    return Difference(
        lost_new=len(new - old - held),
        lost_old=len((new & old) - held),
        stale=sum(differs(key) for key in new & held),
        left=len(held - new),
        duplicated=sum(len(target.rows[key]) > 1 for key in held),
        missing_columns=missing,
        new=len(new - old),
        changed=sum(before.rows[key] != after.rows[key] for key in new & old),
        deleted=len(old - new),
        standing=len(old),
    )


def same(left: Contents, right: Contents) -> bool:
    """Whether the target ``right`` holds exactly ``left``."""
    return compare(left, left, right).nothing


def _of(count: int, whole: int, noun: str) -> str:
    return f"{count:,} of {whole:,} {noun}{'' if whole == 1 else 's'}"
