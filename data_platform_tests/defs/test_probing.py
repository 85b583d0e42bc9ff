"""What a probe asks for, decided without Dagster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from data_platform.defs import probing
from data_platform.defs.probing import Attempt, SliceRun, decide
from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sync import TableProbe
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Slice, TableId

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDERS, USERS, ITEMS = (TableId("shop", name) for name in ("orders", "users", "order_items"))
FIRST, LAST = "2024-11-01", "2026-11-22"


def days(*names: str) -> tuple[Slice, ...]:
    return tuple(Slice(name) for name in names)


def test_a_table_that_moved_gets_changes_and_its_days_wait() -> None:
    seen = [TableProbe(ORDERS, True, days("2026-11-01")), TableProbe(USERS, False)]
    wanted = decide(seen, set(), [], NOW, FIRST, LAST)
    assert wanted.changes == (ORDERS,)
    assert wanted.slice_runs == ()


def test_differing_days_become_runs_of_consecutive_days_shared_by_tables() -> None:
    seen = [
        TableProbe(ORDERS, False, days("2026-11-03", "2026-11-01", "2026-11-02")),
        TableProbe(ITEMS, False, days("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-09")),
    ]
    wanted = decide(seen, set(), [], NOW, FIRST, LAST)
    assert wanted.slice_runs == (SliceRun("2026-11-01", "2026-11-03", (ORDERS, ITEMS)),)
    assert wanted.changes == ()


def test_one_run_a_table_at_a_time() -> None:
    seen = [TableProbe(ORDERS, False, days("2026-11-01", "2026-11-09"))]
    assert decide(seen, set(), [], NOW, FIRST, LAST).slice_runs == (
        SliceRun("2026-11-01", "2026-11-01", (ORDERS,)),
    )


def test_slices_without_a_partition_and_tables_without_slices_are_asked_for_by_name() -> None:
    seen = [
        TableProbe(ORDERS, False, (NULL_SLICE, Slice("2031-01-01"), Slice("1999-01-01"))),
        TableProbe(USERS, False, (WHOLE_TABLE,)),
    ]
    wanted = decide(seen, set(), [], NOW, FIRST, LAST)
    assert wanted.others == {ORDERS: (NULL_SLICE, Slice("2031-01-01"), Slice("1999-01-01"))}
    assert wanted.refresh == (USERS,)
    assert wanted.slice_runs == ()


def test_busy_unknown_and_unreachable_tables_are_left_out() -> None:
    seen = [
        TableProbe(ORDERS, True),
        TableProbe(USERS, None),
        TableProbe(ITEMS, True, error=SourceUnreachable("down"), source_wide=True),
    ]
    wanted = decide(seen, {ORDERS}, [], NOW, FIRST, LAST)
    assert wanted.nothing
    assert wanted.waiting == ("shop/orders: a run of it is queued or active",)


def test_a_table_that_cannot_be_looked_at_is_read_so_that_people_hear_why() -> None:
    seen = [TableProbe(ORDERS, None, error=SourceError("a column is gone")), TableProbe(USERS, False)]
    assert decide(seen, set(), [], NOW, FIRST, LAST).changes == (ORDERS,)
    attempts = [Attempt(ORDERS, NOW - timedelta(seconds=30))]
    assert decide(seen, set(), attempts, NOW, FIRST, LAST).nothing


def test_a_table_whose_run_failed_is_read_again_though_it_did_not_move() -> None:
    attempts = [Attempt(USERS, NOW - timedelta(minutes=2))]
    assert decide([TableProbe(USERS, False)], set(), attempts, NOW, FIRST, LAST).changes == (USERS,)


def test_a_failed_table_waits_twice_as_long_each_time_and_at_most_an_hour() -> None:
    for failures, minutes in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (300, 60)]:
        attempts = [Attempt(ORDERS, NOW - timedelta(hours=n)) for n in range(failures)]
        assert probing.retries(attempts) == {ORDERS: NOW + timedelta(minutes=minutes)}


def test_backing_off_leaves_the_others_alone() -> None:
    seen = [TableProbe(ORDERS, True), TableProbe(USERS, True)]
    attempts = [Attempt(ORDERS, NOW - timedelta(seconds=30))]
    assert decide(seen, set(), attempts, NOW, FIRST, LAST).changes == (USERS,)
    assert decide(seen, set(), attempts, NOW + timedelta(minutes=1), FIRST, LAST).changes == (ORDERS, USERS)


@pytest.mark.parametrize(
    "cursor",
    [None, "", "rubbish", "[]", "3", "{}", '{"measure_after": 7}', '{"measure_after": "2026-01-01"}'],
)
def test_a_cursor_is_a_hint(cursor: str | None) -> None:
    assert probing.measure_after(cursor) is None


def test_the_cursor_goes_round() -> None:
    assert probing.measure_after(probing.to_cursor(NOW)) == NOW


def test_what_differs_is_measured_again_soon() -> None:
    clean, differing = [TableProbe(ORDERS, False)], [TableProbe(ORDERS, False, days("2026-11-01"))]
    assert probing.next_measure(NOW, clean, 6) == NOW + timedelta(hours=6)
    assert probing.next_measure(NOW, differing, 6) == NOW + probing.RECHECK
