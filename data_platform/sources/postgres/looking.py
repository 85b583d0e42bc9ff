"""PostgreSQL looked at without being read, in short transactions that wait for no lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from data_platform.duckdb_sql import content_rows
from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.looking import Accept, Checked, LookAt, Looked
from data_platform.sources.postgres import doctor
from data_platform.sources.postgres.changes import Decision, Moment, decide_changes, whole
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.describe import chosen, describe
from data_platform.sources.postgres.fingerprint import measure
from data_platform.sources.postgres.identity import identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.readable import Trial, try_to_read
from data_platform.sources.postgres.reading import by_clock, is_small
from data_platform.sources.postgres.rows import from_clause
from data_platform.sources.postgres.rows import wanted as wanted_rows
from data_platform.sources.postgres.session import LOOK_SECONDS, SourceSession
from data_platform.sources.postgres.types import quote
from data_platform.sources.reading import Opening, SourceTable
from data_platform.tables import Fingerprint, Snapshot, TableId

NO_ROWS = Fingerprint(0, 0)


@contextmanager
def open_looking(opening: Opening) -> Iterator[PostgresLooking]:
    where = target(connection_of(opening.connection), opening.environ, source=opening.source)
    with SourceSession(where) as session:
        yield PostgresLooking(session, opening)


class PostgresLooking:
    """``sources.looking.Looking``."""

    def __init__(self, session: SourceSession, opening: Opening) -> None:
        self.session, self._opening = session, opening

    def snapshot(self) -> Snapshot:
        return self.session.observe(activity=by_clock(self._opening.tables)).to_snapshot()

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        """Most are small and quiet and are asked together, the others one by one."""
        by_name = {one.table.id.table: one for one in looks}
        wanted = [(name, *settings_of(one.table).relation) for name, one in by_name.items()]

        def simple(name: str, relation: Relation) -> str | None:
            one = by_name[name]
            with suppress(DataPlatformError):  # told when it is looked at by itself
                accept(one.table, describe(one.table, relation, None, to_read=False))
                decision = self._decide(one, relation)
                known = identity(one.table.id, one.prior.identity)
                same = known in (None, relation.identity)
                if same and decision.path not in ("whole", "cursor") and is_small(relation):
                    return _question(relation, decision)
            return None

        seen: dict[str, Looked | DataPlatformError] = {}
        if all(one.measured is None for one in looks):
            for name, rows in self.session.glance(wanted, simple).items():
                seen[name] = Looked(bool(rows))
        seen |= self.session.look(
            [w for w in wanted if w[0] not in seen],
            lambda name, relation: self._look(by_name[name], relation, accept),
            seconds=LOOK_SECONDS,
        )
        return {by_name[name].table.id: one for name, one in seen.items()}

    def check(self, accept: Accept) -> Checked:
        found = Checked()
        tables = {table.id.table: table for table in self._opening.tables}

        def look(name: str, relation: Relation) -> tuple[Relation, Trial]:
            self.session.permitted(name, relation)
            accept(tables[name], describe(tables[name], relation, None))
            return relation, try_to_read(self.session, relation, chosen(tables[name], relation).column_names)

        wanted = [(name, *settings_of(table).relation) for name, table in tables.items()]
        seen = self.session.look(wanted, look, seconds=LOOK_SECONDS)
        known = {one[0].oid for one in seen.values() if not isinstance(one, DataPlatformError)}
        for name, table in tables.items():
            one = seen[name]
            if isinstance(one, DataPlatformError):
                told = str(one)
                found.mistakes.append(told if str(table.id) in told else f"{table.id}: {told}")
                continue
            relation, trial = one
            where = f"{table.id} ({relation.schema}.{relation.name})"
            found.notes += _not_in_the_catalog(table, relation, known)
            if trial.problem:
                found.mistakes.append(f"{where} cannot be read: {trial.problem}.")
            elif trial.note:
                found.notes.append(f"{where}: {trial.note}.")
        return found

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        yield from doctor.findings(self.session, self._opening, head, now)
        self.snapshot()
        yield doctor.tables(f"{head}: tables", len(self._opening.tables), self.check(accept))

    def _decide(self, one: LookAt, relation: Relation) -> Decision:
        """A table that is read whole each time has row versions that tell when, if it has any."""
        if one.ask.what == "whole":
            return whole()
        if one.table.strategy == "replace" and not relation.has_xmin:
            return whole(blind=True)
        assert self.session.snapshot is not None
        moment = Moment(self.session.server, self.session.snapshot, self.session.observation)
        return decide_changes(one.table, relation, moment, one.prior)

    def _look(self, one: LookAt, relation: Relation, accept: Accept) -> Looked:
        table, session, relation = one.table, self.session, wanted_rows(relation, one.prior)
        layout = accept(table, describe(table, relation, None, to_read=False))
        decision = self._decide(one, relation)
        known = identity(table.id, one.prior.identity)
        if known is not None and known != relation.identity:  # made anew, truncated, altered
            return Looked(True)
        what = f"Looking for changes in {relation.schema}.{relation.name}"
        source = from_clause(relation)
        if decision.path == "whole":
            moved = None if decision.blind else True
            if moved is None and table.cursor and table.strategy != "replace":  # none was known so far
                first = f"select 1 from {source} where {quote(table.cursor)} is not null limit 1"
                moved = True if session.execute(first, what=what) else None
            return Looked(moved)
        if decision.path == "cursor":
            return Looked(self._moved_by_cursor(one, relation, decision, what))
        if session.execute(_question(relation, decision), what=what):
            return Looked(True)
        if not one.measured:
            return Looked(False)
        now = measure(session.under_snapshot(what), relation, layout)
        return Looked(
            False, tuple(sorted(s for s, before in one.measured.items() if now.get(s, NO_ROWS) != before))
        )

    def _moved_by_cursor(self, one: LookAt, relation: Relation, decision: Decision, what: str) -> bool | None:
        """True for rows beyond the last cursor, or another number of rows from it on. As many as landed may
        still be other rows: only reading them tells."""
        if one.prior.boundary is None:
            return True
        column, cursor = relation.column(one.table.cursor or ""), quote(one.table.cursor or "")
        beyond = f"{cursor} > {decision.predicate.removeprefix(f'{cursor} >= ')}"
        if column is not None and column.base in ("date", "timestamp", "timestamptz"):
            beyond += f" and isfinite({cursor})"  # an infinity is beyond for ever
        ((rows, new),) = self.session.execute(
            f"select count(*), count(*) filter (where {beyond}) from {from_clause(relation)}"
            f" where {decision.predicate}",
            what=what,
        )
        return True if new or rows != content_rows(one.prior.boundary) else None


def _question(relation: Relation, decision: Decision) -> str:
    return f"select 1 from {from_clause(relation)} where {decision.predicate} limit 1"


def _not_in_the_catalog(table: SourceTable, relation: Relation, known: Collection[int]) -> list[str]:
    """Tables whose rows a query of ``relation`` shows, and which have no block."""
    absent = [f"{schema}.{name}" for oid, schema, name in relation.children if oid not in known]
    if not absent:
        return []
    more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
    return [
        f"{table.id}: {', '.join(absent[:3])}{more} inherit from {relation.schema}.{relation.name}, which is read"
        " without their rows. Give each a block of its own, or read a view over them all."
    ]
