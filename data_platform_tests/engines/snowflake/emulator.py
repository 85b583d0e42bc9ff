"""Run by the Python of ``.engines/snowflake``: fakesnow's server on a port of loopback, with what it lacks of the service.

Each change is one of two kinds. What the service has and fakesnow has not: ``FILES`` of an internal stage, temporary tables
in a schema, comments of columns, ``REMOVE``, ``SWAP WITH``, ``MD5_NUMBER_UPPER64``, sessions' parameters, clones of schemas.
What fakesnow takes and the service does otherwise: DDL commits an open transaction, and UPDATE, DELETE and MERGE hold their table to its end.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.copy_into
import fakesnow.fakes
import fakesnow.info_schema
import fakesnow.macros
import fakesnow.server
import fakesnow.transforms
import pyarrow
import snowflake.connector.errors
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.expr import normalise_ident
from fakesnow.transforms import stage, transforms
from sqlglot import exp
from starlette.responses import JSONResponse
from starlette.routing import Route

_LOCK_SECONDS = 20
_locks: dict[tuple[str, str, str], threading.Lock] = defaultdict(threading.Lock)
_REMOVE = re.compile(r"\s*(?:REMOVE|RM)\s+@(\S+?)\s*;?\s*", re.IGNORECASE)
_SWAP = re.compile(
    r'\s*ALTER\s+DATABASE\s+("[^"]+"|\w+)\s+SWAP\s+WITH\s+("[^"]+"|\w+)\s*;?\s*', re.IGNORECASE
)
_RENAME = re.compile(
    r'\s*ALTER\s+DATABASE\s+("[^"]+"|\w+)\s+RENAME\s+TO\s+("[^"]+"|\w+)\s*;?\s*', re.IGNORECASE
)
_DATABASE = re.compile(
    r'\s*(CREATE\s+OR\s+REPLACE|DROP)\s+DATABASE\s+(?:IF\s+EXISTS\s+)?("[^"]+"|\w+)\s*;?\s*', re.IGNORECASE
)
_CLONE = re.compile(
    r'\s*CREATE\s+SCHEMA\s+IF\s+NOT\s+EXISTS\s+("[^"]+")\s+CLONE\s+("[^"]+")\s+AT\s*\(TIMESTAMP\s*=>.+\)\s*;?\s*',
    re.IGNORECASE | re.S,
)
"""Of a whole schema, which is cloned as it is now: there is no past."""
_GRANTS = re.compile(r"(\sCLONE\s.*?)\s+COPY\s+GRANTS\s*;?\s*\Z", re.IGNORECASE | re.S)
"""Of a clone; sqlglot does not know it there."""
_SESSION = re.compile(
    r"\s*(?:ALTER\s+SESSION\s+(?:UN)?SET|USE\s+(?:ROLE|WAREHOUSE))\b.*", re.IGNORECASE | re.S
)
_DDL = exp.Alter, exp.Comment, exp.Create, exp.Drop, exp.TruncateTable
_HOLDS_ITS_TABLE = exp.Update, exp.Delete, exp.Merge


def _error(message: str, number: int, state: str) -> Exception:
    return snowflake.connector.errors.ProgrammingError(msg=message, errno=number, sqlstate=state)


_execute = FakeSnowflakeCursor.execute
_run = FakeSnowflakeCursor._execute
_close = fakesnow.fakes.FakeSnowflakeConnection.close
_source_urls = fakesnow.copy_into._source_urls
_login = fakesnow.server.login_request
_timestamps = fakesnow.arrow.timestamp_to_sf_struct
_create_clone = fakesnow.transforms.create_clone
_macros = fakesnow.macros.creation_sql


def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
    if found := _REMOVE.fullmatch(command):
        return _execute(self, f"SELECT {_removed(self._conn, found[1])} AS removed", *args, **kwargs)
    if found := _SWAP.fullmatch(command):
        _swap(self._conn, *map(normalise_ident, found.groups()))
        command = "SELECT 'Statement executed successfully.' AS status"
    elif found := _DATABASE.fullmatch(command):
        name = normalise_ident(found[2])
        if self._conn.database == name:
            self._conn._duck_conn.execute("USE memory")
        self._conn._duck_conn.execute(f"DETACH DATABASE IF EXISTS {name}")
        dropped = "SELECT 'Statement executed successfully.' AS status"
        command = dropped if found[1].upper() == "DROP" else f'CREATE DATABASE "{name}"'
    elif found := _RENAME.fullmatch(command):
        _rename(self._conn, [tuple(map(normalise_ident, found.groups()))])
        command = "SELECT 'Statement executed successfully.' AS status"
    elif found := _CLONE.fullmatch(command):
        _clone_schema(self._conn, *map(normalise_ident, found.groups()))
        command = "SELECT 'Schema successfully created.' AS status"
    elif _SESSION.fullmatch(command):
        command = "SELECT 'Statement executed successfully.' AS status"
    return _execute(self, _GRANTS.sub(r"\1", command), *args, **kwargs)


def _removed(connection: Any, reference: str) -> int:
    name, _, path = reference.partition("/")
    parts = stage.parts_from_var(name, connection.database, connection.schema)
    folder = stage.internal_dir(".".join(parts))
    wanted = f"{folder.rstrip('/')}/{path}"
    found = [file for file in Path(folder).rglob("*") if file.is_file() and str(file).startswith(wanted)]
    for file in found:
        file.unlink()
    return len(found)


def _swap(connection: Any, one: str, other: str) -> None:
    known = {
        row[0]
        for row in connection._duck_conn.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    }
    for name in (one, other):
        if name not in known:
            raise _error(
                f"SQL compilation error:\nDatabase '{name}' does not exist or not authorized.", 2003, "02000"
            )
    _rename(connection, [(one, "_swapped"), (other, one), ("_swapped", other)])


def _clone_schema(connection: Any, new: str, source: str) -> None:
    duck, database = connection._duck_conn, connection.database
    known = duck.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", [database, source]
    ).fetchall()
    if not known:
        raise _error(
            f"SQL compilation error:\nSchema '{source}' does not exist or not authorized.", 2003, "02000"
        )
    tables = duck.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?",
        [database, source],
    ).fetchall()
    duck.execute(f'CREATE SCHEMA IF NOT EXISTS "{database}"."{new}"')
    for (table,) in tables:
        duck.execute(f'CREATE TABLE "{database}"."{new}"."{table}" AS FROM "{database}"."{source}"."{table}"')


def _rename(connection: Any, renamed: list[tuple[str, str]]) -> None:
    for name, now in renamed:
        connection._duck_conn.execute(f"ALTER DATABASE {name} SET ALIAS TO {now}")
    for _, name in renamed:  # fakesnow's own views spell the name of their database
        if name != "_swapped":
            views = fakesnow.info_schema.per_db_creation_sql(name)
            connection._duck_conn.execute(
                views.replace("create view if not exists", "create or replace view")
            )


def run(self: Any, transformed: exp.Expression, params: Any = None) -> None:
    """One statement, as the service would take it."""
    connection = self._conn
    if isinstance(transformed, _DDL):
        _end(connection, commit=True)
        _as_plain_table(connection, transformed)
    elif isinstance(transformed, exp.Transaction):
        connection._open = True
    elif isinstance(transformed, _HOLDS_ITS_TABLE) and isinstance(transformed.this, exp.Table):
        _hold(connection, transformed.this)
    comments = [*_comments(transformed), *_cloned_comments(connection, transformed)]
    try:
        _run(self, transformed, params)
    except duckdb.TransactionException as error:
        raise _error(f"The transaction cannot go on: {error}", 625, "57014") from None
    except (duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        raise _error(str(error), 100038, "22018") from None
    except duckdb.Error as error:
        raise _error(str(error), 603, "XX000") from None
    finally:
        if isinstance(transformed, (exp.Commit, exp.Rollback)) or not getattr(connection, "_open", False):
            _release(connection)
    if isinstance(transformed, (exp.Commit, exp.Rollback)):
        connection._open = False
    for table, column, text in comments:
        connection._duck_conn.execute(
            f"COMMENT ON COLUMN {table}.{column} IS {exp.Literal.string(text).sql()}"
        )


def _end(connection: Any, *, commit: bool) -> None:
    try:
        if getattr(connection, "_open", False):
            connection._open = False
            connection._duck_conn.execute("COMMIT" if commit else "ROLLBACK")
    finally:
        _release(connection)


def _hold(connection: Any, table: exp.Table) -> None:
    key = (table.catalog or connection.database or "", table.db or connection.schema or "", table.name)
    held = connection.__dict__.setdefault("_held", set())
    if key in held:
        return
    if not _locks[key].acquire(timeout=_LOCK_SECONDS):
        raise _error(f"Statement has locked table '{table.name}' in another transaction.", 625, "57014")
    held.add(key)


def _release(connection: Any) -> None:
    for key in connection.__dict__.pop("_held", ()):
        _locks[key].release()


def _as_plain_table(connection: Any, statement: exp.Expression) -> None:
    """DuckDB knows temporary tables in no schema: here they are plain ones, and go with their session."""
    if isinstance(statement, exp.Create) and statement.kind == "TABLE":
        properties = statement.args.get("properties")
        temporary = properties.find(exp.TemporaryProperty) if properties else None
        table = statement.find(exp.Table)
        if temporary is not None and table is not None and table.db:
            temporary.pop()
            connection.__dict__.setdefault("_temporary", set()).add(table.sql(dialect="duckdb"))


def _comments(statement: exp.Expression) -> Any:
    """The comments of columns that a statement makes, taken out of it: DuckDB has a statement of their own for them."""
    if not isinstance(statement, (exp.Create, exp.Alter)):
        return
    table = statement.find(exp.Table)
    for column in list(statement.find_all(exp.ColumnDef)):
        for constraint in list(column.args.get("constraints") or ()):
            if isinstance(constraint.kind, exp.CommentColumnConstraint):
                text = constraint.kind.this.name
                constraint.pop()
                yield table.sql(dialect="duckdb"), column.this.sql(dialect="duckdb"), text


def _cloned_comments(connection: Any, statement: exp.Expression) -> list[tuple[str, str, str]]:
    """A clone keeps what its table has."""
    if not (isinstance(statement, exp.Create) and statement.args.get("cloned_from")):
        return []
    source: exp.Table = statement.args["cloned_from"]
    found = connection._duck_conn.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE comment IS NOT NULL AND table_name = ? AND schema_name = ?"
        " AND database_name = ?",
        [source.name, source.db or connection.schema, source.catalog or connection.database],
    ).fetchall()
    table = statement.find(exp.Table).sql(dialect="duckdb")
    return [(table, exp.to_identifier(name, quoted=True).sql(dialect="duckdb"), text) for name, text in found]


def close(self: Any, retry: bool = True) -> None:
    try:
        _end(self, commit=False)
        for table in self.__dict__.pop("_temporary", ()):
            self._duck_conn.execute(f"DROP TABLE IF EXISTS {table}")
    finally:
        _close(self, retry)


def create_clone(statement: exp.Expression) -> exp.Expression:
    """fakesnow forgets OR REPLACE."""
    made = _create_clone(statement)
    if made is not statement and isinstance(statement, exp.Create):
        made.set("replace", statement.args.get("replace"))
        made.args["cloned_from"] = made.expression.find(exp.Table)
    return made


def timestamps(values: Any) -> Any:
    """A NULL among them stays one."""
    made = _timestamps(values)
    return pyarrow.StructArray.from_arrays(
        made.flatten(), fields=list(made.type), mask=values.is_null().combine_chunks()
    )


class Sessions(dict[str, Any]):
    """A session that is deleted is closed."""

    def __delitem__(self, token: str) -> None:
        self.pop(token).close()


def source_urls(source: str, files: list[str]) -> list[str]:
    if stage.is_internal(source):
        return [f"{source.rstrip('/')}/{file}" for file in files]
    return _source_urls(source, files)


def table_columns(table: Any, connection: Any, database: str | None, schema: str) -> list[str]:
    """As they are stored: fakesnow writes letters beyond A to Z large, which the service does not."""
    return [row[0] for row in fakesnow.copy_into._describe_table(table, connection, database, schema)]


def matched(parquet: list[str], target: list[str], mode: Any) -> dict[str, str]:
    by_name = {name.upper(): name for name in parquet}
    return {name: by_name[name.upper()] for name in target if name.upper() in by_name}


def creation_sql(catalog: str) -> str:
    """sqlglot writes the function's name with an underscore of its own."""
    upper = "CAST('0x' || substr(md5(text), 1, 16) AS UBIGINT)"
    return f"{_macros(catalog)}; CREATE OR REPLACE MACRO {catalog}.m_d5_number_upper64(text) AS {upper};"


async def login(request: Any) -> JSONResponse:
    """A database or a warehouse that is not there is no error of a login: the session has none. MISSING is none."""
    answer = json.loads((await _login(request)).body)
    connection = fakesnow.server.sessions[answer["data"]["token"]]
    answer["data"]["masterToken"] = answer["data"]["token"]  # without one the client ends no session
    if not connection.database_set:
        answer["data"]["sessionInfo"]["databaseName"] = None
    warehouse = request.query_params.get("warehouse", "")
    answer["data"]["sessionInfo"]["warehouseName"] = None if warehouse == "MISSING" else warehouse
    answer["data"]["sessionInfo"]["roleName"] = request.query_params.get("roleName")
    return JSONResponse(answer)


def main() -> None:
    fakesnow.server.shared_fs.create_database_on_connect = False
    fakesnow.server.shared_fs.create_schema_on_connect = False
    fakesnow.server.app.router.routes[0] = Route("/session/v1/login-request", login, methods=["POST"])
    FakeSnowflakeCursor.execute = execute
    FakeSnowflakeCursor._execute = run
    fakesnow.fakes.FakeSnowflakeConnection.close = close
    fakesnow.copy_into._source_urls = source_urls
    fakesnow.copy_into._get_table_columns = table_columns
    fakesnow.copy_into._match_parquet_columns = matched
    fakesnow.macros.creation_sql = creation_sql
    fakesnow.transforms.create_clone = create_clone
    fakesnow.arrow.timestamp_to_sf_struct = timestamps
    fakesnow.server.sessions = Sessions()
    described = transforms.SQL_DESCRIBE_TABLE.template.replace(
        'NULL::VARCHAR AS "comment"', '"comment" AS "comment"'
    )
    transforms.SQL_DESCRIBE_TABLE = type(transforms.SQL_DESCRIBE_TABLE)(described)
    uvicorn.run(fakesnow.server.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
