"""The people of the company and all that its sources say of them, from a seed. Pure: it imports nothing of the platform.

Every text about a person has the person's mark in it, which is in no other text. So what is left of somebody is found by looking
for marks, however the rest of the text was changed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MARK = re.compile(rb"zq[0-9a-f]{12}")
NUMBER = re.compile(rb"(?<![0-9a-f])[1-9][0-9]{12}(?![0-9a-f])")
"""The keys of people have 13 digits, so that none of them is another number."""
ORDERS, ITEMS, VISITS, LETTERS, EVENTS = 2, 2, 2, 1, 1


@dataclass(frozen=True, slots=True)
class Person:
    """``address`` as the shop writes it; ``typed`` is what somebody types who asks for the erasure of this person."""

    id: int
    mark: str
    address: str
    typed: str

    @property
    def name(self) -> str:
        return f"Name {self.mark}"


@dataclass(frozen=True)
class People:
    """``every`` are all of them; ``asking`` the ones who are erased, in this order. Two of ``every`` may share an address."""

    every: Sequence[Person]
    asking: Sequence[Person]
    by_id: dict[int, Person] = field(default_factory=dict)

    def accounts(self, person: Person) -> list[Person]:
        """All that go with ``person``: those whom the same address names."""
        return [one for one in self.every if one.typed == person.typed]

    def erased(self, asking: Sequence[Person] | None = None) -> list[Person]:
        return [
            one for person in (self.asking if asking is None else asking) for one in self.accounts(person)
        ]


def people(seed: int, count: int, asking: int) -> People:
    rng = random.Random(f"people {seed}")
    numbers = rng.sample(range(10**12, 10**13), count)
    marks = rng.sample(range(16**12), count)
    every: list[Person] = []
    for n, (number, mark_) in enumerate(zip(numbers, marks, strict=True)):
        mark = f"zq{mark_:012x}"
        typed = f"{mark}@company.example"
        kind = rng.random()
        if kind < 0.1:
            typed = f"{mark}+news@company.example"
        elif kind < 0.2 and n:  # a second account
            typed = every[-1].typed
        address = typed.title() if rng.random() < 0.2 else typed
        every.append(Person(number, mark, address, typed))
    chosen: dict[str, Person] = {}
    for person in rng.sample(every, count):
        if len(chosen) < asking:
            chosen.setdefault(person.typed, person)
    return People(every, list(chosen.values()), {one.id: one for one in every})


def users(people: Sequence[Person]) -> Iterator[tuple[int, str, str]]:
    yield from ((one.id, one.address, one.name) for one in people)


def orders(people: Sequence[Person]) -> Iterator[tuple[int, int, str, int]]:
    """(order_id, user_id, note, day)."""
    for n, one in enumerate(people):
        yield from ((n * ORDERS + k, one.id, f"for {one.mark}", (n + k) % 8) for k in range(ORDERS))


def items(people: Sequence[Person]) -> Iterator[tuple[int, int, str]]:
    """(item_id, order_id, engraving)."""
    for order, user, note, _ in orders(people):
        yield from ((order * ITEMS + k, order, f"{note} {user}") for k in range(ITEMS))


def visits(people: Sequence[Person]) -> Iterator[tuple[int, dict[str, object]]]:
    """(visit_id, document)."""
    for n, one in enumerate(people):
        for k in range(VISITS):
            yield n * VISITS + k, {"user": str(one.id), "seen": [{"as": one.name}]}


def letters(people: Sequence[Person]) -> Iterator[dict[str, object]]:
    for n, one in enumerate(people):
        yield from (
            {"letter_id": n * LETTERS + k, "user_id": one.id, "text": f"Dear {one.name}"}
            for k in range(LETTERS)
        )


def events(people: Sequence[Person]) -> Iterator[dict[str, object]]:
    for n, one in enumerate(people):
        for k in range(EVENTS):
            order = {"id": n * EVENTS + k, "user_id": one.id, "gift": f"from {one.mark}"}
            yield {"id": f"e{n * EVENTS + k}", "type": "order.created", "data": {"order": order}}
