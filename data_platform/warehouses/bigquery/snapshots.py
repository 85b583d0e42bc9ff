"""Table snapshots of BigQuery: ``warehouses.snapshots.Snapshots``. They lie in a dataset of their own and expire by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar

from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.bigquery.grammar import SNAPSHOT_SCHEMA, STAGE_SCHEMA, BigQueryGrammar
from data_platform.warehouses.bigquery.session import LOCK_PREFIX, BigQuerySession
from data_platform.warehouses.remote.records import LOADED

AT_ONCE = 100
"""Tables of one script, which may be a megabyte long."""


def created(grammar: BigQueryGrammar, name: str, source: str, at: datetime, expires: datetime) -> str:
    """The snapshot of the table ``source`` (``schema.table``). It may be there already: a script may run again."""
    schema, _, table = source.partition(".")
    past = grammar.at(grammar.relation(schema, table), at.isoformat(timespec="microseconds"))
    gone = grammar.instant(expires.isoformat(timespec="microseconds"))
    return (
        f"CREATE SNAPSHOT TABLE IF NOT EXISTS {_place(grammar, name, source)} CLONE {past}"
        f" OPTIONS (expiration_timestamp = {gone})"
    )


def dropped(grammar: BigQueryGrammar, name: str, source: str) -> str:
    return f"DROP SNAPSHOT TABLE IF EXISTS {_place(grammar, name, source)}"


def _place(grammar: BigQueryGrammar, name: str, source: str) -> str:
    """No dataset's name has a hyphen, so that the parts can be told from each other again."""
    schema, _, table = source.partition(".")
    return grammar.relation(SNAPSHOT_SCHEMA, f"{name}-{schema}-{table}")


class BigQuerySnapshots:
    last: ClassVar[str] = f"{PLATFORM_SCHEMA}.{LOADED}"

    def __init__(self, session: BigQuerySession) -> None:
        self._session = session

    def sources(self) -> list[str]:
        """Tables alone, as a backup has them, by calls that cost nothing."""
        return [
            f"{schema}.{table}"
            for schema in self._session.schemas()
            if schema != STAGE_SCHEMA
            for table, kind in self._session.tables(schema)
            if kind == "TABLE" and not (schema == PLATFORM_SCHEMA and table.startswith(LOCK_PREFIX))
        ]

    def instant(self) -> datetime:
        with self._session.snapshot() as instant:
            return datetime.fromisoformat(instant)

    def make(self, name: str, at: datetime, expires: datetime, sources: Sequence[str]) -> None:
        grammar = self._session.grammar
        self._session.define([grammar.create_schema(SNAPSHOT_SCHEMA)])
        statements = [created(grammar, name, source, at, expires) for source in sources]
        for first in range(0, len(statements), AT_ONCE):
            self._session.run("make a snapshot of the tables", statements[first : first + AT_ONCE])

    def held(self) -> list[tuple[str, str]]:
        return list(self._held())

    def _held(self) -> Iterator[tuple[str, str]]:
        for place, kind in self._session.tables(SNAPSHOT_SCHEMA):
            name, _, source = place.partition("-")
            schema, _, table = source.partition("-")
            if kind == "SNAPSHOT" and table:
                yield name, f"{schema}.{table}"

    def drop(self, name: str) -> None:
        grammar = self._session.grammar
        statements = [dropped(grammar, name, source) for held, source in self._held() if held == name]
        for first in range(0, len(statements), AT_ONCE):
            self._session.run(f"drop the snapshot {name}", statements[first : first + AT_ONCE])
