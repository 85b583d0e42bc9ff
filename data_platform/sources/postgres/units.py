"""How a relation that is read whole is cut into units of work: ranges of ctid, by the bytes they hold.

Long values are stored beside the heap (TOAST), compressed, and the heap's pages say nothing of them. So the
bytes of both count, and where there are many beside the heap, some rows tell how long they are as text. The
engine takes 2,048 rows at a time: where so many do not fit into a reader's memory, a unit has fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from data_platform.sources.postgres.introspect import Leaf, Relation, SourceColumn
from data_platform.sources.postgres.rows import filtered, from_clause, place_of
from data_platform.sources.postgres.types import qualified, quote

PAGE_BYTES = 8192
UNIT_BYTES = 16_384 * PAGE_BYTES
"""128 MB as stored: a unit is large enough to make its start-up (about 30 ms) vanish and
small enough that two readers finish close together and a part stays handy."""
ENGINE_ROWS = 2048
ENGINE_BYTES_MAX = 24 * 2**20
"""What so many rows may have as text: a reader holds them some four times over while it writes them."""
LONG_UNIT_BYTES = 16 * 2**20
"""As text, of a unit whose rows are longer than that: with a margin, since lengths are estimated."""
ASKED_FROM_BYTES = 16 * 2**20
"""Beside the heap. A table with less is read within a second, however it is cut."""
PAGE_ROWS_MAX = 291
"""The most that a page has room for."""
SAMPLE_ROWS, SAMPLE_BYTES = 32, 16 * 2**20
UNKNOWN_GROWTH = 4.0
"""How much longer values are as text than as stored, where that could not be asked."""

_SHORT = frozenset(
    "bool int2 int4 int8 float4 float8 oid date time timetz timestamp timestamptz interval uuid numeric money"
    " name xid xid8 tid pg_lsn macaddr macaddr8".split()
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One part to read: the FROM clause's relation and a predicate, in server SQL; and the table that ``relation`` reads."""

    relation: str
    predicate: str
    table: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Of some rows of a relation, all together: bytes of their long columns as text, and as stored."""

    rows: int
    text: int
    stored: int

    @property
    def growth(self) -> float:
        return max(1.0, self.text / self.stored) if self.stored else UNKNOWN_GROWTH


NOTHING_KNOWN = Sample(0, 0, 0)


def sample_question(relation: Relation, columns: Sequence[SourceColumn]) -> str | None:
    """Asks for a ``Sample`` of rows from all over the largest leaf, found by their places. None where little
    is stored beside the heap."""
    leaf = max(relation.leaves, key=lambda leaf: leaf.toast_bytes, default=None)
    long = [c for c in columns if not c.virtual and (c.element is not None or c.base not in _SHORT)]
    if leaf is None or leaf.toast_bytes < ASKED_FROM_BYTES or not leaf.pages or not long:
        return None
    each = leaf.toast_bytes / (leaf.rows or leaf.pages)
    count = max(1, min(SAMPLE_ROWS, leaf.pages, int(SAMPLE_BYTES / each)))
    places = ",".join(f'"({n * leaf.pages // count},1)"' for n in range(count))
    text = " + ".join(f"coalesce({_length(c)}, 0)" for c in long)
    stored = " + ".join(f"coalesce(pg_column_size({quote(c.name)}), 0)" for c in long)
    return (
        f"select count(*), coalesce(sum({text}), 0)::bigint, coalesce(sum({stored}), 0)::bigint"
        f" from {_place(relation, leaf)} where ctid = any('{{{places}}}'::tid[])"
    )


def _length(column: SourceColumn) -> str:
    name = quote(column.name)
    as_it_is = column.base == "bytea" and column.base_schema == "pg_catalog"
    return f"octet_length({name})::bigint" if as_it_is else f"octet_length({name}::text)::bigint"


def whole_table_units(relation: Relation, *, split: bool, sample: Sample = NOTHING_KNOWN) -> list[Unit]:
    """Units that cover every row once. ``split`` allows ctid ranges (PostgreSQL 14+ scans
    just the range; before, each range would read the whole table)."""
    if not relation.leaves:
        return [Unit(from_clause(relation), "true", place_of(relation))]
    units: list[Unit] = []
    for leaf in relation.leaves:
        starts = _starts(leaf, sample) if split and leaf.kind == "r" else []
        place = _place(relation, leaf)
        units.extend(Unit(filtered(relation, place), predicate, place) for predicate in _ranges(starts))
    return units


def _place(relation: Relation, leaf: Leaf) -> str:
    itself = (leaf.schema, leaf.name) == (relation.schema, relation.name)
    return place_of(relation) if itself else qualified(leaf.schema, leaf.name)


def _ranges(starts: Sequence[tuple[int, int]]) -> list[str]:
    """Predicates that share all rows among them, cut at ``starts`` (block, line)."""
    at = [f"'({block},{line})'::tid" for block, line in starts]
    if not at:
        return ["true"]
    between = [f"ctid >= {a} and ctid < {b}" for a, b in pairwise(at)]
    # the last range is open: the size is the file's before the snapshot
    return [f"ctid < {at[0]}", *between, f"ctid >= {at[-1]}"]


def _starts(leaf: Leaf, sample: Sample) -> list[tuple[int, int]]:
    """Where to cut ``leaf``; nowhere where it is small."""
    if not leaf.pages:
        return []
    beside = leaf.toast_bytes / leaf.pages
    text = PAGE_BYTES + beside * (sample.growth if leaf.toast_bytes else 1.0)
    rows = min(PAGE_ROWS_MAX, leaf.rows / leaf.pages or _rows_of_a_page(sample, text))
    # few rows may be long: then the sample has none of them, and what is stored tells
    if leaf.toast_bytes >= ASKED_FROM_BYTES and text / rows * ENGINE_ROWS > ENGINE_BYTES_MAX:
        return _short_steps(leaf.pages, text, rows)
    stored = leaf.pages * (PAGE_BYTES + beside)
    if stored <= UNIT_BYTES // 8:
        return []
    count = min(leaf.pages, max(2, -int(-stored // UNIT_BYTES)))
    step = -(-leaf.pages // count)
    return [(page, 0) for page in range(step, leaf.pages, step)]


def _rows_of_a_page(sample: Sample, text: float) -> float:
    """For a table that was never analyzed."""
    return max(1.0, text / (sample.text / sample.rows)) if sample.rows and sample.text else 1.0


def _short_steps(pages: int, text: float, rows: float) -> list[tuple[int, int]]:
    """Cuts between units of ``LONG_UNIT_BYTES``, given a page's ``text`` and ``rows``: within pages where
    one holds more than that."""
    if text <= LONG_UNIT_BYTES:
        step = int(LONG_UNIT_BYTES // text)
        return [(page, 0) for page in range(step, pages, step)]
    cuts = max(1, min(-int(-text // LONG_UNIT_BYTES), int(rows)))
    lines = max(1, round(rows / cuts))
    # a row's line is counted from 1
    return [(page, 1 + cut * lines if cut else 0) for page in range(pages) for cut in range(cuts)][1:]
