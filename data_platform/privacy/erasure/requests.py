"""What the log of erasures says: requests with the steps that are done, legal holds, and keys that came late.

An entry names a request by its number, never a person. The keys of the person lie sealed in an object beside the log,
which the entry names with its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from data_platform.chained.block import Entry
from data_platform.errors import LedgerBroken

LOG = "erasures"
STEPS = ("keys", "landing", "quarantine", "warehouse", "samples", "file", "copies", "scan")
"""In this order."""
LOCKED, UNTIL = "locked", "until"
"""What the step ``scan`` says of a copy in which so many objects hold the person and are locked: until when the last of them is."""
MODELS = "models"
"""What is done once the models that are made of a person's rows and hand on no key were built again. It waits for others, so it is no step."""
UNTIL_BUILT, UNTIL_REFRESHED, TOTALS = "until_built", "until_refreshed", "totals"
"""Under which the steps ``warehouse`` and ``scan`` name these models: those that any build makes again, those that only a full one does, and sums."""
MODELS_NAMED = (UNTIL_BUILT, UNTIL_REFRESHED, TOTALS)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The object ``key`` of the landing store, whose bytes have the SHA-256 ``sha256``."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Request:
    """``rows`` counts the rows that were found of all its ``people``, by table; ``people`` is 0 where all are of earlier requests. ``done`` has what each step says of itself. ``reason`` and ``authorised_by``
    are for people; they name a request, never the person."""

    id: str
    subject: str
    reason: str
    authorised_by: str
    sealed: Sealed
    rows: Mapping[str, int]
    asked_at: datetime | None = None
    people: int = 1
    done: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def next_step(self) -> str | None:
        return next((step for step in STEPS if step not in self.done), None)

    @property
    def unbuilt(self) -> tuple[list[str], list[str]]:
        """The models that may still say something of the person: those that any build makes again, and those that only a full one does."""
        if MODELS in self.done:
            return [], []
        return self._named(UNTIL_BUILT), self._named(UNTIL_REFRESHED)

    @property
    def totals(self) -> list[str]:
        """The models whose rows say nothing of a person and keep what earlier builds summed up, the person with it."""
        return self._named(TOTALS)

    def _named(self, what: str) -> list[str]:
        """The models were looked at twice."""
        return sorted(
            {name for step in ("warehouse", "scan") for name in self.done.get(step, {}).get(what, ())}
        )

    @property
    def locked(self) -> dict[str, datetime]:
        """Until when a copy of the landing store has locked objects that hold the person, by its name."""
        return {
            place: datetime.fromisoformat(said[UNTIL])
            for place, said in self.done.get("scan", {}).items()
            if isinstance(said, Mapping) and UNTIL in said
        }

    @property
    def gone_at(self) -> datetime | None:
        """When the last of the person left the warehouse; None while something may be left."""
        last = self.done.get(MODELS) or self.done.get("scan") or self.done.get("warehouse")
        return None if last is None or any(self.unbuilt) else datetime.fromisoformat(last["at"])

    def entry(self) -> dict[str, Any]:
        """What the log has first of it."""
        return {
            "event": "asked",
            "id": self.id,
            "subject": self.subject,
            "reason": self.reason,
            "authorised_by": self.authorised_by,
            "sealed": [self.sealed.key, self.sealed.sha256],
            "rows": dict(self.rows),
            **({"people": self.people} if self.people != 1 else {}),
        }

    def finished(self, step: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return {"event": "done", "id": self.id, "step": step, "said": dict(said)}


@dataclass(frozen=True, slots=True)
class Hold:
    """Nobody whose keys are sealed in it may be erased while it lasts."""

    name: str
    subject: str
    reason: str
    by: str
    sealed: Sealed
    since: datetime | None = None

    def entry(self) -> dict[str, Any]:
        return {
            "event": "held",
            "name": self.name,
            "subject": self.subject,
            "reason": self.reason,
            "by": self.by,
            "sealed": [self.sealed.key, self.sealed.sha256],
        }

    def released(self, reason: str, by: str) -> dict[str, Any]:
        return {"event": "released", "name": self.name, "reason": reason, "by": by}


@dataclass(frozen=True, slots=True)
class LateKeys:
    """Keys of new rows of people who had been erased: the rows were left out, and what hangs on them is to stay out too."""

    subject: str
    sealed: Sealed

    def entry(self) -> dict[str, Any]:
        return {
            "event": "came",
            "subject": self.subject,
            "sealed": [self.sealed.key, self.sealed.sha256],
        }


@dataclass(frozen=True, slots=True)
class Erasures:
    """The log as it is now: all ``requests`` by their number, oldest first, the ``holds`` that last by name, and the keys that came ``late``."""

    requests: Mapping[str, Request]
    holds: Mapping[str, Hold]
    late: Sequence[LateKeys] = ()


def fold(entries: Iterable[Entry]) -> Erasures:
    """``LedgerBroken`` for an entry that this version does not know."""
    requests: dict[str, Request] = {}
    holds: dict[str, Hold] = {}
    late: list[LateKeys] = []
    for entry in entries:
        body = entry.body
        try:
            sealed = Sealed(*body["sealed"]) if "sealed" in body else None
            if body["event"] == "asked" and sealed:
                words = (body["id"], body["subject"], body["reason"], body["authorised_by"])
                requests[body["id"]] = Request(*words, sealed, body["rows"], entry.at, body.get("people", 1))
            elif body["event"] == "done":
                before = requests[body["id"]]
                said = {**before.done, body["step"]: {**body["said"], "at": entry.at.isoformat()}}
                requests[body["id"]] = replace(before, done=said)
            elif body["event"] == "held" and sealed:
                words = (body["name"], body["subject"], body["reason"], body["by"])
                holds[body["name"]] = Hold(*words, sealed, entry.at)
            elif body["event"] == "released":
                holds.pop(body["name"], None)
            elif body["event"] == "came" and sealed:
                late.append(LateKeys(body["subject"], sealed))
            else:
                raise KeyError(body["event"])
        except (KeyError, TypeError):
            raise LedgerBroken(
                f"Entry {entry.number} of the log of erasures is none that this version knows. Run the version that wrote it."
            ) from None
    return Erasures(requests, holds, tuple(late))
