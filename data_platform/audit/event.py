"""What an event of the audit trail is. No personal value can stand in it. Pure.

Every field has a closed grammar without blanks and ``@``, except the purpose, which a person writes: that is refused where it holds
what looks like an address, a number of a phone or a card. People whose data is concerned appear as subject ids only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from data_platform.errors import ConfigurationError

Outcome = Literal["started", "done", "failed"]
Detail = str | int | bool | None | tuple[str, ...]

ACTIONS: Mapping[str, str] = {
    "reveal": "sealed columns of a table were read in clear",
    "subject_export": "all data of a person was written out",
    "erase": "a person was erased",
    "hold": "a legal hold was set or lifted",
    "retention": "data older than its rule was deleted or anonymised",
    "consent": "a consent was set or withdrawn by hand",
    "configuration": "the catalog is another one than before",
    "backup_deletion": "backups, archives or write-ahead log were deleted",
    "query": "a statement was run by `data-platform query`",
    "quarantine_show": "records in quarantine were shown as they came",
    "quarantine_replay": "records in quarantine were taken again",
    "quarantine_settle": "records in quarantine were declared settled",
    "quarantine_redact": "records in quarantine were erased",
    "recovery": "a database, or everything, was recovered to an instant",
    "restore": "a backup was restored",
    "keystore": "keys were made, rewrapped, copied or destroyed",
    "accept": "a damaged trail was accepted as it is",
}
"""Every action, and what it means."""

OBJECTS_MAX = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:#+-]{0,199}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ACTOR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:/+-]{0,99}")
_SUBJECT = re.compile(r"[0-9a-f]{32}")
_TEXT = re.compile(r"[A-Za-z0-9][^\x00-\x1f\x7f-\x9f]{0,299}")
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b|\b20\d\d-(?=\d{1,5}\b)")
"""A day, and the year in the number of a request: neither is a part of a longer number."""
_DIGITS = re.compile(r"\d(?:[ ./()-]{0,2}\d){6,}")


@dataclass(frozen=True, slots=True)
class Event:
    """``objects`` are names: of tables, backups, batches. ``purpose`` is why, ``subjects`` whose data. ``id`` is the same for
    what was begun and its outcome; the trail gives it."""

    action: str
    objects: tuple[str, ...] = ()
    purpose: str = ""
    outcome: Outcome = "done"
    subjects: tuple[str, ...] = ()
    details: Mapping[str, Detail] = field(default_factory=dict)

    def body(self, who: str, id_: str) -> dict[str, Any]:
        """The event as JSON. ConfigurationError for a purpose that looks personal, ValueError for any other value that
        is not of its field's grammar."""
        _must(self.action in ACTIONS, "the action is not one of ACTIONS")
        _must(self.outcome in get_args(Outcome), "the outcome is unknown")
        _must(_ACTOR.fullmatch(who), "the actor is not a name")
        _must(all(map(_NAME.fullmatch, self.objects)), "an object is not a name")
        _must(all(map(_SUBJECT.fullmatch, self.subjects)), "a subject is not a subject id")
        for name, value in self.details.items():
            _must(_WORD.fullmatch(name), "the name of a detail is invalid")
            for one in value if isinstance(value, tuple) else (value,):
                _must(not isinstance(one, str) or _NAME.fullmatch(one), f"the detail {name} is not a name")
        more = len(self.objects) - OBJECTS_MAX
        details = {
            name: list(value[:OBJECTS_MAX]) if isinstance(value, tuple) else value
            for name, value in self.details.items()
        }
        return {
            "id": id_,
            "action": self.action,
            "who": who,
            "outcome": self.outcome,
            "objects": list(self.objects[:OBJECTS_MAX]),
            **({"objects_left_out": more} if more > 0 else {}),
            **({"purpose": checked_text(self.purpose, "The purpose")} if self.purpose else {}),
            **({"subjects": list(self.subjects)} if self.subjects else {}),
            **({"details": details} if details else {}),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the trail holds it; ``number`` is that of its entry."""

    number: int
    at: datetime
    body: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field as a text; empty without one."""
        value = self.body.get(name, "")
        if isinstance(value, list):
            return " ".join(map(str, value))
        if isinstance(value, dict):
            return " ".join(f"{key}={_plain(one)}" for key, one in value.items())
        return "" if value is None else str(value)


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def is_name(text: str) -> bool:
    """Whether ``text`` may be an object of an event."""
    return _NAME.fullmatch(text) is not None


def checked_text(text: str, what: str) -> str:
    """``text`` that a person wrote. ConfigurationError where it is no line, or holds what looks personal."""
    if not _TEXT.fullmatch(text):
        raise ConfigurationError(
            f"{what} must be one line of 1 to 300 characters that begins with a letter or a digit."
        )
    if looks_personal(text):
        raise ConfigurationError(
            f"{what} holds what looks like an address, or a number of a phone, a card or an account. The audit trail is never"
            " erased: name the request by its own number instead, such as `REQ-2026-0117`."
        )
    return text


def looks_personal(text: str) -> bool:
    return "@" in text or _DIGITS.search(_DATE.sub(" ", text)) is not None


def _must(holds: Any, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"{otherwise}: an event of the audit trail holds no other text")
