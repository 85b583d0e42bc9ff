"""The detector: what must hold whatever the series, and each pattern that it claims to know."""

from __future__ import annotations

import json
import math
import random
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import ConfigurationError, MetricError
from data_platform.quality.anomaly.detector import Candidate, judge, judge_many
from data_platform.quality.anomaly.seasons import Calendar
from data_platform.quality.anomaly.series import Point, Series
from data_platform_tests.quality.anomaly.histories import answered, changed, day, series, weekly

BRITISH = Calendar("GB", "ENG")


def _status(history: Series, number: int, value: float | None, calendar: Calendar = BRITISH) -> str:
    return judge(history, Point(day(number), value), calendar).status


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-6, 1e6), st.floats(0, 3), st.sampled_from(["amount", "signed"]))
def test_the_unit_of_an_amount_does_not_matter(unit: float, times: float, kind: Any) -> None:
    history = weekly(150, kind)
    scaled = Series(history.name, kind, [Point(p.at, (p.value or 0) * unit) for p in history.points])
    one = judge(history, Point(day(150), 1000 * times))
    other = judge(scaled, Point(day(150), 1000 * times * unit))
    assert one.status == other.status
    assert other.expected == pytest.approx((one.expected or 0) * unit, rel=1e-3)
    assert other.low == pytest.approx((one.low or 0) * unit, rel=1e-3)
    assert other.high == pytest.approx((one.high or 0) * unit, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 1e9) | st.none(), st.sampled_from(["count", "amount", "signed"]))
def test_the_tested_value_is_not_in_its_own_baseline(value: float | None, kind: Any) -> None:
    history = weekly(150, kind)
    usual = judge(history, Point(day(150), 1000.0))
    tested = Point(day(150), value)
    with_it = Series(history.name, kind, [*history.points, tested, Point(day(151), value)])
    for found in (judge(history, tested), judge(with_it, tested)):
        assert (found.expected, found.low, found.high) == (usual.expected, usual.low, usual.high)
        assert found.basis.points == 150


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 140), st.integers(1, 10), st.floats(0, 1e6))
def test_a_confirmed_incident_is_as_if_it_had_never_been_measured(
    first: int, length: int, value: float
) -> None:
    days = range(first, first + length)
    history = weekly(150, "amount")
    wrong = changed(history, dict.fromkeys(days, value))
    confirmed = judge(answered(wrong, dict.fromkeys(days, "incident")), Point(day(150), 900.0))
    absent = judge(changed(history, dict.fromkeys(days, None)), Point(day(150), 900.0))
    assert (confirmed.status, confirmed.low, confirmed.high) == (absent.status, absent.low, absent.high)
    assert confirmed.basis == absent.basis


def test_a_long_incident_that_nobody_confirmed_hides_the_next_one_and_a_confirmed_one_does_not() -> None:
    history = weekly(150)
    low = changed(history, {n: (history.points[n].value or 0) // 10 for n in range(120, 150)})
    assert _status(low, 150, 100) == "ok"
    assert _status(answered(low, dict.fromkeys(range(120, 150), "incident")), 150, 100) == "alarm"


def test_other_series_and_their_order_do_not_matter() -> None:
    kinds: list[Any] = ["count", "amount", "signed"] * 4
    tested = [
        Candidate(weekly(60 + 12 * n, kind, level=10.0 ** (n % 5), seed=n), Point(day(60 + 12 * n), 30.0 * n))
        for n, kind in enumerate(kinds)
    ]
    alone = [judge(one.history, one.point, BRITISH) for one in tested]
    assert judge_many(tested, BRITISH) == alone
    order = list(range(len(tested)))
    random.Random(3).shuffle(order)
    assert judge_many([tested[n] for n in order], BRITISH) == [alone[n] for n in order]
    assert len({one.status for one in alone}) > 1


def test_many_series_of_one_day_are_judged_as_each_alone() -> None:
    tested = [Candidate(weekly(100, seed=n), Point(day(100), float(20 * n))) for n in range(60)]
    assert judge_many(tested) == [judge(one.history, one.point) for one in tested]


@pytest.mark.parametrize("value", [0.0, 1000.0, 1e12])
def test_a_short_history_answers_learning_whatever_the_value(value: float) -> None:
    for known in range(21):
        found = judge(weekly(known), Point(day(known), value))
        assert found.status == "learning"
        assert (found.expected, found.low, found.high, found.change) == (None, None, None, None)
    assert f"Learning: {value:,.0f}, with 20 points before it; 21 are needed" in found.reason
    assert _status(weekly(21), 21, value) == ("ok" if value == 1000 else "alarm")


def test_unknown_days_do_not_count_as_history() -> None:
    history = changed(weekly(60), dict.fromkeys(range(0, 45), None))
    assert _status(history, 60, 1000) == "learning"


def test_a_day_of_the_week_without_history_is_still_learned() -> None:
    mondays_unknown = series(lambda n, at: None if at.weekday() == 0 else 1000.0, 70)
    assert _status(mondays_unknown, 70, 1000) == "learning"  # a Monday
    assert _status(mondays_unknown, 71, 1000) == "ok"


@pytest.mark.parametrize("value", [None, math.nan])
def test_an_unknown_value_is_no_pass(value: float | None) -> None:
    found = judge(weekly(100), Point(day(100), value))
    assert found.status == "unknown" and found.observed is None
    assert "nothing is known" in found.reason


def test_gaps_in_the_history_do_not_stop_a_verdict() -> None:
    gaps = random.Random(5).sample(range(150), 60)
    history = changed(weekly(150), dict.fromkeys(gaps, None))
    assert _status(history, 150, 980) == "ok"
    assert _status(history, 150, 300) == "alarm"


def test_a_flat_series_may_move_a_little() -> None:
    history = series(lambda *_: 5000.0, 100)
    assert [_status(history, 100, v) for v in (5000, 5001, 4800, 5300)] == ["ok"] * 4
    assert [_status(history, 100, v) for v in (0, 2500, 10_000)] == ["alarm"] * 3


def test_a_flat_null_rate_of_zero() -> None:
    history = series(lambda *_: 0.0, 100, "rate")
    assert [_status(history, 100, v) for v in (0, 0.001, 0.004)] == ["ok"] * 3
    assert [_status(history, 100, v) for v in (0.05, 1.0)] == ["alarm"] * 2


def test_an_intermittent_series_is_judged_by_its_mean() -> None:
    values = np.random.default_rng(4).poisson(1.5, 200)
    history = series(lambda n, _: float(values[n]), 200)
    assert [_status(history, 200, v) for v in (0, 1, 3, 5)] == ["ok"] * 4
    assert _status(history, 200, 40) == "alarm"
    silent = changed(history, dict.fromkeys(range(194, 200), 0.0))
    found = judge(silent, Point(day(200), 0.0))
    assert found.status == "alarm" and found.slow  # a week without any, of ten on average


def test_a_weekday_has_its_own_level() -> None:
    history = weekly(150)
    assert day(150).weekday() == 3 and day(152).weekday() == 5
    assert _status(history, 150, 1000) == "ok" and _status(history, 150, 500) == "alarm"
    assert _status(history, 152, 500) == "ok" and _status(history, 152, 1000) == "alarm"


def test_a_day_without_trade_may_not_suddenly_have_some() -> None:
    history = series(lambda n, at: 0.0 if at.weekday() == 5 else 900.0 + n % 5, 150)
    assert day(150).weekday() == 3 and day(152).weekday() == 5
    assert _status(history, 152, 0) == "ok" and _status(history, 152, 400) == "alarm"
    assert _status(history, 150, 0) == "alarm"


def test_the_end_of_the_month_has_its_own_level() -> None:
    def bills(n: int, at: date) -> float:
        return (3000.0 if day(n + 1).day == 1 else 1000.0) + n % 7

    history = series(bills, 180)
    assert day(181) == date(2024, 6, 30)
    longer = series(bills, 181)
    found = judge(longer, Point(day(181), 3000))
    assert found.status == "ok" and found.expected == pytest.approx(3000, rel=0.05)
    assert "day from the month's end" in found.basis.shaped_by
    assert _status(longer, 181, 1000) == "alarm"
    assert _status(history, 180, 3000) == "alarm"


def test_a_holiday_is_like_the_holidays_before_it() -> None:
    def closed(n: int, at: date) -> float:
        return 0.0 if BRITISH.holiday(at) else 1000.0 + n % 5

    christmas = (date(2024, 12, 25) - day(0)).days
    history = series(closed, christmas)
    assert _status(history, christmas, 0) == "ok"
    assert _status(history, christmas, 0, Calendar()) == "alarm"
    assert _status(series(closed, christmas - 7), christmas - 7, 0) == "alarm"
    found = judge(history, Point(day(christmas), 0), BRITISH)
    assert "Christmas Day: a holiday, 5 seen before" in found.basis.shaped_by


def test_a_holiday_that_was_never_seen_is_judged_upwards_alone() -> None:
    good_friday = (date(2024, 3, 29) - day(0)).days
    history = series(lambda n, _: None if n < 10 else 1000.0 + n % 5, good_friday)
    assert _status(history, good_friday, 0) == "ok"
    assert _status(history, good_friday, 5000) == "alarm"


def test_a_company_s_own_closed_days_are_holidays() -> None:
    inventory = {day(n): "inventory" for n in (40, 75, 110, 150)}
    history = series(lambda n, at: 0.0 if at in inventory else 1000.0 + n % 5, 150)
    assert _status(history, 150, 0) == "alarm"
    found = judge(history, Point(day(150), 0), Calendar(closed=inventory))
    assert found.status == "ok" and "inventory: a holiday, 3 seen before" in found.basis.shaped_by


def test_growth_is_expected_to_go_on() -> None:
    history = series(lambda n, _: round(1000 * math.exp(0.01 * n)) + float(n % 3), 200)
    found = judge(history, Point(day(200), 1000 * math.exp(2)))
    assert found.status == "ok" and found.expected == pytest.approx(1000 * math.exp(2), rel=0.05)


def test_a_slow_leak_is_found_though_no_day_is_far_off() -> None:
    history = weekly(150, noise=0.08)
    found = []
    for n in range(150, 171):
        value = (history.points[n - 147].value or 0) * (1 - 0.03 * (n - 149))
        found.append(judge(history, Point(day(n), value)))
        history = Series(history.name, "count", [*history.points, Point(day(n), float(round(value)))])
    first = next(one for one in found if one.status == "alarm")
    assert first.slow and first.at < day(165)
    assert "newest values together" in first.reason


def test_after_an_incident_the_earlier_level_is_no_alarm() -> None:
    history = series(lambda n, _: 300.0 if 130 <= n < 150 else 1000.0 + n % 5, 150)
    assert _status(history, 150, 1000) == "ok"


def test_times_of_arrival_may_vary_by_a_quarter_of_an_hour() -> None:
    history = series(lambda n, _: 360.0 + n % 3, 100, "minutes")
    assert [_status(history, 100, v) for v in (352, 360, 370)] == ["ok"] * 3
    assert [_status(history, 100, v) for v in (420, 1500)] == ["alarm"] * 2


def test_loads_repeat_after_a_season_of_loads() -> None:
    points = [Point(day(n // 24), 10_000.0 if n % 24 == 3 else 500.0 + n % 7) for n in range(24 * 10)]
    history = Series("orders: rows of a load", "count", points, "load", 24)
    next_loads = [500.0, 505.0, 502.0]
    assert judge(history, Point(day(10), 500.0)).status == "ok"
    assert judge(history, Point(day(10), 10_000.0)).status == "alarm"
    until_three = Series(
        history.name, "count", [*points, *(Point(day(10), v) for v in next_loads)], "load", 24
    )
    assert judge(until_three, Point(day(10), 10_000.0)).status == "ok"
    assert judge(until_three, Point(day(10), 500.0)).status == "alarm"


def test_a_verdict_explains_itself_in_numbers() -> None:
    found = judge(weekly(150), Point(day(150), 300))
    assert found.expected is not None and found.low is not None and found.high is not None
    assert found.low < found.expected < found.high
    assert found.change == pytest.approx(300 / found.expected - 1)
    assert (
        f"300 is below the usual range ({found.change:+.0%}): {found.expected:,.0f} expected" in found.reason
    )
    assert "150 points, 21 of them alike (Thursdays)" in found.reason
    facts = json.loads(json.dumps(found.facts()))
    assert facts["status"] == "alarm" and facts["points"] == 150 and facts["at"] == "2024-05-30"


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("count", -1.0, "-1 on"),
        ("rate", 1.5, "1.5 on"),
        ("amount", math.inf, "inf on"),
        ("rate", -0.1, "-0.1 on"),
    ],
)
def test_a_value_that_the_kind_cannot_have_is_an_error(kind: Any, value: float, says: str) -> None:
    with pytest.raises(MetricError, match=says):
        judge(weekly(5, kind, level=0.5), Point(day(5), value))
    with pytest.raises(MetricError, match=f"kind '{kind}'"):
        judge(series(lambda *_: value, 3, kind), Point(day(5), 0.5))


def test_a_metric_of_no_known_kind_or_rhythm_is_an_error() -> None:
    with pytest.raises(MetricError, match="no kind of metric; use one of count, amount"):
        Series("orders: rows", "rows")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="days repeat after 7"):
        Series("orders: rows", "count", season=30)


def test_a_country_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="No public holidays are known for 'XX'"):
        judge(weekly(100), Point(day(100), 1), Calendar("XX"))
