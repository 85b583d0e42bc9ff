"""The clock path's horizon: no row it will look for may lie before it, and whatever is unsure refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.sources.postgres.clock import (
    UNSEEN_START_MAX,
    Observation,
    floor_to_precision,
    horizon,
    refusals,
)
from data_platform.sources.postgres.introspect import Leaf, Relation, SourceColumn

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
CURSOR = SourceColumn("updated_at", "timestamp with time zone", "timestamptz", "pg_catalog", "b", -1, True)
RELATION = Relation(
    oid=1,
    schema="public",
    name="orders",
    kind="r",
    columns=(CURSOR,),
    unique_keys=(),
    primary_key=(),
    indexed=frozenset({"updated_at"}),
    leaves=(Leaf("public", "orders", "r", 1),),
    rows_estimate=0,
)
SEEN = Observation(
    now=NOW, oldest=None, prepared=False, standby=False, sees_all_activity=True, activity_disabled=False
)


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


@given(INSTANTS, st.integers(0, 6), st.integers(0, 10**7))
def test_a_row_stamped_at_or_after_the_horizon_is_never_below_it(
    start: datetime, digits: int, later: int
) -> None:
    """Whichever way the column rounds a half."""
    unit = 10 ** (6 - digits)
    stamped = micros(start) + later
    lowest = -((unit - 2 * stamped) // (2 * unit)) * unit  # rounded, a half down: Python's // floors
    assert abs(Fraction(lowest - stamped)) <= Fraction(unit, 2)
    floor = floor_to_precision(start, digits)
    assert micros(floor) <= lowest
    assert micros(floor) % unit == 0
    assert micros(start) - micros(floor) < 2 * unit, "no further back than it must"


@given(INSTANTS)
def test_a_column_without_precision_is_one_of_microseconds(instant: datetime) -> None:
    assert floor_to_precision(instant, -1) == floor_to_precision(instant, 6) == instant - MICROSECOND


@pytest.mark.slow
def test_the_server_rounds_no_further_than_is_allowed_for(postgres_url: str) -> None:
    """PostgreSQL itself stores the instants, in every precision."""

    @given(st.lists(INSTANTS, min_size=1, max_size=50))
    @settings(max_examples=20, deadline=None)
    def stored(instants: list[datetime]) -> None:
        kinds = ", ".join(f"i::timestamptz({digits})" for digits in range(7))
        query = f"select {kinds} from unnest(%s::timestamptz[]) with ordinality as u(i, n) order by n"
        for instant, row in zip(instants, connection.execute(query, (instants,)), strict=True):  # type: ignore[call-overload]
            for digits, value in enumerate(row):
                assert floor_to_precision(instant, digits) <= value

    with psycopg.connect(postgres_url) as connection:
        connection.execute("set timezone = 'UTC'")
        stored()


def test_the_horizon_is_the_earlier_of_the_clock_and_the_oldest_transaction() -> None:
    # a transaction that has its time already may not be seen yet: the clock's own instant is too late
    clock = NOW - UNSEEN_START_MAX - MICROSECOND
    assert timedelta(seconds=10) <= UNSEEN_START_MAX
    assert horizon(SEEN, RELATION, "updated_at", "database", None).value == clock
    began = NOW - timedelta(hours=3)
    verdict = horizon(replace(SEEN, oldest=began), RELATION, "updated_at", "database", NOW)
    assert verdict.value == began - MICROSECOND
    ahead = NOW + timedelta(seconds=5)
    assert horizon(replace(SEEN, oldest=ahead), RELATION, "updated_at", "database", None).value == clock


def test_while_anything_is_prepared_the_horizon_stays() -> None:
    seen = replace(SEEN, prepared=True)
    earlier = NOW - timedelta(days=1)
    assert horizon(seen, RELATION, "updated_at", "database", earlier).value == earlier
    first = horizon(seen, RELATION, "updated_at", "database", None)
    assert first.value is None and "prepared" in first.refusals[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"standby": True}, "standby"),
        ({"sees_all_activity": False}, "pg_read_all_stats"),
        ({"activity_disabled": True}, "track_activities"),
    ],
)
def test_what_cannot_be_seen_refuses(change: dict[str, bool], why: str) -> None:
    seen = replace(SEEN, **change)  # type: ignore[arg-type]
    for prepared in (False, True):
        verdict = horizon(replace(seen, prepared=prepared), RELATION, "updated_at", "database", NOW)
        assert verdict.value is None
        assert why in " ".join(verdict.refusals)


@pytest.mark.parametrize(
    ("relation", "cursor", "clock", "why"),
    [
        (RELATION, None, "database", "no cursor"),
        (RELATION, "updated_at", "application", "not declared"),
        (RELATION, "created_at", "database", "not a timestamp with time zone"),
        (
            replace(RELATION, columns=(replace(CURSOR, base="timestamp"),)),
            "updated_at",
            "database",
            "time zone",
        ),
        (replace(RELATION, columns=(replace(CURSOR, base="date"),)), "updated_at", "database", "time zone"),
        (replace(RELATION, columns=(replace(CURSOR, not_null=False),)), "updated_at", "database", "NULL"),
        (replace(RELATION, indexed=frozenset({"id"})), "updated_at", "database", "no index leads"),
    ],
)
def test_a_cursor_that_proves_nothing_refuses(
    relation: Relation, cursor: str | None, clock: str, why: str
) -> None:
    assert why in " ".join(refusals(relation, cursor, clock))
    verdict = horizon(SEEN, relation, cursor, clock, NOW)
    assert verdict.value is None and verdict.refusals


def test_every_reason_is_told_at_once() -> None:
    relation = replace(RELATION, columns=(replace(CURSOR, not_null=False),), indexed=frozenset())
    seen = replace(SEEN, standby=True, sees_all_activity=False, activity_disabled=True)
    assert len(horizon(seen, relation, "updated_at", "database", None).refusals) == 5
