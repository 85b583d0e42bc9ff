"""One table on its way through a sync: what is asked, what is known, what to read.

``prepare`` turns the catalog's block, the source's relation and the ledger's
state into units of work. Reading them is the source's, committing ``commit.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from data_platform.catalog import Table
from data_platform.errors import DataPlatformError, DuplicateKey, PositionLost, TableMissing
from data_platform.landing.state import TableState
from data_platform.sources.postgres import clock
from data_platform.sources.postgres.config import settings_of
from data_platform.sources.postgres.extract import Projection, Read
from data_platform.sources.postgres.fingerprint import slice_predicate
from data_platform.sources.postgres.identity import Identity, identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.position import Watermark, watermark
from data_platform.sources.postgres.session import SourceSession, changed_since
from data_platform.sources.postgres.types import from_clause, quote
from data_platform.sources.postgres.units import (
    NOTHING_KNOWN,
    Sample,
    Unit,
    sample_question,
    whole_table_units,
)
from data_platform.sync.decide import (
    Decision,
    Shape,
    carried,
    compare_relations,
    compare_shapes,
    decide_changes,
)
from data_platform.sync.projection import chosen, project
from data_platform.tables import WHOLE_TABLE, Operation, Slice, Tally

SMALL_PAGES = 1_000
"""8 MB, which a scan looks through in some ten milliseconds: what costs more is asked by itself."""


@dataclass(frozen=True)
class Request:
    """What is asked of a table's sync; ``slices`` None means *changes*. ``by_clock`` False
    insists on the xmin scan; ``mend`` False compares and leaves it at that. ``audit`` compares whole
    rows: of today's share of the slices, or of ``slices``, which are landed only where rows differ."""

    refresh: Collection[str] = ()
    verify: bool = False
    slices: tuple[Slice, ...] | None = None
    by_clock: bool = True
    mend: bool = True
    audit: bool = False

    @property
    def operation(self) -> Operation:
        return "changes" if self.slices is None else "slice"


@dataclass
class Work:
    """One table of one pass. What fails is kept in ``error``: it is this table's alone.
    ``seconds`` is the work done for it, not the wait for others. With ``compare``, every slice is
    counted under the snapshot, into ``tallies``."""

    table: Table
    state: TableState
    request: Request
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: DataPlatformError | None = None
    plan: Plan | None = None
    reported: bool = False
    compare: bool = False
    tallies: Mapping[Slice, Tally] | None = None

    @property
    def operation(self) -> Operation:
        return self.plan.decision.operation if self.plan else self.request.operation

    @property
    def known(self) -> Identity | None:
        """The relation that was read last. PostgreSQL's; so is ``watermark``."""
        with self._unless_refreshed():
            return identity(self.table.id, self.state.head.identity) if self.state.head else None
        return None

    @property
    def watermark(self) -> Watermark | None:
        with self._unless_refreshed():
            return watermark(self.table.id, self.state.position)
        return None

    def _unless_refreshed(self) -> suppress:
        """A table that is read anew needs nothing of what was known."""
        return suppress(*((PositionLost,) if self.table.id.table in self.request.refresh else ()))


@dataclass
class Plan:
    """What is read of one table under the snapshot; ``horizon`` is the clock path's next one."""

    relation: Relation
    shape: Shape
    decision: Decision
    slices: tuple[Slice, ...]
    horizon: str | None
    read: Read


def prepare(
    works: Sequence[Work], session: SourceSession, scratch: Path, *, hash_key: Callable[[], bytes]
) -> None:
    """Decide what to read of each table and lay it out as units of work, into its ``plan``.

    What keeps a table from being read is its work's ``error``: it is missing, drifted, has a
    type or a personal column nothing is said about. All tables are asked at once whether they changed.
    """
    drafts: dict[str, Draft] = {}
    for work in (work for work in works if work.error is None):
        with _of_its_own(work):
            if "hash" in work.table.personal.values():
                hash_key()
            drafts[work.table.id.table] = _draft(work, work.request, session)
    found = _changed(drafts, session)
    for work in (work for work in works if work.error is None):
        with _of_its_own(work):
            draft, name = drafts[work.table.id.table], work.table.id.table
            changed = found.get(name)
            if isinstance(changed, DataPlatformError):
                raise changed
            work.plan = _plan(work, draft, changed is None or bool(changed), session, scratch / name)


@contextmanager
def _of_its_own(work: Work) -> Iterator[None]:
    """What the block does for ``work``: its time, and its failure."""
    began = time.monotonic()
    try:
        yield
    except DataPlatformError as error:
        work.error = error
    work.seconds += time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Draft:
    """What is decided of one table before it is asked for changes."""

    relation: Relation
    projections: Sequence[Projection]
    shape: Shape
    decision: Decision

    @property
    def question(self) -> str | None:
        """Asks whether there is anything to read; it ends at the first row, so that only a quiet table pays
        for a scan without a read. None where that is known."""
        if self.decision.load == "replace" or self.decision.operation != "changes":
            return None
        return f"select 1 from {from_clause(self.relation)} where {self.decision.predicate} limit 1"


def is_small(relation: Relation) -> bool:
    """Whether a question about its row versions is answered at once, and by the server itself."""
    return relation.has_xmin and sum(leaf.pages for leaf in relation.leaves) < SMALL_PAGES


def _draft(work: Work, request: Request, session: SourceSession) -> Draft:
    table = work.table
    name_ = table.id.table
    if name_ in session.errors:
        raise _missing(work, session, session.errors[name_])
    assert session.snapshot is not None
    relation = session.relations[name_]
    known = work.known
    projections, shape = project(table, relation, session.snapshot.taken_at[:10], known)
    decision = _decide(work, request, session, relation)
    decision = _reshaped(work, request, session, relation, shape, decision)
    return Draft(relation, projections, shape, decision)


def _changed(
    drafts: Mapping[str, Draft], session: SourceSession
) -> Mapping[str, Sequence[tuple[Any, ...]] | DataPlatformError]:
    """By name, the answer of each draft that has a question. What may take long, or may fail, is asked by itself:
    where one of those asked together fails, the others of them are asked again."""
    asked = {name: question for name, draft in drafts.items() if (question := draft.question)}
    small = [name for name in asked if is_small(drafts[name].relation)]

    def what(name: str) -> str:
        relation = drafts[name].relation
        return f"Looking for changes in {relation.schema}.{relation.name}"

    found: dict[str, Sequence[tuple[Any, ...]] | DataPlatformError] = {}
    for names in (small, *([name] for name in asked if not is_small(drafts[name].relation))):
        try:
            found |= session.execute_each({name: asked[name] for name in names}, what=what)
        except DataPlatformError as error:  # the connection is lost
            found |= dict.fromkeys(names, error)
    return found


def _plan(work: Work, draft: Draft, changed: bool, session: SourceSession, folder: Path) -> Plan:
    table, request, relation = work.table, work.request, draft.relation
    shape, decision = draft.shape, draft.decision
    units = _units(session, table, relation, decision) if changed else []
    if units:
        _check_key(session, table, relation, decision)
        folder.mkdir()
    if decision.operation == "slice":
        known = work.known
        shape = replace(shape, identity=carried(known, shape.identity))
    work.compare = request.slices is None and (request.verify or decision.measure_whole)
    work.notes += decision.reasons
    if decision.load == "replace" and relation.children:
        work.notes.append(inherited(relation))
    return Plan(
        relation=relation,
        shape=shape,
        decision=decision,
        slices=(request.slices or ()) if decision.load == "slice" else (),
        horizon=_horizon(work, session, relation),
        read=Read(str(table.id), draft.projections, units, folder, relation.rows_estimate),
    )


def inherited(relation: Relation) -> str:
    """What is to be said of a table that others inherit from."""
    names = ", ".join(name for _, _, name in relation.children[:3])
    more = f" and {len(relation.children) - 3} more" if len(relation.children) > 3 else ""
    return (
        f"{relation.schema}.{relation.name} is read by itself (ONLY): rows of the tables that inherit from it"
        f" ({names}{more}) are read where those tables have blocks of their own"
    )


def _decide(work: Work, request: Request, session: SourceSession, relation: Relation) -> Decision:
    table, state = work.table, work.state
    assert session.snapshot is not None
    if request.slices is not None:
        if table.partition is None or WHOLE_TABLE in request.slices:
            return Decision(
                "refresh", "replace", "whole", "true", ("the table has no slices; it was read whole",)
            )
        predicate = slice_predicate(relation, table.partition, table.timezone, request.slices)
        return Decision("slice", "slice", "whole", predicate)
    return decide_changes(
        relation=relation,
        strategy=table.strategy,
        cursor=table.cursor,
        cursor_clock=settings_of(table).cursor_clock,
        server=session.server,
        snapshot=session.snapshot,
        before=work.watermark,
        previous_snapshot=state.head.snapshot if state.head else None,
        observation=session.observation,
        refresh=table.id.table in request.refresh,
        verify=request.verify,
        by_clock=request.by_clock,
    )


def _reshaped(
    work: Work,
    request: Request,
    session: SourceSession,
    relation: Relation,
    shape: Shape,
    decision: Decision,
) -> Decision:
    """``decision``, or a refresh where the table's shape changed in a way that needs one."""
    head, table = work.state.head, work.table
    if head is None or table.id.table in request.refresh:
        return decision
    before = Shape(head.columns, head.key, head.partition, head.timezone, work.known)
    filled = () if decision.load == "replace" else _filled(work, session, relation)
    notes, reasons = compare_shapes(table.id, before, shape, filled)
    if decision.load == "replace":
        work.notes += compare_relations(work.known, shape.identity).reasons
        return decision
    work.notes += notes
    return _of_relation(work, shape, decision, reasons)


def _of_relation(work: Work, shape: Shape, decision: Decision, reasons: tuple[str, ...]) -> Decision:
    """``decision`` for what became of the relation itself; ``reasons`` ask for a refresh already."""
    replaced = compare_relations(work.known, shape.identity)
    if not reasons and replaced.reasons and work.table.strategy == "append":
        if decision.operation == "slice":
            return decision
        kept = f"{replaced.reasons[0]}: all of it was read, and rows read before stay (append)"
        return Decision("changes", "append", "whole", "true", (kept,))
    reasons += tuple(f"{reason}; everything was read anew" for reason in replaced.reasons)
    if reasons:
        return Decision("refresh", "replace", "whole", "true", reasons)
    if decision.operation == "slice":
        return decision
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
                f"{replaced.detached} partition(s) are gone; every slice was measured",
            ),
        )
    return decision


def _filled(work: Work, session: SourceSession, relation: Relation) -> list[str]:
    """The new columns in which a row that was read before holds something: PostgreSQL fills a column
    with its default, and computes a virtual one, without a new version of any row."""
    assert work.state.head is not None
    known = {c.name for c in work.state.head.columns}
    new = [c.name for c in chosen(work.table, relation).columns if c.name not in known]
    if not new:
        return []
    before = work.watermark.xmin if work.watermark else None
    older = "true" if before is None or not relation.has_xmin else f"not ({changed_since(before)})"
    source = from_clause(relation)
    found = session.execute(
        "select "
        # a composite IS NOT NULL only where all of its fields are
        + ", ".join(
            f"exists (select from {source} where num_nonnulls({quote(c)}) = 1 and {older})" for c in new
        ),
        what=f"Looking into the new columns of {relation.schema}.{relation.name}",
    )
    return [column for column, filled in zip(new, found[0], strict=True) if filled]


def _check_key(session: SourceSession, table: Table, relation: Relation, decision: Decision) -> None:
    """DuplicateKey where a row about to be read shares its key with any other: merging it would
    delete that one. Not asked where the source keeps the key unique, nor of a full read, whose rows
    are all looked at once they are read."""
    enforced = any(unique <= set(table.key) for unique in relation.unique_keys)
    if not table.key or enforced or decision.load == "replace" or not relation.has_xmin:
        return
    source, key = from_clause(relation), ", ".join(quote(k) for k in table.key)
    null = " or ".join(f"{quote(k)} is null" for k in table.key)
    ((nulls, repeated),) = session.execute(
        f"select (select count(*) from {source} where ({null}) and {decision.predicate}),"
        f" (select count(*) from (select from {source}"
        f" where ({key}) in (select {key} from {source} where {decision.predicate})"
        f" group by {key} having count(*) > 1) repeated)",
        what=f"Looking for repeated keys in {relation.schema}.{relation.name}",
    )
    if nulls or repeated:
        problems = [f"{nulls:,} row(s) have a NULL in it"] if nulls else []
        problems += [f"{repeated:,} value(s) stand on more than one row"] if repeated else []
        raise DuplicateKey(
            f"{table.id}: the key ({', '.join(table.key)}) is not a key: {' and '.join(problems)}, and no unique"
            " index at the source keeps it. Mend the rows there, or declare as `key` the columns that tell them apart;"
            f" then run `data-platform sync --refresh {table.id}`. Nothing was read, and what has landed stays as"
            " it is."
        )


def _missing(work: Work, session: SourceSession, error: DataPlatformError) -> DataPlatformError:
    """``error`` with the name that a missing table goes by now, where it was renamed."""
    known = work.known
    if known is None or not isinstance(error, TableMissing):
        return error
    found = session.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where c.oid = {int(known.oid)}",
        what=f"Looking for {work.table.id} under another name",
    )
    wanted = work.table.settings.place
    if not found:
        return TableMissing(
            f"{error} The table that was read before is gone; what has landed of it stays. Should"
            f" {wanted} come back, the next sync reads it anew by itself."
        )
    return TableMissing(
        f"{work.table.id}: {wanted} is called {'.'.join(found[0])} now. Nothing was read, and what has landed"
        f" stays as it is. If that is meant, write `relation: {'.'.join(found[0])}` into the table's block in the"
        f" catalog and run `data-platform sync {work.table.id}`."
    )


def _units(session: SourceSession, table: Table, relation: Relation, decision: Decision) -> list[Unit]:
    relation_sql = from_clause(relation)
    if decision.load == "replace":
        # before PostgreSQL 14 each ctid range would read the whole table
        by_ctid = session.server.version >= 14 and (relation.readable is None or "ctid" in relation.readable)
        split = by_ctid and not session.server.standby
        sample = _sample(session, table, relation) if split else NOTHING_KNOWN
        return whole_table_units(relation, split=split, sample=sample)
    return [Unit(relation_sql, decision.predicate)]


def _sample(session: SourceSession, table: Table, relation: Relation) -> Sample:
    """How long some rows are. Where the server objects, the read itself will tell why."""
    question = sample_question(relation, chosen(table, relation).columns)
    if question is None:
        return NOTHING_KNOWN
    with suppress(DataPlatformError):
        found = session.execute(question, what=f"Looking how long rows of {table.id} are")
        return Sample(*found[0])
    return NOTHING_KNOWN


def _horizon(work: Work, session: SourceSession, relation: Relation) -> str | None:
    table = work.table
    if session.observation is None or settings_of(table).cursor_clock != "database" or not relation.has_xmin:
        return None
    before = work.watermark
    previous = datetime.fromisoformat(before.horizon) if before and before.horizon else None
    verdict = clock.horizon(
        session.observation, relation, table.cursor, settings_of(table).cursor_clock, previous
    )
    if verdict.refusals:
        work.notes.append(
            f"the clock path is not taken ({'; '.join(verdict.refusals)}); the xmin scan serves"
        )
    return verdict.value.isoformat(timespec="microseconds") if verdict.value else None
