"""Which incidents are listed under another one that explains them. Pure.

A child whose cause is open, and reported by the same channel, is not sent by itself. Grouping is done for each channel:
where a failed run pages a person and stale tables go to a mailing list, the list still gets its mail, one for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from data_platform.alerts.incidents import Incident


class Causes:
    """What explains each of the open incidents, directly or through others."""

    def __init__(self, incidents: Mapping[str, Incident]) -> None:
        self._open = {key: one for key, one in incidents.items() if one.open}
        self._above: dict[str, frozenset[str]] = {}

    def above(self, key: str) -> frozenset[str]:
        """The keys of all open incidents that explain ``key``."""
        if key not in self._above:
            found: set[str] = set()
            ahead = [key]
            while ahead:
                causes = self._open[ahead.pop()].problem.causes
                new = {cause for cause in causes if cause in self._open} - found
                found |= new
                ahead += new
            self._above[key] = frozenset(found - {key})
        return self._above[key]

    def roots(self, members: Collection[str]) -> dict[str, str]:
        """Each of ``members`` that another of them explains, with the one under which it is listed: one that is listed
        under none. Incidents that explain each other have one root too."""
        chosen = frozenset(members)
        order = {key: (len(self.above(key)), key) for key in chosen if key in self._open}
        listed: dict[str, str] = {}
        for key in sorted(order, key=order.__getitem__):
            roots = [
                cause
                for cause in self.above(key) & order.keys()
                if cause not in listed and order[cause] < order[key]
            ]
            if roots:
                listed[key] = min(roots, key=order.__getitem__)
        return listed
