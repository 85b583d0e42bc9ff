"""Text of any encoding lands as the same characters, and values and rows of any size land whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from data_platform.errors import ValueNotKept
from data_platform.sandbox.server import PostgresServer
from data_platform.sources.postgres import extract
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow


@contextmanager
def _encoded(project: Project, postgres: PostgresServer, encoding: str) -> Iterator[None]:
    """``project`` over a database of another encoding."""
    name, url = f"encoded_{uuid.uuid4().hex[:12]}", project.url
    with postgres.connect() as connection:
        libc = "locale_provider libc" if connection.info.server_version >= 150_000 else ""
        connection.execute(
            f"create database {name} encoding '{encoding}' template template0 locale 'C' {libc}"
        )
    project.url = postgres.url(name)
    try:
        yield
    finally:
        project.url = url
        postgres.drop_database(name)


@pytest.mark.parametrize(("encoding", "text"), [("LATIN1", "café ÿ"), ("EUC_JP", "日本語")])
def test_text_of_another_encoding_lands_as_the_same_characters(
    project: Project, postgres: PostgresServer, encoding: str, text: str
) -> None:
    with _encoded(project, postgres, encoding):
        with psycopg.connect(project.url, autocommit=True, client_encoding="utf8") as connection:
            connection.execute("create table t (id int primary key, x text, y text[])")
            connection.execute("insert into t values (1, %s, array[%s, null])", [text, text])
        project.catalog({"t": {"key": "id"}}).good()
        assert project.rows("select x, y from raw_shop.t") == [(text, [text, None])]


def test_bytes_that_are_no_characters_are_refused(project: Project, postgres: PostgresServer) -> None:
    """A database of the encoding SQL_ASCII takes any byte for text."""
    with _encoded(project, postgres, "SQL_ASCII"):
        project.execute(
            "create table fine (id int primary key, x text)",
            "insert into fine values (1, E'caf\\xc3\\xa9')",
            "create table t (id int primary key, x text)",
            "insert into t values (1, E'caf\\xe9')",
            "create view converted as select id, convert_from(textsend(x), 'LATIN1') x from t",
        )
        project.catalog(
            {
                "fine": {"key": "id"},
                "t": {"key": "id"},
                "converted": {"strategy": "replace"},
            }
        )
        reports = project.sync()
        error = reports["t"].error
        assert isinstance(error, ValueNotKept) and "convert_from" in str(error)
        assert project.rows("select x from raw_shop.fine") == [("café",)]
        assert project.ledger_sequences("t") == []


def test_fifty_megabytes_in_one_value(project: Project) -> None:
    project.execute(
        "create table t (id int primary key, x text)",
        "insert into t select 1, repeat(string_agg(md5(n::text), ''), 164) from generate_series(1, 10000) n",
    )
    project.catalog({"t": {"key": "id"}})
    for operation in ("refresh", "changes"):
        assert project.good()["t"].operation == operation
        landed = project.rows("select id, strlen(x), md5(x) from raw_shop.t")
        assert landed == project.source_rows("select id, octet_length(x), md5(x) from t")
        assert landed[0][1] >= 50 * 2**20
        project.execute("update t set x = x || 'ü'")


def test_rows_that_do_not_fit_a_reader_are_read_in_pieces(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,048 rows of 90 kB are more than a reader has; a smaller one shows it with less."""
    monkeypatch.setattr(extract, "READER_MEMORY", "40MB")
    project.execute(
        "create table t (id int, day date, x text, primary key (id, day)) partition by range (day)",
        "create table t1 partition of t for values from ('2026-01-01') to ('2026-01-02')",
        "create table t2 partition of t for values from ('2026-01-02') to ('2026-01-03')",
        "insert into t select n, date '2026-01-01' + n % 2, repeat(md5(n::text), 4000) from generate_series(1, 400) n",
        "create view v as select id, x from t",
    )
    project.catalog({"t": {"key": ["id", "day"]}, "v": {"strategy": "replace"}})
    for operation in ("refresh", "changes"):
        reports = project.sync()
        assert reports["t"].error is None and reports["t"].operation == operation
        assert reports["t"].manifest is not None and len(reports["t"].manifest.parts) > 2
        landed = project.rows("select id, day, strlen(x), md5(x) from raw_shop.t order by id")
        assert landed == project.source_rows("select id, day, octet_length(x), md5(x) from t order by id")
        error = reports["v"].error  # a view has nothing to cut it by
        assert isinstance(error, ValueNotKept) and "too large" in str(error)
        assert project.ledger_sequences("v") == []
        project.execute("update t set x = x || 'ü'")


def test_documents_are_read_at_once_in_units_that_fit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,500 of 16 kB, in a heap of 20 pages. Read 2,048 at a time they would not fit; no read is tried in vain."""
    cut: list[str] = []
    real = extract.pieces.predicates
    monkeypatch.setattr(extract.pieces, "predicates", lambda *args: cut.append(args[1]) or real(*args))
    project.execute(
        "create table t (id int primary key, doc jsonb)",
        "insert into t select n, (select jsonb_agg(md5(n || '-' || k)) from generate_series(1, 450) k)"
        " from generate_series(1, 2500) n",
        "analyze t",
    )
    project.catalog({"t": {"key": "id", "personal": {"doc": "keep"}}})
    manifest = project.good()["t"].manifest
    assert manifest is not None and 3 <= len(manifest.parts) <= 5 and not cut
    landed = project.rows("select id, strlen(doc), md5(doc) from raw_shop.t order by id")
    assert landed == project.source_rows(
        "select id, octet_length(doc::text), md5(doc::text) from t order by id"
    )
