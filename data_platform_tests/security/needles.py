"""Values that nobody must find again: who plants them, and a search of every byte that a project left."""

from __future__ import annotations

import gzip
import secrets
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import psycopg


class Needles(dict[str, str]):
    """Where each was planted -> its text, which stands nowhere else in the world."""

    def __missing__(self, where: str) -> str:
        digits = "phone" in where
        self[where] = f"{secrets.randbelow(9 * 10**8) + 10**8}" if digits else f"ndl{secrets.token_hex(8)}"
        return self[where]

    def found(self, texts: Iterable[tuple[str, bytes]]) -> list[str]:
        """Each place that holds one, by what was planted."""
        return sorted(
            {
                f"{planted} in {place}"
                for place, content in texts
                for planted, needle in self.items()
                if needle.encode() in content or needle.encode("utf-16-le") in content
            }
        )


def plant(connection: psycopg.Connection, people: Needles, errors: Needles) -> None:
    """A schema ``private``: a table of people, and relations each of which fails with a value of a row."""

    def run(statement: str) -> None:
        connection.execute(statement)  # type: ignore[call-overload]

    run("create schema private; set search_path to private")
    run(
        "create table people (email text primary key, phone text, ssn text, password_hash text, profile jsonb,"
        " addresses text[], birthday text, n int, changed timestamptz default now())"
    )
    for n in range(3):
        person = [
            people[f"{what} {n}"]
            for what in ("email", "phone", "ssn", "password", "profile", "address", "day")
        ]
        connection.execute(
            "insert into people values (%s, %s, %s, %s, jsonb_build_object('name', %s::text), array[%s], %s, %s)",
            (f"{person[0]}@example.com", f"+49{person[1]}", *person[2:], n),
        )
    run("create domain short as text constraint too_long check (length(value) < 3)")
    run(
        "create function refuse(text) returns text language plpgsql as"
        " $$begin raise exception 'customer % is not right', $1 using detail = $1, hint = $1, constraint = $1; end$$"
    )
    failing = {
        "v_raise": "select 1 as id, refuse(s) as s from source_{0}",
        "v_cast": "select s::int as id, s from source_{0}",
        "v_json": "select 1 as id, s::jsonb as s from source_{0}",
        "v_time": "select 1 as id, s::timestamptz as s from source_{0}",
        "v_domain": "select 1 as id, s::short as s from source_{0}",
        "v_twice": "select s as id, s from source_{0} union all select s, s from source_{0}",
        "v_null": "select null::text as id, s from source_{0}",
    }
    for name, query in failing.items():
        run(f"create table source_{name} (s text)")
        connection.execute(f"insert into source_{name} values (%s)", (errors[name],))  # type: ignore[call-overload]
        run(f"create view {name} as {query.format(name)}")
    run("create table t_nan (id text primary key, s text, amount numeric(10, 2))")
    connection.execute("insert into t_nan values (%s, %s, 'NaN')", (errors["nan key"], errors["nan row"]))
    run("create table t_drift (id text primary key, s text)")
    connection.execute("insert into t_drift values (%s, %s)", (errors["drift key"], errors["drift row"]))
    run("create table t_dbt (id int primary key, s text)")
    said = f"it's 'Compilation Error' \n\n{errors['dbt row']}"
    run("insert into t_dbt select n, '1' from generate_series(1, 50) n")  # more than a preview shows
    connection.execute("insert into t_dbt values (51, %s)", (said,))
    run("create table t_new (id int primary key, home_address text)")
    connection.execute("insert into t_new values (1, %s)", (errors["new personal column"],))


BROKEN = """\
source: broken
kind: postgres
connection: {url_env: ATTACKED_URL}
schema: private
tables:
  people:
    key: email
    cursor: changed
    personal: {email: hash, phone: mask, ssn: redact, password_hash: redact, profile: redact, addresses: redact, birthday: hash}
    rules: ['email contains "#"', 'phone matches "^#"', 'ssn in [a, b]', 'n < 0', 'birthday = "x"']
  v_raise: {key: id}
  v_cast: {key: id}
  v_json: {key: id}
  v_time: {key: id}
  v_domain: {key: id}
  v_twice: {key: id}
  v_null: {key: id}
  t_nan: {key: id}
  t_drift: {key: id}
  t_dbt: {key: id}
  t_new: {key: id}
"""


def every_byte(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(place, content) of every file below ``folder``, and of what its bytes stand for: Parquet, DuckDB and
    SQLite decoded to text, what is compressed unpacked. Names of files too."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        place = path.relative_to(folder).as_posix()
        content = path.read_bytes()
        yield place, place.encode() + b"\0" + content
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
            yield f"{place} unpacked", content
        if content[:4] == b"PAR1":
            yield f"{place} decoded", _texts("from read_parquet(?)", path)
        elif content[8:12] == b"DUCK":
            yield f"{place} decoded", _duckdb(path)
        elif content[:15] == b"SQLite format 3":
            yield f"{place} decoded", _sqlite(path)


def _texts(query: str, path: Path) -> bytes:
    with duckdb.connect() as engine:
        return repr(engine.execute(query, [str(path)]).fetchall()).encode()


def _duckdb(path: Path) -> bytes:
    with duckdb.connect(str(path), read_only=True) as engine:
        tables = engine.execute(
            "select database_name, schema_name, table_name from duckdb_tables()"
        ).fetchall()
        quoted = ['"' + '"."'.join(part.replace('"', '""') for part in table) + '"' for table in tables]
        return repr([engine.execute(f"from {table}").fetchall() for table in quoted]).encode()


def _sqlite(path: Path) -> bytes:
    texts: list[bytes] = []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = [t for (t,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for row in (row for table in tables for row in connection.execute(f'select * from "{table}"')):
            for value in row:
                content = value if isinstance(value, bytes) else str(value).encode()
                texts.append(content)
                with suppress(zlib.error):
                    texts.append(zlib.decompress(content))
    return b"\0".join(texts)
