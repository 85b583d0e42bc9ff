"""What is read again and is as it landed: no batch, no run a minute, and nothing that changed is missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from data_platform.duckdb_sql import duckdb_content
from data_platform.sync import TableProbe, probe
from data_platform.tables import WHOLE_TABLE, Column
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow
AT = "timestamptz '2026-01-01'"
BY_CURSOR = {"recent": {"key": "id", "cursor": "updated_at"}}


def looked_at(project: Project, *, later: float = 0, measure: bool = False) -> TableProbe:
    """The probe of the one table, ``later`` hours from now."""
    now = datetime.now(UTC) + timedelta(hours=later)
    platform = replace(project.platform(), clock=lambda: now)
    (seen,) = probe(platform, "shop", measure_slices=measure)
    assert seen.error is None
    return seen


def asked_for(project: Project, *, later: float = 0) -> bool:
    """Whether the probe has the table read."""
    seen = looked_at(project, later=later)
    due = seen.due is not None and seen.due <= datetime.now(UTC) + timedelta(hours=later)
    return bool(seen.moved) or due


@pytest.fixture
def recent(project: Project) -> Project:
    """A view with a cursor, read once."""
    project.execute(
        "create table orders (id int primary key, total numeric(10,2), updated_at timestamptz)",
        f"insert into orders select g, g, {AT} + g * interval '1 min' from generate_series(1, 50) g",
        "create view recent as select id, total, updated_at from orders",
    )
    project.catalog(BY_CURSOR).good()
    return project


def same(project: Project) -> bool:
    sql = "select id, total from {} order by id"
    return project.rows(sql.format("raw_shop.recent")) == project.source_rows(sql.format("recent"))


def test_a_quiet_view_with_a_cursor_comes_to_rest(recent: Project) -> None:
    assert not asked_for(recent)
    for _ in range(3):
        report = recent.good()["recent"]
        assert report.manifest is None
    assert recent.ledger_sequences("recent") == [1]
    assert asked_for(recent, later=3.1), "what has no row versions is read now and then all the same"


@pytest.mark.parametrize(
    "change",
    [
        "insert into orders select 51, 1, updated_at from orders where id = 50",
        "update orders set total = 7, updated_at = updated_at + interval '1 second' where id = 50",
        "insert into orders values (52, 1, timestamptz '2027-01-01'); delete from orders where id = 50",
    ],
    ids=["same cursor", "the last row again", "as many rows as before"],
)
def test_what_moves_at_the_boundary_is_seen_at_once(recent: Project, change: str) -> None:
    recent.execute(change)
    assert asked_for(recent)
    assert recent.good()["recent"].manifest is not None
    landed = recent.rows("select id, total from raw_shop.recent order by id")
    assert set(recent.source_rows("select id, total from recent")) <= set(landed)
    assert not asked_for(recent)
    assert recent.good()["recent"].manifest is None


def test_another_row_in_the_place_of_the_last_is_read_when_it_is_due(recent: Project) -> None:
    recent.execute("update orders set total = 99 where id = 50")
    assert not asked_for(recent)
    assert asked_for(recent, later=3.1)
    assert recent.good()["recent"].manifest is not None
    assert same(recent)
    # and back again, with a slice or a refresh in between or not: the head's rows are what counts
    recent.execute("update orders set total = 50 where id = 50")
    assert recent.good()["recent"].manifest is not None
    assert same(recent)


@pytest.mark.parametrize("kind", ["view", "materialized view"])
def test_a_whole_read_of_the_same_rows_is_a_look(project: Project, kind: str) -> None:
    """200,000 rows, 16 syncs: the landing store does not grow."""
    project.execute(
        "create table t (id int, name text, label text, at timestamptz, tags text[])",
        "insert into t select g, 'n' || g, nullif('', 'x'), now(), array['a', null] from generate_series(1, 300) g",
        # another order of the same rows each time
        "create view shown as select * from t order by random()"
        if kind == "view"
        else "create materialized view shown as select * from t",
    )
    project.catalog({"shown": {"strategy": "replace"}}).good()
    for _ in range(3):
        report = project.good()["shown"]
        assert (report.manifest, report.reconciled) == (None, True)
    assert project.ledger_sequences("shown") == [1]
    assert project.platform().ledger.looks().last(report.table) is not None
    assert not asked_for(project)
    assert asked_for(project, later=3.1)
    refresh = "select 1" if kind == "view" else "refresh materialized view shown"
    for number, change in enumerate(
        (
            "update t set label = null where id = 7",
            "update t set name = '', label = 'n8' where id = 8",
            "delete from t where id = 9",
            "insert into t select * from t where id = 10",
        ),
        start=2,
    ):
        project.execute(change, refresh)
        assert project.good()["shown"].manifest is not None, change
        assert project.good()["shown"].manifest is None
        assert project.ledger_sequences("shown") == list(range(1, number + 1))
        sql = "select id, name, label from {} order by all"
        assert len(project.rows(sql.format("raw_shop.shown"))) == len(project.source_rows("select id from t"))


def test_a_refresh_that_was_asked_for_lands(project: Project) -> None:
    project.execute("create table t (id int)", "insert into t values (1)", "create view shown as table t")
    project.catalog({"shown": {"strategy": "replace"}}).good()
    assert project.good(refresh=["shown"])["shown"].manifest is not None


def test_a_view_that_is_empty_is_read_as_soon_as_it_has_rows(project: Project) -> None:
    project.execute("create table t (id int primary key, updated_at timestamptz)")
    project.execute("create view recent as select * from t")
    project.catalog(BY_CURSOR).good()
    assert not asked_for(project)
    assert project.good()["recent"].manifest is None
    project.execute("insert into t values (1, now())")
    assert asked_for(project)
    project.good()
    assert project.rows("select id from raw_shop.recent") == [(1,)]


def test_a_view_defined_otherwise_is_read_at_once(project: Project) -> None:
    project.execute("create table t (id int)", "insert into t values (1)", "create view shown as table t")
    project.catalog({"shown": {"strategy": "replace"}}).good()
    project.execute("create or replace view shown as select id + 1 as id from t")
    assert asked_for(project)


def test_a_table_without_a_key_is_asked_for_when_it_moves_or_loses_rows(project: Project) -> None:
    """It has row versions, whatever its strategy: the probe sees what changed."""
    project.execute("create table nokey (a int, b text)", "insert into nokey values (1, 'x'), (2, 'x')")
    project.catalog({"nokey": {"strategy": "replace"}}).good()
    assert looked_at(project).moved is False
    project.execute("insert into nokey values (3, 'y')")
    assert looked_at(project).moved is True
    project.good()
    assert looked_at(project, measure=True) == replace(looked_at(project), moved=False, differing=())
    project.execute("delete from nokey where a = 1")
    assert looked_at(project, measure=True).differing == (WHOLE_TABLE,)
    project.good()
    assert looked_at(project, measure=True).differing == ()
    assert project.rows("select a from raw_shop.nokey order by a") == [(2,), (3,)]


def test_a_table_with_row_versions_comes_to_rest_though_a_transaction_was_open(project: Project) -> None:
    import psycopg

    project.execute("create table nokey (a int)")
    project.catalog({"nokey": {"strategy": "replace"}})
    with psycopg.connect(project.url) as open_transaction:
        open_transaction.execute("select pg_current_xact_id()")
        project.execute("insert into nokey values (1)")
        project.good()
        assert looked_at(project).moved is True, "the open transaction holds the watermark back"
    assert project.good()["nokey"].manifest is not None, "the same rows, and the watermark past them"
    assert looked_at(project).moved is False
    assert project.good()["nokey"].manifest is None


def test_the_warehouse_knows_up_to_when_a_table_was_read_and_when_it_lost_rows(project: Project) -> None:
    """By the source's clock: what the dbt test `relationships` goes by."""

    def known() -> tuple[Any, ...]:
        (row,) = project.rows("select read_at, reconciled_at, lost_at from _data_platform.table_reads")
        return row

    project.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    project.catalog({"t": {"key": "id"}}).good()
    first = known()
    assert first[0] == first[1] and first[2] is None
    project.good()
    looked = known()
    assert looked[0] > first[0] and looked[1:] == first[1:]
    project.good(refresh=["t"])
    again = known()
    assert again[1] > first[1] and again[2] is None, "every key came back"
    project.execute("delete from t where id = 1")
    project.good()
    assert known()[1:] == again[1:], "changes see no delete"
    project.good(refresh=["t"])
    assert known()[0] == known()[1] == known()[2]
    project.execute("delete from t where id = 2")
    lost = known()[2]
    project.good(verify=True)
    assert lost < known()[2] < known()[1], "mended under one snapshot, compared under a later one"


PIECES: tuple[tuple[str, Any], ...] = (
    ("VARCHAR, VARCHAR", [("ab", "c"), ("a", "bc"), ("abc", ""), ("abc", None), (None, "abc"), ("1:a", "b")]),
    ("VARCHAR[], VARCHAR", [(["a", "b"], ""), (["a, b"], ""), (["NULL"], ""), ([None], ""), ([], ""), (None, "")]),
    ("BLOB, VARCHAR", [(b"\x00", ""), (b"\\x00", ""), (b"", "00")]),
    ("DOUBLE, DOUBLE", [(0.0, 1.0), (-0.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0, 0.0)]),
)  # fmt: skip


@pytest.mark.parametrize(("types", "rows"), PIECES)
def test_no_two_rows_have_one_digest_and_order_has_none(types: str, rows: list[tuple[Any, Any]]) -> None:
    kinds = types.split(", ")
    columns = [Column("a", kinds[0], ""), Column("b", kinds[1], "")]
    with duckdb.connect() as engine:
        engine.execute(f"create table t (a {kinds[0]}, b {kinds[1]})")

        def digest(*some: tuple[Any, Any]) -> str:
            engine.execute("delete from t")
            engine.executemany("insert into t values (?, ?)", [list(row) for row in some])
            return str(engine.execute(f"select {duckdb_content(columns)} from t").fetchall()[0][0])

        assert len({digest(row) for row in rows}) == len(rows)
        assert digest(*rows) == digest(*reversed(rows))
        assert digest(rows[0], rows[0]) != digest(rows[0])
