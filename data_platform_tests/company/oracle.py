"""The people of the company and all that its sources say of them, from a seed. Pure: it imports nothing of the platform.

Every text about a person has the person's mark in it, which is in no other text. So what is left of somebody is found by looking
for marks, however the rest of the text was changed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = re.compile(rb"zq[0-9a-f]{12}")
SECRET = re.compile(rb"zs[0-9a-f]{12}")
"""What lands sealed: whoever it is of, no byte may hold it in clear."""
NUMBER = re.compile(rb"(?<![0-9a-f])[1-9][0-9]{12}(?![0-9a-f])")
"""The keys of people have 13 digits, so that none of them is another number."""
ORDERS, ITEMS, VISITS, LETTERS, EVENTS, CHARGES, TICKETS = 2, 2, 2, 1, 1, 1, 1
BORN = 1_767_225_600
"""When the first of them came to Stripe and Zendesk, in seconds since 1970."""
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """``address`` as the shop writes it; ``typed`` is what somebody types who asks for the erasure of this person. ``id`` is the key at
    the shop, ``desk`` at Zendesk; ``secret`` is what lands sealed."""

    id: int
    desk: int
    mark: str
    secret: str
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
    numbers = rng.sample(range(10**12, 10**13), 2 * count)
    marks = rng.sample(range(16**12), count)
    every: list[Person] = []
    for n, mark_ in enumerate(marks):
        mark, secret = f"zq{mark_:012x}", f"zs{mark_:012x}"
        typed = f"{mark}@company.example"
        kind = rng.random()
        if kind < 0.1:
            typed = f"{mark}+news@company.example"
        elif kind < 0.2 and n:  # a second account
            typed = every[-1].typed
        address = typed.title() if rng.random() < 0.2 else typed
        every.append(Person(numbers[n], numbers[count + n], mark, secret, address, typed))
    chosen: dict[str, Person] = {}
    for person in rng.sample(every, count):
        if len(chosen) < asking:
            chosen.setdefault(person.typed, person)
    return People(every, list(chosen.values()), {one.id: one for one in every})


def users(people: Sequence[Person]) -> Iterator[tuple[int, str, str, str]]:
    """(user_id, email, name, secret)."""
    yield from ((one.id, one.address, one.name, one.secret) for one in people)


def orders(people: Sequence[Person]) -> Iterator[tuple[int, int, str, str, int]]:
    """(order_id, user_id, note, secret, day)."""
    for n, one in enumerate(people):
        yield from (
            (n * ORDERS + k, one.id, f"for {one.mark}", f"{k} {one.secret}", (n + k) % 8)
            for k in range(ORDERS)
        )


def items(people: Sequence[Person]) -> Iterator[tuple[int, int, str]]:
    """(item_id, order_id, engraving)."""
    for order, user, note, *_ in orders(people):
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


def customers(people: Sequence[Person]) -> Iterator[Record]:
    """Stripe's, oldest first; three of them were made in each second."""
    for n, one in enumerate(people):
        yield {
            "id": f"cus_{one.id}",
            "object": "customer",
            "created": BORN + n // 3,
            "email": one.address,
            "name": one.name,
            "phone": f"+49 {one.secret}",
            "metadata": {"user_id": str(one.id)},
        }


def charge(one: Person, number: int, created: int) -> Record:
    return {
        "id": f"ch_{number}_{one.id}",
        "object": "charge",
        "created": created,
        "amount": 100,
        "customer": f"cus_{one.id}",
        "description": f"paid by {one.mark}",
    }


def refund(charge: Record) -> Record:
    """What says of nobody whose it is, but for the charge that it hangs on."""
    return {
        "id": charge["id"].replace("ch_", "re_"),
        "object": "refund",
        "created": charge["created"],
        "amount": 1,
        "charge": charge["id"],
        "reason": charge["description"].replace("paid by", "given back to"),
    }


def charges(people: Sequence[Person]) -> Iterator[Record]:
    for n, one in enumerate(people):
        yield from (charge(one, k, BORN + n // 3) for k in range(CHARGES))


def requesters(people: Sequence[Person]) -> Iterator[Record]:
    """Zendesk's users. Two accounts of the shop with one address are one of them."""
    for one in {one.typed: one for one in reversed(people)}.values():
        yield {"id": one.desk, "external_id": str(one.id), "email": one.address, "name": one.name}


def ticket(id_: int, requester: int, mark: str, secret: str) -> Record:
    return {
        "id": id_,
        "requester_id": requester,
        "status": "open",
        "subject": f"asked by {mark}",
        "description": f"a question of {secret}",
    }


def tickets(people: Sequence[Person]) -> Iterator[Record]:
    """The requester is found by the address."""
    desk = {one.typed: one.desk for one in reversed(people)}
    for n, one in enumerate(people):
        yield from (
            ticket(n * TICKETS + k + 1, desk[one.typed], one.mark, one.secret) for k in range(TICKETS)
        )
