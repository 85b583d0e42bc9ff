"""The source goes away, is replaced or refuses in the middle of a sync: what is said, and what comes of it."""

from __future__ import annotations

import psycopg
import pytest

from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.source import Source, lock_holder
from data_platform_tests.chaos.world import World

pytestmark = pytest.mark.slow

SLOW_CHECKPOINT = "create table bulk as select repeat('x', 800) as filler from generate_series(1, 2000)"
"""So many pages to write that the checkpoint after a promotion takes its time, as with any real source."""


def test_a_failover_is_seen_before_the_new_primary_has_checkpointed(
    world: World, source: Source, forks: ForkServer
) -> None:
    """Writes that the standby never got were read; the new primary gives their numbers to others."""
    assert not forks.run(world.job("changes")).errors
    standby = source.attach_standby()
    world.execute(SLOW_CHECKPOINT)
    source.detach(standby)
    world.execute(
        *(f"update notes set body = 'lost {n}' where note_id = {n}" for n in range(5)),
        "insert into notes values (777, 'never was', true)",
    )
    assert not forks.run(world.job("changes")).errors
    assert world.compare().good, "they are there while that primary lives"
    source.fail_over(standby)
    world.url = source.url
    # so many transactions that the numbers alone do not tell
    world.execute(*(f"update notes set body = 'kept {n}' where note_id = {n}" for n in range(5, 20)))
    outcome = forks.run(world.job("changes"))
    assert not outcome.errors
    assert str(world.compare()) == "all is well"


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_line_cut_in_the_middle_of_a_copy_is_told_and_read_again(
    world: World, source: Source, forks: ForkServer, share: float
) -> None:
    assert forks.run(world.job("changes")).errors == {}
    fill = "insert into notes select n, repeat(md5(n::text), 30), true from generate_series(100, 2100) n"
    world.execute(fill)
    size = 2000 * 32 * 30
    proxy = source.proxy
    before, proxy.cut_after = proxy.cuts, int(size * share)
    outcome = forks.run(world.job("changes", ["notes"]))
    assert proxy.cuts == before + 1
    assert "SourceUnreachable" in outcome.errors["notes"], "the next sync may try again"
    world.execute(
        "delete from notes where note_id = 1500", "update notes set body = 'x' where note_id = 1600"
    )
    assert forks.run(world.job("changes")).errors == {}
    assert str(world.compare()) == "all is well", "nothing of the cut read was landed: no delete to see"


@pytest.mark.parametrize("crash", [False, True])
def test_a_restart_in_mid_sync_is_told_and_read_again(
    world: World, source: Source, forks: ForkServer, crash: bool
) -> None:
    assert forks.run(world.job("changes")).errors == {}
    world.execute("update notes set body = 'new'")
    running = forks.start(world.job("changes", act="stop", at=150))
    assert running.until("point")
    source.restart(crash=crash)
    running.go_on()
    outcome = running.wait()
    assert outcome.errors and all("SourceUnreachable" in e for e in outcome.errors.values()), outcome.said
    assert forks.run(world.job("changes")).errors == {}
    assert str(world.compare()) == "all is well"


def test_a_statement_time_out_is_told_and_the_other_tables_are_read(world: World, forks: ForkServer) -> None:
    """A real one: a second for each statement, and a view that sleeps longer."""
    world.limit(statement_timeout_seconds=1)
    world.execute("update notes set body = 'new'")
    world.execute(
        "alter table notes rename to notes_table",
        "create view notes as select *, pg_sleep(0.1)::text as pause from notes_table",
    )
    try:
        outcome = forks.run(world.job("changes"))
    finally:
        world.execute("drop view notes", "alter table notes_table rename to notes")
    assert set(outcome.errors) == {"notes"}
    assert "statement_timeout_seconds" in outcome.errors["notes"]
    assert forks.run(world.job("changes")).errors == {}
    assert str(world.compare()) == "all is well"


def test_a_lock_time_out_keeps_one_table_back(world: World, forks: ForkServer) -> None:
    with lock_holder(world.url, "items"):
        outcome = forks.run(world.job("changes"))
    assert set(outcome.errors) == {"items"} and "lock_timeout_seconds" in outcome.errors["items"]
    assert forks.run(world.job("changes")).errors == {}
    assert str(world.compare()) == "all is well"


def test_two_hosts_end_with_the_same_rows_in_two_warehouses(world: World, forks: ForkServer) -> None:
    root = str(world.another_host())
    for step in range(4):
        jobs = [world.job("changes"), {**world.job("changes"), "root": root}]
        running = [forks.start(job) for job in jobs]
        world.execute(f"update orders set status = 's{step}' where order_id % 3 = {step % 3}")
        assert [child.wait().errors for child in running] == [{}, {}]
    for job in jobs:  # each loads what the other landed
        assert forks.run(job).errors == {}
    assert str(world.compare()) == str(world.compare(world.root.parent / "second")) == "all is well"


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_hides_nothing(world: World, forks: ForkServer, years: int) -> None:
    """The machine's that syncs; the source's own clock cannot be moved from here."""
    assert forks.run(world.job("changes")).errors == {}
    for shift in (years * 365 * 86_400, 0, -86_400):
        world.execute("update orders set status = status || '!' where order_id % 4 = 1")
        assert forks.run(world.job("changes", clock_shift_seconds=shift)).errors == {}
        assert str(world.compare()) == "all is well"


def test_a_reader_that_may_ask_nothing_about_the_server_still_syncs(world: World, forks: ForkServer) -> None:
    """Hosts hide the control file; the log still tells the timeline."""
    hidden = ["pg_control_system()", "pg_control_checkpoint()", "pg_control_recovery()"]
    try:
        world.execute(
            *(f"revoke execute on function {name} from public" for name in hidden),
            "create role clerk login password 'x-of-clerk'",
            "grant select on all tables in schema public to clerk",
        )
        owner = world.seen_url
        world.seen_url = psycopg.conninfo.make_conninfo(owner, user="clerk", password="x-of-clerk")
        assert forks.run(world.job("changes")).errors == {}
        world.execute("update notes set body = 'new'")
        assert forks.run(world.job("changes")).errors == {}
        assert str(world.compare()) == "all is well"
    finally:
        world.seen_url = owner
        world.execute(
            *(f"grant execute on function {name} to public" for name in hidden),
            "drop owned by clerk",
            "drop role clerk",
        )
