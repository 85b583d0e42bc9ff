"""One check of the problems: from the cursor before it to the cursor after it.

Decides, renders and sends. The caller finds the problems.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from data_platform.alerts.incidents import Healing, Problem, decide, delivered, from_cursor, to_cursor
from data_platform.alerts.messages import posts
from data_platform.alerts.slack import Channel
from data_platform.errors import AlertError


@dataclass(frozen=True, slots=True)
class Announcement:
    """The caller keeps ``cursor`` for the next check. ``told`` incidents were sent. ``pending`` ones were not,
    because of ``error``; the next check sends them."""

    cursor: str
    open: int
    told: int
    pending: int
    error: AlertError | None


def announce(
    cursor: str | None,
    problems: Iterable[Problem],
    now: datetime,
    channel: Channel,
    *,
    environment: str,
    ui_url: str,
    unknown_kinds: Collection[str] = (),
    healed: Mapping[str, Healing] | None = None,
) -> Announcement:
    """Send what opened or recovered since ``cursor``. A failed delivery is returned, not raised. After the
    first failure the other messages wait too: the same channel would fail as slowly for each of them."""
    decision = decide(from_cursor(cursor), problems, now, unknown_kinds, healed)
    open_, told = decision.open, 0
    error: AlertError | None = None
    for post in posts(decision.messages, environment=environment, ui_url=ui_url):
        try:
            channel.send(post)
        except AlertError as failure:
            error = failure
            break
        open_ = delivered(open_, post.keys)
        told += len(post.keys)
    standing = sum(incident.recovered_at is None for incident in open_.values())
    return Announcement(to_cursor(open_), standing, told, len(decision.messages) - told, error)
