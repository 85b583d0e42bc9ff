"""Directed cases for the watermark and the clock path: each passes, and fails once its rule is broken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from data_platform.sources.postgres import session as session_module
from data_platform_tests.exactness.bench import DAY, Bench, after_statement, insert, until
from data_platform_tests.exactness.tables import VARIANTS, Variant

CLOCKED, SCANNED = VARIANTS[0], VARIANTS[2]


def late_commit(bench: Bench) -> None:
    """A transaction that is open during a sync and commits behind it."""
    bench.start(CLOCKED, SCANNED)
    late = bench.writer()
    late.execute(insert("clocked", 101).encode())
    late.execute(insert("scanned", 101).encode())
    bench.execute(insert("clocked", 102), insert("scanned", 102))
    bench.changes()
    late.commit()
    bench.changes()


def late_savepoint(bench: Bench) -> None:
    """What a savepoint writes has a number of its own, which stands in no list of those in progress."""
    bench.start(SCANNED)
    late = bench.writer()
    late.execute("select pg_current_xact_id()")
    bench.execute("select pg_current_xact_id()")
    with late.transaction():
        late.execute(insert("scanned", 101).encode())
    bench.execute(insert("scanned", 102))
    bench.changes()
    late.commit()
    bench.changes()


def commit_before_the_activity_is_read(bench: Bench) -> None:
    bench.start(CLOCKED)
    late = bench.writer()
    late.execute(insert("clocked", 101).encode())
    observe = session_module.observe

    def committed(connection: Any) -> Any:
        late.commit()
        return observe(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module, "observe", committed)
        bench.execute(insert("clocked", 102))
        bench.changes()
    bench.changes()


def start_after_the_activity_was_read(bench: Bench) -> None:
    bench.start(CLOCKED)
    late = bench.writer()
    with after_statement("pg_stat_activity", lambda: late.execute(insert("clocked", 101).encode())):
        bench.execute(insert("clocked", 102))
        bench.changes()
    late.commit()
    bench.changes()


def prepare_while_the_activity_is_read(bench: Bench) -> None:
    """It is active when the one question is asked and prepared when the other is."""
    bench.start(CLOCKED)
    late = bench.writer()
    late.autocommit = True
    late.execute("begin")
    late.execute(insert("clocked", 101).encode())
    gid = f"between-{bench.url.rsplit('/', 1)[-1].split('?')[0]}"
    with after_statement(
        ("pg_stat_activity", "pg_prepared"), lambda: late.execute(f"prepare transaction '{gid}'".encode())
    ):
        bench.execute(insert("clocked", 102))
        bench.changes()
    late.execute(f"commit prepared '{gid}'".encode())
    bench.changes()


def prepared_across_a_sync(bench: Bench) -> None:
    bench.start(CLOCKED)
    gid = f"across-{bench.url.rsplit('/', 1)[-1].split('?')[0]}"
    bench.execute("begin", insert("clocked", 101), f"prepare transaction '{gid}'")
    bench.execute(insert("clocked", 102))
    try:
        bench.changes()
    finally:
        bench.execute(f"commit prepared '{gid}'")
    bench.changes()


def cursor_rounded_below_its_transaction(bench: Bench) -> None:
    """timestamptz(0) rounds: the cursor lies before the instant its transaction began."""
    bench.start(Variant("rounded", "timestamptz(0)", stamp="clock_timestamp()"))
    late = bench.writer()
    late.autocommit = True
    # the first half of a second is rounded down
    late.execute(
        "select pg_sleep(1.1 - extract(microseconds from clock_timestamp())::numeric % 1000000 / 1000000)"
    )
    late.execute("begin")
    late.execute(insert("rounded", 101).encode())
    bench.execute(insert("rounded", 102))
    bench.changes()
    late.execute("commit")
    bench.changes()


def cursor_of_the_calls_start(bench: Bench) -> None:
    """A procedure commits inside: its second transaction stamps rows with the start of the call."""
    bench.start(Variant("clocked", stamp="statement_timestamp()"))
    bench.execute(
        "create procedure p() language plpgsql as $$ begin perform pg_current_xact_id(); commit;"
        f" {insert('clocked', 101)}; perform pg_advisory_lock(1); end $$"
    )
    held, caller = bench.writer(), bench.writer()
    held.autocommit = caller.autocommit = True
    held.execute("select pg_advisory_lock(1)")
    calling = threading.Thread(target=caller.execute, args=("call p()",))
    calling.start()
    until(bench, "select count(*) from pg_stat_activity where wait_event = 'advisory'")
    bench.execute(insert("clocked", 102))
    bench.changes()
    held.execute("select pg_advisory_unlock(1)")
    calling.join()
    bench.changes()


def application_clock(bench: Bench) -> None:
    """An index, no NULLs, and a clock that runs late: only the declaration tells."""
    bench.start(SCANNED, before="alter table scanned alter updated_at set not null")
    bench.execute(insert("scanned", 101))
    bench.changes()
    bench.execute("update scanned set status = 'silent' where id = 1", insert("scanned", 102))
    bench.execute("update scanned set updated_at = '2020-01-01' where id = 2")
    bench.changes()


def cursor_that_may_be_null(bench: Bench) -> None:
    bench.start(
        CLOCKED, before="alter table clocked alter updated_at drop not null; drop trigger stamp on clocked"
    )
    bench.execute("update clocked set updated_at = null, status = 'unknown when' where id = 1")
    bench.changes()


def reader_who_sees_no_activity(bench: Bench) -> None:
    name = "reader_" + bench.url.rsplit("/", 1)[-1].split("?")[0]
    owner = bench.url
    grant = f"create role {name} login password 'of-the-reader'; grant select on all tables in schema public to {name}"
    late = bench.writer()
    bench.execute(CLOCKED.create(), grant)
    bench.project.url = psycopg.conninfo.make_conninfo(owner, user=name, password="of-the-reader")
    bench.oracle.kinds = {"clocked": CLOCKED.kind("UTC")}
    bench.project.catalog({"clocked": CLOCKED.block()})
    try:
        bench.changes()
        late.execute(insert("clocked", 101).encode())
        with psycopg.connect(owner, autocommit=True) as other:
            other.execute(insert("clocked", 102).encode())
        bench.changes()
        late.commit()
        bench.changes()
    finally:
        late.close()
        bench.project.url = owner
        bench.execute(f"drop owned by {name}", f"drop role {name}")


def session_that_hides_its_activity(bench: Bench) -> None:
    bench.start(CLOCKED)
    late = bench.writer()
    late.execute("set track_activities = off")
    late.commit()
    late.execute(insert("clocked", 101).encode())
    bench.execute(insert("clocked", 102))
    bench.changes()
    late.commit()
    bench.changes()


def clock_that_steps_back(bench: Bench) -> None:
    """The database's own clock, which triggers and syncs ask, stands an hour ahead at the first sync."""
    name = bench.url.rsplit("/", 1)[-1].split("?")[0]
    bench.start(
        CLOCKED,
        before="create schema fake; create table fake.ahead as select interval '1 hour' as by;"
        " create function fake.clock_timestamp() returns timestamptz language sql as"
        " 'select pg_catalog.clock_timestamp() + by from fake.ahead';"
        f' alter database "{name}" set search_path = fake, pg_catalog, public',
    )
    bench.execute("update fake.ahead set by = '0'", "update clocked set status = 'set back' where id = 1")
    bench.changes()


def another_database(bench: Bench, copy: Callable[[], str]) -> None:
    """A copy within the same cluster: every relation has the same number and file, only the rows are others."""
    bench.execute(SCANNED.create())
    there = copy()
    other = bench.writer(there)
    other.execute("update scanned set status = 'of the copy' where id > 3")
    other.commit()
    bench.oracle.kinds = {"scanned": SCANNED.kind("UTC")}
    bench.project.catalog({"scanned": SCANNED.block()})
    bench.changes()
    bench.project.url = there
    bench.changes()


def late_commit_seen_from_a_standby(bench: Bench) -> None:
    """The primary's transactions are no sessions of the standby."""
    primary, standby = bench.url, bench.standby()
    bench.execute(CLOCKED.create())
    bench.oracle.kinds = {"clocked": CLOCKED.kind("UTC")}
    bench.project.catalog({"clocked": CLOCKED.block()})
    bench.project.url = standby.url(primary)
    late, other = bench.writer(primary), bench.writer(primary)
    standby.caught_up()
    bench.changes()
    late.execute(insert("clocked", 101).encode())
    other.execute(insert("clocked", 102).encode())
    other.commit()
    standby.caught_up()
    bench.changes()
    late.commit()
    standby.caught_up()
    bench.changes()


def slice_from_a_standby_that_lags(bench: Bench) -> None:
    """A slice read from a replica that is behind what was read before brings older versions back."""
    primary, standby = bench.url, bench.standby()
    bench.start(SCANNED)
    standby.caught_up()
    with standby.held_back():
        bench.execute("update scanned set status = 'newer'")
        bench.changes()
        bench.project.url = standby.url(primary)
        bench.slices(DAY)
    bench.project.url = primary
    bench.changes()
