"""Limits of the role, the database and the server: replaced where a sync may, named with value and place where not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import psycopg
import pytest

from data_platform.doctor import look
from data_platform.errors import SourceError
from data_platform.findings import Finding
from data_platform.sources.postgres.config import PostgresConnection
from data_platform.sources.postgres.connection import connect, target
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

SQL = """
create table a (id int primary key);
insert into a select generate_series(1, 3);
create view slow as select id, pg_sleep(0.25) is null as slept from a;
create view sorted as select g as id, md5(g::text) as t from generate_series(1, 40000) g order by 2;
"""
TABLES = {
    "a": {"key": "id"},
    "slow": {"strategy": "replace"},
}
TIMES = (
    "transaction_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
    "lock_timeout",
)


class Limited(Project):
    """Read by a role of its own, which the owner may bind."""

    owner: str
    role: str

    def bind(self, clause: str) -> None:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute(f"alter role {self.role} {clause}")  # type: ignore[call-overload]

    def make(self, statement: str) -> None:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
            connection.execute(f"grant select on all tables in schema public to {self.role}")  # type: ignore[call-overload]

    def finding(self, check: str) -> Finding:
        platform = self.platform()
        found = look.look_at_source(platform, platform.catalog.source("shop"))
        return next(finding for finding in found if finding.check == f"source shop: {check}")


@pytest.fixture
def limited(project: Project) -> Iterator[Limited]:
    found = Limited(project.root, project.url)
    database = psycopg.conninfo.conninfo_to_dict(project.url)["dbname"]
    found.owner, found.role = project.url, f"limited_{database}"
    project.execute(SQL, f"create role {found.role} login password 'of-limited' connection limit -1")
    project.execute(f"grant select on all tables in schema public to {found.role}")
    found.url = psycopg.conninfo.make_conninfo(project.url, user=found.role, password="of-limited")
    found.catalog(TABLES)
    yield found
    project.execute(f"drop owned by {found.role}", f"drop role {found.role}")


def test_time_limits_of_the_role_do_not_end_a_sync(limited: Limited) -> None:
    known = {name for (name,) in limited.source_rows("select name from pg_settings")}
    for name in TIMES:
        if name in known:
            limited.bind(f"set {name} = '200ms'")
    limited.good()
    assert limited.rows("select count(*) from raw_shop.slow") == [(3,)]
    finding = limited.finding("limits")
    assert finding.state == "ok"
    for name in TIMES:
        assert name not in known or f"{name} = 200 ms of the role" in finding.found


def test_a_sync_that_waits_for_a_lock_outlives_the_limit_of_idle_sessions(limited: Limited) -> None:
    if not limited.source_rows("select 1 from pg_settings where name = 'idle_session_timeout'"):
        pytest.skip("there is no such limit before PostgreSQL 14")
    limited.bind("set idle_session_timeout = '50ms'")
    limited.catalog({"a": {"key": "id"}}, connection={"lock_timeout_seconds": 30})
    with psycopg.connect(limited.owner) as migration:
        migration.execute("lock table a in access exclusive mode")
        free = threading.Timer(1.5, migration.rollback)
        free.start()
        limited.good()
        free.join()


def test_limits_that_are_not_the_syncs_to_change_are_named_with_value_and_place(limited: Limited) -> None:
    assert limited.finding("limits").state == "ok"
    limited.bind("set temp_file_limit = '64kB'")
    limited.bind("set work_mem = '1MB'")  # below which pg_settings itself is put on disk
    finding = limited.finding("limits")
    assert finding.state == "warn"
    assert "temp_file_limit = 64 kB of the role" in finding.found and "takes a superuser" in finding.found
    limited.catalog({"a": {"key": "id"}, "sorted": {"strategy": "replace"}})
    reports = limited.sync()
    assert reports["a"].error is None
    text = str(reports["sorted"].error)
    assert isinstance(reports["sorted"].error, SourceError)
    assert "the limit temp_file_limit = 64 kB of the role ended it" in text and "SET temp_file_limit" in text


def test_the_catalogs_own_limit_is_named_with_its_value(limited: Limited) -> None:
    endless = "create view endless as select id, pg_sleep(1) is null as slept from a"
    limited.make(endless)
    limited.catalog({"endless": {"strategy": "replace"}}, connection={"statement_timeout_seconds": 1})
    text = str(limited.sync()["endless"].error)
    assert "statement_timeout_seconds = 1 s in the source's `connection:`" in text


def test_a_role_that_may_have_too_few_connections_is_told_before_the_sync(limited: Limited) -> None:
    limited.bind("connection limit 2")
    limited.bind("valid until 'tomorrow'")
    finding = limited.finding("limits")
    assert finding.state == "fail"
    assert "may have 2 connection(s), and a sync takes 3" in finding.found
    assert "CONNECTION LIMIT 3" in finding.found and "is valid until" in finding.found


def test_a_connection_that_is_idle_while_others_read_is_kept_alive(limited: Limited) -> None:
    config = PostgresConnection(url_env="U")
    where = target(config, {"U": limited.url}, source="shop")
    with (
        connect(where) as connection,
        socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as end,
    ):
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    own = target(config, {"U": f"{limited.url} keepalives_idle=5"}, source="shop")
    assert psycopg.conninfo.conninfo_to_dict(own.conninfo)["keepalives_idle"] == "5"
