"""What a person answers counts: an accepted level is the new level, an accepted exception makes the band wider."""

from __future__ import annotations

import pytest

from data_platform.quality.anomaly.detector import judge
from data_platform.quality.anomaly.series import Point, Series
from data_platform_tests.quality.anomaly.histories import answered, changed, day, weekly


def _doubled(since: int, days: int) -> Series:
    history = weekly(days)
    return changed(history, {n: 2 * (history.points[n].value or 0) for n in range(since, days)})


def _status(history: Series, value: float) -> str:
    return judge(history, Point(day(len(history.points)), value)).status


def test_a_doubled_level_is_an_alarm_until_it_is_accepted() -> None:
    assert day(150).weekday() < 5 and day(151).weekday() < 5
    assert _status(weekly(150), 2000) == "alarm"
    day_after = _doubled(150, 151)
    assert _status(day_after, 2000) == "alarm"
    accepted = answered(day_after, {150: "accepted"})
    assert _status(accepted, 2000) == "ok"
    assert _status(accepted, 1000) == "ok"  # it may have been a single exception
    assert _status(accepted, 100) == "alarm"
    assert _status(accepted, 6000) == "alarm"


def test_an_accepted_level_that_lasts_is_the_new_level() -> None:
    history = answered(_doubled(150, 157), {150: "accepted"})
    assert day(157).weekday() == 3
    found = judge(history, Point(day(157), 2000))
    assert found.status == "ok" and found.expected == pytest.approx(2000, rel=0.1)
    assert found.basis.accepted == 1
    assert _status(history, 1000) == "alarm"  # the level that was left
    assert judge(_doubled(150, 157), Point(day(157), 2000)).expected != pytest.approx(2000, rel=0.1)


def test_an_accepted_exception_widens_its_side_of_the_band_for_a_time() -> None:
    history = changed(weekly(200), {150: 3000.0})
    accepted = answered(history, {150: "accepted"})
    tested = Point(day(200), 1000)
    before, after = judge(history, tested), judge(accepted, tested)
    assert before.high is not None and after.high is not None
    assert after.high > 1.1 * before.high
    assert after.low == before.low and after.expected == before.expected
    assert _status(accepted, 20_000) == "alarm"
    old = answered(changed(weekly(260), {150: 3000.0}), {150: "accepted"})
    unanswered = changed(weekly(260), {150: 3000.0})
    assert judge(old, Point(day(260), 1000)).high == judge(unanswered, Point(day(260), 1000)).high


def test_an_accepted_outage_does_not_silence_the_next_one() -> None:
    history = answered(changed(weekly(200), {150: 0.0}), {150: "accepted"})
    assert _status(history, 0) == "alarm"


def test_answers_of_other_series_do_not_count() -> None:
    from data_platform.quality.anomaly.detector import Candidate, judge_many

    plain, accepted = _doubled(150, 157), answered(_doubled(150, 157), {150: "accepted"})
    tested = Point(day(157), 2000)
    assert judge_many([Candidate(plain, tested), Candidate(accepted, tested)]) == [
        judge(plain, tested),
        judge(accepted, tested),
    ]
