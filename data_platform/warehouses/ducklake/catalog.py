"""The lake's catalog, a schema of a PostgreSQL database: whether it is there, who works in it, and its place taken by another.

DuckLake's own tables are DuckLake's. What it lacks is kept here by advisory locks, which end with the transaction that
holds them, in any pooling mode: one load a table at a time, and none while the lake is replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from data_platform.errors import ConfigurationError, WarehouseBusy, WarehouseError

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = "10"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which lake it is: another one in its place has another number. ``data_path`` is its folder, with a slash."""

    oid: int
    data_path: str


def parameters(variable: str, environ: Mapping[str, str]) -> dict[str, str]:
    """libpq's parameters in the URL that ``variable`` holds. ``ConfigurationError`` names the variable alone."""
    url = environ.get(variable, "")
    if not url:
        raise ConfigurationError(
            f"The environment variable {variable} is not set. It holds the URL of the PostgreSQL database of the lake's"
            " catalog: postgresql://user:password@host:5432/database."
        )
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError:
        raise ConfigurationError(
            f"The environment variable {variable} holds no URL of a PostgreSQL database. It looks like"
            " postgresql://user:password@host:5432/database; special characters of the password are percent-encoded."
        ) from None
    return {"connect_timeout": CONNECT_SECONDS, "application_name": "data-platform", **found}


class Catalog:
    """Connected when first asked, and closed by ``close``."""

    def __init__(self, given: Mapping[str, str], schema: str, place: str) -> None:
        self._given, self.schema, self._place = dict(given), schema, place
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def identity(self) -> Identity | None:
        """None where there is no lake."""
        from psycopg import sql

        with self._connected() as connection:
            row = connection.execute(
                "SELECT c.relnamespace FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND c.relname = 'ducklake_metadata'",
                (self.schema,),
            ).fetchone()
            if row is None:
                return None
            found = connection.execute(
                sql.SQL("SELECT value FROM {} WHERE key = 'data_path' AND scope IS NULL").format(
                    sql.Identifier(self.schema, "ducklake_metadata")
                )
            ).fetchone()
        return None if found is None else Identity(int(row[0]), str(found[0]))

    @contextmanager
    def load_of(self, table: str, seconds: float) -> Iterator[None]:
        """Nobody else loads ``table`` in the block, and nobody replaces the lake. ``WarehouseBusy`` when that takes
        longer than ``seconds``."""
        who = f"another load of {table}"
        with self._locked([(None, "_shared"), (table, "")], seconds, who):
            yield

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Nobody loads anything in the block."""
        with self._locked([(None, "")], seconds, "a load"):
            yield

    def check(self) -> None:
        """``WarehouseError`` where the locks of the block are gone with the connection that held them."""
        import psycopg

        try:
            with self._connected() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            raise self._gone("keep its lock") from None

    def take_place_of(self, other: str, put_aside: str) -> None:
        """This schema becomes ``other``, and what was there ``put_aside``, in one transaction."""
        from psycopg import sql

        rename = "ALTER SCHEMA {} RENAME TO {}"
        with self._connected() as connection, connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '60s'")
            there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (other,)).fetchone()
            for old, new in ((other, put_aside), (self.schema, other)):
                if old == self.schema or there:
                    connection.execute(sql.SQL(rename).format(sql.Identifier(old), sql.Identifier(new)))

    def drop(self) -> None:
        from psycopg import sql

        with self._connected() as connection:
            connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema))
            )

    @contextmanager
    def _locked(self, names: list[tuple[str | None, str]], seconds: float, who: str) -> Iterator[None]:
        import psycopg

        with self._connected() as connection, connection.transaction(force_rollback=True):
            # the transaction is idle for as long as the load takes, without a snapshot
            connection.execute(
                f"SET LOCAL lock_timeout = {max(int(seconds * 1000), 1)}; SET LOCAL idle_in_transaction_session_timeout = 0"
            )
            try:
                for name, shared in names:
                    connection.execute(
                        f"SELECT pg_advisory_xact_lock{shared}(%s)", (_number(self.schema, name),)
                    )
            except psycopg.errors.LockNotAvailable:
                raise WarehouseBusy(
                    f"{self._place} is held by {who}; waited {seconds:.0f} seconds. Wait until it finishes, or end it,"
                    " then run this again."
                ) from None
            yield

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        import psycopg
        from psycopg.conninfo import make_conninfo

        if self._connection is None:
            try:
                self._connection = psycopg.connect(
                    make_conninfo("", **self._given), autocommit=True, prepare_threshold=None
                )
            except psycopg.Error as error:
                raise self._gone("be reached", error) from None
        yield self._connection

    def _gone(self, act: str, error: Exception | None = None) -> WarehouseError:
        why = str(error).strip().splitlines()[-1] if error is not None and str(error).strip() else ""
        return WarehouseError(
            f"The catalog of {self._place} could not {act}{f': {why}' if why else ''}. Check that its PostgreSQL server"
            " runs, and the address and the password in the variable; then run this again."
        )


def _number(schema: str, name: str | None) -> int:
    """The lock's number: of a table's loads, or of the whole lake. The database is the server's to tell apart."""
    text = f"data_platform lake {schema}" + ("" if name is None else f" table {name}")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
