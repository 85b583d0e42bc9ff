"""The findings of ``doctor``: the result of one check, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

State = Literal["ok", "warn", "fail"]

CLOCK_WARN = timedelta(seconds=5)
CLOCK_FAIL = timedelta(minutes=5)
"""Schedules, freshness and the age of data depend on this machine's clock; watermarks do not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of ``check``. ``todo`` is empty if all is well, or if ``found`` already says what to do."""

    check: str
    state: State
    found: str
    todo: str = ""


def failed(check: str, error: Exception) -> Finding:
    """Our errors say what failed, on which object and what to do."""
    return Finding(check, "fail", str(error))


def clock(check: str, before: datetime, theirs: datetime, after: datetime) -> Finding:
    """Compares the clock of another system, which read ``theirs`` at a moment between ``before`` and ``after`` of
    this machine's clock."""
    ahead = max(theirs - after, before - theirs, timedelta(0))
    direction = "ahead of" if theirs > after else "behind"
    if ahead <= CLOCK_WARN:
        return Finding(check, "ok", "It agrees with this machine's clock.")
    return Finding(
        check,
        "fail" if ahead > CLOCK_FAIL else "warn",
        f"It is {ahead.total_seconds():.0f} s {direction} this machine's clock, which schedules, freshness and the"
        " age of data depend on.",
        "Synchronize both with NTP (`timedatectl set-ntp true`).",
    )
