"""Through a real PgBouncer: a sync reads what it reads over the direct line, or says what keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pytest

from data_platform.doctor import look
from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sync import check_sources, discover, probe
from data_platform_tests.servers.pools import balancer
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

Pooled = Callable[..., str]

SQL = """
create table visits (id int primary key, tenant int, at timestamptz, lasted interval, label text);
insert into visits select g, 1 + g % 2, timestamptz '2026-06-01 22:30+00' + g * interval '1 hour',
    interval '1 year 2 mons 3 days 04:05:06', 'n' from generate_series(1, 10) g;
create table plain (id int primary key, lasted interval, r tstzrange, times timestamptz[], f real, raw bytea);
insert into plain select g, interval '1 year 2 mons 3 days 04:05:06',
    tstzrange('2026-06-01 22:30+00', '2026-06-02 22:30+00'), array['2026-06-01 22:30+00'::timestamptz],
    0.1, '\\x00ff' from generate_series(1, 3) g;
alter table visits enable row level security;
create policy only_one on visits using (tenant = 1);
create view mine as select id, lasted from plain where coalesce(current_setting('app.id', true), '') in ('', id::text);
create schema elsewhere;
create table elsewhere.plain (id int primary key);
"""
TABLES = {"visits": {"key": "id"}, "plain": {"key": "id"}, "mine": {"strategy": "replace"}}


@dataclass
class Reader:
    """A project over ``SQL`` read by a role without rights but SELECT, whose settings are not ours."""

    project: Project
    owner: str
    role: str
    url: str

    def through(self, url: str) -> Project:
        self.project.url = url
        return self.project.catalog(TABLES)

    def as_owner(self, *statements: str) -> None:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def reader(project: Project) -> Iterator[Reader]:
    database = psycopg.conninfo.conninfo_to_dict(project.url)["dbname"]
    role = f"reader_{database}"
    url = psycopg.conninfo.make_conninfo(project.url, user=role, password="of-the-reader")
    found = Reader(project, project.url, role, url)
    found.as_owner(SQL, f"create role {role} login password 'of-the-reader'")
    found.as_owner(
        f"grant usage on schema elsewhere to {role}",
        f"grant select on all tables in schema public, elsewhere to {role}",
        f"alter role {role} in database {database} set timezone = 'America/New_York'",
        f"alter role {role} in database {database} set intervalstyle = 'iso_8601'",
        f"alter role {role} in database {database} set datestyle = 'German'",
        f"alter role {role} in database {database} set bytea_output = 'escape'",
        f"alter role {role} in database {database} set extra_float_digits = '-15'",
    )
    yield found
    found.as_owner(f"drop owned by {role}", f"drop role {role}")


def told_before(project: Project) -> str:
    """What ``validate --connect`` and ``doctor`` find wrong with the tables; they must find the same."""
    platform = project.platform()
    mistakes = check_sources(platform).mistakes
    doctor = [f for f in look.look_at_source(platform, platform.catalog.source("shop")) if f.state == "fail"]
    assert len(mistakes) == len(doctor) == 1 and "row-level security" in doctor[0].found
    return mistakes[0]


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_rows_land_through_a_pooler_as_over_the_direct_line_or_their_table_is_refused(
    reader: Reader, pooled: Pooled, mode: str
) -> None:
    project = reader.through(pooled(reader.url, pool_mode=mode))
    before = told_before(project)
    assert "visits" in before and "row-level security" in before and "plain" not in before
    reports = project.sync()
    assert isinstance(reports["visits"].error, SourceError), reports["visits"]
    assert "BYPASSRLS" in str(reports["visits"].error)
    assert reports["plain"].error is None, reports["plain"].error
    sql = "select * exclude (_loaded_at, _batch_id) from raw_shop.{} order by id"
    pooled_rows = project.rows(sql.format("plain"))
    assert len(pooled_rows) == 3

    reader.as_owner(f"alter role {reader.role} bypassrls")
    project.good()
    visits = project.rows(sql.format("visits"))
    assert len(visits) == 10

    direct = Project(project.root / "direct", "").catalog(TABLES)
    direct.url = reader.url
    direct.good()
    assert direct.rows(sql.format("plain")) == pooled_rows
    assert direct.rows(sql.format("visits")) == visits


LEFT = {
    "timezone": "Asia/Tokyo",
    "intervalstyle": "sql_standard",
    "search_path": "elsewhere",
    "statement_timeout": "7s",
    "app.id": "1",
}
"""What an application may leave on the server connections of a pool."""


def on_each(url: str, statements: list[str]) -> list[tuple[object, ...]]:
    """Run on four server connections of a pool at once; the last statement's row of each."""
    clients = [psycopg.connect(url) for _ in range(4)]  # each in a transaction, so each on its own
    rows = []
    for client in clients:
        for statement in statements:
            answer = client.execute(statement)  # type: ignore[call-overload]
        rows.append(answer.fetchone())
    for client in clients:
        client.commit()
        client.close()
    return rows


def test_what_is_left_on_a_pooled_connection_reaches_no_row_and_ours_are_not_left_on_it(
    reader: Reader, pooled: Pooled
) -> None:
    reader.as_owner(f"alter role {reader.role} bypassrls")
    url = pooled(
        reader.url,
        pool_mode="transaction",
        min_pool_size="4",
        default_pool_size="4",
        ignore_startup_parameters="",
    )
    shown = "select pg_backend_pid(), " + ", ".join(f"current_setting('{name}', true)" for name in LEFT)
    leave = [f"set {name} = '{value}'" for name, value in LEFT.items()]
    made = on_each(url, [*leave, "select pg_advisory_lock(pg_backend_pid())", shown])
    assert {row[1:] for row in made} == {tuple(LEFT.values())}

    project = reader.through(url)
    project.good(verify=True)
    assert [p.error for p in probe(project.platform(), "shop", measure_slices=True)] == [None] * 3
    assert "plain:" in discover({"URL": url}, source="shop", url_env="URL")
    platform = project.platform()
    connection = list(look.look_at_source(platform, platform.catalog.source("shop")))[1]
    assert connection.state == "ok" and "through a pooler" in connection.found
    assert "A sync takes 3 of the pool's server connections" in connection.found
    assert project.rows("select count(*) from raw_shop.mine") == [(3,)]
    assert project.rows("select distinct lasted from raw_shop.plain") == [("1 year 2 mons 3 days 04:05:06",)]

    ours = ("default_transaction_read_only", "row_security", "lock_timeout", "intervalstyle", "search_path")
    asked = ", ".join(f"current_setting('{name}')" for name in ours)
    locks = "(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())"
    after = on_each(url, [f"select pg_backend_pid(), {locks}, {asked}"])
    assert {row[0] for row in after} == {row[0] for row in made}  # the sync was on them
    assert {row[1:] for row in after} == {(1, "off", "on", "0", "sql_standard", "elsewhere")}


def test_a_pool_that_allows_no_transaction_is_refused_by_name(reader: Reader, pooled: Pooled) -> None:
    project = reader.through(pooled(reader.url, pool_mode="statement"))
    for report in project.sync().values():
        assert isinstance(report.error, SourceError) and "statement mode" in str(report.error)


def test_a_pool_with_too_few_connections_is_told_as_such(reader: Reader, pooled: Pooled) -> None:
    project = reader.through(
        pooled(reader.url, pool_mode="transaction", default_pool_size="1", query_wait_timeout="1")
    )
    error = project.sync()["plain"].error
    assert isinstance(error, SourceUnreachable) and "raise the pool's size" in str(error)


@pytest.mark.parametrize("limit", ["query_timeout", "idle_transaction_timeout"])
def test_a_limit_of_the_pooler_that_ends_a_sync_is_named(reader: Reader, pooled: Pooled, limit: str) -> None:
    reader.as_owner(
        "create view slow as select id, pg_sleep(0.8) is null as slept from plain",
        f"grant select on slow to {reader.role}",
    )
    project = reader.through(pooled(reader.url, **{limit: "1"}))
    error = project.catalog({"slow": {"strategy": "replace"}}).sync()["slow"].error
    assert isinstance(error, SourceUnreachable), error
    assert f"the pooler's limit {limit} ended it" in str(error) and "SHOW CONFIG" in str(error)


def test_a_setting_that_does_not_take_hold_is_refused_by_name(reader: Reader) -> None:
    project = reader.through(reader.url)
    database = psycopg.conninfo.conninfo_to_dict(reader.url)["dbname"]
    reader.as_owner(f"alter role {reader.role} in database {database} set zero_damaged_pages = on")
    for report in project.sync().values():
        text = str(report.error)
        assert isinstance(report.error, SourceError) and not report.error.retryable
        assert "zero_damaged_pages must be off and is on" in text and "rows could be missing" in text


@pytest.mark.parametrize("number", [0, 1], ids=["session", "reader"])
def test_a_set_that_is_not_passed_on_is_noticed_on_every_connection(reader: Reader, number: int) -> None:
    def keeps_the_default(connection: int, data: bytes) -> bytes:
        return (
            data.replace(b"row_security = 'off'", b"row_security =  'on'") if connection == number else data
        )

    given = psycopg.conninfo.conninfo_to_dict(reader.url)
    with balancer([int(given["port"])], keeps_the_default) as port:
        project = reader.through(psycopg.conninfo.make_conninfo(reader.url, port=port))
        reports = project.catalog(TABLES, connection={"connections": 1}).sync()
    for report in reports.values():
        assert isinstance(report.error, SourceError) and not report.error.retryable
        assert "row_security was set to off and is on, so rows could be missing" in str(report.error)


def test_a_reader_that_cannot_connect_says_nothing_of_the_url(reader: Reader) -> None:
    """The engine's message holds the whole connection string."""
    password = "Q@ZX:J7/9%QXZ"
    reader.as_owner(f"alter role {reader.role} password '{password}'")
    given = psycopg.conninfo.conninfo_to_dict(reader.url)
    with balancer([int(given["port"]), 1]) as port:  # nothing listens there, where the reader is sent
        url = f"postgresql://{reader.role}:{quote(password, safe='')}@127.0.0.1:{port}/{given['dbname']}"
        reports = reader.through(url).catalog(TABLES, connection={"connections": 1}).sync()
    for report in reports.values():
        text = str(report.error)
        assert isinstance(report.error, SourceUnreachable) and "closed the connection" in text
        for piece in (password[i : i + 4] for i in range(len(password) - 3)):
            assert piece not in text
        assert str(port) not in text and reader.role not in text
