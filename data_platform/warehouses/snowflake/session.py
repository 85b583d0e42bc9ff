"""A connection to Snowflake: asks, defines, stages, commits. It decides nothing; ``remote/`` does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import DataPlatformError
from data_platform.warehouses import QueryResult, Relation
from data_platform.warehouses.remote.engine import Overtaken, RelationMissing, Staging, Transaction, Transient
from data_platform.warehouses.snowflake import names, staging, unloading
from data_platform.warehouses.snowflake.errors import EXISTS, translated
from data_platform.warehouses.snowflake.grammar import GRAMMAR
from data_platform.warehouses.snowflake.results import Answer, described, type_of

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from data_platform.warehouses.snowflake.connect import Connector

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUILT = re.compile(
    rf'CREATE OR REPLACE TABLE ({re.escape(GRAMMAR.schema(names.STAGE_SCHEMA))}\."(?:[^"]|"")+") '
)
_KEYS = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][\w$]*)')
"""The names within a cluster key as Snowflake writes it: LINEAR("AT", ID)."""


class SnowflakeSession:
    """A ``remote.engine.Session``. Connects when it is first used, and again after its connection was lost."""

    def __init__(self, connector: Connector, *, database: bool = True) -> None:
        self.connector, self._database = connector, database
        self._connection: SnowflakeConnection | None = None
        self._stage_schema_known = False

    # -- questions

    def ask(self, question: str, limit: int | None = None, parameters: Sequence[Any] = ()) -> QueryResult:
        answer = self._send(question, "answer a question", limit=limit, parameters=parameters)
        names_ = tuple(names.landed(column.name) for column in answer.columns)
        return QueryResult(names_, answer.types(), answer.values())

    def columns(self, schema: str, name: str) -> Mapping[str, str]:
        try:
            answer = self._send(
                f"DESCRIBE TABLE {GRAMMAR.relation(schema, name)}", f"describe {schema}.{name}"
            )
        except RelationMissing:
            return {}
        return {
            names.landed(column["name"], column.get("comment")): column["type"] for column in answer.by_name()
        }

    def describe(self, schema: str | None, name: str | None) -> list[Relation]:
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        views = set()
        for row in self._send(described(schema, name), "describe the warehouse").rows:
            table_schema, table, column, kind, precision, scale, length, comment, is_view = row
            key = names.landed(table_schema), names.landed(table)
            typed = names.landed(column, comment), type_of(kind, precision, scale, length)
            found.setdefault(key, []).append(typed)
            views |= {key} if is_view else set()
        return [
            Relation(*key, "view" if key in views else "table", tuple(columns))
            for key, columns in found.items()
        ]

    def fits(self, schema: str, name: str, partition: str | None, cluster: Sequence[str]) -> bool:
        """Snowflake has no partitions. A table that nobody asks to be clustered must not be, for that costs credits."""
        stored = names.folded(name)
        show = f"SHOW TABLES LIKE {GRAMMAR.literal(stored)} IN SCHEMA {GRAMMAR.schema(schema)}"
        tables = self._send(show, f"look at {schema}.{name}").by_name()
        held = next((table.get("cluster_by") or "" for table in tables if table["name"] == stored), "")
        found = _KEYS.findall(held)
        wanted = [names.folded(column) for column in cluster]
        keys = [quoted_key.replace('""', '"') or names.folded(bare) for quoted_key, bare in found]
        return bool(held) == bool(wanted) and [key for key in keys if key in wanted] == wanted

    # -- what changes something

    # -- backups

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        """Time Travel: every table is read as of one instant of Snowflake's clock. None where the database keeps no past."""
        instant = None
        if self.connector.config.time_travel:
            ((micros,),) = self.ask(f"SELECT {GRAMMAR.micros('CURRENT_TIMESTAMP')}").rows
            instant = (EPOCH + timedelta(microseconds=int(micros))).isoformat(timespec="microseconds")
        yield instant

    def filtered(self, schema: str, name: str) -> str | None:
        return None

    def unloaded(self, query: str, folder: Path) -> list[Path]:
        if self.connector.config.unload == "client":
            return unloading.read(self, query, folder)
        return unloading.unload(self, query, folder)

    def define(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._send(statement, "make the tables", tolerated=EXISTS)

    @contextmanager
    def staged(self, wanted: Staging) -> Iterator[str]:
        if not self._stage_schema_known:
            self.define([GRAMMAR.create_schema(names.STAGE_SCHEMA)])
            self._stage_schema_known = True
        table = staging.table(wanted)
        try:
            self.tell(staging.create(wanted), "make the stage")
            staging.fill(self, wanted)
            yield table
        finally:
            self.if_connected(f"DROP TABLE IF EXISTS {table}", "drop the stage")

    def commit(self, transaction: Transaction) -> None:
        try:
            self.tell("BEGIN TRANSACTION", "begin")
            for statement in transaction.lock:
                self.tell(statement, "wait for other loads of the table")
            if transaction.guard and not self._true(transaction.guard):
                raise Overtaken("Another load of the table was first.")
            for statement in transaction.statements:
                self.tell(statement, "load the batch")
            self.tell("COMMIT", "commit the batch")
        except BaseException:
            self.if_connected("ROLLBACK", "roll back")
            raise

    def replace(self, guard: str, statements: Sequence[str]) -> None:
        """The exchange copies nothing. What it takes was made by this attempt; a later turn has dropped it."""
        *before, exchange = statements
        built = [found[1] for statement in before if (found := _BUILT.match(statement))]
        try:
            self.define(before)
            if not self._true(guard):
                raise Overtaken("Another load of the table was first.")
            self.tell(exchange, "put the new table in the place of the old")
        except RelationMissing:
            raise Transient("Another load of the table was in the way.", session_lost=False) from None
        finally:
            for table in built:
                self.if_connected(f"DROP TABLE IF EXISTS {table}", "drop what was built")

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    # -- one statement

    def tell(self, statement: str, doing: str) -> Answer:
        """Run one statement; what it answers."""
        return self._send(statement, doing)

    def pages(self, question: str, doing: str, rows: int) -> Iterator[Answer]:
        """The answer to a question, ``rows`` at a time; at least one page."""
        connection = self._connected()
        try:
            with connection.cursor() as cursor:
                cursor.execute(question)
                while True:
                    found = [tuple(row) for row in cursor.fetchmany(rows)]
                    yield Answer(tuple(cursor.description or ()), found)
                    if len(found) < rows:
                        return
        except Exception as error:
            told = self._failed(error, doing)
        raise told

    def if_connected(self, statement: str, doing: str) -> None:
        """What ends with a session by itself, or is overwritten: temporary tables, transactions, what was built."""
        if self._connection is not None:
            with suppress(Exception):
                self.tell(statement, doing)

    def _true(self, guard: str) -> bool:
        ((answer,),) = self.tell(guard, "look for other loads of the table").rows
        return bool(answer)

    def _send(
        self,
        statement: str,
        doing: str,
        *,
        limit: int | None = None,
        tolerated: Sequence[int] = (),
        parameters: Sequence[Any] = (),
    ) -> Answer:
        connection = self._connected()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, list(parameters) or None)
                rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
                return Answer(tuple(cursor.description or ()), [tuple(row) for row in rows])
        except Exception as error:
            if getattr(error, "errno", None) in tolerated:
                return Answer((), [])
            told = self._failed(error, doing)
        raise told

    def _connected(self) -> SnowflakeConnection:
        if self._connection is None:
            self._connection = self.connector.connect(database=self._database)
            self._stage_schema_known = False
        return self._connection

    def _failed(self, error: Exception, doing: str) -> DataPlatformError:
        """The error in our words. A session that is lost is closed."""
        told = translated(error, doing, self.connector.place)
        if isinstance(told, Transient) and told.session_lost:
            self.close()
        return told
