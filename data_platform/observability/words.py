"""How health is said to people: the same words on the page and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from data_platform.observability.trust import Aspect, Finding, Health, State

STATE: Mapping[State, str] = {
    "ok": "can be believed",
    "warn": "with care",
    "bad": "cannot be believed",
    "unknown": "not known",
    "none": "nothing to say",
}
ASPECT = {"fresh": "Fresh", "checked": "Checked", "complete": "Complete", "backed_up": "Backed up"}
LABELS_NAMED = 3


def verdict(health: Health) -> str:
    """The answer, in one sentence."""
    counts = health.counts
    total = sum(counts.values())
    if not total:
        return "There is no table yet."
    if counts["ok"] == total:
        return (
            f"All {total} tables and models can be believed."
            if total > 1
            else "The one table can be believed."
        )
    return f"{counts['ok']} of {total} tables and models can be believed."


def rest(health: Health) -> str:
    """How many cannot; empty where all can."""
    counts = health.counts
    parts = [
        f"{counts['bad']} cannot." if counts["bad"] else "",
        f"{counts['unknown']} {'is' if counts['unknown'] == 1 else 'are'} not known."
        if counts["unknown"]
        else "",
        f"{counts['warn']} can with care." if counts["warn"] else "",
    ]
    return " ".join(part for part in parts if part)


def named(labels: Sequence[str]) -> str:
    """``shop/orders``, ``shop/orders and shop/users``, ``shop/orders, shop/users and 4 more``."""
    if len(labels) == 1:
        return labels[0]
    if len(labels) <= LABELS_NAMED:
        return f"{', '.join(labels[:-1])} and {labels[-1]}"
    some = labels[: LABELS_NAMED - 1]
    return f"{', '.join(some)} and {len(labels) - len(some)} more"


def sentence(finding: Finding) -> str:
    """What is wrong, without its tables and its time."""
    return capital(finding.text).rstrip(".") + "."


def reason(aspect: Aspect, of: str = "") -> str:
    """Why an aspect is as it is; names the table where it is another one than ``of``."""
    where = f"{aspect.of}: " if aspect.of and aspect.of != of else ""
    return f"{where}{aspect.text}"


def moment(at: datetime) -> str:
    """``30 Nov 2026, 15:34 UTC``."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def ago(span: timedelta) -> str:
    """``4 minutes``, ``3 hours``, ``2 days``."""
    seconds = max(0.0, span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' if number != 1 else ''}"
    return "less than a minute"


def number(value: float) -> str:
    """``12,345``; a small one with two places where it has any."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.2f}"


def capital(words: str) -> str:
    """A sentence that starts with a name stays as it is: names are written as they are."""
    head = words.partition(" ")[0]
    return words if any(sign in head for sign in "/._:`") else words[:1].upper() + words[1:]
