"""The fingerprint SQL equals its definition in ``tables.Fingerprint``, written out in Python."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.duckdb_sql import duckdb_text, duckdb_token
from data_platform.errors import UnsupportedType
from data_platform.sql import literal
from data_platform.tables import Column
from data_platform_tests.slices import duckdb_slice

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def answer(engine: duckdb.DuckDBPyConnection, expression: str, **columns: str) -> object:
    """``expression`` over one row of ``columns``: name to SQL value."""
    row = ", ".join(f'{value} AS "{name}"' for name, value in columns.items())
    found = engine.execute(f"SELECT {expression} FROM (SELECT {row})").fetchone()
    assert found is not None
    return found[0]


def token(*pieces: str) -> int:
    return int(hashlib.md5("\x1f".join(pieces).encode()).hexdigest()[:15], 16)


def microseconds(at: datetime) -> str:
    return str((at - EPOCH) // timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("BIGINT", "-42", "-42"),
        ("UUID", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("DECIMAL(12,2)", "1.5", "1.50"),
        ("DECIMAL(38,18)", "'-0.000000000000000001'", "-0.000000000000000001"),
        ("BOOLEAN", "true", "true"),
        ("DATE", "'2026-01-31'", "2026-01-31"),
        ("DATE", "'0044-03-15 (BC)'", "0044-03-15 BC"),
        ("DATE", "'12026-01-31'", "12026-01-31"),
        ("DATE", "'infinity'", "infinity"),
        ("TIMESTAMPTZ", "'1970-01-01 00:00:01+01'", "-3599000000"),
        ("TIMESTAMPTZ", "'-infinity'", "-infinity"),
        ("TIMESTAMP", "'1969-12-31 23:59:59.999999'", "-1"),
        ("TIMESTAMP", "'infinity'", "infinity"),
        ("TIME", "'12:00:00.5'", "43200500000"),
        ("BLOB", "'\\xAB\\x01'", "ab01"),
        ("VARCHAR", "'Ünï '' x'", "Ünï ' x"),
        ("VARCHAR", "NULL", None),
        ("TIMESTAMPTZ", "NULL", None),
    ],
)
def test_text_forms(engine: duckdb.DuckDBPyConnection, kind: str, value: str, text: str | None) -> None:
    assert answer(engine, duckdb_text(Column("k", kind, "")), k=f"{value}::{kind}") == text


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT", "INTERVAL", "INTEGER[]"])
def test_a_key_whose_text_differs_between_engines_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedType, match=r"as: \{k: text\}"):
        duckdb_text(Column("k", kind, ""))


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
            st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
            st.none() | st.integers(0, 2**62),
        ),
        min_size=1,
        max_size=10,
    )
)
@settings(max_examples=25, deadline=None)
def test_the_checksum_is_the_definition_s(rows: list[tuple[int, str, datetime, int | None]]) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    values = ", ".join(
        f"('{n}'::BIGINT, {literal(text)}, TIMESTAMPTZ '1970-01-01 00:00:00+00' + to_microseconds({microseconds(at)}),"
        f" {'NULL' if xmin is None else xmin}::BIGINT)"
        for n, text, at, xmin in rows
    )
    key = [
        Column("n", "BIGINT", ""),
        Column("t", "VARCHAR", ""),
        Column("at", "TIMESTAMP WITH TIME ZONE", ""),
    ]
    found = connection.execute(
        f"SELECT sum({duckdb_token(key)}), sum({duckdb_token([], version=None)})"
        f' FROM (VALUES {values}) v(n, t, "at", _source_xmin)'
    ).fetchone()
    expected = sum(
        token(str(n), text, microseconds(at), "" if xmin is None else str(xmin)) for n, text, at, xmin in rows
    )
    assert found == (expected, token("", "") * len(rows))


@given(
    st.datetimes(datetime(1800, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
@settings(max_examples=60, deadline=None)
def test_an_instant_is_in_the_slice_of_its_local_day(at: datetime, timezone: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    sql = duckdb_slice(Column("at", "TIMESTAMPTZ", ""), timezone)
    expected = at.astimezone(ZoneInfo(timezone)).date()
    assert answer(connection, sql, at=f"TIMESTAMPTZ '{at.isoformat()}'") == expected.isoformat()


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize(
    ("value", "slice_"),
    [
        ("'0044-03-15 (BC) 12:00:00+00'::TIMESTAMPTZ", "0044-03-15 BC"),
        ("'12026-03-15 12:00:00+00'::TIMESTAMPTZ", "12026-03-15"),
        ("'infinity'::TIMESTAMPTZ", "infinity"),
        ("'-infinity'::TIMESTAMPTZ", "-infinity"),
        ("NULL::TIMESTAMPTZ", "null"),
        ("'2026-03-15 23:59:59.999999'::TIMESTAMP", "2026-03-15"),
        ("'infinity'::TIMESTAMP", "infinity"),
        ("DATE '0001-01-01' - 1", "0001-12-31 BC"),
        ("NULL::DATE", "null"),
    ],
)
def test_slices_at_the_edges(
    engine: duckdb.DuckDBPyConnection, timezone: str, value: str, slice_: str
) -> None:
    kind = str(engine.execute(f"SELECT typeof({value})").fetchall()[0][0])
    assert answer(engine, duckdb_slice(Column("p", kind, ""), timezone), p=value) == slice_


def test_a_table_without_partition_is_one_slice(engine: duckdb.DuckDBPyConnection) -> None:
    assert answer(engine, duckdb_slice(None, "UTC"), p="1") == "all"


def test_a_partition_that_holds_no_day_is_refused() -> None:
    with pytest.raises(UnsupportedType, match="holds no day"):
        duckdb_slice(Column("status", "VARCHAR", ""), "UTC")
