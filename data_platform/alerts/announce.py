"""One check of the problems: from the cursor before it to the cursor after it.

Decides, renders and sends. The caller finds the problems.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from data_platform.alerts.channels import Channel, Post
from data_platform.alerts.incidents import (
    Healing,
    Problem,
    decide,
    delivered,
    from_cursor,
    pending,
    to_cursor,
)
from data_platform.alerts.messages import posts
from data_platform.errors import AlertError


@dataclass(frozen=True, slots=True)
class Announcement:
    """The caller keeps ``cursor`` for the next check. ``told`` messages were sent, counted for each channel.
    ``pending`` ones were not, because of ``error``; the next check sends them."""

    cursor: str
    open: int
    told: int
    pending: int
    error: AlertError | None


def announce(
    cursor: str | None,
    problems: Iterable[Problem],
    now: datetime,
    channels: Sequence[Channel],
    *,
    environment: str,
    ui_url: str,
    unknown_kinds: Collection[str] = (),
    healed: Mapping[str, Healing] | None = None,
) -> Announcement:
    """Send what opened or recovered since ``cursor`` by every channel. A failed delivery is returned, not raised."""
    open_ = decide(from_cursor(cursor), problems, now, unknown_kinds, healed).open
    names = [channel.name for channel in channels]
    waiting = {name: pending(open_, name) for name in names}
    made = [posts(waiting[name], environment=environment, ui_url=ui_url) for name in names]
    told = 0
    errors: list[str] = []
    for name, (keys, error) in zip(names, _sent(channels, made), strict=True):
        open_ = delivered(open_, keys, name, names)
        told += len(keys)
        errors += [str(error)] if error is not None else []
    standing = sum(incident.recovered_at is None for incident in open_.values())
    left = sum(map(len, waiting.values())) - told
    return Announcement(
        to_cursor(open_), standing, told, left, AlertError(" ".join(errors)) if errors else None
    )


Sent = tuple[list[str], AlertError | None]
"""The keys that a channel delivered, and what kept it from the others."""


def _sent(channels: Sequence[Channel], made: Sequence[Sequence[Post]]) -> list[Sent]:
    """Each channel sends its posts. Several do so side by side: one that does not answer keeps no other waiting."""
    if len(channels) == 1:
        return [_send(channels[0], made[0])]
    with ThreadPoolExecutor(len(channels)) as threads:
        return list(threads.map(_send, channels, made))


def _send(channel: Channel, made: Sequence[Post]) -> Sent:
    """After its first failure the other messages of a channel wait too: it would fail as slowly for each of them."""
    keys: list[str] = []
    for post in made:
        try:
            channel.send(post)
        except AlertError as error:
            return keys, error
        keys += post.keys
    return keys, None
