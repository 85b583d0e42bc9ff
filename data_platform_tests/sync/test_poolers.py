"""Through a real PgBouncer: a sync reads what it reads over the direct line, or says what keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from data_platform.errors import SourceError
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

Pooled = Callable[..., str]

SQL = """
create table visits (id int primary key, tenant int, at timestamptz, lasted interval, note text);
insert into visits select g, 1 + g % 2, timestamptz '2026-06-01 22:30+00' + g * interval '1 hour',
    interval '1 year 2 mons 3 days 04:05:06', 'n' from generate_series(1, 10) g;
create table plain (id int primary key, lasted interval, r tstzrange, times timestamptz[], f real, raw bytea);
insert into plain select g, interval '1 year 2 mons 3 days 04:05:06',
    tstzrange('2026-06-01 22:30+00', '2026-06-02 22:30+00'), array['2026-06-01 22:30+00'::timestamptz],
    0.1, '\\x00ff' from generate_series(1, 3) g;
alter table visits enable row level security;
create policy only_one on visits using (tenant = 1);
create schema elsewhere;
create table elsewhere.plain (id int primary key);
"""
TABLES = {"visits": {"key": "id"}, "plain": {"key": "id"}}


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


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_rows_land_through_a_pooler_as_over_the_direct_line_or_their_table_is_refused(
    reader: Reader, pooled: Pooled, mode: str
) -> None:
    project = reader.through(pooled(reader.url, pool_mode=mode))
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
