"""The protocol of an inbox: what waits for a source, written by any number of receivers.

The numbers of a receiver's objects grow, and it writes one only after the one before it is there. So nothing comes late behind
a number that was read: up to where a table was read is a number for each receiver. A number is a time in milliseconds, as
far as that grows.
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
        """The objects that are there, in the order of their numbers."""

    def read(self, place: Place) -> Sequence[Delivery]: ...

    def release(self, table: str, reached: Reached, readers: Sequence[str]) -> None:
        """``table``, one of ``readers``, has committed what was ``reached``. What all of them have goes."""
