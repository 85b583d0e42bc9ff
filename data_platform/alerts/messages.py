"""Makes incidents into posts, which each channel renders in its own way. Pure.

A message says what is wrong, where and since when, with numbers and a link into
the UI. It never holds a value of a row: summaries and numbers arrive without any,
and this module also removes what looks like personal data or a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from data_platform import errors
from data_platform.alerts.channels import Notice, Post
from data_platform.alerts.outbox import Entry, Parcel
from data_platform.alerts.problem import SUMMARY_CHARACTERS, Number, clip, clipped

SECONDS_SHOWN_BELOW = 600
LISTED_MAX = 5

TITLES: dict[str, tuple[str, str]] = {
    "check": ("Check failed", "Check passes again"),
    "run": ("Run failed", "Run succeeds again"),
    "freshness": ("Stale", "Fresh again"),
    "anomaly": ("Anomaly", "Back to normal"),
    "schema": ("Schema changed", "Schema is read again"),
    "quarantine": ("Records in quarantine", "Quarantine is empty again"),
    "backup": ("Backup failed", "Backup succeeds again"),
    "drill": ("Restore drill failed", "Restore drill succeeds again"),
    "sensor": ("Sensor failing", "Sensor works again"),
    "schedule": ("Schedule failing", "Schedule works again"),
    "daemon": ("Daemon silent", "Daemon works again"),
    "location": ("Definitions do not load", "Definitions load again"),
    "catalog": ("Mistake in the catalog", "Catalog is correct again"),
    "heartbeat": ("Heartbeat not delivered", "Heartbeat is delivered again"),
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


def post(parcel: Parcel, *, environment: str, ui_url: str, now: datetime) -> Post:
    """``parcel`` as a message."""
    return Post(
        environment,
        tuple(_notice(entry, ui_url, now) for entry in parcel.entries),
        thread=parcel.thread,
        reference=parcel.reference,
        over=parcel.over,
        url=link(ui_url, "/"),
    )


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


def _notice(entry: Entry, ui_url: str, now: datetime) -> Notice:
    problem = clipped(entry.incident.problem)
    failed, recovered = TITLES.get(problem.kind, OTHER_TITLES)
    over = entry.event in ("recovered", "resolved")
    pairs = [("where", strike_out(problem.where)), ("since", _instant(problem.since))]
    titles = {
        "opened": failed,
        "escalated": f"{failed}, escalated",
        "grown": f"{failed}, more than before",
        "reminded": f"{failed}, still so",
        "snoozed": f"{failed}, snoozed",
        "resolved": f"{failed}, marked as resolved",
        "recovered": failed if problem.once else recovered,
    }
    if entry.event == "recovered" and not problem.once:
        at = entry.incident.recovered_at or now
        pairs.append(("until", f"{_instant(at)} (after {_duration(at - problem.since)})"))
    if entry.event == "escalated":
        pairs.append(("open for", _duration(now - problem.since)))
    if entry.event == "snoozed" and entry.incident.snoozed_until:
        pairs.append(("snoozed until", _instant(entry.incident.snoozed_until)))
    if entry.event in ("snoozed", "resolved") and entry.incident.by:
        pairs.append(("by", strike_out(entry.incident.by)))
    summary = problem.summary
    if over:
        summary = f"It could not be reported earlier: {summary}" if entry.unheard else ""
    if not over or entry.unheard:
        pairs += [(strike_out(name), number(value)) for name, value in problem.numbers.items()]
        nameable = problem.owner and strike_out(problem.owner) == problem.owner  # not a person's address
        pairs += [("owner", problem.owner)] if nameable else []
    if entry.listed and not over:
        pairs.append(("because of it", _listed(entry.listed)))
    if entry.instead_of:
        pairs.append(("not delivered by", ", ".join(entry.instead_of)))
    return Notice(
        key=entry.key,
        event=entry.event,
        title=titles[entry.event],
        name=strike_out(problem.object),
        summary=strike_out(summary),
        pairs=tuple(pairs),
        url=link(ui_url, problem.link),
        severity=problem.severity,
        kind=problem.kind,
    )


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    text = ", ".join(clip(strike_out(name), 60) for name in listed[:LISTED_MAX])
    return text if len(listed) <= LISTED_MAX else f"{text} and {len(listed) - LISTED_MAX:,} more"


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
