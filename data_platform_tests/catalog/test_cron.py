"""Cron lines, judged as the scheduler will."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.catalog.cron import cron_problem, upcoming

number = st.integers(0, 61).map(str)
part = st.one_of(
    st.just("*"),
    number,
    st.builds("{}-{}".format, number, number),
    st.builds("*/{}".format, number),
    st.builds("{}-{}/{}".format, number, number, number),
    st.sampled_from(["mon", "sun", "jan", "MON-FRI", "x", "", "?", "L", "1-"]),
)
cron_lines = st.lists(st.lists(part, min_size=1, max_size=2).map(",".join), min_size=4, max_size=6).map(
    " ".join
)


@settings(deadline=None)
@given(cron_lines)
def test_what_the_scheduler_refuses_is_a_mistake(line: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    if cron_problem(line) is None:
        assert is_valid_cron_string(line)


@pytest.mark.parametrize(
    "line", ["0 * * * *", "*/15 8-18 * * mon-fri", "30 3 1,15 * *", "0 0 29 2 *", "0 0 * * 7"]
)
def test_cron_lines_that_are_right(line: str) -> None:
    assert cron_problem(line) is None


def field(low: int, high: int, steps: bool = True) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    ranges = st.sets(value, min_size=2, max_size=2).map(sorted).map("{0[0]}-{0[1]}".format)
    one = st.one_of(value.map(str), ranges, *([st.integers(1, 5).map("*/{}".format)] if steps else []))
    return st.one_of(st.just("*"), st.lists(one, min_size=1, max_size=2).map(",".join))


# schedulers differ in what `*/2` means for a day of the month beside a day of the week
right_lines = st.tuples(
    field(0, 59), field(0, 23), field(1, 28, steps=False), field(1, 12), field(0, 6, steps=False)
).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(
    right_lines,
    st.datetimes(datetime(2024, 2, 1), datetime(2028, 12, 31)),
)
def test_the_next_times_are_the_schedulers(line: str, after: datetime) -> None:
    from dagster._utils.schedules import schedule_execution_time_iterator

    after = after.replace(tzinfo=UTC, microsecond=0)
    theirs = schedule_execution_time_iterator(after.timestamp(), line, "UTC")
    expected = [at for at in islice(theirs, 4) if at.timestamp() > after.timestamp()][:3]
    assert [at.timestamp() for at in islice(upcoming(line, after), 3)] == [at.timestamp() for at in expected]
