"""A keystore in a schema of a PostgreSQL database, for syncs on several machines.

Use a database of its own: what backs up the database backs up the keys, and PostgreSQL keeps deleted bytes in its WAL until
that is recycled.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.errors import ConfigurationError, KeystoreUnreachable
from data_platform.keystore.config import KeystoreSettings
from data_platform.keystore.rows import TABLES, Rows, schema
from data_platform.sources.postgres.urls import WrongURL, parameters
from data_platform.sql import quoted
from data_platform.yaml_fields import VARIABLE

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x6B657973
_FETCHED = 10_000
_TYPES = {"number": "integer", "wrapped": "bytea"}
"""Those of the columns that are no text."""


class PostgresKeystoreConfig(KeystoreSettings):
    """``{kind: postgres, url_env: KEYSTORE_URL}``."""

    kind: Literal["postgres"] = Field(description="What holds the keys: `sqlite` or `postgres`.")
    url_env: str = Field(
        pattern=VARIABLE,
        description="Environment variable that holds the URL of the PostgreSQL database with the keys.",
    )
    schema_name: str = Field(
        default="data_platform_keystore",
        alias="schema",
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="The schema of the tables, which is made where it is missing.",
    )

    def rows(self, root: Path, environ: Mapping[str, str]) -> Rows:
        url = environ.get(self.url_env, "")
        if not url:
            raise ConfigurationError(
                f"The environment variable {self.url_env} is not set; it holds the URL of the keystore's database."
            )
        return PostgresRows(self.url_env, url, self.schema_name)

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()


class PostgresRows:
    """Each write holds an advisory lock, so that no two writers make a key for the same person."""

    def __init__(self, variable: str, url: str, schema_name: str) -> None:
        from psycopg import conninfo

        try:
            self._conninfo = conninfo.make_conninfo(**parameters(url))
        except WrongURL as error:
            raise ConfigurationError(
                f"{variable} is not the URL of a PostgreSQL database: {error}."
            ) from None
        self._variable, self._schema = variable, schema_name
        self.place = f"the schema {schema_name} of the PostgreSQL database in {variable}"
        self._turn = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._process = 0

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._turn, self._named():
            return self._open().execute(_bound(sql), tuple(values)).fetchall()

    def among(self, column: str) -> str:
        return f"{column} = ANY(?)"

    def listed(self, values: Sequence[str]) -> list[str]:
        return list(values)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._turn, self._named():
            connection = self._open()
            with connection.transaction():
                connection.execute(
                    _bound("SELECT pg_advisory_xact_lock(?, hashtext(?))"), (_LOCK, self._schema)
                )
                yield

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._open().cursor() as cursor:
            cursor.executemany(_bound(sql), rows)

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> int:
        if not rows:
            return 0
        columns = TABLES[table][: len(rows[0])]
        arrays = ", ".join(f"%b::{_TYPES.get(column, 'text')}[]" for column in columns)
        added = self._open().execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING".encode(),
            list(map(list, zip(*rows, strict=True))),
        )
        return added.rowcount

    @contextmanager
    def everything(self) -> Iterator[Iterator[tuple[str, list[tuple[Any, ...]]]]]:
        with self._turn, self._named():
            connection = self._open()
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield _pages(connection)

    def compact(self) -> None:
        with self._turn, self._named():
            self._open().execute("VACUUM (FULL) subjects, wrapping_keys, secrets")

    def close(self) -> None:
        with self._turn:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        import psycopg

        stale = self._connection is not None and (self._connection.closed or self._process != os.getpid())
        if self._connection is None or stale:
            connection = psycopg.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, connect_timeout=10
            )
            try:
                self._make(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._process = connection, os.getpid()
        return self._connection

    def _make(self, connection: psycopg.Connection[Any]) -> None:
        name = quoted(self._schema)
        # a key that a crash of the server takes back would leave sealed values that nobody opens
        connection.execute(
            b"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.execute(f"SET search_path = {name}".encode())
        there = connection.execute(
            _bound("SELECT to_regclass(?) IS NOT NULL"), (f"{name}.subjects_by_number",)
        )
        if there.fetchall()[0][0]:
            return
        with connection.transaction():
            connection.execute(_bound("SELECT pg_advisory_xact_lock(?, hashtext(?))"), (_LOCK, self._schema))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
            for statement in schema("BYTEA"):
                connection.execute(statement.encode())

    @contextmanager
    def _named(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            if self._connection is not None and self._connection.broken:
                with suppress(psycopg.Error):
                    self._connection.close()
            raise KeystoreUnreachable(
                f"The keystore in {self.place} could not be read or written ({type(error).__name__}). Check that the database"
                f" answers, and that its user may create and change tables in the schema {self._schema}."
            ) from None


def _bound(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _pages(connection: psycopg.Connection[Any]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    for table, columns in TABLES.items():
        with connection.cursor(name="keystore") as found:
            found.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1".encode())
            while rows := found.fetchmany(_FETCHED):
                yield table, rows
