"""What the log of retention says: which limits were applied when, and which steps of it are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from data_platform.chained.block import Entry
from data_platform.errors import LedgerBroken
from data_platform.privacy.erasure.requests import Sealed
from data_platform.privacy.retention.rule import Limit
from data_platform.tables import TableId

LOG = "retention"
STEPS = ("landing", "warehouse", "samples", "file", "copies")
"""In this order."""


@dataclass(frozen=True, slots=True)
class HoldThen:
    """A legal hold that lasted when limits were applied. The log of erasures forgets it at its release; the rows that it kept then are
    still there until the next application."""

    name: str
    subject: str
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Application:
    """``limits`` are applied together, to all rows but those of people in ``holds``. ``rows`` counts the rows that were found, ``done`` has
    what each step says of itself."""

    id: str
    limits: Mapping[TableId, Limit]
    rows: Mapping[str, int]
    authorised_by: str
    holds: tuple[HoldThen, ...] = ()
    asked_at: datetime | None = None
    done: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def next_step(self) -> str | None:
        return next((step for step in STEPS if step not in self.done), None)

    @property
    def reason(self) -> str:
        """What a redaction and the audit trail name it by."""
        return f"retention {self.id}"

    @property
    def gone_at(self) -> datetime | None:
        """When the rows had left the warehouse; None while some may be left."""
        last = self.done.get("warehouse")
        return None if last is None else datetime.fromisoformat(last["at"])

    @property
    def quarantine_reason(self) -> str:
        """What the redaction of quarantine names it by."""
        return f"{self.reason}, quarantine"

    def entry(self) -> dict[str, Any]:
        limits = {
            str(one.table): [one.by, one.before.isoformat(), one.timezone, list(one.blank)]
            for one in self.limits.values()
        }
        return {
            "event": "asked",
            "id": self.id,
            "limits": limits,
            "rows": dict(self.rows),
            "authorised_by": self.authorised_by,
            "holds": [[one.name, one.subject, one.sealed.key, one.sealed.sha256] for one in self.holds],
        }

    def finished(self, step: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return {"event": "done", "id": self.id, "step": step, "said": dict(said)}


Term = tuple[Limit, tuple[HoldThen, ...]]
"""A limit as it was applied, and the holds of then."""


def fold(entries: Iterable[Entry]) -> dict[str, Application]:
    """All applications by their number, oldest first. ``LedgerBroken`` for an entry that this version does not know."""
    found: dict[str, Application] = {}
    for entry in entries:
        body = entry.body
        try:
            if body["event"] == "asked":
                holds = tuple(
                    HoldThen(name, kind, Sealed(key, sha256)) for name, kind, key, sha256 in body["holds"]
                )
                found[body["id"]] = Application(
                    body["id"], _limits(body["limits"]), body["rows"], body["authorised_by"], holds, entry.at
                )
            elif body["event"] == "done":
                before = found[body["id"]]
                said = {**before.done, body["step"]: {**body["said"], "at": entry.at.isoformat()}}
                found[body["id"]] = replace(before, done=said)
            else:
                raise KeyError(body["event"])
        except (KeyError, TypeError, ValueError):
            raise LedgerBroken(
                f"Entry {entry.number} of the log of retention is none that this version knows. Run the version that wrote it."
            ) from None
    return found


def applied(found: Mapping[str, Application]) -> dict[TableId, list[Term]]:
    """By table, the limits that were applied, each with the holds of then. A limit only moves forward: of those that differ in their day
    alone the last day counts, and a rule that was changed takes nothing back."""
    newest: dict[tuple[Any, ...], Term] = {}
    for one in found.values():
        for limit in one.limits.values():
            kind = (limit.table, limit.by, limit.timezone, limit.blank, one.holds)
            before = newest.get(kind)
            if before is None or before[0].before < limit.before:
                newest[kind] = (limit, one.holds)
    by_table: dict[TableId, list[Term]] = {}
    for term in newest.values():
        by_table.setdefault(term[0].table, []).append(term)
    return by_table


def _limits(raw: Mapping[str, Any]) -> dict[TableId, Limit]:
    found = {}
    for name, (by, before, timezone, blank) in raw.items():
        table = TableId.parse(name)
        found[table] = Limit(table, by, date.fromisoformat(before), timezone, tuple(blank))
    return found
