"""The anomaly detector: is this value of a table's metric as its history lets expect? Pure.

``judge`` answers for one value, ``judge_many`` for many at once (about 0.8 million a minute and core). A value is held
against the same series' past alone, of which confirmed incidents, unknown values and the tested value itself are no
part. docs/quality.md says how it works and what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from data_platform.quality.anomaly.judging import ALARM, LEARNING, OK, UNKNOWN, Judged, judge_step, needed
from data_platform.quality.anomaly.model import BLOCKS
from data_platform.quality.anomaly.seasons import NO_CALENDAR, SYSTEMS, Calendar
from data_platform.quality.anomaly.series import Point, Series, checked, window
from data_platform.quality.anomaly.verdict import Basis, Status, Verdict, explain

SHOWN = 60
"""Points of a plot."""
_STATUS: dict[int, Status] = {OK: "ok", ALARM: "alarm", LEARNING: "learning", UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value to be judged, and its history. Points of the history at the tested day or later are left out."""

    history: Series
    point: Point


def judge(history: Series, point: Point, calendar: Calendar = NO_CALENDAR) -> Verdict:
    """Judge ``point`` by the points of ``history`` before it. Raises ``MetricError`` if a value cannot be one of
    the series' kind, ``ConfigurationError`` if the calendar's country is not known."""
    return judge_many([Candidate(history, point)], calendar)[0]


def judge_many(tested: Sequence[Candidate], calendar: Calendar = NO_CALENDAR) -> list[Verdict]:
    """Judge each value by its own history, in the order given. Those of one day and kind are computed together."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for n, one in enumerate(tested):
        history = one.history
        day = one.point.at if history.rhythm == "day" else None
        groups.setdefault((history.kind, history.rhythm, history.season, day), []).append(n)
    verdicts: dict[int, Verdict] = {}
    for members in groups.values():
        verdicts.update(zip(members, _together([tested[n] for n in members], calendar), strict=True))
    return [verdicts[n] for n in range(len(tested))]


def _together(group: Sequence[Candidate], calendar: Calendar) -> Iterable[Verdict]:
    kind, season = group[0].history.kind, group[0].history.season
    windows = [window(one.history, one.point, BLOCKS) for one in group]
    steps = BLOCKS * season
    days = None
    if group[0].history.rhythm == "day":
        days = calendar.days(group[0].point.at - timedelta(steps), steps + 1)
    judged = judge_step(
        kind,
        np.stack([one.values for one in windows]),
        np.array([checked(one.history, one.point) for one in group]),
        np.stack([one.accepted for one in windows]),
        days,
        season,
    )
    return [_verdict(one, judged, n, calendar) for n, one in enumerate(group)]


def _verdict(one: Candidate, judged: Judged, n: int, calendar: Calendar) -> Verdict:
    history, point = one.history, one.point
    status = _STATUS[int(judged.status[n])]
    learning = status == "learning"
    expected, low, high = (
        None if learning or np.isnan(side[n]) else float(side[n])
        for side in (judged.expected, judged.low, judged.high)
    )
    observed = None if status == "unknown" else point.value
    basis = Basis(
        points=int(judged.known[n]),
        alike=int(judged.known_same[n]),
        shaped_by=_shaped_by(history, point.at, judged, n, calendar),
        accepted=int(judged.accepted[n]),
    )
    slow = bool(judged.slow[n]) and status == "alarm"
    return Verdict(
        status=status,
        metric=history.name,
        kind=history.kind,
        at=point.at,
        observed=observed,
        expected=expected,
        low=low,
        high=high,
        slow=slow,
        basis=basis,
        reason=explain(
            status, history.kind, observed, expected, low, high, slow, basis, needed(history.season)
        ),
        recent=_recent(history, point),
    )


def _shaped_by(history: Series, at: date, judged: Judged, n: int, calendar: Calendar) -> tuple[str, ...]:
    if history.rhythm == "load":
        return (f"season of {history.season} loads",) if history.season > 1 else ()
    words = [f"{at:%A}s"]
    if judged.month[n] >= 0:
        words.append(SYSTEMS[int(judged.month[n])])
    if judged.holiday[n] >= 0:
        words.append(f"{calendar.holiday(at)}: a holiday, {int(judged.holiday[n])} seen before")
    return tuple(words)


def _recent(history: Series, point: Point) -> tuple[Point, ...]:
    """The last points before the tested one; of days, one a day, so that a plot shows the gaps."""
    if history.rhythm == "load":
        return tuple(one for one in history.points if one is not point)[-SHOWN:]
    found = {one.at: one for one in history.points if one.at < point.at}
    days = [point.at - timedelta(n) for n in range(SHOWN, 0, -1)]
    first = min(found, default=point.at)
    return tuple(found.get(day, Point(day, None)) for day in days if day >= first)


__all__ = ["Calendar", "Candidate", "Point", "Series", "Verdict", "judge", "judge_many"]
