"""Renders incidents as Slack payloads and plain text. Pure; ``slack.py`` sends.

A message says what is wrong, where and since when, with numbers and a link into
the UI. It never holds a value of a row: summaries and numbers arrive without any,
and this module also removes what looks like personal data or a credential.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from data_platform import errors
from data_platform.alerts.incidents import SUMMARY_CHARACTERS, Message, Number, Opened, clip, clipped

INCIDENTS_PER_POST = 10
"""Slack accepts 50 blocks in a message; an incident needs four."""
FALLBACK_CHARACTERS = 3000
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


@dataclass(frozen=True, slots=True)
class Post:
    """One message to send. ``keys`` are the incidents in it; ``text`` is for a terminal or
    a log, ``payload`` is the JSON for a Slack incoming webhook."""

    keys: tuple[str, ...]
    text: str
    payload: dict[str, Any]


def posts(messages: Sequence[Message], *, environment: str, ui_url: str) -> list[Post]:
    """``messages`` in as few posts as Slack's limits allow, problems before recoveries."""
    ordered = sorted(messages, key=lambda message: not isinstance(message, Opened))
    return [
        _post(ordered[first : first + INCIDENTS_PER_POST], environment, ui_url)
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


def escape(text: str) -> str:
    """Escape Slack's three control characters, so that no text can mention, link or notify anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def link(ui_url: str, path: str) -> str:
    """An absolute URL into the UI that cannot end a Slack link early."""
    return ui_url.rstrip("/") + "/" + quote(path.lstrip("/"), safe="/?=&%:,+~@")


def number(value: Number) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return strike_out(value)


def _post(messages: Sequence[Message], environment: str, ui_url: str) -> Post:
    facts = [_Facts.of(message) for message in messages]
    blocks: list[dict[str, Any]] = []
    for one in facts:
        if blocks:
            blocks.append({"type": "divider"})
        blocks.extend(one.blocks(environment, ui_url))
    headlines = "\n".join(f"[{environment}] {one.headline}" for one in facts)
    return Post(
        keys=tuple(message.key for message in messages),
        text="\n".join(one.text(environment, ui_url) for one in facts),
        payload={
            "text": clip(escape(headlines), FALLBACK_CHARACTERS),
            "blocks": blocks,
            "unfurl_links": False,
            "unfurl_media": False,
        },
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """The content of a message, before it is rendered."""

    sign: str
    title: str
    name: str
    summary: str
    pairs: tuple[tuple[str, str], ...]
    path: str

    @classmethod
    def of(cls, message: Message) -> _Facts:
        problem = clipped(message.problem)
        failed, recovered = TITLES.get(problem.kind, OTHER_TITLES)
        pairs = [("where", strike_out(problem.where)), ("since", _instant(problem.since))]
        if isinstance(message, Opened):
            sign, title, summary = ":red_circle:", failed, problem.summary
        else:
            sign, title = ":large_green_circle:", recovered
            summary = "" if message.announced else f"It could not be reported earlier: {problem.summary}"
            lasted = _duration(message.at - problem.since)
            pairs.append(("until", f"{_instant(message.at)} (after {lasted})"))
        if isinstance(message, Opened) or not message.announced:
            pairs += [(strike_out(name), number(value)) for name, value in problem.numbers.items()]
        return cls(sign, title, strike_out(problem.object), strike_out(summary), tuple(pairs), problem.link)

    @property
    def headline(self) -> str:
        return f"{self.title}: {self.name}"

    def text(self, environment: str, ui_url: str) -> str:
        lines = [f"[{environment}] {self.headline}"]
        lines += [f"  {self.summary}"] if self.summary else []
        lines += [f"  {name}: {value}" for name, value in self.pairs]
        return "\n".join([*lines, f"  {link(ui_url, self.path)}"])

    def blocks(self, environment: str, ui_url: str) -> list[dict[str, Any]]:
        name = escape(self.name.replace("`", "'"))
        lines = [f"{self.sign} *{self.title}* `{name}`"]
        lines += [escape(self.summary)] if self.summary else []
        fields = [f"*{escape(key)}*\n{escape(value)}" for key, value in self.pairs]
        footer = f"<{link(ui_url, self.path)}|Open in Dagster>  ·  {escape(environment)}"
        return [
            {"type": "section", "text": _mrkdwn("\n".join(lines))},
            # Where, since, until and eight numbers are eleven fields; a section accepts ten.
            {"type": "section", "fields": [_mrkdwn(field) for field in fields[:10]]},
            {"type": "context", "elements": [_mrkdwn(footer)]},
        ]


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


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
