"""PostgreSQL asked about its own rows: each table in a read-only REPEATABLE READ transaction of its own.

It has the sync's settings, so its statements end after ``statement_timeout_seconds``. It waits for no lock while it holds one: a table that is
locked is tried again for ``lock_timeout_seconds``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from data_platform.errors import DataPlatformError, QueryFailed, SourceError, SourceUnreachable
from data_platform.sources.answering import AnsweredRelation, AnsweredRows, Answers, Asked
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.expressions import EXPRESSIONS, PostgresExpressions
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.session import SourceSession
from data_platform.sources.reading import Opening, SourceTable
from data_platform.tables import TableId

T = TypeVar("T")


@contextmanager
def _opened(opening: Opening) -> Iterator[PostgresAnswering]:
    where = target(connection_of(opening.connection), opening.environ, source=opening.source)
    with SourceSession(where) as session:
        yield PostgresAnswering(session)


class PostgresAnswering:
    """``sources.answering.Answering``."""

    def __init__(self, session: SourceSession) -> None:
        self.session = session

    def ask(
        self, tables: Sequence[SourceTable], act: Callable[[SourceTable, Asked], T]
    ) -> Mapping[TableId, T | DataPlatformError]:
        by_name = {table.id.table: table for table in tables}
        done = self.session.look(
            [(name, *settings_of(table).relation) for name, table in by_name.items()],
            lambda name, relation: act(by_name[name], _Asked(self.session, relation)),
            seconds=self.session.target.lock_timeout_seconds,
        )
        return {by_name[name].id: found for name, found in done.items()}


@dataclass(frozen=True)
class _Asked:
    session: SourceSession
    relation: Relation
    dialect: PostgresExpressions = EXPRESSIONS

    def describe(self, schema: str, name: str) -> list[AnsweredRelation]:
        if (schema, name) == (self.relation.schema, self.relation.name):
            return [_described(self.relation)]
        found = self.session.described(schema, name)
        return [_described(found)] if found else []

    def query(self, sql: str) -> AnsweredRows:
        place = f"{self.relation.schema}.{self.relation.name}"
        try:
            return AnsweredRows(self.session.execute(sql, what=f"Testing the rules of {place}"))
        except SourceUnreachable:
            raise
        except SourceError as error:
            raise QueryFailed(str(error)) from None


def _described(relation: Relation) -> AnsweredRelation:
    may = relation.readable
    columns = [(one.name, one.formatted) for one in relation.columns if may is None or one.name in may]
    withheld = frozenset(relation.column_names) - {name for name, _ in columns}
    return AnsweredRelation(columns, withheld)


ANSWERS = Answers(EXPRESSIONS, lambda table: settings_of(table).relation, _opened)
