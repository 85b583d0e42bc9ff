"""Makes incidents into posts, which each channel renders in its own way. Pure.

A message says what is wrong, where and since when, with numbers and a link into
the UI. It never holds a value of a row: summaries and numbers arrive without any,
and this module also removes what looks like personal data or a credential.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from data_platform import errors
from data_platform.alerts.channels import Notice, Post
from data_platform.alerts.incidents import SUMMARY_CHARACTERS, Message, Number, Opened, clip, clipped

INCIDENTS_PER_POST = 10
"""Slack accepts 50 blocks in a message, and an incident needs four of them; longer mails are not read either."""
SECONDS_SHOWN_BELOW = 600

TITLES: dict[str, tuple[str, str]] = {
    "check": ("Check failed", "Check passes again"),
    "run": ("Run failed", "Run succeeds again"),
    "freshness": ("Stale", "Fresh again"),
    "sensor": ("Sensor failing", "Sensor works again"),
    "schedule": ("Schedule failing", "Schedule works again"),
    "location": ("Definitions do not load", "Definitions load again"),
    "catalog": ("Mistake in the catalog", "Catalog is correct again"),
    "alerts": ("Many problems", "All problems are listed again"),
}
OTHER_TITLES = ("Problem", "Recovered")

STRUCK_OUT = (
    (re.compile(r"(?<=://)[^\s/@]+@"), "***@"),
    (re.compile(r"https?://hooks\.\S+"), "[webhook]"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), "[number]"),
    (re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ().-]{0,2}\d){6,14}(?!\w)"), "[phone]"),
)


def posts(messages: Sequence[Message], *, environment: str, ui_url: str) -> list[Post]:
    """``messages`` in as few posts as every channel takes, problems before recoveries."""
    ordered = sorted(messages, key=lambda message: not isinstance(message, Opened))
    return [
        Post(environment, tuple(_notice(one, ui_url) for one in ordered[first : first + INCIDENTS_PER_POST]))
        for first in range(0, len(ordered), INCIDENTS_PER_POST)
    ]


def error_summary(class_name: str, message: str) -> str:
    """The part of an exception that may be reported. Our own messages hold no values of rows. Those of another
    library may, so only its class is named."""
    name = class_name.rsplit(".", 1)[-1]
    if is_own(name):
        text = re.sub(rf"^\s*(?:[\w.]*\.)?{re.escape(name)}:\s*", "", message).strip()
        return clip(strike_out(" ".join(text.split())), SUMMARY_CHARACTERS)
    return f"{clip(name, 80)}; the run's log has the details."


def is_own(class_name: str) -> bool:
    """Whether an exception's class is ours: then its message holds no values of rows."""
    known = getattr(errors, class_name.rsplit(".", 1)[-1], None)
    return isinstance(known, type) and issubclass(known, errors.DataPlatformError)


def strike_out(text: str) -> str:
    """``text`` without anything that looks like an e-mail address, a phone or social security number,
    a webhook or a password in a URL."""
    for pattern, instead in STRUCK_OUT:
        text = pattern.sub(instead, text)
    return text


def link(ui_url: str, path: str) -> str:
    """An absolute URL into the UI, without a character that would end a link in a message early."""
    return ui_url.rstrip("/") + "/" + quote(path.lstrip("/"), safe="/?=&%:,+~@")


def number(value: Number) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return strike_out(value)


def _notice(message: Message, ui_url: str) -> Notice:
    problem = clipped(message.problem)
    failed, recovered = TITLES.get(problem.kind, OTHER_TITLES)
    pairs = [("where", strike_out(problem.where)), ("since", _instant(problem.since))]
    if isinstance(message, Opened):
        title, summary = failed, problem.summary
    else:
        title = recovered
        summary = "" if message.announced else f"It could not be reported earlier: {problem.summary}"
        lasted = _duration(message.at - problem.since)
        pairs.append(("until", f"{_instant(message.at)} (after {lasted})"))
    if isinstance(message, Opened) or not message.announced:
        pairs += [(strike_out(name), number(value)) for name, value in problem.numbers.items()]
    return Notice(
        key=message.key,
        recovered=not isinstance(message, Opened),
        title=title,
        name=strike_out(problem.object),
        summary=strike_out(summary),
        pairs=tuple(pairs),
        url=link(ui_url, problem.link),
    )


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(lasted: timedelta) -> str:
    """A duration in days, hours and minutes; in seconds if it is short."""
    seconds = max(0, round(lasted.total_seconds()))
    if seconds >= SECONDS_SHOWN_BELOW:
        seconds -= seconds % 60
    units = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min")]
    parts = [f"{count} {unit}" for count, unit in [*units, (seconds % 60, "s")] if count]
    return " ".join(parts) or "0 s"
