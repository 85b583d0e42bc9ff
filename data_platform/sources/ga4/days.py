"""Which days a read asks for. Pure: days are those of the property's time zone.

The state between two reads is ``{"begun": DAY, "wide": DAY}``: the day on which the last read began, and the last wide
one. Days that were younger than the reread then may have changed since, however long ago that was. Within a read
``next`` is the day it goes on with, ``is_wide`` whether it is a wide one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from data_platform.errors import PositionLost
from data_platform.sources.ga4.keys import Ga4Settings
from data_platform.sources.records.feed import State


@dataclass(frozen=True, slots=True)
class Days:
    """A read of ``first`` to ``last``, of which both are read. ``begun`` is when it began, ``wide`` when the last wide
    read before it did."""

    first: date
    last: date
    begun: date
    wide: date
    is_wide: bool

    def __iter__(self) -> Iterator[date]:
        for n in range((self.last - self.first).days + 1):
            yield self.first + timedelta(n)

    def after(self, day: date) -> State:
        """The state once ``day`` was read."""
        if day >= self.last:
            return {
                "begun": self.begun.isoformat(),
                "wide": (self.begun if self.is_wide else self.wide).isoformat(),
            }
        return {
            "begun": self.begun.isoformat(),
            "wide": self.wide.isoformat(),
            "is_wide": self.is_wide,
            "next": (day + timedelta(1)).isoformat(),
        }


def days_of(settings: Ga4Settings, start: date, state: State | None, today: date) -> Days:
    """What is read of a report whose first day is ``start``: all of it (``state`` None), the rest of a read that was
    interrupted, or what may have changed. PositionLost where the state is none."""
    if state is None:
        return Days(min(start, today), today, today, today, True)
    try:
        begun, wide = (date.fromisoformat(str(state[name])) for name in ("begun", "wide"))
        if "next" in state:
            first = date.fromisoformat(str(state["next"]))
            return Days(first, max(first, today), begun, wide, bool(state["is_wide"]))
    except (KeyError, ValueError):
        raise PositionLost(
            f"{settings.place}: its last batch does not say which days were read. Run `data-platform sync --refresh` for"
            " the table."
        ) from None
    today = max(today, begun)  # a clock that went back
    again = timedelta(settings.reread_days)
    first = min(today - again, begun - again + timedelta(1))
    due = wide + timedelta(settings.wide_reread_every_days)
    is_wide = bool(settings.wide_reread_days) and today >= due
    if is_wide:
        first = min(
            first, due - timedelta(settings.wide_reread_days), today - timedelta(settings.wide_reread_days)
        )
    return Days(max(first, min(start, today)), today, today, wide, is_wide)
