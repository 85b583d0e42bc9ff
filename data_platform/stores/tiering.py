"""Storage classes: where an object is kept cheaply, and read back more slowly or at a price. An ability that a store may have.

A class is fixed by the service. Prices are list prices in US dollars of the services' first regions; what an account
pays may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, cast

from data_platform.stores import Store

Tier = Literal["hot", "warm", "cold", "deep"]
TIERS: tuple[Tier, ...] = ("hot", "warm", "cold", "deep")
State = Literal["readable", "thawing", "frozen"]

AT_ONCE = "at once"
"""The speed of a class that is read without waiting."""

BYTES_MIN = 128 << 10
"""Smaller objects stay where they are: the services bill them as if they were this large, or more."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How objects of a class are read back: ``hours`` at most until they can be, dollars for each gigabyte and for each
    thousand requests."""

    hours: float
    per_gb: float = 0.0
    per_1000: float = 0.0


@dataclass(frozen=True, slots=True)
class StorageClass:
    """``name`` is the service's. ``speeds`` has one entry, ``AT_ONCE``, where nobody waits. An object that is removed or moved on
    before ``days_min`` is billed until then."""

    name: str
    tier: Tier
    days_min: int = 0
    speeds: Mapping[str, Retrieval] = field(default_factory=lambda: {AT_ONCE: Retrieval(0)})

    @property
    def at_once(self) -> bool:
        return AT_ONCE in self.speeds


@dataclass(frozen=True, slots=True)
class Placed:
    """An object and the class that it is kept in, since ``placed_at``."""

    key: str
    bytes: int
    storage_class: str
    placed_at: datetime


class Tiering(Protocol):
    """The storage classes of a store."""

    @property
    def classes(self) -> Sequence[StorageClass]:
        """The hottest first. An object in a class that is none of these is left alone."""

    def survey(self, prefix: str) -> list[Placed]:
        """Every object under ``prefix`` (a folder, no trailing slash), in ascending order of keys."""

    def move(self, key: str, to: StorageClass) -> None:
        """Keep the object in another class. The service copies it; ``ObjectDamaged`` if what it has then is not what it had.
        ``KeyError`` if there is no such object."""

    def state(self, key: str) -> State:
        """Whether the object can be read now, will be, or has to be asked for. ``KeyError`` if it does not exist."""

    def thaw(self, key: str, speed: str, days: int) -> None:
        """Ask for a readable copy of a frozen object, for ``days``. Asking again does no harm."""


def tiering(store: Store) -> Tiering | None:
    """The storage classes of ``store``; None where it has none."""
    return cast("Tiering | None", getattr(store, "tiering", None))


def class_of(classes: Sequence[StorageClass], name: str) -> StorageClass | None:
    return next((one for one in classes if one.name == name), None)


def chosen(classes: Sequence[StorageClass], tier: Tier, *, at_once: bool) -> StorageClass:
    """The coldest class up to ``tier``; with ``at_once`` none that has to be waited for."""
    fit = [
        one for one in classes if TIERS.index(one.tier) <= TIERS.index(tier) and (one.at_once or not at_once)
    ]
    return fit[-1]


def colder(classes: Sequence[StorageClass], one: str, other: StorageClass) -> bool:
    """Whether ``other`` is colder than the class named ``one``; False where that is not a known class."""
    names = [known.name for known in classes]
    return one in names and names.index(one) < names.index(other.name)
