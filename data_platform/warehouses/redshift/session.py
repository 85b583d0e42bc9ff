"""A connection to Redshift by its own client: questions, DDL, and the one transaction of a load.

A stage is a temporary table of the connection, so that nobody else sees it and nothing of it outlives the connection.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import WarehouseError
from data_platform.sql import literal
from data_platform.warehouses import QueryResult, Relation
from data_platform.warehouses.redshift import errors
from data_platform.warehouses.redshift.grammar import GRAMMAR, LOCKS
from data_platform.warehouses.redshift.staging import StagingFolder
from data_platform.warehouses.redshift.types import described
from data_platform.warehouses.remote.engine import Overtaken, Staging, Transaction, Transient

if TYPE_CHECKING:
    from redshift_connector.core import Connection

QUESTION_ATTEMPTS = 3
_OWN_SCHEMAS = ("information_schema", "catalog_history", "pg_auto_copy", LOCKS)


class RedshiftSession:
    """A ``remote.engine.Session``. ``connect`` opens a connection in which every statement is a transaction of its own; ``place`` names the
    warehouse for people, ``copy_as`` is what follows FROM and the manifest in COPY: how it is allowed to read."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        place: str,
        folder: StagingFolder,
        copy_as: str,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._connect, self._place, self._folder, self._copy_as = connect, place, folder, copy_as
        self._connection: Connection | None = None
        self._stages = 0
        """Temporary tables of the connection: with it they are gone."""
        self._in_snapshot = False

    def ask(self, question: str, limit: int | None = None, parameters: Sequence[Any] = ()) -> QueryResult:
        for attempt in range(QUESTION_ATTEMPTS):
            try:
                return self._ask(question, limit, parameters)
            except Transient:
                if self._stages or self._in_snapshot or attempt == QUESTION_ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, question: str, limit: int | None, parameters: Sequence[Any]) -> QueryResult:
        with self._cursor("answer a question", errors.not_run) as cursor:
            alone = self._read_only and not self._in_snapshot
            if alone:  # a function that writes, called in a SELECT, fails
                cursor.execute("BEGIN READ ONLY")
            try:
                # the client takes all of an answer; that cursors of Redshift take bound values is not documented
                if alone and limit is not None and not parameters:
                    cursor.execute(f"DECLARE asked CURSOR FOR {question.rstrip().rstrip(';')}")
                    question = f"FETCH FORWARD {limit} FROM asked"
                cursor.execute(question, list(parameters) or None)
                described_ = cursor.description or []
                rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
            finally:
                if alone:
                    self._roll_back(cursor)
        names = tuple(_text(column[0]) for column in described_)
        types = tuple(str(column[1]) for column in described_)
        return QueryResult(names, types, [tuple(row) for row in rows])

    def columns(self, schema: str, name: str) -> Mapping[str, str]:
        found = self.ask(
            "SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale"
            f" FROM svv_columns WHERE table_schema = {_folded(schema)} AND table_name = {_folded(name)}"
            " ORDER BY ordinal_position"
        )
        return {row[0]: described(*row[1:]) for row in found.rows}

    def describe(self, schema: str | None, name: str | None) -> list[Relation]:
        hidden = ", ".join(map(GRAMMAR.literal, _OWN_SCHEMAS))
        wanted = f" AND c.table_schema = {_folded(schema)}" if schema is not None else ""
        wanted += f" AND c.table_name = {_folded(name)}" if name is not None else ""
        found = self.ask(
            "SELECT c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.character_maximum_length,"
            " c.numeric_precision, c.numeric_scale FROM svv_columns c JOIN svv_tables t"
            " ON t.table_schema = c.table_schema AND t.table_name = c.table_name"
            f" WHERE SUBSTRING(c.table_schema, 1, 3) <> 'pg_' AND c.table_schema NOT IN ({hidden}){wanted}"
            " ORDER BY c.table_schema, c.table_name, c.ordinal_position"
        )
        kinds: dict[tuple[str, str], str] = {}
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for schema_, table, kind, column, *type_ in found.rows:
            named = str(kind).upper()
            kinds[schema_, table] = (
                "view" if "VIEW" in named else "external" if "EXTERNAL" in named else "table"
            )
            columns.setdefault((schema_, table), []).append((column, described(*type_)))
        return [
            Relation(schema_, table, kinds[schema_, table], tuple(held))
            for (schema_, table), held in columns.items()
        ]

    def fits(self, schema: str, name: str, partition: str | None, cluster: Sequence[str]) -> bool:
        """By its sort key. Redshift may choose the key of a table for which none is asked."""
        held = self.columns(schema, name)
        wanted = [
            one
            for one in dict.fromkeys(map(str.lower, [*filter(None, [partition]), *cluster]))
            if one in held
        ]
        if not wanted:
            return True
        found = self.ask(
            "SELECT column_name, sortkey FROM svv_redshift_columns WHERE database_name = current_database()"
            f" AND schema_name = {_folded(schema)} AND table_name = {_folded(name)} AND sortkey <> 0 ORDER BY sortkey"
        )
        return [column for column, _ in found.rows] == wanted and all(order > 0 for _, order in found.rows)

    def define(self, statements: Sequence[str]) -> None:
        for statement in statements:
            with self._cursor(_object_of(statement)) as cursor:
                try:
                    cursor.execute(statement)
                except Exception as error:
                    if errors.code(error) not in errors.THERE:
                        raise

    @contextmanager
    def staged(self, staging: Staging) -> Iterator[str]:
        name = GRAMMAR.quote(f"stage_{staging.identity}"[-120:])
        defined = ", ".join(f"{GRAMMAR.quote(column)} {kind}" for column, kind in staging.columns)
        self._run(f"CREATE TEMP TABLE {name} ({defined})", "make a temporary table")
        self._stages += 1
        try:
            with self._folder.manifest(staging) as manifest:
                if manifest is not None:
                    self._run(
                        f"COPY {name} FROM {GRAMMAR.literal(manifest)} {self._copy_as} FORMAT AS PARQUET MANIFEST",
                        "load the staged files by COPY",
                    )
            yield name
        finally:
            self._stages -= 1
            if self._connection is not None:
                with suppress(WarehouseError):
                    self._run(f"DROP TABLE IF EXISTS {name}", "drop a stage")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One transaction, which writes nothing: it sees what was committed when it began. Whatever its level is called, Redshift's is
        such a one."""
        with self._cursor("begin a backup") as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            if self._connection is not None:
                self._roll_back(self._connection.cursor())

    def filtered(self, schema: str, name: str) -> str | None:
        return None

    def unloaded(self, query: str, folder: Path) -> list[Path]:
        with self._folder.unloading(uuid.uuid4().hex) as address:
            self._run(
                f"UNLOAD ({literal(query)}) TO {GRAMMAR.literal(address)} {self._copy_as} FORMAT AS PARQUET MANIFEST VERBOSE",
                "unload a table for a backup by UNLOAD",
            )
            return self._folder.fetch(address, folder)

    def commit(self, transaction: Transaction) -> None:
        with self._cursor("apply a batch") as cursor:
            cursor.execute("BEGIN")
            try:
                for statement in transaction.lock:
                    cursor.execute(statement)
                if transaction.guard:
                    cursor.execute(transaction.guard)
                    if not cursor.fetchall()[0][0]:
                        raise Overtaken("Another load of the table was first.")
                for statement in transaction.statements:
                    cursor.execute(statement)
                cursor.execute("COMMIT")
            except BaseException:
                self._roll_back(cursor)
                raise

    def replace(self, guard: str, statements: Sequence[str]) -> None:
        raise AssertionError("DDL is part of a transaction here")

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    def _run(self, statement: str, doing: str) -> None:
        with self._cursor(doing) as cursor:
            cursor.execute(statement)

    def _roll_back(self, cursor: Any) -> None:
        try:
            cursor.execute("ROLLBACK")
        except Exception:  # the connection is not to be trusted any more
            self.close()

    @contextmanager
    def _cursor(
        self, doing: str, say: Callable[[BaseException], WarehouseError] | None = None
    ) -> Iterator[Any]:
        """A cursor of the connection, which is made when there is none. ``say`` words what the server refuses of a question."""
        connected = self._connection is not None
        try:
            if self._connection is None:
                if self._stages or self._in_snapshot:
                    raise Transient(
                        f"Redshift at {self._place} could not {doing}: the connection was lost, and with it what was staged or the"
                        " instant that a backup is of. Run again.",
                        session_lost=True,
                    )
                self._connection = self._connect()
                connected = True
            cursor = self._connection.cursor()
            cursor.paramstyle = "qmark"  # by default a % outside of a text would be one of its own
            yield cursor
        except WarehouseError:
            raise
        except Exception as error:
            if not errors.is_client_s(error):
                raise
            found = errors.told(error, doing, self._place)
            if isinstance(found, Transient) and found.session_lost:
                self.close()
            elif say is not None and connected and not isinstance(found, Transient):
                found = say(error)
            raise found from None
        except BaseException:  # Ctrl-C leaves an answer on its way
            self.close()
            raise


def _folded(name: str) -> str:
    """A name as the catalog has it: Redshift keeps names in lower case."""
    return GRAMMAR.literal(name.lower())


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _object_of(statement: str) -> str:
    found = re.match(
        r"(CREATE|ALTER|DROP)[A-Z ]*? (SCHEMA|TABLE|VIEW)[A-Z ]* (\"[^(]*?) ?(?:\(|AS|ADD|$)", statement
    )
    return f"{found[1].lower()} {found[2].lower()} {found[3]}" if found else "make a table fit"
