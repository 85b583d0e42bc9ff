"""A kind of people as a graph of tables: where a search begins, and which rows follow from which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from data_platform.privacy.consent.config import ConsentBlock
from data_platform.privacy.subjects.config import SubjectBlock
from data_platform.privacy.subjects.place import Place
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A row is a person's whose ``child`` is what the ``parent`` of one of the person's rows is."""

    child: Place
    parent: Place

    def __str__(self) -> str:
        return f"{self.child} = {self.parent}"


@dataclass(frozen=True, slots=True)
class Subject:
    """People of one kind. ``links`` lead from the rows that a lookup finds to all others, never in a circle."""

    name: str
    description: str
    lookups: Mapping[str, tuple[Place, ...]]
    links: tuple[Link, ...]
    consent: ConsentBlock | None = None

    @classmethod
    def of(cls, name: str, block: SubjectBlock) -> Subject:
        lookups = {called: tuple(map(Place.parse, places)) for called, places in block.lookups.items()}
        links = [
            Link(Place.parse(child), Place.parse(parent))
            for child, parents in block.links.items()
            for parent in parents
        ]
        return cls(name, block.description, lookups, tuple(links), block.consent)

    @property
    def places(self) -> frozenset[Place]:
        """Every column that it names."""
        found = {place for places in self.lookups.values() for place in places}
        return frozenset(found | {place for link in self.links for place in (link.child, link.parent)})

    @property
    def consent_places(self) -> frozenset[Place]:
        """The columns that tell people apart in their answers, and the key of these."""
        block = self.consent
        return frozenset() if block is None else frozenset({block.place, *(one.place for one in block.from_)})

    @property
    def tables(self) -> tuple[TableId, ...]:
        """Every table with rows of these people; one whose rows follow from another's comes after it."""
        after: dict[TableId, set[TableId]] = {place.table: set() for place in sorted(self.places)}
        for link in self.links:
            after[link.child.table].add(link.parent.table)
        return tuple(TopologicalSorter(after).static_order())

    def circle(self) -> tuple[TableId, ...]:
        """Tables whose rows follow from each other in a circle; empty where there is none."""
        try:
            _ = self.tables
        except CycleError as error:
            return tuple(error.args[1])
        return ()

    def unreached(self) -> tuple[TableId, ...]:
        """Tables that it links and that no lookup leads to."""
        reached = {place.table for places in self.lookups.values() for place in places}
        for table in self.tables:
            if any(link.parent.table in reached for link in self.links_of(table)):
                reached.add(table)
        return tuple(table for table in self.tables if table not in reached)

    def links_of(self, table: TableId) -> tuple[Link, ...]:
        """The links by which rows of ``table`` are found."""
        return tuple(link for link in self.links if link.child.table == table)

    def within(self, known: Collection[TableId]) -> Subject:
        """What is left of it where only the tables ``known`` are there."""
        lookups = {
            name: tuple(place for place in places if place.table in known)
            for name, places in self.lookups.items()
        }
        links = tuple(link for link in self.links if link.child.table in known and link.parent.table in known)
        consent = self.consent.within(frozenset(known)) if self.consent is not None else None
        return Subject(self.name, self.description, lookups, links, consent)
