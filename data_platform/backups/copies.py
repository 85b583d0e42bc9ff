"""How many verified copies there are of what, and whether that is enough: three copies, on two media, one of them offsite,
one immutable, and no error. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

COPIES, MEDIA, OFFSITE, IMMUTABLE = 3, 2, 1, 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where copies are. ``medium`` is the same for places that fail together: a disk, a service. ``here`` is whether it is a
    folder of this machine; ``said_offsite`` is what the catalog says of it."""

    name: str
    medium: tuple[str, ...]
    here: bool = False
    said_offsite: bool = False

    def offsite_of(self, original: Place) -> bool:
        """Whether it is still there when the machine and the service that hold ``original`` are gone."""
        return self.said_offsite or (not self.here and self.medium != original.medium)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in one place: what it holds (``holds``, for people), the objects looked for, those read again now and their
    bytes, until when nobody can delete it, and what is wrong. ``there`` is whether there is one at all."""

    place: str
    there: bool
    holds: str = ""
    objects: int = 0
    read: int = 0
    bytes: int = 0
    locked_until: datetime | None = None
    problems: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.there and not self.problems


@dataclass(frozen=True)
class Counted:
    """One class of what there is, with its copies. The original is a copy too, and is not verified here."""

    name: str
    original: Place
    copies: tuple[Copy, ...]

    @property
    def problems(self) -> list[str]:
        return [f"{self.name} in {copy.place}: {line}" for copy in self.copies for line in copy.problems]


@dataclass(frozen=True)
class Report:
    """All classes. ``healed`` are objects of the landing store that were lost and put back lately."""

    places: Mapping[str, Place]
    classes: tuple[Counted, ...]
    seed: int
    seconds: float = 0.0
    healed: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> list[str]:
        return [line for one in self.classes for line in one.problems]

    @property
    def unmet(self) -> list[str]:
        return [line for one in self.classes for line in unmet(one, self.places)]


def unmet(counted: Counted, places: Mapping[str, Place]) -> list[str]:
    """A line for each part of the rule that the class does not meet."""
    good = [copy for copy in counted.copies if copy.good]
    where = [counted.original, *(places[copy.place] for copy in good)]
    media = {place.medium for place in where}
    found = []
    if len(where) < COPIES:
        found.append(f"{len(where)} of {COPIES} copies: {_named(where)}")
    if len(media) < MEDIA:
        found.append(f"all copies are on one medium: {_named(where)}")
    if sum(place.offsite_of(counted.original) for place in where[1:]) < OFFSITE:
        found.append("no copy is offsite")
    if sum(copy.locked_until is not None for copy in good) < IMMUTABLE:
        found.append("no copy is immutable: give a copy `lock_days`")
    return [f"{counted.name}: {line}" for line in found]


def _named(places: Sequence[Place]) -> str:
    return ", ".join(place.name for place in places)
