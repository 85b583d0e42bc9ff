"""A warehouse behind a connection: the whole protocol over a ``Session`` and a ``Grammar``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_platform.errors import QueryFailed
from data_platform.tables import Column, Fingerprint, Layout, Slice, TableId, Tally
from data_platform.warehouses import Kept, LoadableBatch, LoadedBatch, LoadResult, Look, QueryResult, Relation
from data_platform.warehouses.dialect import Dialect, blanks, deletes
from data_platform.warehouses.journal import JournalTable
from data_platform.warehouses.maintenance import Upkeep
from data_platform.warehouses.placement import Wanted
from data_platform.warehouses.remote import compare, records, shorten
from data_platform.warehouses.remote.engine import Session, Transaction
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.load import Loader
from data_platform.warehouses.remote.question import check_question


class RemoteWarehouse:
    """A ``warehouses.Warehouse``; whoever opened the session closes it. With ``read_only`` nothing is loaded, and ``query`` takes
    questions alone."""

    def __init__(
        self,
        session: Session,
        grammar: Grammar,
        *,
        read_only: bool = False,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.session, self.grammar, self.read_only = session, grammar, read_only
        self._loader = Loader(session, grammar, sleep) if sleep else Loader(session, grammar)
        self._prepared = False
        self._journals: set[TableId] = set()
        """Those whose lock is there."""

    @property
    def dialect(self) -> Dialect:
        return self.grammar

    def loaded(self, table: TableId) -> LoadedBatch | None:
        return next(iter(records.newest(self.session, self.grammar, table)), None)

    def loaded_all(self) -> list[LoadedBatch]:
        return records.newest(self.session, self.grammar)

    def load(
        self,
        manifest: LoadableBatch,
        parts: Sequence[Path],
        *,
        addresses: Sequence[str] = (),
        cluster: Sequence[str] = (),
        kept: Sequence[Kept] = (),
    ) -> LoadResult:
        self._prepare()
        return self._loader.load(manifest, parts, addresses, cluster, kept)

    def record_reads(self, looks: Sequence[Look]) -> None:
        if looks:
            self._prepare()
            self._commit(records.look_at(self.grammar, looks))

    def reads(self) -> Mapping[TableId, str]:
        return records.reads(self.session, self.grammar)

    def record_rules(self, table: TableId, sequence: int, evaluated: str) -> None:
        self._prepare()
        now = datetime.now(UTC)
        self._commit(records.evaluated(self.grammar, table, sequence, evaluated, now))

    def recorded_rules(self) -> Mapping[TableId, tuple[int, str]]:
        return records.recorded_rules(self.session, self.grammar)

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        if self.read_only:
            raise QueryFailed("The statement did not run: this warehouse was opened to be read.")
        lock = TableId(table.schema, table.name)
        if lock not in self._journals:
            self._prepare()  # some engines keep locks among the platform's own tables
            self._loader.again(lambda: self.session.define(self.grammar.beside(lock)))
            self._journals.add(lock)
        self._loader.again(lambda: records.make_journal(self.session, self.grammar, table))
        identity = f"journal_{uuid.uuid4().hex}"
        self._commit(Transaction(identity, self.grammar.lock(lock), "", tuple(statements)))

    def remove_rows(self, schema: str, name: str, conditions: Sequence[str]) -> None:
        self._change("removed", deletes(self.grammar, schema, name, conditions))

    def blank_rows(self, schema: str, name: str, columns: Sequence[str], conditions: Sequence[str]) -> None:
        self._change("blanked", blanks(self.grammar, schema, name, columns, conditions))

    def _change(self, what: str, statements: Sequence[str]) -> None:
        if statements:
            self._commit(Transaction(f"{what}_{uuid.uuid4().hex}", (), "", tuple(statements)))

    def changed_since(self, table: TableId) -> Mapping[Slice, int]:
        return records.changed_since(self.session, self.grammar, table)

    def fingerprints(self, table: TableId, layout: Layout) -> Mapping[Slice, Fingerprint]:
        return compare.fingerprints(self.session, self.grammar, table, layout)

    def tallies(self, table: TableId, layout: Layout) -> Mapping[Slice, Tally]:
        return compare.tallies(self.session, self.grammar, table, layout)

    def altered(
        self,
        table: TableId,
        layout: Layout,
        columns: Sequence[Column],
        parts: Sequence[Path],
        slices: Sequence[Slice],
    ) -> Mapping[Slice, int]:
        return compare.altered(self.session, self.grammar, table, layout, columns, parts, slices)

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        if self.read_only:
            check_question(sql, self.grammar.name, len(parameters))
        return self.session.ask(sql, limit, parameters)

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]:
        return self.session.describe(schema, name)

    def misplaced(self, wanted: Wanted) -> list[TableId]:
        """``placement.Placed``."""
        return [
            table
            for table, (partition, cluster) in wanted.items()
            if not self.session.fits(table.raw_schema, table.table, partition, cluster)
        ]

    def maintain(self) -> Upkeep:
        """``maintenance.Maintainable``: records that newer ones replace go, and what killed exchanges made."""
        self._prepare()
        return Upkeep(shorten.shorten(self.session, self.grammar, self._commit))

    def _prepare(self) -> None:
        if not self._prepared:
            self._loader.again(lambda: records.prepare(self.session, self.grammar))
            self._prepared = True

    def _commit(self, transaction: Transaction) -> None:
        self._loader.again(lambda: self.session.commit(transaction))
