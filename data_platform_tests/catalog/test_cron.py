"""Cron lines, judged as the scheduler will."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.catalog.cron import cron_problem

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
