"""PostgreSQL's fingerprint expressions and DuckDB's agree on every key they both take, to the bit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.duckdb_sql import DIALECT, duckdb_token, keeps_text
from data_platform.privacy.retention.rule import Limit
from data_platform.sandbox.server import PostgresServer
from data_platform.sources.postgres import fingerprint as postgres_fingerprint
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.connection import connect, target
from data_platform.sources.postgres.extract import extension_path
from data_platform.sources.postgres.introspect import Relation, read_relations
from data_platform.sources.postgres.rows import wanted
from data_platform.sources.postgres.types import plan_columns, quote
from data_platform.sources.reading import Outdated, Prior
from data_platform.tables import SOURCE_XMIN, Column, Slice, TableId
from data_platform_tests.slices import duckdb_slice

pytestmark = pytest.mark.slow
TABLE = TableId("shop", "keys")

DAY_FIRST, DAY_LAST = (
    -2451545,
    2145031122,
)  # of 2000-01-01: 4714-11-24 BC and 5874897-12-31, PostgreSQL's ends
DAY_US = 86_400_000_000
TIME_FIRST, TIME_LAST = -2451507, 106_651_000  # timestamps end sooner, at what the engine keeps

integers = {"s": 15, "n": 31, "b": 63}
text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
) | st.sampled_from(["", "\x1f", "a\x1fb", "\\N", "NULL", "null", "é", "'", '"', " pad ", "\n"])


def scaled(digits: int, scale: int) -> st.SearchStrategy[str]:
    whole = st.integers(-(10**digits) + 1, 10**digits - 1)
    return whole.map(lambda n: f"{'-' if n < 0 else ''}{abs(n) // 10**scale}.{abs(n) % 10**scale:0{scale}d}")


def instants() -> st.SearchStrategy[str]:
    """As SQL: an instant of any age to the microsecond, or an infinity."""
    day = st.integers(-9000, 9000) | st.integers(TIME_FIRST, TIME_LAST)
    return st.builds(
        lambda d, us: f"(timestamp '2000-01-01' + {d} * interval '1 day' + {us} * interval '1 microsecond')",
        day,
        st.integers(0, DAY_US - 1) | st.sampled_from([0, 1, DAY_US - 1]),
    ) | st.sampled_from(["'infinity'", "'-infinity'"])


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# column: (type, values as SQL)
COLUMNS: dict[str, tuple[str, st.SearchStrategy[str]]] = {
    **{
        name: (kind, st.integers(-(2**bits), 2**bits - 1).map(lambda n: f"'{n}'"))
        for (name, bits), kind in zip(integers.items(), ("smallint", "int", "bigint"), strict=True)
    },
    "o": ("oid", st.integers(0, 2**32 - 1).map(str)),
    "num": ("numeric(12,2)", scaled(12, 2)),
    "less": ("numeric(5,5)", scaled(5, 5)),
    "wide": ("numeric(38,18)", scaled(38, 18)),
    "wider": ("numeric(60,20)", scaled(60, 20)),
    "free": ("numeric", st.sampled_from(["'NaN'", "1.0", "1.00", "-0.10", "1e40"])),
    "cash": ("money", scaled(9, 2).map(literal)),
    "t": ("text", text.map(literal)),
    "v": ("varchar(8)", text.map(literal)),
    "c": ("char(8)", text.map(literal)),
    "u": ("uuid", st.uuids().map(lambda value: f"'{str(value).upper()}'")),
    "ok": ("bool", st.booleans().map(str)),
    "d": (
        "date",
        (st.integers(-9000, 9000) | st.integers(DAY_FIRST, DAY_LAST)).map(lambda n: f"date '2000-01-01' + {n}")
        | st.sampled_from(["'infinity'", "'-infinity'", "'0001-01-01'", "'0001-12-31 BC'", "'9999-12-31'"]),
    ),
    "at": ("timestamp", instants()),
    "tz": ("timestamptz", instants()),
    "clock": ("time", st.integers(0, DAY_US).map(lambda us: f"time '00:00' + {us} * interval '1 microsecond'")
              | st.just("'24:00'")),
    "raw": ("bytea", st.binary(max_size=5).map(lambda value: f"'\\x{value.hex()}'")),
    "m": ("mood", st.sampled_from(["'sad'", "'it''s ok'"])),
    "pos": ("positive", st.integers(1, 99).map(str)),
    "span": ("interval", st.integers(-10**9, 10**9).map(lambda n: f"'{n} seconds'")),
    "r": ("int4range", st.integers(-99, 99).map(lambda n: f"'[{n},{n + 5})'")),
    "ip": ("inet", st.ip_addresses().map(lambda value: f"'{value}'")),
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries({name: st.just("null") | values for name, (_, values) in COLUMNS.items()}),
    min_size=1,
    max_size=12,
)


@dataclass(repr=False)
class Twins:
    """One table, seen by both engines: by the session a sync measures with, and as it would land."""

    writer: psycopg.Connection[Any]
    reader: psycopg.Connection[Any]
    engine: duckdb.DuckDBPyConnection
    relation: Relation
    landed: dict[str, Column]

    def fill(self, rows: list[dict[str, str]]) -> None:
        values = ", ".join(f"({n}, {', '.join(row[name] for name in COLUMNS)})" for n, row in enumerate(rows))
        self.writer.execute("truncate keys")
        self.writer.execute(f"insert into keys (id, {', '.join(COLUMNS)}) values {values}")  # type: ignore[call-overload]

    def both(self, expressions: list[tuple[str, str]]) -> tuple[list[Any], list[Any]]:
        """``expressions`` are (PostgreSQL's, DuckDB's); the rows of each engine, by id."""
        ours = ", ".join(expression for expression, _ in expressions)
        theirs = self.reader.execute(f"select id, {ours} from keys order by id").fetchall()  # type: ignore[call-overload]
        plans = plan_columns(self.relation)
        server = ", ".join(f"{p.server} as {quote(p.name)}" for p in plans)
        landing = ", ".join(f"{p.engine} AS {quote(p.name)}" for p in plans)
        query = f"select {server}, xmin::text::bigint as {SOURCE_XMIN} from keys"
        found = self.engine.execute(
            f"WITH landed AS (SELECT {landing}, {SOURCE_XMIN} FROM postgres_query('source', {literal(query)}))"
            f" SELECT id, {', '.join(expression for _, expression in expressions)} FROM landed ORDER BY id"
        ).fetchall()
        return theirs, found


@pytest.fixture(scope="module")
def twins(postgres: PostgresServer) -> Iterator[Twins]:
    name = f"twins_{uuid.uuid4().hex[:8]}"
    url = postgres.create_database(name)
    where = target(PostgresConnection(url_env="U"), {"U": url}, source="twins")
    with psycopg.connect(url, autocommit=True) as writer:
        writer.execute(f"alter database {name} set timezone = 'UTC'")
    with psycopg.connect(url, autocommit=True) as writer, connect(where) as reader:
        writer.execute("create type mood as enum ('sad', 'it''s ok')")
        writer.execute("create domain positive as int check (value > 0)")
        columns = ", ".join(f"{column} {kind}" for column, (kind, _) in COLUMNS.items())
        writer.execute(f"create table keys (id int primary key, {columns})")  # type: ignore[call-overload]
        (relation,) = read_relations(reader, [("public", "keys")])
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            engine.execute(f"LOAD '{extension_path()}'")
            engine.execute(f"ATTACH {literal(where.conninfo)} AS source (TYPE postgres, READ_ONLY)")
            landed = {p.name: Column(p.name, p.type, p.source_type) for p in plan_columns(relation)}
            yield Twins(writer, reader, engine, relation, landed)
    postgres.drop_database(name)


examples = settings(
    max_examples=25,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@given(rows=ROWS)
@examples
def test_tokens_agree_for_every_key_column_and_for_all_of_them(
    twins: Twins, rows: list[dict[str, str]]
) -> None:
    twins.fill(rows)
    keys: list[list[str]] = [[], *([name] for name in COLUMNS), ["t", "v", "id"], list(COLUMNS)]
    theirs, ours = twins.both(
        [
            (
                postgres_fingerprint.token(twins.relation, key),
                duckdb_token([twins.landed[name] for name in key]),
            )
            for key in keys
        ]
    )
    for left, right, row in zip(theirs, ours, rows, strict=True):
        wrong = [key for key, a, b in zip(keys, left[1:], right[1:], strict=True) if a != b]
        assert not wrong, {name: row[name] for key in wrong for name in key}


@given(rows=ROWS, timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]))
@examples
def test_slices_agree(twins: Twins, rows: list[dict[str, str]], timezone: str) -> None:
    twins.fill(rows)
    partitions = [None, "d", "at", "tz"]
    theirs, ours = twins.both(
        [
            (
                postgres_fingerprint.slice_expression(twins.relation, partition, timezone),
                duckdb_slice(twins.landed[partition] if partition else None, timezone),
            )
            for partition in partitions
        ]
    )
    assert theirs == ours


MIDNIGHTS = {
    "Atlantic/Azores": [
        date(2026, 10, 25),
        date(2026, 3, 29),
    ],  # clocks go back over midnight, and forward from it
    "America/Havana": [date(2026, 11, 1), date(2026, 3, 8)],
    "Asia/Beirut": [date(2026, 3, 29), date(2026, 10, 25)],  # the day has no midnight
    "Africa/Cairo": [date(2026, 4, 24), date(2026, 10, 30)],
    "Australia/Lord_Howe": [date(2026, 4, 5)],  # by half an hour
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],
    "Pacific/Apia": [date(2011, 12, 30), date(2011, 12, 31)],  # the day that was left out
}


@given(data=st.data(), zone=st.sampled_from([*MIDNIGHTS, "UTC", "Asia/Kathmandu", "Pacific/Kiritimati"]))
@examples
def test_both_begin_a_day_at_the_same_instant(twins: Twins, data: st.DataObject, zone: str) -> None:
    """What is older than a day, and what lies in it, is the same to the server that counts and to the engine that lands."""
    days = st.dates(date(2012, 1, 1), date(2040, 1, 1))
    day = data.draw(st.sampled_from(MIDNIGHTS[zone]) | days if zone in MIDNIGHTS else days)
    first = datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)
    steps = [timedelta(minutes=15 * n) for n in range(-16, 17)] + [timedelta(microseconds=-1)]
    null = dict.fromkeys(COLUMNS, "null")
    twins.fill(
        [
            null
            | {
                "tz": f"'{first + step}'",
                "at": f"'{datetime.combine(day, time.min) + step}'",
                "d": f"'{day + timedelta(days=n - 16)}'",
            }
            for n, step in enumerate(steps)
        ]
        + [null | {"tz": "'-infinity'", "at": "'infinity'", "d": "'-infinity'"}, null]
    )
    compared = []
    for name in ("tz", "at", "d"):
        column = twins.landed[name]
        older = wanted(twins.relation, Prior(unwanted=(Outdated(name, day, zone),))).without
        compared.append((older, Limit(TABLE, name, day, zone).condition(DIALECT, column.type)))
        within = postgres_fingerprint.slice_predicate(twins.relation, name, zone, [Slice(day.isoformat())])
        compared.append(
            (f"coalesce({within}, false)", f"coalesce({duckdb_slice(column, zone)} = '{day}', false)")
        )
    theirs, ours = twins.both(compared)
    assert theirs == ours
    for (tz_old, _, *_), step in zip((row[1:] for row in ours), steps, strict=False):
        assert tz_old == (step < timedelta()), "an instant decides, and that is the first of the day"


def test_only_what_has_two_texts_is_left_out(twins: Twins) -> None:
    """Both engines leave out the same columns, or each slice of such a table would differ for ever."""
    twins.writer.execute(
        "create table if not exists others (f real, g double precision, l int[], lt text[], ln numeric[], j jsonb)"
    )
    (others,) = read_relations(twins.reader, [("public", "others")])
    for relation in (twins.relation, others):
        for column, plan in zip(relation.columns, plan_columns(relation), strict=True):
            landed = Column(plan.name, plan.type, plan.source_type)
            assert postgres_fingerprint.keeps_checksum(column) == keeps_text(landed), column
    kept = {c.name for c in others.columns if postgres_fingerprint.keeps_checksum(c)}
    assert kept == {"ln", "j"}
    assert all(postgres_fingerprint.keeps_checksum(column) for column in twins.relation.columns)
