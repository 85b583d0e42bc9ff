"""Loads one batch into an engine behind a connection, exactly once, in the right order.

Every call may fail before or after the engine did what it was told. So a load is made of steps that may be done again: what
is loaded is asked, the batch is staged and checked, the table is made to fit by DDL that only adds, and one transaction
applies all of it with its record, behind a guard that asks the record once more. After a failure the record tells
whether it was committed.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from data_platform.errors import WarehouseBusy
from data_platform.tables import Column
from data_platform.warehouses import Kept, LoadableBatch, LoadResult
from data_platform.warehouses.batch import (
    WITHOUT_ROWS,
    Reshaping,
    check,
    check_groups,
    check_keys,
    check_rows,
    days,
    follows,
    named,
    raw_columns,
    reshaping,
)
from data_platform.warehouses.remote import records, statements
from data_platform.warehouses.remote.compare import held_columns
from data_platform.warehouses.remote.engine import Overtaken, Session, Staging, Transaction, Transient
from data_platform.warehouses.remote.grammar import Grammar, Loadable, Placement
from data_platform.warehouses.remote.parts import sendable
from data_platform.warehouses.remote.turns import Turn

ATTEMPTS = 6
PAUSE_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Fitting:
    """A raw table and what makes it fit a batch. ``existing`` is what it was: the engine's types, none where there was none.
    ``anew``: the batch replaces it and it cannot keep its shape."""

    existing: Mapping[str, str]
    changes: Reshaping
    anew: bool


class Loader:
    """Loads batches over one session. ``sleep`` waits some seconds before an attempt is made again."""

    def __init__(
        self, session: Session, grammar: Grammar, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.session, self.grammar, self._sleep = session, grammar, sleep

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        """``Warehouse.load``. What fails for good is raised; what may pass is tried again, from the record on."""
        placement = Placement(manifest.partition, manifest.timezone, tuple(cluster))
        turns: list[Turn] = []
        for attempt in range(ATTEMPTS):
            try:
                return self._attempt(manifest, parts, addresses, placement, turns, kept)
            except (Transient, Overtaken) as error:
                if attempt == ATTEMPTS - 1:
                    raise error if isinstance(error, Transient) else _overtaken(manifest) from None
            self._pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def again(self, act: Callable[[], None]) -> None:
        """Something that may be done twice; tried again as a load is."""
        for attempt in range(ATTEMPTS):
            try:
                return act()
            except Transient:
                if attempt == ATTEMPTS - 1:
                    raise
            self._pause(attempt)

    def _pause(self, attempt: int) -> None:
        self._sleep(min(PAUSE_SECONDS_MAX, 0.25 * 2**attempt) * (0.5 + random.random()))

    def _attempt(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        addresses: Sequence[str],
        placement: Placement,
        turns: list[Turn],
        kept: Sequence[Kept],
    ) -> LoadResult:
        """``turns`` are of the attempts before, any of which may have been committed without an answer; this one's is added."""
        newest, asked = records.find(self.session, self.grammar, manifest.table, manifest.sequence)
        if not follows(manifest, newest, lambda sequence: asked):
            return (
                records.result(self.session, self.grammar, manifest)
                if turns
                else LoadResult(manifest.sequence, 0, 0, {}, 0)
            )
        identity = _identity(manifest)
        reached = newest.sequence if newest else 0
        turn = Turn(self.session, self.grammar, manifest.table, reached, identity)
        before = tuple(turns)
        turns.append(turn)
        if manifest.kind in WITHOUT_ROWS:
            return self._without_rows(manifest, turn, kept)
        check(manifest)
        days(manifest.slices)
        columns = raw_columns(manifest)
        for name in (*manifest.key, *([manifest.partition] if manifest.partition else [])):
            named(columns, name, manifest.batch_id, manifest.table)
        loadable = {column.name: self.grammar.loadable(column) for column in manifest.columns}
        if before and turn.contested(before):
            self._take(turn)
        fitting = self._fitting(manifest, columns, placement)
        self.grammar.check(manifest.table, (*columns, *statements.OWN), placement)
        what = f"Batch {manifest.sequence} of {manifest.table}"
        with sendable(what, manifest.columns, loadable, parts, addresses) as sent:
            staging = Staging(
                identity,
                tuple((column.name, loadable[column.name].staged) for column in manifest.columns),
                sent.paths,
                sent.addresses,
                manifest.rows,
            )
            with self.session.staged(staging) as stage:
                batch = self._batch(manifest, columns, fitting, stage, loadable)
                self._check(manifest, batch)
                self._define(manifest, columns, fitting, placement, turn)
                self._apply(manifest, batch, fitting, placement, turn)
        return records.result(self.session, self.grammar, manifest)

    def _without_rows(self, manifest: LoadableBatch, turn: Turn, kept: Sequence[Kept]) -> LoadResult:
        """Written down as loaded; rows that a redaction took out of the batches ``kept`` go."""
        table, record = manifest.table, records.insert_loaded(self.grammar, manifest)
        names = dict.fromkeys(column.name for one in kept for column in (*one.columns, *statements.OWN))
        existing = held_columns(self.session, self.grammar, table, list(names)) if kept else {}
        if not existing:
            self._commit(turn, [record], locked=False)
            return LoadResult(manifest.sequence, 0, 0, {}, 0)
        with ExitStack() as stack:
            batches = [
                self._kept(manifest, one, existing, f"{turn.attempt}_{n}", stack)
                for n, one in enumerate(kept)
            ]
            touched = records.insert_touched(self.grammar, manifest, statements.touched_redacted(batches))
            gone = [statements.delete_redacted(batch) for batch in batches]
            self._commit(turn, [touched, *gone, record])
        return records.result(self.session, self.grammar, manifest)

    def _kept(
        self, manifest: LoadableBatch, one: Kept, existing: Mapping[str, str], identity: str, stack: ExitStack
    ) -> statements.Batch:
        """What is left of an earlier batch, staged."""
        loadable = {column.name: self.grammar.loadable(column) for column in one.columns}
        what = f"What is left of batch {one.batch_id} of {manifest.table}"
        sent = stack.enter_context(sendable(what, one.columns, loadable, one.parts, ()))
        columns = tuple((column.name, loadable[column.name].staged) for column in one.columns)
        stage = stack.enter_context(
            self.session.staged(Staging(identity, columns, sent.paths, sent.addresses, 0))
        )
        told_apart = tuple(name for name in one.told_apart if name in existing)
        return statements.Batch(
            self.grammar,
            manifest.table,
            one.columns,
            replace(manifest.layout, key=told_apart),
            existing,
            stage,
            loadable,
            one.batch_id,
            manifest.committed_at,
        )

    def _fitting(self, manifest: LoadableBatch, columns: Sequence[Column], placement: Placement) -> Fitting:
        table, replacing = manifest.table, manifest.load == "replace"
        existing = held_columns(self.session, self.grammar, table, [column.name for column in columns])
        changes = reshaping(table, {} if replacing else existing, columns, self.grammar)
        anew = False
        if replacing and existing:
            wanted = {column.name: column.type for column in (*columns, *statements.OWN)}
            anew = (
                existing.keys() != wanted.keys()
                or any(not self.grammar.same_type(existing[name], kind) for name, kind in wanted.items())
                or not self.session.fits(
                    table.raw_schema, table.table, placement.partition, placement.cluster
                )
            )
        return Fitting(existing, changes, anew)

    def _batch(
        self,
        manifest: LoadableBatch,
        columns: tuple[Column, ...],
        fitting: Fitting,
        stage: str,
        loadable: Mapping[str, Loadable],
    ) -> statements.Batch:
        return statements.Batch(
            self.grammar,
            manifest.table,
            columns,
            manifest.layout,
            fitting.existing,
            stage,
            loadable,
            manifest.batch_id,
            manifest.committed_at,
            manifest.deleted,
            manifest.replaces,
        )

    def _check(self, manifest: LoadableBatch, batch: statements.Batch) -> None:
        """What was staged is what was promised, and its keys and groups are whole."""
        rows = self.session.ask(statements.check_stage(batch)).rows
        staged, keys, null_keys, distinct, groupless, _ = (int(count or 0) for count in rows[0])
        if manifest.replaces:
            check_groups(manifest, groupless)
        if batch.key and not (manifest.load == "replace" and manifest.key_enforced):
            check_keys(manifest, keys, null_keys, distinct)
        check_rows(manifest, staged)

    def _define(
        self,
        manifest: LoadableBatch,
        columns: Sequence[Column],
        fitting: Fitting,
        placement: Placement,
        turn: Turn,
    ) -> None:
        """Everything additive, which may be done again, and only where something is missing."""
        grammar, table = self.grammar, manifest.table
        made: list[str] = []
        if not fitting.existing:
            made = [
                *grammar.beside(table),  # before the table: where that is, all of it is
                grammar.create_schema(table.raw_schema),
                grammar.create_table(table.raw_schema, table.table, (*columns, *statements.OWN), placement),
            ]
        elif manifest.load != "replace":
            made = [
                grammar.add_column(table.raw_schema, table.table, column) for column in fitting.changes.added
            ]
        if made:
            self.session.define(made)
        if before := self._widened(manifest, fitting, turn)[0]:
            if grammar.transactional_ddl:
                self.session.define(before)
            else:
                self._take(turn)
                self.session.replace(turn.guard(), before)

    def _widened(
        self, manifest: LoadableBatch, fitting: Fitting, turn: Turn
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        wider = [(column, fitting.existing.get(column.name, "")) for column in fitting.changes.widened]
        if not wider or not fitting.existing or manifest.load == "replace":
            return (), ()
        return self.grammar.widen(manifest.table.raw_schema, manifest.table.table, wider, turn.attempt)

    def _apply(
        self,
        manifest: LoadableBatch,
        batch: statements.Batch,
        fitting: Fitting,
        placement: Placement,
        turn: Turn,
    ) -> None:
        grammar = self.grammar
        record = records.insert_loaded(grammar, manifest)
        within = self._widened(manifest, fitting, turn)[1]
        if manifest.load == "replace":
            went = statements.went_replaced(batch) if fitting.existing else None
            touched = self._touched(manifest, batch, batch.rows(), went)
            if not fitting.anew:
                emptied = [grammar.empty(manifest.table)] if fitting.existing else []
                changes = [*emptied, statements.insert(batch, batch.rows())]
            else:
                replacing = grammar.replacing(
                    manifest.table,
                    (*batch.columns, *statements.OWN),
                    placement,
                    statements.whole(batch),
                    turn.attempt,
                )
                if not grammar.transactional_ddl:
                    self._replace(manifest, touched, replacing, record, turn)
                    return
                changes = list(replacing)
        elif manifest.load == "append":
            rows = statements.absent_rows(batch)
            touched = self._touched(manifest, batch, rows, None)
            changes = [statements.insert(batch, rows)]
        else:
            slices = manifest.slices if manifest.load == "slice" else ()
            touched = self._touched(manifest, batch, batch.rows(), statements.went_merged(batch, slices))
            changes = [*statements.delete(batch, slices), statements.insert(batch, batch.rows())]
        exchanged = turn.taken and records.is_touched(self.session, grammar, manifest)
        # an exchange that was not recorded wrote down what it touched, while the old table was there
        self._commit(turn, [*within, *([] if exchanged else [touched]), *changes, record])

    def _touched(self, manifest: LoadableBatch, batch: statements.Batch, rows: str, went: str | None) -> str:
        return records.insert_touched(self.grammar, manifest, statements.touched(batch, rows, went))

    def _replace(
        self, manifest: LoadableBatch, touched: str, replacing: Sequence[str], record: str, turn: Turn
    ) -> None:
        """DDL commits: what the exchange will touch is written down before it, once, while the old table is there; the record
        after it. A kill in between is repaired by the same load again."""
        self._take(turn)
        if not records.is_touched(self.session, self.grammar, manifest):
            untouched = records.untouched(self.grammar, manifest, turn.guard())
            with suppress(
                Overtaken
            ):  # written down by another load, or by a transaction whose answer was lost
                self._commit(turn, [touched], guard=untouched, name="_touched")
        self.session.replace(turn.guard(), replacing)
        self._commit(turn, [record], name="_record")

    def _take(self, turn: Turn) -> None:
        turn.take(lambda taken, guard: self._commit(turn, taken, guard=guard, name="_turn"))

    def _commit(
        self,
        turn: Turn,
        changes: Sequence[str],
        *,
        name: str = "",
        guard: str | None = None,
        locked: bool = True,
    ) -> None:
        """One transaction. One that failed for a reason that passes is run again, as long as what was staged is there: its
        guard says whether it was committed after all."""
        transaction = Transaction(
            f"{turn.attempt}{name}",
            self.grammar.lock(turn.table) if locked else (),
            guard or turn.guard(),
            tuple(changes),
        )
        for attempt in range(ATTEMPTS):
            try:
                self.session.commit(transaction)
                return
            except Transient as error:
                if error.session_lost or attempt == ATTEMPTS - 1:
                    raise
            self._pause(attempt)


def _identity(manifest: LoadableBatch) -> str:
    """Names the batch and this attempt, for stages and jobs: letters, digits and ``_``."""
    table = re.sub(r"[^A-Za-z0-9]+", "_", f"{manifest.table.source}_{manifest.table.table}")[:80]
    return f"{table}_{manifest.sequence}_{manifest.digest[:12]}_{uuid.uuid4().hex[:12]}"


def _overtaken(manifest: LoadableBatch) -> WarehouseBusy:
    return WarehouseBusy(
        f"Other loads of {manifest.table} were first, {ATTEMPTS} times. Batch {manifest.sequence} was not loaded by this one; run"
        " again."
    )
