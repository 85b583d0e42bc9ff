"""What can be wrong: a problem, and what ended one. Words that the other modules share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

Number = int | float | str
"""A count, a share, or a short text such as an instant; never a value of a row."""
Severity = Literal["error", "warn"]

Kind = Literal[
    "run", "check", "freshness", "anomaly", "schema", "quarantine", "backup", "drill", "sensor", "schedule", "daemon",
    "location", "catalog", "heartbeat", "alerts",
]  # fmt: skip
"""The kinds that a route may name. ``alerts`` counts what is too much to be listed."""

OBJECT_CHARACTERS = 160
WHERE_CHARACTERS = 160
SUMMARY_CHARACTERS = 300
LINK_CHARACTERS = 300
OWNER_CHARACTERS = 80
NUMBERS_MAX = 8
NUMBER_NAME_CHARACTERS = 40
NUMBER_CHARACTERS = 60
CAUSES_MAX = 8
TAGS_MAX = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong now.

    ``kind`` (check, run, freshness, sensor, schedule, ...) and ``object`` identify it: the same pair at a later time is the
    same incident. ``where`` is text for people, ``link`` is a path in the UI. ``since`` has a time zone. ``owner`` and
    ``tags`` are those of the asset. ``causes`` are the keys of problems that explain this one. ``amount`` is how much there is of it, where more is worse: it
    is reported again when that has doubled. ``assets`` are what it is
    about, for whoever looks for causes; they are not kept. What has happened ``once`` is reported without its end, and explains
    no other problem.
    """

    kind: str
    object: str
    where: str
    summary: str
    numbers: Mapping[str, Number]
    since: datetime
    link: str = "/"
    severity: Severity = "error"
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    amount: int = 0
    assets: tuple[str, ...] = ()
    once: bool = False

    @property
    def key(self) -> str:
        return incident_key(self.kind, self.object)


@dataclass(frozen=True, slots=True)
class Healing:
    """What ended a problem: when, and the path in the UI that shows it."""

    at: datetime
    link: str


def incident_key(kind: str, name: str) -> str:
    """The key of an incident: the kind of the problem and its object."""
    if len(name) > OBJECT_CHARACTERS:
        name = f"{name[:OBJECT_CHARACTERS]}#{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"{kind}:{name}"


def clipped(problem: Problem) -> Problem:
    """``problem`` shortened to the sizes that bound the book and a message."""
    numbers = {
        clip(name, NUMBER_NAME_CHARACTERS): clip(value, NUMBER_CHARACTERS)
        if isinstance(value, str)
        else value
        for name, value in list(problem.numbers.items())[:NUMBERS_MAX]
    }
    tags = list(problem.tags.items())[:TAGS_MAX]
    return replace(
        problem,
        object=clip(problem.object, OBJECT_CHARACTERS),
        where=clip(problem.where, WHERE_CHARACTERS),
        summary=clip(problem.summary, SUMMARY_CHARACTERS),
        numbers=numbers,
        link=problem.link if len(problem.link) <= LINK_CHARACTERS else "/",
        owner=clip(problem.owner, OWNER_CHARACTERS),
        tags={clip(name, NUMBER_NAME_CHARACTERS): clip(value, NUMBER_CHARACTERS) for name, value in tags},
        causes=problem.causes[:CAUSES_MAX],
        assets=(),
    )


def clip(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
