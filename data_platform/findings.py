"""What looking at something the platform leans on came to: the doctor's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

State = Literal["ok", "warn", "fail"]

CLOCK_WARN = timedelta(seconds=5)
CLOCK_FAIL = timedelta(minutes=5)
"""Schedules, freshness and the age of data are told by this machine's clock; watermarks are not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What ``check`` found. ``todo`` is empty when all is well, or when ``found`` says it itself."""

    check: str
    state: State
    found: str
    todo: str = ""


def failed(check: str, error: Exception) -> Finding:
    """Our errors say what failed, on which object and what to do."""
    return Finding(check, "fail", str(error))


def clock(check: str, before: datetime, theirs: datetime, after: datetime) -> Finding:
    """``theirs`` was told between ``before`` and ``after``, by this machine's clock."""
    ahead = max(theirs - after, before - theirs, timedelta(0))
    direction = "ahead of" if theirs > after else "behind"
    if ahead <= CLOCK_WARN:
        return Finding(check, "ok", "It agrees with this machine's.")
    return Finding(
        check,
        "fail" if ahead > CLOCK_FAIL else "warn",
        f"It is {ahead.total_seconds():.0f} s {direction} this machine's. Schedules, freshness and the age"
        " of data are told by this machine's clock.",
        "Let both keep time by NTP (`timedatectl set-ntp true`).",
    )
