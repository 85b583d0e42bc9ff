"""What a probe asks for, decided without Dagster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from data_platform.defs import probing
from data_platform.defs.probing import Attempt, decide
from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sync import TableProbe
from data_platform.tables import WHOLE_TABLE, Slice, TableId

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDERS, USERS, ITEMS = (TableId("shop", name) for name in ("orders", "users", "order_items"))


def days(*names: str) -> tuple[Slice, ...]:
    return tuple(Slice(name) for name in names)


def test_a_table_that_moved_gets_changes_unless_it_is_time_to_measure() -> None:
    seen = [TableProbe(ORDERS, True, head_sequence=3), TableProbe(USERS, False)]
    assert decide(seen, set(), [], NOW) == probing.Wanted(changes=(ORDERS,))
    assert decide(seen, set(), [], NOW, measured=True) == probing.Wanted(reconcile=(ORDERS,))


def test_tables_that_differ_are_reconciled_in_one_run_with_those_that_moved() -> None:
    seen = [
        TableProbe(ORDERS, True, head_sequence=3),
        TableProbe(ITEMS, False, days("2026-11-01", "2026-11-09"), head_sequence=3),
        TableProbe(USERS, False, (WHOLE_TABLE,), head_sequence=3),
    ]
    assert decide(seen, set(), [], NOW, measured=True) == probing.Wanted(reconcile=(ORDERS, ITEMS, USERS))


def test_a_first_read_is_not_measured_twice() -> None:
    assert decide([TableProbe(ORDERS, True)], set(), [], NOW, measured=True).changes == (ORDERS,)


def test_a_table_that_tells_nothing_is_read_when_it_is_due() -> None:
    """A view, say: the tick tells how it is treated."""
    waits = [TableProbe(ORDERS, None, due=NOW + timedelta(hours=1), head_sequence=1)]
    wanted = decide(waits, set(), [], NOW)
    assert wanted == probing.Wanted(
        waiting=("shop/orders: the source does not show when it changes, so it is read at 13:00",)
    )
    for measured in (True, False):
        due = [TableProbe(ORDERS, None, due=NOW, head_sequence=1)]
        assert decide(due, set(), [], NOW, measured=measured).changes == (ORDERS,)


def test_busy_unknown_and_unreachable_tables_are_left_out() -> None:
    seen = [
        TableProbe(ORDERS, True),
        TableProbe(USERS, None),
        TableProbe(ITEMS, True, error=SourceUnreachable("down"), source_wide=True),
    ]
    wanted = decide(seen, {ORDERS}, [], NOW)
    assert wanted == probing.Wanted(waiting=("shop/orders: one of its runs is queued or active",))


def test_a_table_that_cannot_be_looked_at_is_read_so_that_people_hear_why() -> None:
    seen = [TableProbe(ORDERS, None, error=SourceError("a column is gone")), TableProbe(USERS, False)]
    assert decide(seen, set(), [], NOW).changes == (ORDERS,)
    attempts = [Attempt(ORDERS, NOW - timedelta(seconds=30))]
    assert decide(seen, set(), attempts, NOW).changes == ()


def test_a_table_whose_run_failed_is_read_again_though_it_did_not_move() -> None:
    attempts = [Attempt(USERS, NOW - timedelta(minutes=2))]
    assert decide([TableProbe(USERS, False)], set(), attempts, NOW).changes == (USERS,)


def test_a_failed_table_waits_twice_as_long_each_time_and_at_most_an_hour() -> None:
    for failures, minutes in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (300, 60)]:
        attempts = [Attempt(ORDERS, NOW - timedelta(hours=n)) for n in range(failures)]
        assert probing.retries(attempts) == {ORDERS: NOW + timedelta(minutes=minutes)}


def test_backing_off_leaves_the_others_alone() -> None:
    seen = [TableProbe(ORDERS, True), TableProbe(USERS, True)]
    attempts = [Attempt(ORDERS, NOW - timedelta(seconds=30))]
    assert decide(seen, set(), attempts, NOW).changes == (USERS,)
    assert decide(seen, set(), attempts, NOW + timedelta(minutes=1)).changes == (ORDERS, USERS)


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
