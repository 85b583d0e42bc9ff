"""What happens to a ticket: who asks, who answers, when it is solved, rated, closed, deleted, scrubbed.

Pure: an order always leads to the same ticket with the same steps. ``desk.py`` keeps
tickets and takes each step when it is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86400
USERS_FROM, AGENTS_FROM, COMPANIES_FROM, GROUP = (
    360_000_000_000,
    350_000_000_000,
    340_000_000_000,
    330_000_000_001,
)
"""Zendesk's ids are large; those of a kind begin here."""
AGENTS, COMPANIES = 5, 40
ORDER_FIELD, REASON_FIELD = 320_000_000_001, 320_000_000_002

QUESTIONS = (
    ("delivery", "Where is my order {order}?", "My order {order} has not arrived yet. Can you tell me where it is?"),
    ("wrong_item", "Wrong item in order {order}", "One of the items in order {order} is not what I ordered."),
    ("address", "New address for order {order}", "Please send order {order} to my new address."),
    ("invoice", "Invoice for order {order}", "I need an invoice for order {order} for my accounts."),
    ("coupon", "The coupon did not work", "The coupon was not taken off order {order}."),
)  # fmt: skip
REFUND = ("refund", "Refund of order {order}", "When will the money for order {order} be back on my account?")
ANSWERS = ("We are looking into it.", "It is on its way; you have the tracking number by mail.", "We have corrected it.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """What the shop knows; times in seconds since 1970. ``about_refund``: the ticket is about money back."""

    order_id: int
    user_id: int
    at: float
    business: bool
    user_since: float
    about_refund: bool = False

    @property
    def ticket_id(self) -> int:
        return 2 * self.order_id + self.about_refund


@dataclass(frozen=True, slots=True)
class Step:
    """``due`` in seconds since 1970."""

    ticket_id: int
    number: int
    due: float
    kind: str
    detail: Mapping[str, Any]


def leaves(user_id: int, user_since: float) -> float | None:
    """When a user asks to be forgotten, for the few who do. Their data is erased 30 days later."""
    random = Random(f"zendesk user {user_id}")
    return user_since + random.uniform(120, 650) * DAY if random.random() < 0.03 else None


def steps(order: Order) -> list[Step]:
    """Nothing when the user has left before there was anything to ask."""
    random = Random(f"zendesk {order.ticket_id}")
    delay = random.uniform(5 * MINUTE, 2 * DAY) if order.about_refund else random.uniform(30 * MINUTE, 6 * DAY)  # fmt: skip
    gone = leaves(order.user_id, order.user_since)
    if gone is not None and order.at + delay >= gone:
        return []
    told = list(_course(order, random, order.at + delay))
    if gone is not None:
        told += [(gone, "user_left", {}), (gone + 30 * DAY, "user_erased", {})]
    told.sort(key=lambda step: step[0])
    return [Step(order.ticket_id, n, due, kind, {**detail, "order": order.order_id}) for n, (due, kind, detail) in enumerate(told)]  # fmt: skip


def _course(order: Order, random: Random, at: float) -> Iterator[tuple[float, str, dict[str, Any]]]:
    reason, subject, text = REFUND if order.about_refund else random.choice(QUESTIONS)
    agent = AGENTS_FROM + random.randrange(AGENTS)
    yield at, "create", {
        "user": order.user_id,
        "company": COMPANIES_FROM + order.user_id % COMPANIES if order.business else None,
        "reason": reason,
        "subject": subject.format(order=order.order_id),
        "text": text.format(order=order.order_id),
        "channel": random.choice(("web", "email", "email", "chat")),
        "priority": random.choices(("low", "normal", "high", "urgent", None), (2, 6, 3, 1, 2))[0],
    }  # fmt: skip
    at += random.uniform(2 * MINUTE, 4 * HOUR)
    yield at, "assign", {"agent": agent}
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at += random.uniform(5 * MINUTE, 18 * HOUR)
        yield at, "answer", {"agent": agent, "text": random.choice(ANSWERS)}
        if random.random() < 0.4:
            at += random.uniform(10 * MINUTE, 30 * HOUR)
            yield at, "ask", {"user": order.user_id, "text": "Thank you, but that does not solve it."}
    at += random.uniform(MINUTE, 8 * HOUR)
    yield at, "solve", {"agent": agent}
    if random.random() < 0.35:
        score = "bad" if random.random() < (0.3 if order.about_refund else 0.12) else "good"
        at += random.uniform(HOUR, 20 * HOUR)
        yield at, "rate", {"user": order.user_id, "score": score, "agent": agent}
    if random.random() < 0.25:
        yield at + random.uniform(DAY, 3 * DAY), "system", {}
    at += 4 * DAY
    yield at, "close", {}
    if random.random() < 0.02:
        at += random.uniform(DAY, 20 * DAY)
        yield at, "delete", {"agent": agent}
        yield at + 30 * DAY, "scrub", {}
