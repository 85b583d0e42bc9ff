"""Stripe and Zendesk as the company has them: servers of their answers over the oracle's people, as far as the platform asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from threading import Lock

from data_platform_tests.company import oracle
from data_platform_tests.company.oracle import Person, Record
from data_platform_tests.sources.http.server import Asked, Reply, serving

KEY, TOKEN = "rk_test_of_the_company", "t0ken-of-the-company"


@dataclass
class Payments:
    """Stripe: lists of objects, the newest first, and the events that name those that changed."""

    url: str = ""
    objects: dict[str, dict[str, Record]] = field(default_factory=dict)
    """By list and id, the oldest first."""
    events: list[Record] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def fill(self, people: Sequence[Person]) -> None:
        listed = {
            "customers": oracle.customers(people),
            "charges": oracle.charges(people),
            "refunds": map(oracle.refund, oracle.charges(people)),
        }
        self.objects = {name: {one["id"]: one for one in some} for name, some in listed.items()}
        self.events = []

    def rename(self, person: Person) -> None:
        with self.lock:
            customer = self.objects["customers"][f"cus_{person.id}"]
            customer["name"] += "."
            self._happened(customer, "updated")

    def pay(self, person: Person) -> None:
        with self.lock:
            charges = self.objects["charges"]
            one = oracle.charge(person, len(charges), int(time.time()))
            charges[one["id"]] = one
            self._happened(one, "succeeded")
            given_back = oracle.refund(one)
            self.objects["refunds"][given_back["id"]] = given_back
            self._happened(given_back, "created")

    def _happened(self, one: Record, what: str) -> None:
        """The event shows the object, and so the person."""
        event = {"id": f"evt_{len(self.events)}", "object": "event", "type": f"{one['object']}.{what}"}
        self.events.append({**event, "created": int(time.time()), "data": {"object": dict(one)}})

    def answer(self, asked: Asked) -> Reply:
        date = {"Date": formatdate(usegmt=True)}
        if asked.headers.get("Authorization") != f"Bearer {KEY}":
            return Reply({"error": {"type": "invalid_request_error"}}, 401, date)
        with self.lock:
            status, body = self._found(asked.path.removeprefix("/v1/"), asked.query)
            return Reply(json.dumps(body).encode(), status, date)

    def _found(self, path: str, query: Mapping[str, str]) -> tuple[int, Record]:
        name, _, id_ = path.partition("/")
        if path == "account":
            return 200, {"id": "acct_1"}
        if path == "events":
            return 200, _page(self.events, query)
        if not id_:
            return 200, _page([*self.objects[name].values()], query)
        if (one := self.objects[name].get(id_)) is not None:
            return 200, one
        return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "id"}}


def _page(some: Sequence[Record], query: Mapping[str, str]) -> Record:
    """``some``, the oldest first, as a page of Stripe's list that begins behind ``starting_after``."""
    since, after, limit = int(query.get("created[gte]", 0)), query.get("starting_after"), int(query["limit"])
    last = next(n for n, one in enumerate(some) if one["id"] == after) if after else len(some)
    found = [one for one in reversed(some[:last][-limit - 1 :]) if one["created"] >= since]
    return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}


@dataclass
class HelpDesk:
    """Zendesk: incremental exports of users and tickets. What changed last comes last."""

    url: str = ""
    changed: dict[str, dict[int, tuple[int, Record]]] = field(default_factory=dict)
    """By export and id: which change was its last, and the record."""
    changes: int = 0
    lock: Lock = field(default_factory=Lock)

    def fill(self, people: Sequence[Person]) -> None:
        self.changed, self.changes = {"users": {}, "tickets": {}}, 0
        for one in oracle.requesters(people):
            self._put("users", one)
        for one in oracle.tickets(people):
            self._put("tickets", one)

    def rename(self, person: Person) -> None:
        """Whoever has the person's address at Zendesk."""
        with self.lock:
            one = self._requester(person)
            self._put("users", {**one, "name": f"{one['name']}."})

    def ask(self, person: Person) -> None:
        with self.lock:
            number = len(self.changed["tickets"]) + 1
            requester = self._requester(person)["id"]
            self._put("tickets", oracle.ticket(number, requester, person.mark, person.secret))

    def records(self, kind: str) -> list[Record]:
        return [one for _, one in self.changed[kind].values()]

    def _requester(self, person: Person) -> Record:
        return next(one for one in self.records("users") if one["email"].lower() == person.typed)

    def _put(self, kind: str, one: Record) -> None:
        self.changes += 1
        self.changed[kind].pop(one["id"], None)
        self.changed[kind][one["id"]] = self.changes, one

    def answer(self, asked: Asked) -> Reply:
        kind = asked.path.removeprefix("/api/v2/incremental/").removesuffix("/cursor.json")
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}" or kind not in self.changed:
            return Reply({"error": "Couldn't authenticate you"}, 401)
        after, limit = int(asked.query.get("cursor", 0)), int(asked.query["per_page"])
        with self.lock:
            found = [(change, one) for change, one in self.changed[kind].values() if change > after]
            body = {
                kind: [one for _, one in found[:limit]],
                "after_cursor": str(found[:limit][-1][0] if found else after),
                "end_of_stream": len(found) <= limit,
            }
            return Reply(json.dumps(body).encode())


@dataclass(frozen=True)
class Services:
    payments: Payments = field(default_factory=Payments)
    desk: HelpDesk = field(default_factory=HelpDesk)

    def fill(self, people: Sequence[Person]) -> None:
        self.payments.fill(people)
        self.desk.fill(people)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **{"STRIPE_URL": self.payments.url, "STRIPE_KEY": KEY},
            **{"DESK_URL": self.desk.url, "DESK_TOKEN": TOKEN},
        }


@contextmanager
def running() -> Iterator[Services]:
    made = Services()
    with serving(made.payments.answer) as stripe, serving(made.desk.answer) as zendesk:
        made.payments.url, made.desk.url = stripe.url, zendesk.url
        yield made
