"""The protocol of an inbox: what waits for a source, written by any number of receivers.

Each receiver numbers its objects from 1, and writes one only after the one before it is there. So what was read up to a
number of a receiver has no gaps, and nothing comes late: up to where a table was read is a number for each receiver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from data_platform.sources.reading import SourceTable


class Delivery(NamedTuple):
    """One request as it came. ``at`` is when, in milliseconds since 1970 by the receiver's clock; ``headers`` are those that
    the source wants kept, by their names in lower case."""

    at: int
    headers: Mapping[str, str]
    body: bytes


class Place(NamedTuple):
    """One object: the receiver that wrote it, and its number."""

    receiver: str
    number: int


Reached = Mapping[str, int]
"""By receiver, the number of the last object that was read."""


class Inbox(Protocol):
    """The deliveries of one source. Errors are LandingErrors that name the object."""

    @property
    def tables(self) -> Sequence[SourceTable]:
        """All tables of the source, those too that are not read now."""

    def places(self) -> list[Place]:
        """The objects that are there, in ascending order."""

    def read(self, place: Place) -> Sequence[Delivery]: ...

    def release(self, table: str, reached: Reached, readers: Sequence[str]) -> None:
        """``table``, one of ``readers``, has committed what was ``reached``. What all of them have goes."""
