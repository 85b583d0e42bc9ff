"""What a metric should be: the weekday's profile, a level forecast from past weeks, effects of the month's days
and of holidays, and how far past values were from such a forecast. Vectorised over series; pure.

The window before the tested day is cut into blocks of one season (a week), the newest first: ``z[s, w, p]`` is the
value ``7 * (w + 1) - p`` days before. So each series' own past weeks are forecast from the weeks before them, and
the spread of those errors is what a new value is held against. The tested value is in none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from data_platform.quality.anomaly.robust import mean, median, median_and_known, quantile, sigma
from data_platform.quality.anomaly.seasons import HOLIDAY, NO_POSITION, ORDINARY, Days

BLOCKS = 56
"""Blocks of history that are used: 56 weeks reach last year's holidays."""
PROFILE_BLOCKS = 12
ERROR_BLOCKS = 26
CHOICE_BLOCKS = 13
TAIL_BLOCKS = 39
LEVEL_BLOCKS = 8
TAIL_SHARE = 0.9
FAR = 1.1
"""Without days this much farther than a normal distribution's, no day of the month has an effect to speak of."""
TINY = 1e-5
"""A spread below this is rounding."""
LEAST_POSITIONS = 3
"""A position in the month has an effect only if it was seen in as many months."""
SIGNIFICANT = 3.0
NEWEST = 3
SELDOM = 0.3
STILL_SHARE = 0.9
"""One of twelve may differ."""
CLIPPED, LEAST_ALIKE, MOST_ALIKE = 3.0, 0.2, 0.8
ROW, USUAL_ROW = 3, 0.86
"""Of independent normal errors, nine blocks of ten have no ``ROW`` steps in a row this many deviations off."""
LEAST_MOVE = 0.05


@dataclass
class Fit:
    """Per series, on the scale of ``scales.forward``. ``residuals`` are errors of one-step forecasts, newest block
    first: shape (series, blocks, season). ``level_errors`` are the same for the median of a whole block;
    ``row_tail`` is how much farther than chance several steps in a row are on one side; ``ahead_shift`` is how much higher the coming block is forecast than the newest one was; ``before`` how much higher
    the level of the last two months is than the forecast, 0 unless one of the newest blocks left it."""

    expected: np.ndarray
    ahead_shift: np.ndarray
    before: np.ndarray
    spread: np.ndarray
    spread_low: np.ndarray
    spread_high: np.ndarray
    tail: np.ndarray
    residuals: np.ndarray
    level_errors: np.ndarray
    row_tail: np.ndarray
    system: np.ndarray
    special_low: np.ndarray
    special_high: np.ndarray
    special_seen: np.ndarray
    known: np.ndarray
    known_same: np.ndarray
    closed: np.ndarray


def fit(scaled: np.ndarray, season: int, days: Days | None, zero_is_nothing: bool = True) -> Fit:
    """``scaled`` is (series, blocks * season), oldest first, NaN where unknown. ``zero_is_nothing`` says that a
    zero is a day without data, which says nothing about days with some."""
    series, known = len(scaled), np.count_nonzero(~np.isnan(scaled), axis=1)
    known_same = np.count_nonzero(~np.isnan(scaled[:, ::season]), axis=1)
    if days is None or days.special[-1] == ORDINARY:  # the rest is for holidays alone
        scaled = scaled[:, -(TAIL_BLOCKS + LEVEL_BLOCKS) * season :]
        days = days and days.last(scaled.shape[1])
    regular = scaled if days is None else np.where(days.special[:-1] == HOLIDAY, np.nan, scaled)
    z = _blocks(regular, season)
    still = _still(z)
    z = np.where(still[:, None, :] | _nothing(z, zero_is_nothing), np.nan, z)
    profile = _profile(z)
    levels = median(z - profile[:, None, :])
    forecasts, ahead, usual = _forecast(levels)
    span = min(ERROR_BLOCKS, z.shape[1] - 1)
    level_errors = levels[:, :span] - forecasts[:, :span]
    errors = (z - forecasts[:, :, None] - profile[:, None, :])[:, :TAIL_BLOCKS]
    closed = still[:, 0]
    expected = np.where(
        closed, median(_blocks(regular, season)[:, :PROFILE_BLOCKS, 0]), ahead + profile[:, 0]
    )
    month = _Month.nothing(errors)
    if days is not None:
        far = _tail(errors, sigma(errors[:, :span].reshape(series, -1)))
        month.take(np.flatnonzero(far > FAR), season, days.last(errors.shape[1] * season))
    errors, lean = _lean(month.errors, span)
    recent = errors[:, :span]
    flat = recent.reshape(series, -1)
    spread = sigma(flat)
    same = sigma(recent[:, :, 0])
    count = np.count_nonzero(~np.isnan(recent[:, :, 0]), axis=1)
    same = np.where(np.isfinite(same), same, spread)
    joint = np.sqrt((count * same**2 + 14 * spread**2) / (count + 14))
    joint = np.sqrt(joint**2 + month.spread**2)
    above = sigma(np.where(flat > 0, flat, np.nan))
    below = sigma(np.where(flat < 0, flat, np.nan))
    ratio_high = np.nan_to_num(above / np.where(spread > TINY, spread, np.nan), nan=1.0)
    ratio_low = np.nan_to_num(below / np.where(spread > TINY, spread, np.nan), nan=1.0)
    tail = _tail(errors, spread)
    low, high, seen = _special(scaled, still, forecasts, profile, season, days)
    return Fit(
        expected=expected + np.where(closed, 0.0, lean) + month.effect,
        ahead_shift=ahead - forecasts[:, 0],
        before=np.where(_left(level_errors), usual - ahead, 0.0),
        spread=joint,
        spread_low=joint * np.sqrt((1 + ratio_low**2) / 2),
        spread_high=joint * np.sqrt((1 + ratio_high**2) / 2),
        tail=tail,
        residuals=errors,
        row_tail=_row_tail(recent, spread),
        level_errors=level_errors,
        system=month.system,
        special_low=low + month.low,
        special_high=high + month.high,
        special_seen=seen,
        known=known,
        known_same=known_same,
        closed=closed,
    )


def _blocks(values: np.ndarray, season: int) -> np.ndarray:
    return values.reshape(len(values), -1, season)[:, ::-1, :]


def _still(z: np.ndarray) -> np.ndarray:
    """Places in the season that hardly ever change, such as Sundays without trade, in a series that does change."""
    recent = z[:, :PROFILE_BLOCKS].transpose(0, 2, 1)
    middle = median(recent)
    still = np.asarray(quantile(np.abs(recent - middle[..., None]), STILL_SHARE) < TINY)
    largest = np.nan_to_num(middle, nan=-np.inf).max(axis=1, keepdims=True)
    return still & ~still.all(axis=1, keepdims=True) & (largest - middle > 1)


def _nothing(z: np.ndarray, zero_is_nothing: bool) -> np.ndarray:
    """Zeros in places where they are exceptions."""
    none = z == 0 if zero_is_nothing else np.zeros_like(z, dtype=bool)
    known = np.maximum(np.count_nonzero(~np.isnan(z), axis=1), 1)
    seldom = np.count_nonzero(none, axis=1) < SELDOM * known
    return none & seldom[:, None, :]


def _profile(z: np.ndarray) -> np.ndarray:
    """What each place in the season adds to the block's level, from the newest blocks."""
    recent = z[:, :PROFILE_BLOCKS]
    profile = np.zeros((len(z), z.shape[2]))
    for _ in range(2):
        levels = median(recent - profile[:, None, :])
        profile = np.nan_to_num(median((recent - levels[:, :, None]).transpose(0, 2, 1)))
        profile = profile - median(profile)[:, None]
    return profile


def _forecast(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each block the level forecast from the blocks before it, and the next one's: of several ways, each
    series takes the one that served its newest blocks best. Last, the median level of the newest eight blocks."""
    series, blocks = levels.shape
    padded = np.concatenate([levels, np.full((series, LEVEL_BLOCKS + 4), np.nan, dtype=levels.dtype)], axis=1)

    # At place n, what was known before block n - 1; at place 0, before the coming one.
    last = padded[:, : blocks + 1]
    fours = median(np.lib.stride_tricks.sliding_window_view(padded, 4, axis=1)[:, : blocks + 5])
    four = fours[:, : blocks + 1]
    eight = median(np.lib.stride_tricks.sliding_window_view(padded, LEVEL_BLOCKS, axis=1)[:, : blocks + 1])
    slope = np.nan_to_num((four - fours[:, 4:]) / 4)
    ways = np.stack([four, last, (four + last) / 2, eight, four + 2.5 * slope], axis=-1)
    ways = np.where(np.isnan(ways), eight[..., None], ways)
    errors = np.abs(ways[:, 1 : CHOICE_BLOCKS + 1] - levels[:, :CHOICE_BLOCKS, None])
    middle = median(errors.transpose(0, 2, 1))
    capped = np.minimum(errors, 4 * middle[:, None, :])
    cost = mean(capped.transpose(0, 2, 1))
    cost[:, 1:] *= 1.05
    best = np.argmin(np.where(np.isnan(cost), np.inf, cost), axis=1)
    chosen = np.take_along_axis(ways, best[:, None, None], axis=2)[..., 0]
    return chosen[:, 1 : blocks + 1], chosen[:, 0], eight[:, 0]


def _lean(errors: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors without what the day before lets expect, and what yesterday lets expect of the tested step.

    A level that wanders makes errors of neighbouring steps alike. A far step counts as a less far one, so that an
    incident does not move what is expected after it.
    """
    series, blocks, season = errors.shape
    order = errors[:, ::-1, :].reshape(series, -1)
    known = order[:, -span * season :]
    limit = CLIPPED * sigma(known)[:, None]
    clipped = np.clip(np.nan_to_num(order), -limit, limit)
    near = clipped[:, -span * season :]
    alike = (near[:, 1:] * near[:, :-1]).sum(axis=1) / np.maximum((near**2).sum(axis=1), TINY**2)
    alike = np.where(alike > LEAST_ALIKE, np.minimum(alike, MOST_ALIKE), 0.0)[:, None]
    before = np.concatenate([np.zeros((series, 1), dtype=clipped.dtype), clipped[:, :-1]], axis=1)
    left = order - alike * before
    return left.reshape(series, blocks, season)[:, ::-1, :], (alike * clipped[:, -1:])[:, 0]


def _row_tail(errors: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """How much farther the farthest rows of steps on one side are, block by block, than chance makes them."""
    order = np.nan_to_num(errors[:, ::-1, :].reshape(len(errors), -1))
    lowest = highest = order[:, ROW - 1 :]
    for step in range(ROW - 1):
        before = order[:, step : step + lowest.shape[1]]
        lowest, highest = np.minimum(lowest, before), np.maximum(highest, before)
    least = np.maximum(np.maximum(lowest, -highest), 0.0)
    least = np.pad(least, ((0, 0), (ROW - 1, 0))).reshape(errors.shape)
    return quantile(least.max(axis=2), TAIL_SHARE) / (USUAL_ROW * np.maximum(spread, TINY))


def _left(level_errors: np.ndarray) -> np.ndarray:
    """Whether one of the newest blocks was far from its forecast."""
    usual = sigma(level_errors)
    newest = np.abs(np.nan_to_num(level_errors[:, :NEWEST]))
    return (newest > np.maximum(3 * usual, LEAST_MOVE)[:, None]).any(axis=1)


def _tail(errors: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """How much farther the farthest steps of the blocks are than those of a normal distribution: 1 if not at all."""
    farthest = np.fmax.reduce(np.abs(errors[:, :TAIL_BLOCKS]), axis=2)
    normal = NormalDist().inv_cdf((1 + TAIL_SHARE ** (1 / errors.shape[2])) / 2)
    return np.nan_to_num(quantile(farthest, TAIL_SHARE) / (normal * np.maximum(spread, TINY)), nan=1.0)


@dataclass
class _Month:
    """What positions in the month do. ``errors``: without these effects. For the tested day: the effect, the range
    of what other numberings expect, its spread from month to month, and the
    numbering (``NO_POSITION`` where the day has no effect)."""

    errors: np.ndarray
    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spread: np.ndarray
    system: np.ndarray

    @classmethod
    def nothing(cls, errors: np.ndarray) -> _Month:
        effect, low, high, spread = np.zeros((4, len(errors)))
        return cls(errors, effect, low, high, spread, np.full(len(errors), NO_POSITION))

    def take(self, rows: np.ndarray, season: int, days: Days) -> None:
        """Find the effects in ``rows``. Each series goes by the numbering of the month's days that explains most.
        Where another one expects an effect on the tested day, too (a month's last working day before a Saturday),
        the range covers both."""
        if not len(rows):
            return
        order = self.errors[rows, ::-1, :].reshape(len(rows), -1)
        scale = sigma(order)
        scale = np.where(scale > TINY, scale, TINY)[:, None]
        gains, todays, doubts = [], [], []
        cleaned = order.copy()
        for positions, members in zip(days.positions, days.members, strict=True):
            effects, spreads, gain = _effects(order, scale, members)
            some = np.flatnonzero(gain)
            by_day = np.where(positions >= 0, effects[some][:, np.maximum(positions, 0)], 0.0)
            without = order[some] - by_day[:, :-1]
            cleaned[some] = np.where(np.abs(without) < np.abs(cleaned[some]), without, cleaned[some])
            here = positions[-1]
            gains.append(gain)
            todays.append(effects[:, here] if here >= 0 else np.zeros(len(rows)))
            doubts.append(spreads[:, here] if here >= 0 else np.zeros(len(rows)))
        best = np.argmax(gains, axis=0)[None]
        today = np.stack(todays)
        effect = np.take_along_axis(today, best, axis=0)[0]
        self.errors = self.errors.copy()
        self.errors[rows] = cleaned.reshape(len(rows), -1, season)[:, ::-1, :]
        self.effect[rows] = effect
        others = np.where(today != 0, today, effect)
        self.low[rows] = others.min(axis=0) - effect
        self.high[rows] = others.max(axis=0) - effect
        self.spread[rows] = np.take_along_axis(np.stack(doubts), best, axis=0)[0]
        self.system[rows] = np.where(effect != 0, best[0], NO_POSITION)


def _effects(
    order: np.ndarray, scale: np.ndarray, members: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The effect of each of 31 positions, 0 where it is not significant, its spread, and each series' evidence."""
    values = np.where(members >= 0, order[:, members], np.nan)
    middle, count = median_and_known(values)
    root = np.sqrt(np.maximum(count, 1)) / 1.25
    likely = (count >= LEAST_POSITIONS) & (np.abs(middle) * root > SIGNIFICANT * scale)
    scatter = np.zeros_like(middle)
    scatter[likely] = sigma(values[likely] - middle[likely][:, None])
    error = np.maximum(scale, scatter) / root
    strong = likely & (np.abs(middle) > SIGNIFICANT * error)
    gain = np.where(strong, np.abs(middle) / error - SIGNIFICANT, 0.0).sum(axis=1)
    return np.where(strong, middle, 0.0), np.where(strong, np.hypot(scatter, error), 0.0), gain


def _special(
    scaled: np.ndarray,
    still: np.ndarray,
    forecasts: np.ndarray,
    profile: np.ndarray,
    season: int,
    days: Days | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The range of what past days of the tested day's sort (a holiday, a day after one) did to the value, 0
    included, and how many they were; nothing if the tested day is an ordinary one."""
    nothing = np.zeros(len(scaled))
    if days is None or days.special[-1] == ORDINARY:
        return nothing, nothing, nothing
    alike = days.special[:-1] == days.special[-1]
    if not alike.any():
        return nothing, nothing, nothing
    z = np.where(still[:, None, :], np.nan, _blocks(scaled, season))
    effects = z - forecasts[:, :, None] - profile[:, None, :]
    order = effects[:, ::-1, :].reshape(len(scaled), -1)[:, alike]
    seen = np.count_nonzero(~np.isnan(order), axis=1)
    return (
        np.minimum(np.nan_to_num(order).min(axis=1), 0.0),
        np.maximum(np.nan_to_num(order).max(axis=1), 0.0),
        seen,
    )
