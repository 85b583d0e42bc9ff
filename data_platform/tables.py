"""The words every layer shares: a table, its columns, its slices, how far it was read.

Only frozen values and pure functions belong here; nothing that connects, reads
a file or knows a dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NewType

BATCH_ID = "_batch_id"
LOADED_AT = "_loaded_at"
SOURCE_XMIN = "_source_xmin"
RULE_PREFIX = "_rule_"
"""A rule on a treated personal column lands as the boolean ``_rule_<name>``."""

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
"""What JSON can hold."""

Treatment = Literal["hash", "mask", "seal", "redact", "keep"]
"""How a value lands."""
Declared = Literal["hash", "mask", "seal", "redact", "keep", "not_personal"]
"""What the catalog says of a value: how it lands, or that only its name looks personal. Then it lands as it is."""
NOT_PERSONAL: Literal["not_personal"] = "not_personal"


def landed_as(declared: Declared) -> Treatment:
    return "keep" if declared == "not_personal" else declared


PersonalClass = Literal["personal", "pseudonymous", "sealed", "masked"]
"""What a landed value holds of a person, the strongest first (``privacy/classes.py``)."""
Strategy = Literal["merge", "append", "replace"]
Operation = Literal["refresh", "changes", "slice"]
"""What was read: the whole table, what changed in it, or some of its slices."""
Load = Literal["replace", "merge", "append", "slice"]
"""What loading does: swap the table; delete by key and insert; insert absent
keys only; delete by slice or key and insert."""

Slice = NewType("Slice", str)
"""An ISO day (``2026-01-31``) of the partition column in the table's time zone,
``null`` where that column is NULL, or ``all`` in a table without one."""
NULL_SLICE = Slice("null")
WHOLE_TABLE = Slice("all")


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table as the catalog names it: ``shop/orders``."""

    source: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TableId:
        source, _, table = text.partition("/")
        if not source or not table or "/" in table:
            raise ValueError(f"{text!r} is not of the form source/table")
        return cls(source, table)

    def __str__(self) -> str:
        return f"{self.source}/{self.table}"

    @property
    def raw_schema(self) -> str:
        return f"raw_{self.source}"

    @property
    def raw_name(self) -> str:
        return f"{self.raw_schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class Column:
    """One landed column. ``type`` is the DuckDB type of the Parquet column, the
    platform's common type language; ``source_type`` is what the source calls it."""

    name: str
    type: str
    source_type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a slice holds, comparable across engines.

    ``checksum`` is the sum modulo 2**64 over the rows of the first 15 hex digits
    of ``md5(key columns joined by U+001F, then U+001F and _source_xmin)``. Keys
    are in their text form; times are integer microseconds since 1970 in UTC; a
    table without key or xmin leaves the missing piece empty.
    """

    rows: int
    checksum: int


CHECKSUM_MODULUS = 2**64


@dataclass(frozen=True, slots=True)
class Tally:
    """What a slice holds, counted cheaply: its rows, and the sum modulo 2**32 of their 32-bit
    ``xmin`` (0 where rows have none).

    It is proof enough between two snapshots of one table. A row older than the watermark was read
    before at that very version, so such rows can only have gone since: as many rows of the same
    versions are the same rows.
    """

    rows: int
    versions: int


VERSIONS_MODULUS = 2**32


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where a table was read, in its source's own words.

    ``value`` is understood by that source alone: nobody else compares or computes with it. It means something on
    the ``system`` it is of (``Snapshot.system``) and on no other. ``text`` is for people.
    """

    system: str
    value: Mapping[str, Json]
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """As of when a source was read. ``system`` names the one instance of it that was (a cluster, its database and
    timeline; an account): another one is read whole. ``text`` is the source's own name of the instant, and
    ``taken_at`` its clock then, ISO UTC."""

    system: str
    text: str
    taken_at: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table's rows are told apart: by ``key``, into the slices of ``partition`` (days in ``timezone``),
    and by ``version``, the landed column that says which version of a row one is. None where there is no such
    column."""

    key: tuple[str, ...]
    partition: str | None
    timezone: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What the catalog and the source make of a table: its landed columns and how they are keyed."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str | None
    timezone: str


def days_between(first: date, last: date) -> list[Slice]:
    """The days from ``first`` to ``last``, both included."""
    return [Slice((first + timedelta(days=n)).isoformat()) for n in range((last - first).days + 1)]


def is_day(slice_: str) -> bool:
    """Whether a slice is a calendar day a partition can stand for (infinity and years BC are not)."""
    try:
        date.fromisoformat(slice_)
    except ValueError:
        return False
    return True


def day_runs(slices: list[Slice]) -> list[tuple[date, date]]:
    """The days among ``slices`` as inclusive runs of consecutive days, in order."""
    runs: list[tuple[date, date]] = []
    for day in sorted({date.fromisoformat(s) for s in slices if is_day(s)}):
        if runs and runs[-1][1] + timedelta(days=1) == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs
