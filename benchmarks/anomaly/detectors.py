"""The detectors that are compared, each over a panel: (series, days) of one kind of metric to (series, days) of alarms.

``ours`` is the platform's own. The others are the rules that are common, written from their descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.anomaly.dataset import Labelled
from benchmarks.anomaly.shapes import CALENDAR
from data_platform.quality.anomaly.judging import ALARM, judge_panel, judge_step
from data_platform.quality.anomaly.model import BLOCKS
from data_platform.quality.anomaly.robust import mean, median, sigma


@dataclass(frozen=True)
class Panel:
    """Series of one kind over the same days."""

    series: Sequence[Labelled]
    values: np.ndarray
    start: int


def panels(series: Iterable[Labelled], start: int) -> list[Panel]:
    """The series in groups that can be judged together."""
    groups: dict[tuple[object, ...], list[Labelled]] = {}
    for one in series:
        groups.setdefault((one.kind, one.first, len(one.values)), []).append(one)
    return [Panel(group, np.stack([one.values for one in group]), start) for group in groups.values()]


Detector = Callable[[Panel], np.ndarray]


def ours(panel: Panel) -> np.ndarray:
    """Nobody answers an alarm."""
    alarms = np.zeros(panel.values.shape, dtype=bool)
    one = panel.series[0]
    judged = judge_panel(one.kind, panel.values, one.first.toordinal(), panel.start, CALENDAR)
    for day, found in enumerate(judged, start=panel.start):
        alarms[:, day] = found.status == ALARM
    return alarms


def answered(panel: Panel) -> np.ndarray:
    """Ours, and a person answers each alarm before the next day: an incident is confirmed, unless it is a level
    that stays; that and a false alarm are accepted. What was missed stays in the history."""
    alarms = np.zeros(panel.values.shape, dtype=bool)
    history, accepted = panel.values.copy(), np.zeros(panel.values.shape, dtype=bool)
    wrong = np.zeros(panel.values.shape, dtype=bool)
    for row, one in enumerate(panel.series):
        for incident in one.incidents:
            if incident.kind != "shift":
                wrong[row, incident.start : incident.end] = True
    one = panel.series[0]
    days = CALENDAR.days(one.first, panel.values.shape[1])
    for day in range(panel.start, panel.values.shape[1]):
        steps = min(day, BLOCKS * 7) // 7 * 7
        window, around = slice(day - steps, day), slice(day - steps, day + 1)
        found = judge_step(
            one.kind, history[:, window], panel.values[:, day], accepted[:, window], days.part(around)
        )
        alarm = found.status == ALARM
        alarms[:, day] = alarm
        history[alarm & wrong[:, day], day] = np.nan
        accepted[:, day] = alarm & ~wrong[:, day]
    return alarms


def _trailing(values: np.ndarray, days: int) -> np.ndarray:
    """The ``days`` values up to and with each day: shape (series, days - days + 1, days)."""
    return np.lib.stride_tricks.sliding_window_view(values, days, axis=1)


def elementary(panel: Panel) -> np.ndarray:
    """Elementary's open rule: |z| over 3 against the mean and deviation of 14 days, the tested value among them."""
    windows = _trailing(panel.values, 15)
    return _placed(panel, _far(windows[..., -1], windows))


def z_score(panel: Panel) -> np.ndarray:
    """|z| over 3 against the 28 days before."""
    windows = _trailing(panel.values, 29)
    return _placed(panel, _far(windows[..., -1], windows[..., :-1]))


def rolling_mad(panel: Panel) -> np.ndarray:
    """More than 3.5 robust deviations from the median of the 28 days before."""
    windows = _trailing(panel.values, 29)
    before = windows[..., :-1]
    middle = median(before)[..., None]
    return _placed(panel, np.abs(windows[..., -1:] - middle)[..., 0] > 3.5 * sigma(before - middle))


def _far(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Whether each value is more than three deviations from its window's mean; unknown days are left out."""
    middle = mean(windows)
    squares = mean((windows - middle[..., None]) ** 2)
    known = np.count_nonzero(~np.isnan(windows), axis=-1)
    return np.abs(values - middle) > 3 * np.sqrt(squares * known / np.maximum(known - 1, 1))


def _placed(panel: Panel, found: np.ndarray) -> np.ndarray:
    alarms = np.zeros(panel.values.shape, dtype=bool)
    alarms[:, panel.values.shape[1] - found.shape[1] :] = found
    alarms[:, : panel.start] = False
    return alarms


DETECTORS: dict[str, Detector] = {
    "ours": ours,
    "ours, alarms answered": answered,
    "elementary": elementary,
    "rolling MAD": rolling_mad,
    "z-score": z_score,
}
