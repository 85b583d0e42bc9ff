"""What one table's next read must be: the whole table, what changed, or some slices. Pure.

Every branch says why in ``reasons``, which people see as the batch's notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from data_platform.errors import SchemaDrift
from data_platform.sources.postgres import clock
from data_platform.sources.postgres.identity import Identity
from data_platform.sources.postgres.introspect import KINDS, Relation
from data_platform.sources.postgres.position import Seen, Watermark
from data_platform.sources.postgres.server import Server
from data_platform.sources.postgres.session import changed_since
from data_platform.sources.postgres.types import literal, quote
from data_platform.tables import (
    RULE_PREFIX,
    Column,
    Load,
    Operation,
    Snapshot,
    Strategy,
    TableId,
)

MAX_XID_DISTANCE = 2**31 - 2**24
"""A watermark further behind than this cannot be compared modulo 2**32 any more."""
ADVANCE_XID_DISTANCE = 2**28
"""A quiet table's watermark is carried forward by an empty batch once it is this far behind."""

FIRST_READ = "first read"
Path = Literal["whole", "xmin", "clock", "cursor"]


@dataclass(frozen=True, slots=True)
class Decision:
    """``predicate`` is server SQL; ``path`` how rows are found; ``measure_whole`` asks
    for fingerprints of every slice in the same snapshot. ``blind``: all is read because nothing
    tells whether anything changed."""

    operation: Operation
    load: Load
    path: Path
    predicate: str
    reasons: tuple[str, ...] = ()
    measure_whole: bool = False
    blind: bool = False


def decide_changes(
    *,
    relation: Relation,
    strategy: Strategy,
    cursor: str | None,
    cursor_clock: str,
    server: Server,
    snapshot: Seen,
    before: Watermark | None,
    previous_snapshot: Snapshot | None,
    observation: clock.Observation | None,
    refresh: bool,
    verify: bool,
    by_clock: bool = True,
) -> Decision:
    """The read that cannot miss a row (see docs/sync.md, "The watermark")."""

    def whole(*reasons: str, blind: bool = False) -> Decision:
        return Decision("refresh", "replace", "whole", "true", reasons, blind=blind)

    if refresh:
        return whole("a refresh was asked for")
    if strategy == "replace":
        return whole(blind=not relation.has_xmin)
    if before is None:
        return whole(FIRST_READ)
    if before.system_identifier != server.system_identifier:
        return whole("the source is another database than the one read before; everything was read anew")
    if before.timeline != server.timeline:
        return whole("the source's timeline changed (a failover or restore); everything was read anew")
    if not relation.has_xmin:
        return _by_cursor(relation, cursor, before, strategy, whole)
    if before.xmin is None:
        return whole("the relation has transaction numbers now; everything was read anew")
    assert snapshot.xmin is not None
    if not 0 <= snapshot.xmin - before.xmin < MAX_XID_DISTANCE:
        return whole("the watermark is too many transactions behind to be compared; everything was read anew")
    load: Load = "append" if strategy == "append" else "merge"
    reasons: list[str] = []
    stepped_back = previous_snapshot is not None and snapshot.taken_at < previous_snapshot.taken_at
    if stepped_back:
        reasons.append("the source's clock stepped back; every slice was measured")
    refused = clock.refusals(relation, cursor, cursor_clock)
    newer = changed_since(before.xmin)
    if (
        by_clock
        and before.horizon
        and not refused
        and not stepped_back
        and observation
        and not observation.standby
    ):
        instant = datetime.fromisoformat(before.horizon).isoformat(timespec="microseconds")
        # both conditions hold for every new row: the index finds them, xmin leaves out those read before
        recent = f"{quote(cursor or '')} >= timestamptz {literal(instant)} and {newer}"
        return Decision("changes", load, "clock", recent, (), verify)
    return Decision("changes", load, "xmin", newer, tuple(reasons), verify or stepped_back)


def _by_cursor(
    relation: Relation,
    cursor: str | None,
    before: Watermark,
    strategy: Strategy,
    whole: Callable[..., Decision],
) -> Decision:
    kind = KINDS[relation.kind]
    if cursor is None:
        return whole(
            f"a {kind} has no transaction numbers and no cursor is declared; everything was read", blind=True
        )
    if before.cursor is None:
        return whole("no cursor value is known yet; everything was read", blind=True)
    column = relation.column(cursor)
    predicate = f"{quote(cursor)} >= {literal(before.cursor)}::{column.formatted if column else 'text'}"
    return Decision(
        "changes",
        "append" if strategy == "append" else "merge",
        "cursor",
        predicate,
        (
            f"weaker promise: a {kind} is read by its cursor alone, so a transaction that committed late, an"
            " update that left the cursor unchanged, a row whose cursor is NULL and a delete are missed"
            " until the next refresh",
        ),
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """What the catalog and the source make of a table: its landed columns and how they are keyed.
    ``identity`` is the source's relation; None where a batch does not tell it."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str | None
    timezone: str
    identity: Identity | None = None


CHANGES_NAMED_MAX = 3
"""Of a drifted table; more would cut the message short where an alert tells it."""


def compare_shapes(
    table: TableId, before: Shape, now: Shape, filled: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(notes, reasons for a refresh); SchemaDrift when the change does not flow by itself.

    A new column flows: rows landed earlier hold NULL in it, as at the source.
    ``filled`` are the new columns in which rows landed earlier hold something: with
    such a column the table is read anew, as it is when a column got a wider type or its
    values another meaning, or when the catalog's key, partition, treatments or rules changed.
    """
    new = {c.name: c for c in now.columns}
    old = {c.name: c for c in before.columns}
    refresh = [
        f"the catalog's {what} changed; everything was read anew"
        for what in ("key", "partition", "timezone")
        if getattr(before, what) != getattr(now, what)
    ]
    problems, notes = [], []
    for name, column in old.items():
        if name.startswith(RULE_PREFIX):
            if name in new and new[name].source_type != column.source_type:
                refresh.append(
                    f"a rule on a treated column changed ({new[name].source_type}); everything was read anew"
                )
            continue
        if name not in new and _still_there(name, before.identity, now.identity):
            refresh.append(f"the catalog leaves the column {name} out now; everything was read anew")
        elif problem := _another_column(name, name in new, before.identity, now.identity):
            problems.append(problem)
        elif treatment(new[name]) != treatment(column):
            refresh.append(f"the treatment of {name} changed; everything was read anew")
        elif not _fits(column.type, new[name].type):
            problems.append(
                f"the column {name} was {column.type} ({column.source_type}) and is {new[name].type}"
                f" ({new[name].source_type})"
            )
        elif new[name].type != column.type or _base(column) != _base(new[name]):
            refresh.append(
                f"the column {name} was {column.source_type} and is {new[name].source_type};"
                " everything was read anew"
            )
        elif new[name].source_type != column.source_type:
            notes.append(f"the column {name} was {column.source_type} and is {new[name].source_type}")
    for name in new:
        if name in old:
            continue
        if name.startswith(RULE_PREFIX) or name in filled:
            refresh.append(f"the column {name.removeprefix(RULE_PREFIX)} is new; everything was read anew")
        else:
            notes.append(f"new column {name}: rows read earlier hold NULL in it until they change")
    if problems:
        more = len(problems) - CHANGES_NAMED_MAX
        told = "; ".join(problems[:CHANGES_NAMED_MAX]) + (f"; and {more} more change(s)" if more > 0 else "")
        raise SchemaDrift(
            f"{table} changed at the source and waits for you: `data-platform sync --refresh {table}` takes the"
            f" change over and reads the table anew. What changed: {told}. Until then nothing of it is read,"
            " and what has landed stays as it is."
        )
    return tuple(notes), tuple(refresh) + tuple(_reinterpreted(before.identity, now.identity, old))


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of the relation below a table's name. ``reasons`` are set when rows may have
    gone without a trace; ``attached`` partitions may hold rows older than the watermark."""

    reasons: tuple[str, ...] = ()
    attached: tuple[int, ...] = ()
    detached: int = 0


def compare_relations(before: Identity | None, now: Identity | None) -> Replaced:
    """Whether ``now`` is the relation that was read ``before``, in the same file."""
    if before is None or now is None:
        return Replaced()
    if before.oid != now.oid:
        return Replaced(("another relation has the table's name now (made anew, or renamed)",))
    reasons: tuple[str, ...] = ()
    if before.storage and now.storage and before.storage != now.storage:
        reasons = ("the table's file was replaced (TRUNCATE, VACUUM FULL, CLUSTER or a rewrite)",)
    return Replaced(
        reasons,
        tuple(leaf for leaf in now.leaves if leaf not in before.leaves),
        sum(leaf not in now.leaves for leaf in before.leaves),
    )


def carried(before: Identity | None, now: Identity | None) -> Identity | None:
    """What a slice's batch may say of the relation: its columns as they are, and no more than was
    known of its rows, for a slice is no proof that the others were read."""
    if before is None or now is None or before.oid != now.oid:
        return before
    return replace(now, storage=before.storage, leaves=before.leaves)


def _still_there(name: str, before: Identity | None, now: Identity | None) -> bool:
    """Whether the relation has a column still that does not land any more: ``only`` leaves it out."""
    if before is None or now is None or before.oid != now.oid or name not in before.columns:
        return False
    return now.columns.get(name) == before.columns[name]


def _another_column(name: str, there: bool, before: Identity | None, now: Identity | None) -> str | None:
    """How the column ``name`` is not the one it was, if it is not."""
    if before is None or now is None or before.oid != now.oid or name not in before.columns:
        return None if there else f"the column {name} is gone"
    number = before.columns[name]
    if now.columns.get(name) == number:
        return None if there else f"the column {name} is gone"
    called = next((other for other, n in now.columns.items() if n == number), None)
    if called is not None:
        return f"the column {name} is gone: it is called {called} now"
    if not there:
        return f"the column {name} is gone"
    return f"the column {name} was dropped and another one of that name added"


def _reinterpreted(before: Identity | None, now: Identity | None, columns: Collection[str]) -> Iterator[str]:
    """Columns whose values changed though no row did."""
    if before is None or now is None or before.oid != now.oid:
        return
    for name, pieces in before.meanings.items():
        if set(pieces) <= set(now.meanings.get(name, ())):
            continue
        if not name:
            yield "the view is defined otherwise; everything was read anew"
        elif name in columns:
            yield f"the values of {name} read otherwise (its type or expression changed); everything was read anew"


_WIDER = ("SMALLINT", "INTEGER", "BIGINT"), ("FLOAT", "DOUBLE")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_MODIFIER = re.compile(r"\(\d+(,-?\d+)?\)")


def _fits(before: str, now: str) -> bool:
    """Whether every value of the landed type ``before`` is exactly one of ``now``, of the same kind."""
    if before == now:
        return True
    if before.endswith("[]") and now.endswith("[]"):
        return _fits(before[:-2], now[:-2])
    old, new = _DECIMAL.fullmatch(before), _DECIMAL.fullmatch(now)
    if old and new:
        precision, scale = int(new[1]) - int(old[1]), int(new[2]) - int(old[2])
        return scale >= 0 and precision >= scale
    return any(
        before in kinds and now in kinds and kinds.index(before) < kinds.index(now) for kinds in _WIDER
    )


def _base(column: Column) -> str:
    """The source type without length or precision: within one base PostgreSQL writes the rows anew
    whose values a change alters, and a change to another may only relabel them."""
    base = _MODIFIER.sub("", column.source_type.partition(" [")[0])
    return "text" if base == "character varying" else base


def treated(source_type: str, treatment: str) -> str:
    """A treated column's source type carries its treatment, so that a changed one is seen."""
    return f"{source_type} [{treatment}]"


def treatment(column: Column) -> str:
    return column.source_type.partition(" [")[2].rstrip("]") if column.source_type.endswith("]") else ""
