"""The open incidents of the alerts, as the status page shows them."""

from __future__ import annotations

from collections import Counter

from data_platform.alerts.book import Book
from data_platform.alerts.grouping import Causes
from data_platform.alerts.incidents import Incident as OpenIncident
from data_platform.errors import AlertError
from data_platform.observability.trust import Incident
from data_platform.observability.words import moment
from data_platform.sync.platform import Platform
from data_platform.words import plural

BOOK = "alerts"
"""The book of the sensor that alerts."""


def open_incidents(platform: Platform) -> tuple[list[Incident] | None, list[str]]:
    """The open incidents that none of the others explains, the oldest first, and what could not be read of them. None where
    the alerts have never run."""
    book = Book(BOOK, platform.store, platform.signer)
    try:
        state = book.load()
    except AlertError as error:
        return None, [str(error)]
    if book.trouble is not None:
        return None, [f"The open incidents could not be read: {book.trouble}"]
    if not state.number:
        return None, []
    listed = Causes(state.incidents).roots(state.incidents)
    below = Counter(listed.values())
    found = [
        Incident(
            title=f"{one.problem.object}: {one.problem.summary}",
            state=_state(one, below[key]),
            severity=one.problem.severity,
            since=one.problem.since,
            owner=one.problem.owner or None,
            link=one.problem.link,
        )
        for key, one in state.incidents.items()
        if one.open and key not in listed
    ]
    return sorted(found, key=lambda one: one.since), []


def _state(one: OpenIncident, below: int) -> str:
    text = "open"
    if one.snoozed_until is not None:
        text = f"snoozed until {moment(one.snoozed_until)} by {one.by}"
    return f"{text}, with {plural(below, 'other problem')} because of it" if below else text
