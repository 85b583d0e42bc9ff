"""How what changed in a table is found, and up to where it is then read: the read that cannot miss a row. Pure.

See docs/sync.md, "The watermark". Every branch says why in ``reasons``, which people see as the batch's notes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from data_platform.sources.postgres import clock
from data_platform.sources.postgres.config import settings_of
from data_platform.sources.postgres.identity import Replaced
from data_platform.sources.postgres.introspect import KINDS, Relation
from data_platform.sources.postgres.position import Seen, Watermark, watermark
from data_platform.sources.postgres.server import Server
from data_platform.sources.postgres.session import changed_since
from data_platform.sources.postgres.types import literal, quote
from data_platform.sources.reading import Prior, SourceTable
from data_platform.tables import Load, Operation

MAX_XID_DISTANCE = 2**31 - 2**24
"""A watermark further behind than this cannot be compared modulo 2**32 any more."""
ADVANCE_XID_DISTANCE = 2**28
"""A quiet table's watermark is carried forward by an empty batch once it is this far behind."""

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


@dataclass(frozen=True, slots=True)
class Moment:
    """The source as it was when the snapshot was taken, and just before."""

    server: Server
    snapshot: Seen
    observation: clock.Observation | None


def whole(*reasons: str, blind: bool = False) -> Decision:
    return Decision("refresh", "replace", "whole", "true", reasons, blind=blind)


def decide_changes(
    table: SourceTable, relation: Relation, moment: Moment, prior: Prior, *, thorough: bool = False
) -> Decision:
    """How what changed since ``prior`` is read; ``thorough`` insists on the xmin scan."""
    snapshot, observation = moment.snapshot, moment.observation
    before = watermark(table.id, prior.position)
    assert before is not None
    if not relation.has_xmin:
        return _by_cursor(table, relation, before)
    if before.xmin is None:
        return whole("the relation has transaction numbers now; everything was reread")
    assert snapshot.xmin is not None
    if not 0 <= snapshot.xmin - before.xmin < MAX_XID_DISTANCE:
        return whole("the watermark is too many transactions behind to be compared; everything was reread")
    load: Load = "append" if table.strategy == "append" else "merge"
    reasons: list[str] = []
    stepped_back = prior.snapshot is not None and snapshot.taken_at < prior.snapshot.taken_at
    if stepped_back:
        reasons.append("the source's clock stepped back; every slice was measured")
    refused = clock.refusals(relation, table.cursor, settings_of(table).cursor_clock)
    newer = changed_since(before.xmin)
    if (
        not thorough
        and before.horizon
        and not refused
        and not stepped_back
        and observation
        and not observation.standby
    ):
        instant = datetime.fromisoformat(before.horizon).isoformat(timespec="microseconds")
        # both conditions hold for every new row: the index finds them, xmin leaves out those read before
        recent = f"{quote(table.cursor or '')} >= timestamptz {literal(instant)} and {newer}"
        return Decision("changes", load, "clock", recent)
    return Decision("changes", load, "xmin", newer, tuple(reasons), stepped_back)


def _by_cursor(table: SourceTable, relation: Relation, before: Watermark) -> Decision:
    kind, cursor = KINDS[relation.kind], table.cursor
    if cursor is None:
        return whole(
            f"a {kind} has no transaction numbers, and no cursor is declared; everything was read", blind=True
        )
    if before.cursor is None:
        return whole("no cursor value is known yet; everything was read", blind=True)
    column = relation.column(cursor)
    predicate = f"{quote(cursor)} >= {literal(before.cursor)}::{column.formatted if column else 'text'}"
    return Decision(
        "changes",
        "append" if table.strategy == "append" else "merge",
        "cursor",
        predicate,
        (
            f"weaker promise: a {kind} is read by its cursor alone, so a transaction that committed late, an"
            " update that left the cursor unchanged, a row whose cursor is NULL and a delete are missed"
            " until the next refresh",
        ),
    )


def of_relation(decision: Decision, replaced: Replaced) -> Decision:
    """``decision`` for what became of the relation itself. One that was replaced is only asked for changes where
    rows are added and stay."""
    if decision.load == "replace":
        return replace(decision, reasons=(*replaced.reasons, *decision.reasons))
    if replaced.reasons:
        kept = f"{replaced.reasons[0]}: all of it was read, and rows read before stay (append)"
        return Decision("changes", "append", "whole", "true", (kept,))
    if replaced.attached:
        count, oids = len(replaced.attached), ", ".join(map(str, replaced.attached))
        decision = replace(
            decision,
            # rows of a table that was attached are older than the watermark
            predicate=f"({decision.predicate} or tableoid in ({oids}))",
            reasons=(*decision.reasons, f"{count} partition(s) are new and were read whole"),
        )
    if replaced.detached:
        decision = replace(
            decision,
            measure_whole=True,
            reasons=(
                *decision.reasons,
                f"{replaced.detached} partition(s) are gone; every slice was counted",
            ),
        )
    return decision


def horizon(
    table: SourceTable, relation: Relation, moment: Moment, before: Watermark | None
) -> tuple[str | None, tuple[str, ...]]:
    """The clock path's next horizon, and what is to be told where it is not taken."""
    cursor_clock = settings_of(table).cursor_clock
    if moment.observation is None or cursor_clock != "database" or not relation.has_xmin:
        return None, ()
    previous = datetime.fromisoformat(before.horizon) if before and before.horizon else None
    verdict = clock.horizon(moment.observation, relation, table.cursor, cursor_clock, previous)
    notes: tuple[str, ...] = ()
    if verdict.refusals:
        notes = (f"the clock path is not taken ({'; '.join(verdict.refusals)}); the xmin scan serves",)
    return verdict.value.isoformat(timespec="microseconds") if verdict.value else None, notes


def watermark_after(
    operation: Operation,
    relation: Relation,
    snapshot: Seen,
    before: Watermark | None,
    *,
    horizon: str | None,
    cursor: str | None,
) -> Watermark | None:
    """Up to where a table is read by a read of ``operation`` that found ``cursor`` as the greatest."""
    if operation == "slice":
        if before and before.xmin is not None and snapshot.xmin is not None and snapshot.xmin < before.xmin:
            # a replica that lags behind what was read before: what it does not show yet must be found again
            return replace(before, xmin=snapshot.xmin, horizon=None)
        return before
    return Watermark(
        snapshot.system_identifier,
        snapshot.timeline,
        snapshot.xmin if relation.has_xmin else None,
        horizon,
        cursor or (before.cursor if before else None),
    )


def must_advance(before: Watermark | None, after: Watermark | None) -> bool:
    """No manifest for nothing, except to keep transaction numbers comparable."""
    if before is None or after is None or before.xmin is None or after.xmin is None:
        return False
    return after.xmin - before.xmin >= ADVANCE_XID_DISTANCE
