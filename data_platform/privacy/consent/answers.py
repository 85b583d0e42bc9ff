"""Which answer of a person holds, and what the log of answers by hand says. Pure.

``newest`` means the same as the view ``consents`` (``mart.py``): the newest answer holds, of two at the same instant a no.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from data_platform.chained.block import Entry
from data_platform.errors import LedgerBroken
from data_platform.privacy.consent.config import BY_HAND, Answers, Purpose
from data_platform.privacy.erasure.requests import Sealed

LOG = "consents"
State = Literal["granted", "withdrawn"]
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to a purpose; ``said_by`` is the table with it, or `by hand`."""

    purpose: str
    state: State
    version: str | None
    at: datetime | None
    said_by: str

    def counts(self, purpose: Purpose) -> bool:
        """Whether the person agrees, to a version of the policy that counts."""
        return self.state == "granted" and (not purpose.versions or self.version in purpose.versions)


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer that was written by hand for a person of the kind ``subject``. Who it is about is ``sealed`` beside the log."""

    id: str
    subject: str
    purpose: str
    state: State
    version: str | None
    authorised_by: str
    sealed: Sealed
    at: datetime | None = None

    def entry(self) -> dict[str, Any]:
        return {
            "event": "decided",
            "id": self.id,
            "subject": self.subject,
            "purpose": self.purpose,
            "state": self.state,
            "version": self.version,
            "authorised_by": self.authorised_by,
            "sealed": [self.sealed.key, self.sealed.sha256],
        }

    @property
    def answer(self) -> Answer:
        return Answer(self.purpose, self.state, self.version, self.at, BY_HAND)


def forgotten(ids: Iterable[str]) -> dict[str, Any]:
    """What the log says once people were erased: their decisions ``ids`` are of nobody any more."""
    return {"event": "forgotten", "ids": sorted(ids)}


@dataclass(frozen=True, slots=True)
class Decided:
    """The log as it is now: the decisions that are somebody's, by their number, oldest first, and those of people who were erased. One that
    was forgotten before it was written is forgotten."""

    standing: Mapping[str, Decision]
    forgotten: Mapping[str, Decision]


def fold(entries: Iterable[Entry]) -> Decided:
    """``LedgerBroken`` for an entry that this version does not know."""
    found: dict[str, Decision] = {}
    gone: set[str] = set()
    for entry in entries:
        body = entry.body
        try:
            if body["event"] == "decided":
                if body["state"] not in get_args(State):
                    raise KeyError(body["state"])
                words = (body["id"], body["subject"], body["purpose"], body["state"], body["version"])
                found[body["id"]] = Decision(*words, body["authorised_by"], Sealed(*body["sealed"]), entry.at)
            elif body["event"] == "forgotten":
                gone.update(body["ids"])
            else:
                raise KeyError(body["event"])
        except (KeyError, TypeError):
            raise LedgerBroken(
                f"Entry {entry.number} of the log of consents is none that this version knows. Run the version that wrote it."
            ) from None
    return Decided(
        {id_: one for id_, one in found.items() if id_ not in gone},
        {id_: one for id_, one in found.items() if id_ in gone},
    )


def said(value: object, granted: Answers) -> State:
    """What a value of the column ``state`` means: every value that is no yes is a no, as is none."""
    if isinstance(granted.granted, bool):
        return "granted" if str(value).lower() in ("true", "1", "t") else "withdrawn"
    yes = {one.strip(" ").lower() for one in granted.granted}
    return "granted" if value is not None and str(value).strip(" ").lower() in yes else "withdrawn"


def newest(answers: Iterable[Answer]) -> Mapping[str, Answer]:
    """The answer that holds, by purpose."""
    held: dict[str, Answer] = {}
    for one in answers:
        before = held.get(one.purpose)
        if (
            before is None
            or _rank(one) > _rank(before)
            or (_rank(one) == _rank(before) and one.said_by < before.said_by)
        ):
            held[one.purpose] = one
    return held


def _rank(one: Answer) -> tuple[datetime, bool, bool, str]:
    """As the view orders them."""
    return one.at or _LONG_AGO, one.state == "withdrawn", one.version is not None, one.version or ""
