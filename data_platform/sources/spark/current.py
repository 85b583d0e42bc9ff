"""The rows that a raw table holds, as Spark SQL over the parts of its batches. Pure: text out.

What a warehouse does batch by batch (``warehouses/batch.py`` has the rules) is asked here of all batches at once, so that the
plan does not grow with the chain. A row of batch *i* is there if no later batch took it away:

- a *merge* or *slice* takes every row whose key it brings, those that it marks deleted included;
- a *slice* takes every row of its days too;
- a batch that *replaces* rows together takes every row of its groups;
- an *append* takes nothing, and brings only keys that the table does not hold at that moment.

The last one makes it a walk over the batches of a key (``aggregate``); without it, and without days, the last batch of a key is
the greatest number in a window.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from data_platform.errors import SourceError
from data_platform.sources.inputs import LandedBatch, LandedTable
from data_platform.tables import NULL_SLICE, RULE_PREFIX, WHOLE_TABLE, Column, Slice, is_day

SEQ = "seq" + "_" * 61
"""The number of a row's batch, and the like below: no column of a catalog has so long a name."""
_GONE, _DAY, _DIES, _LAST, _GROUP, _ADDED = (
    name + "_" * 61 for name in ("gone", "day", "dies", "last", "group", "added")
)

_KINDS = {
    "BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint",
    "UTINYINT": "smallint", "USMALLINT": "int", "UINTEGER": "bigint", "UBIGINT": "decimal(20,0)", "FLOAT": "float",
    "DOUBLE": "double", "VARCHAR": "string", "BLOB": "binary", "DATE": "date", "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMPTZ": "timestamp", "JSON": "string",
}  # fmt: skip
_ALIASES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TEXT": "VARCHAR", "INT": "INTEGER", "BOOL": "BOOLEAN"}
_DECIMAL = re.compile(r"DECIMAL\((\d+), *(\d+)\)")
_INSTANTS = ("timestamp",)


@dataclass(frozen=True, slots=True)
class Scan:
    """Files that are read alike, each with the number of its batch; ``schema`` is what they hold, for Spark's reader."""

    view: str
    schema: str
    files: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Current:
    """The scans, as views that the runner makes with a column ``SEQ``, and the query over them. ``left_out`` are columns of
    types that Spark does not have."""

    scans: tuple[Scan, ...]
    sql: str
    left_out: tuple[str, ...] = ()


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read_as(type_: str) -> str | None:
    """Spark's type by which it reads a landed column; None for a type that it does not read."""
    kind = _ALIASES.get(type_.upper(), type_.upper())
    if kind.endswith("[]"):
        element = None if kind in ("UUID[]", "TIME[]") else read_as(kind[:-2])
        return None if element is None else f"array<{element}>"
    if match := _DECIMAL.fullmatch(kind):
        return f"decimal({match[1]},{match[2]})"
    if kind == "UUID":
        return "binary"
    if kind == "TIME":
        return "bigint"
    return "string" if kind.startswith("ENUM") else _KINDS.get(kind)


def held_as(type_: str) -> str | None:
    """Spark's type in which a job sees the column."""
    return "string" if type_.upper() in ("UUID", "TIME") else read_as(type_)


def value(column: Column) -> str:
    """The column of a scan as what a job sees: UUID and TIME as the text that every engine gives them."""
    name, kind = quoted(column.name), column.type.upper()
    if kind == "UUID":
        cuts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        pieces = (f"substr(lower(hex({name})), {start}, {length})" for start, length in cuts)
        return "concat(" + ", '-', ".join(pieces) + ")"
    if kind == "TIME":
        return f"date_format(timestamp_micros({name}), 'HH:mm:ss.SSSSSS')"
    return name


def current(landed: LandedTable, prefix: str) -> Current:
    """What ``landed`` holds. The views of its scans begin with ``prefix``.

    SourceError where Spark cannot tell its rows apart: by a column of a type that it does not have, or by groups that changed.
    """
    batches = _from_the_last_whole(landed.batches)
    last = next((one for one in reversed(batches) if one.columns), None)
    if last is None:
        raise SourceError(f"{landed.table}: nothing of it has landed. Sync it first.")
    columns = [c for c in last.columns if c.name != last.deleted and not c.name.startswith(RULE_PREFIX)]
    seen = [c for c in columns if held_as(c.type) is not None]
    left_out = tuple(c.name for c in columns if held_as(c.type) is None)
    groups = _groups(landed, batches)
    wanted = {*landed.key, *groups, *((landed.partition,) if landed.partition else ())}
    if missing := sorted(wanted - {c.name for c in seen}):
        raise SourceError(
            f"{landed.table}: its column {missing[0]}, by which its rows are told apart, is of a type that Spark does not"
            " have. Land it as text, or read the table with dbt."
        )
    scans = list(_scans(batches, prefix))
    rows = " UNION ALL ".join(_scanned(scan, of, seen) for scan, of in scans)
    sql = _standing(landed, batches, seen, rows, groups)
    return Current(tuple(scan for scan, _ in scans), sql, left_out)


def _from_the_last_whole(batches: Sequence[LandedBatch]) -> list[LandedBatch]:
    """Without those that a later batch replaced whole."""
    first = 0
    for n, batch in enumerate(batches):
        if batch.load == "replace" or (batch.load == "slice" and WHOLE_TABLE in batch.slices):
            first = n
    return list(batches[first:])


def _groups(landed: LandedTable, batches: Iterable[LandedBatch]) -> tuple[str, ...]:
    found = {batch.replaces for batch in batches if batch.files}
    if len(found) > 1:
        raise SourceError(
            f"{landed.table}: its batches replace rows by different columns, which Spark does not follow. Run `data-platform"
            f" sync --refresh {landed.table}`."
        )
    return found.pop() if found else ()


def _scans(batches: Iterable[LandedBatch], prefix: str) -> list[tuple[Scan, _Alike]]:
    """Batches whose files one reader takes: a column that one of them lacks is NULL in it, one of another type is none."""
    held: list[_Alike] = []
    for batch in (batch for batch in batches if batch.files):
        columns = {c.name: c for c in batch.columns if read_as(c.type) is not None}
        alike = next((one for one in held if one.takes(batch, columns)), None)
        if alike is None:
            held.append(alike := _Alike(batch.deleted, batch.load == "append"))
        alike.columns.update(columns)
        alike.files += [(batch.sequence, file) for file in batch.files]
    return [(one.scan(f"{prefix}_{n}"), one) for n, one in enumerate(held)]


@dataclass(slots=True)
class _Alike:
    """Batches of one scan."""

    deleted: str | None
    added: bool
    columns: dict[str, Column] = field(default_factory=dict)
    files: list[tuple[int, str]] = field(default_factory=list)

    def takes(self, batch: LandedBatch, columns: Mapping[str, Column]) -> bool:
        if (self.deleted, self.added) != (batch.deleted, batch.load == "append"):
            return False
        return all(self.columns.get(name, column).type == column.type for name, column in columns.items())

    def scan(self, view: str) -> Scan:
        schema = ", ".join(f"{quoted(name)} {read_as(column.type)}" for name, column in self.columns.items())
        return Scan(view, schema, tuple(self.files))


def _scanned(scan: Scan, of: _Alike, columns: Sequence[Column]) -> str:
    """The rows of a scan in the columns of the table, with the number of their batch and their mark."""
    listed = []
    for column in columns:
        own = of.columns.get(column.name)
        given = "NULL" if own is None else value(own)
        listed.append(f"CAST({given} AS {held_as(column.type)}) AS {quoted(column.name)}")
    gone = "false" if of.deleted is None else f"coalesce({quoted(of.deleted)}, false)"
    marks = f"{SEQ}, {gone} AS {_GONE}, {str(of.added).lower()} AS {_ADDED}"
    return f"SELECT {', '.join(listed)}, {marks} FROM {scan.view}"


def _standing(
    landed: LandedTable,
    batches: Sequence[LandedBatch],
    columns: Sequence[Column],
    rows: str,
    groups: Sequence[str],
) -> str:
    names = ", ".join(quoted(c.name) for c in columns)
    if not rows:
        nothing = ", ".join(f"CAST(NULL AS {held_as(c.type)}) AS {quoted(c.name)}" for c in columns)
        return f"SELECT {nothing} WHERE false"
    cleared = _cleared(landed, batches[1:])
    several = sum(bool(batch.files) for batch in batches) > 1
    if not several and not cleared:
        return f"SELECT {names} FROM ({rows}) WHERE NOT {_GONE}"
    appends = any(batch.load == "append" and batch.files for batch in batches)
    rows = _with_end(landed, columns, rows, cleared)
    window, alive = [], [f"NOT {_GONE}", f"{_DIES} IS NULL"]
    key = ", ".join(map(quoted, landed.key))
    if groups:
        window.append(f"max({SEQ}) OVER (PARTITION BY {', '.join(map(quoted, groups))}) AS {_GROUP}")
        alive.append(f"{_GROUP} = {SEQ}")
        if key:
            window.append(f"max(CASE WHEN NOT {_GONE} THEN {SEQ} END) OVER (PARTITION BY {key}) AS {_LAST}")
            alive.append(f"{_LAST} = {SEQ}")
    elif appends:
        window.append(f"{_walk(key)} AS {_LAST}")
        alive.append(f"{_LAST} = {SEQ}")
    elif key:
        window.append(f"max({SEQ}) OVER (PARTITION BY {key}) AS {_LAST}")
        alive.append(f"{_LAST} = {SEQ}")
    more = "".join(f", {one}" for one in window)
    return f"SELECT {names} FROM (SELECT *{more} FROM ({rows})) WHERE {' AND '.join(alive)}"


def _walk(key: str) -> str:
    """The batch whose row of a key is there after all: one that is added yields to one that is there."""
    ends = f"CASE WHEN {_GONE} THEN {SEQ} ELSE {_DIES} END"
    one = f"struct({SEQ} AS seq, {_ADDED} AS added, {ends} AS ends)"
    return (
        f"aggregate(array_sort(collect_list({one}) OVER (PARTITION BY {key})),"
        " CAST(NULL AS struct<seq: int, added: boolean, ends: int>),"
        " (there, next) -> CASE WHEN there IS NULL OR NOT next.added OR there.ends <= next.seq THEN next ELSE there END,"
        " there -> there.seq)"
    )


def _cleared(landed: LandedTable, batches: Iterable[LandedBatch]) -> dict[Slice, list[int]]:
    """By slice, the batches that took all of it away."""
    found: dict[Slice, list[int]] = {}
    for batch in batches:
        for slice_ in batch.slices if batch.load == "slice" else ():
            if slice_ != NULL_SLICE and not is_day(slice_):
                raise SourceError(
                    f"{landed.table}: its batch {batch.sequence} replaced the slice {slice_}, which is no day of Spark's. Run"
                    f" `data-platform sync --refresh {landed.table}`."
                )
            found.setdefault(slice_, []).append(batch.sequence)
    return found


def _with_end(
    landed: LandedTable, columns: Collection[Column], rows: str, cleared: dict[Slice, list[int]]
) -> str:
    """``rows``, each with the first later batch that took its day away."""
    if not cleared:
        return f"SELECT *, CAST(NULL AS int) AS {_DIES} FROM ({rows})"
    day = _day(next(c for c in columns if c.name == landed.partition), landed.timezone)
    values = ", ".join(
        f"({_date(slice_)}, array({', '.join(map(str, batches))}))" for slice_, batches in cleared.items()
    )
    return (
        f"SELECT r.*, array_min(filter(c.batches, one -> one > r.{SEQ})) AS {_DIES}"
        f" FROM (SELECT *, {day} AS {_DAY} FROM ({rows})) r"
        f" LEFT JOIN (SELECT * FROM VALUES {values} AS c(day, batches)) c ON r.{_DAY} <=> c.day"
    )


def _day(partition: Column, timezone: str) -> str:
    """As ``duckdb_sql.duckdb_day``. Spark's session is in UTC."""
    name = quoted(partition.name)
    if held_as(partition.type) in _INSTANTS:
        return f"CAST(from_utc_timestamp({name}, {text(timezone)}) AS date)"
    return f"CAST({name} AS date)"


def _date(slice_: Slice) -> str:
    return "CAST(NULL AS date)" if slice_ == NULL_SLICE else f"CAST({text(slice_)} AS date)"


def only_days(partition: Column, timezone: str, slices: Iterable[Slice]) -> str:
    """The condition that a row is of one of ``slices``."""
    day = _day(partition, timezone)
    return " OR ".join(f"{day} <=> {_date(slice_)}" for slice_ in slices)
