"""What is known of a table, and how far it can be trusted: the values that ``health.py`` makes and the page shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

State = Literal["ok", "warn", "bad", "unknown", "none"]
ASPECTS = ("fresh", "checked", "complete", "backed_up")
RANK = {"none": 0, "ok": 1, "warn": 2, "unknown": 3, "bad": 4}
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Point:
    """A load or a build: when it ended, the rows after it, its seconds (None where nobody measured)."""

    at: datetime
    rows: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """The last result of a check. ``unknown``: it could not be evaluated, or never was (then ``at`` is None). ``since``:
    when it first failed without having passed in between."""

    name: str
    state: Literal["passed", "failed", "unknown"]
    severity: Literal["error", "warn"] = "error"
    at: datetime | None = None
    since: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """The newest good backup in one store: every byte of it was read back when it was made."""

    name: str
    made_at: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Wal:
    """A source's WAL in one store: until when every commit can be recovered from it."""

    source: str
    store: str
    heartbeat_at: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Backups:
    """``held`` are the relations in the newest backup. ``absent`` says why the environment makes none; it is ``bad`` unless
    ``elsewhere``: then the engine's own service keeps its copies, and the ledger holds what was landed."""

    copies: tuple[Copy, ...] = ()
    held: frozenset[str] = frozenset()
    max_age: timedelta = timedelta(hours=26)
    absent: str = ""
    elsewhere: bool = False
    drill: Check | None = None
    wal: tuple[Wal, ...] = ()


class TrackedPoint(NamedTuple):
    """A value of a figure: its day, or when its load was recorded, as ISO text. ``alarm``: it was not as the past lets expect."""

    at: str
    value: float | None
    alarm: bool


@dataclass(frozen=True, slots=True)
class Tracked:
    """A figure that is judged, as it was recorded. ``alarm`` is the reason of the newest alarm among its points, or empty."""

    name: str
    points: tuple[TrackedPoint, ...]
    unit: str = ""
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """What is known of a table or model. ``seen_at``: when its source was last read, or when it was built; ``changed_at``: when
    its rows last changed. ``behind`` counts landed batches that are not loaded, None where the warehouse could not say.
    ``provable``: its source gives counts to compare with. ``error``: nothing else about it is known."""

    label: str
    relation: str
    kind: Literal["table", "model", "view"]
    domain: str
    owner: str | None = None
    link: str = ""
    upstream: tuple[str, ...] = ()
    seen_at: datetime | None = None
    changed_at: datetime | None = None
    fresh_for: timedelta = timedelta(hours=6)
    failure: str | None = None
    behind: int | None = 0
    checks: tuple[Check, ...] = ()
    complete: Check | None = None
    provable: bool = False
    rows: int | None = None
    history: tuple[Point, ...] = ()
    tracked: tuple[Tracked, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Aspect:
    """``of`` is the label of the table or model that it is about."""

    state: State
    text: str
    since: datetime | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Trust:
    fresh: Aspect
    checked: Aspect
    complete: Aspect
    backed_up: Aspect

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return (self.fresh, self.checked, self.complete, self.backed_up)

    @property
    def worst(self) -> Aspect:
        """What decides whether the values can be believed. A missing copy makes no value wrong, so it is a warning at most."""
        copied = replace(self.backed_up, state=capped(self.backed_up.state))
        found = worst((self.fresh, self.checked, self.complete, copied))
        return found if found.state != "none" else replace(found, state="unknown")

    @property
    def state(self) -> State:
        return self.worst.state


@dataclass(frozen=True, slots=True)
class Series:
    """A figure as it was computed: a value a day. ``error`` says why it could not be."""

    name: str
    relation: str
    unit: str = ""
    description: str = ""
    points: tuple[tuple[date, float], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    series: Series
    trust: Trust
    link: str = ""
    of: str = ""
    made_of: frozenset[str] = frozenset()
    """The labels of its relation and of everything upstream."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the ``labels`` by themselves: one sentence for all that share it. ``figures`` are made of them."""

    state: State
    aspect: str
    text: str
    since: datetime | None
    labels: tuple[str, ...]
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """``own``: of the table or model alone. ``trust``: with everything that it is made from."""

    thing: Thing
    own: Trust
    trust: Trust


@dataclass(frozen=True, slots=True)
class Incident:
    """One that is open. ``title`` and ``state`` are ready for people."""

    title: str
    state: str
    severity: Literal["error", "warn"]
    since: datetime
    owner: str | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A domain or an owner: how many of its tables and models are in which state, and the worst aspect among them."""

    name: str
    counts: Mapping[State, int]
    worst: Aspect

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Health:
    """``notes`` say what could not be looked at. ``incidents`` is None where nobody keeps them."""

    at: datetime
    environment: str
    judged: tuple[Judged, ...]
    figures: tuple[Figure, ...]
    backups: Backups
    incidents: tuple[Incident, ...] | None = None
    notes: tuple[str, ...] = ()
    domains: tuple[Group, ...] = field(default=())
    owners: tuple[Group, ...] = field(default=())

    @property
    def counts(self) -> Mapping[State, int]:
        return counts(self.judged)

    @property
    def state(self) -> State:
        """The worst of all, figures included; unknown where there is nothing yet, or something could not be looked at."""
        states = [one.trust.state for one in self.judged] + [one.trust.state for one in self.figures]
        if not self.judged or self.notes:
            states.append("unknown")
        return max(states, key=lambda state: RANK[state])

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is not ok, where it began: never a model for what it is made from. The worst first, then the oldest."""
        groups: dict[tuple[str, State, str], list[Aspect]] = {}
        for one in self.judged:
            for name, aspect in zip(ASPECTS, one.own.aspects, strict=True):
                if aspect.state not in ("ok", "none"):
                    groups.setdefault((name, aspect.state, aspect.text), []).append(aspect)
        found = [self._finding(*key, aspects) for key, aspects in groups.items()]
        return tuple(sorted(found, key=lambda one: (-RANK[one.state], when(one.since))))

    def _finding(self, name: str, state: State, text: str, aspects: Sequence[Aspect]) -> Finding:
        labels = tuple(one.of for one in aspects)
        since = min((one.since for one in aspects if one.since), default=None)
        figures = tuple(one.series.name for one in self.figures if one.made_of & set(labels))
        return Finding(capped(state) if name == "backed_up" else state, name, text, since, labels, figures)


def capped(state: State) -> State:
    return "warn" if RANK[state] > RANK["warn"] else state


def worst(aspects: Iterable[Aspect]) -> Aspect:
    """The worst state; of several, the one that began first. Where all is well, the oldest evidence."""
    return min(aspects, key=lambda one: (-RANK[one.state], when(one.since)))


def counts(judged: Iterable[Judged]) -> dict[State, int]:
    counts: dict[State, int] = {"ok": 0, "warn": 0, "bad": 0, "unknown": 0}
    for one in judged:
        counts[one.trust.state] += 1
    return counts


def when(since: datetime | None) -> datetime:
    return since or _LATEST
