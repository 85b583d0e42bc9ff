"""The history of the shop: two years of plausible business as numpy arrays.

Pure: a ``Plan`` (how many orders, which seed, until when) always gives the same
arrays. Texts are small codes here and become words in ``generate.py``; money is
integer cents; times are integer microseconds since 1970 in UTC. Nothing here
knows a database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray[Any, Any]]

DAYS = 730
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ORDERS_PER_USER = 8
PRODUCTS = 240
CHUNK_ORDERS = 100_000
"""Orders in memory at a time: a few tens of MB with their items and events."""

WEEKDAY_WEIGHTS = (1.00, 0.94, 0.96, 1.00, 1.14, 1.32, 1.22)  # Monday first
MONTH_WEIGHTS = (0.82, 0.84, 0.95, 0.97, 1.00, 0.98, 0.92, 0.94, 1.02, 1.06, 1.32, 1.48)
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 13, 12, 10, 9, 9, 10, 12, 14, 16, 14, 9, 5)
GROWTH = 2.4
"""Ratio of daily orders at the end of the two years to those at the beginning."""

PENDING, PAID, SHIPPED, DELIVERED, CANCELLED, REFUNDED = range(6)
STATUSES = ("pending", "paid", "shipped", "delivered", "cancelled", "refunded")
PAGE_VIEW, ADD_TO_CART, CHECKOUT, PURCHASE, SIGNUP = range(5)
EVENT_TYPES = ("page_view", "add_to_cart", "checkout", "purchase", "signup")
SUCCEEDED, FAILED, PAID_BACK = range(3)
PAYMENT_STATUSES = ("succeeded", "failed", "refunded")
NONE = -(2**63)
"""Stands for NULL in a column of times; other nullable columns use -1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``today`` is the first day without history, which ends when that day begins (UTC).

    ``dirt_rate`` is the share of users with an impossible age, and of users with a
    malformed email. ``faults`` adds what error-level rules catch: orders with a
    negative revenue and orders dated in the future.
    """

    orders: int
    today: date
    seed: int = 1
    dirt_rate: float = 0.003
    faults: bool = False

    @property
    def users(self) -> int:
        return max(20, self.orders // ORDERS_PER_USER)

    @property
    def end(self) -> int:
        return (
            int(datetime(self.today.year, self.today.month, self.today.day, tzinfo=UTC).timestamp()) * SECOND
        )

    @property
    def start(self) -> int:
        return self.end - DAYS * DAY

    def random(self, *stream: int) -> np.random.Generator:
        """An independent stream of random numbers for each use, so that adding one
        thing to the history does not change the others."""
        import numpy as np

        return np.random.default_rng([self.seed, *stream])


def day_weights(plan: Plan) -> np.ndarray[Any, Any]:
    """How busy each of the days is: growth, month, weekday, the sales of late November, luck."""
    import numpy as np

    first = plan.today - timedelta(days=DAYS)
    days = [first + timedelta(days=n) for n in range(DAYS)]
    season = np.array([WEEKDAY_WEIGHTS[d.weekday()] * MONTH_WEIGHTS[d.month - 1] for d in days])
    sale = np.array(
        [2.1 if d.month == 11 and 24 <= d.day <= 30 and d.weekday() in (0, 4) else 1.0 for d in days]
    )
    growth = GROWTH ** (np.arange(DAYS) / DAYS)
    luck = np.exp(plan.random(1).normal(0, 0.06, DAYS))
    weights = season * sale * growth * luck
    return weights / weights.sum()


def day_counts(weights: np.ndarray[Any, Any], total: int) -> np.ndarray[Any, Any]:
    """``total`` distributed over the days in proportion, without a rounding difference."""
    import numpy as np

    edges = np.floor(np.concatenate([[0.0], np.cumsum(weights)]) * total + 0.5).astype(np.int64)
    edges[-1] = total
    return np.diff(edges)


def times_of_day(random: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    import numpy as np

    hours = np.cumsum(np.array(HOUR_WEIGHTS, dtype=float))
    hour = np.searchsorted(hours / hours[-1], random.random(count), side="right")
    return hour * HOUR + random.integers(0, HOUR, count)


def users(plan: Plan) -> Columns:
    """All users in the order they signed up; ``loyal`` marks the few who order most."""
    import numpy as np

    count, random = plan.users, plan.random(2)
    weights = day_weights(plan) * np.linspace(1.6, 0.8, DAYS)
    per_day = day_counts(weights / weights.sum(), count)
    created = np.sort(plan.start + np.repeat(np.arange(DAYS), per_day) * DAY + times_of_day(random, count))
    created[0] = plan.start
    age = np.clip(random.normal(38, 13, count), 18, 91).astype(np.int64)
    age[random.random(count) < 0.04] = -1
    number = np.arange(1, count + 1)
    later = created + (random.random(count) * np.maximum(plan.end - created, 1)).astype(np.int64)
    dirty = max(1, round(count * plan.dirt_rate))
    at_random = random.permutation(count)
    age[at_random[:dirty]] = random.choice([151, 199, 999], dirty)
    bad_email = np.zeros(count, dtype=bool)
    bad_email[at_random[dirty : 2 * dirty]] = True
    return {
        "user_id": number,
        "first": random.integers(0, 2**31, count),
        "last": random.integers(0, 2**31, count),
        "country": np.searchsorted(
            np.cumsum([0.52, 0.13, 0.1, 0.07, 0.06, 0.05, 0.04, 0.03])[:-1], random.random(count)
        ),
        "phone": random.integers(2_000_000_000, 9_999_999_999, count),
        # Of 100: 3 have none, 3 leave out the country, 1 writes something else.
        "phone_style": random.integers(0, 100, count),
        "ssn": random.integers(100_000_000, 900_000_000, count),
        "age": age,
        "bad_email": bad_email,
        "loyal": number % 20 == 1,
        "business": random.random(count) < 0.12,
        "opt_in": np.where(random.random(count) < 0.05, -1, random.random(count) < 0.45).astype(np.int64),
        "created_at": created,
        "updated_at": np.where(random.random(count) < 0.3, later, created),
    }


def products(plan: Plan) -> Columns:
    import numpy as np

    random = plan.random(3)
    price = np.round(np.exp(random.normal(3.4, 0.8, PRODUCTS)) * 100 / 50).astype(np.int64) * 50 + 99
    created = np.sort(plan.start - random.integers(1, 400, PRODUCTS) * DAY)
    changed = plan.start + (random.random(PRODUCTS) * DAYS * DAY).astype(np.int64)
    return {
        "product_id": np.arange(1, PRODUCTS + 1),
        "price": price,
        "cost": (price * random.uniform(0.35, 0.7, PRODUCTS)).astype(np.int64),
        "is_active": random.random(PRODUCTS) < 0.94,
        "created_at": created,
        "updated_at": changed,
    }


def chunks(plan: Plan, all_users: Columns, all_products: Columns) -> Iterator[dict[str, Columns]]:
    """The columns of orders, order_items, payments and events, a run of days at a time."""
    import numpy as np

    per_day = day_counts(day_weights(plan), plan.orders)
    day, done, items_done = 0, 0, 0
    while day < DAYS:
        run = int(np.searchsorted(np.cumsum(per_day[day:]), CHUNK_ORDERS)) + 1
        run = min(run, DAYS - day)
        chunk = _chunk(plan, all_users, all_products, day, per_day[day : day + run], done, items_done)
        yield chunk
        day += run
        done += len(chunk["orders"]["order_id"])
        items_done += len(chunk["order_items"]["order_item_id"])


def _chunk(
    plan: Plan,
    all_users: Columns,
    all_products: Columns,
    day: int,
    per_day: np.ndarray[Any, Any],
    done: int,
    items_done: int,
) -> dict[str, Columns]:
    import numpy as np

    random = plan.random(4, day)
    count = int(per_day.sum())
    day_start = plan.start + (day + np.repeat(np.arange(len(per_day)), per_day)) * DAY
    created = np.sort(day_start + times_of_day(random, count))
    known = np.maximum(np.searchsorted(all_users["created_at"], created), 1)
    who = (known * random.random(count)).astype(np.int64)
    who = np.where(random.random(count) < 0.3, who - who % 20, who)  # the loyal ones
    items = _items(plan, random, all_products, created, items_done)
    subtotal = np.bincount(
        items["order"], weights=items["quantity"] * items["unit_price"], minlength=count
    ).astype(np.int64)
    coupon = np.where(random.random(count) < 0.18, random.integers(0, 6, count), -1)
    discount = np.where(
        coupon >= 0, subtotal * random.choice([5, 10, 15], count) // 100, 0
    )  # NULL where no coupon
    revenue = subtotal - discount

    paid = created + (random.exponential(12, count) * MINUTE).astype(np.int64) + 20 * SECOND
    shipped = paid + (random.uniform(0.3, 2.5, count) * DAY).astype(np.int64)
    delivered = shipped + (random.uniform(0.8, 5, count) * DAY).astype(np.int64)
    ending = random.random(count)
    cancels, refunds = ending < 0.04, ending > 0.965
    cancelled = created + (random.uniform(0.1, 24, count) * HOUR).astype(np.int64)
    refunded = delivered + (random.uniform(1, 20, count) * DAY).astype(np.int64)
    status = np.full(count, PENDING)
    updated = created.copy()
    for step, at, applies in (
        (PAID, paid, ~cancels), (SHIPPED, shipped, ~cancels), (DELIVERED, delivered, ~cancels),
        (REFUNDED, refunded, refunds), (CANCELLED, cancelled, cancels),
    ):  # fmt: skip
        happened = applies & (at < plan.end)
        status[happened] = step
        updated[happened] = at[happened]

    order_id = done + np.arange(1, count + 1)
    order_day = created // DAY
    shown_revenue = revenue
    if plan.faults and count:
        wrong = random.permutation(count)[: max(2, count // 2000)]
        shown_revenue = revenue.copy()
        shown_revenue[wrong[::2]] *= -1
        order_day[wrong[1::2]] = plan.end // DAY + random.integers(30, 400, len(wrong[1::2]))
    orders = {
        "order_id": order_id, "user_id": all_users["user_id"][who], "status": status, "order_day": order_day,
        "revenue": shown_revenue, "discount": discount, "coupon": coupon, "created_at": created, "updated_at": updated,
    }  # fmt: skip
    payments = _payments(plan, random, orders, revenue, paid, refunded, status)
    events = _events(plan, random, orders, all_users, items, day, len(per_day))
    items["order_id"] = order_id[items.pop("order")]
    return {"orders": orders, "order_items": items, "payments": payments, "events": events}


def _items(
    plan: Plan, random: np.random.Generator, all_products: Columns, created: np.ndarray[Any, Any], done: int
) -> Columns:
    import numpy as np

    per_order = 1 + np.minimum(random.geometric(0.62, len(created)) - 1, 4)
    order = np.repeat(np.arange(len(created)), per_order)
    count = len(order)
    # A few products sell most; prices rise by 6% over the two years.
    product = (PRODUCTS * random.random(count) ** 2.2).astype(np.int64)
    age = (plan.end - created[order]) / (DAYS * DAY)
    price = (all_products["price"][product] * (1 - 0.06 * age)).astype(np.int64)
    return {
        "order_item_id": done + np.arange(1, count + 1),
        "order": order,
        "product_id": all_products["product_id"][product],
        "quantity": 1 + np.minimum(random.geometric(0.7, count) - 1, 5),
        "unit_price": price,
        "created_at": created[order],
    }


def _payments(
    plan: Plan, random: np.random.Generator, orders: Columns, revenue: np.ndarray[Any, Any], paid: np.ndarray[Any, Any],
    refunded: np.ndarray[Any, Any], status: np.ndarray[Any, Any],
) -> Columns:  # fmt: skip
    import numpy as np

    was_paid = np.isin(status, (PAID, SHIPPED, DELIVERED, REFUNDED))
    stumbled = random.random(len(status)) < np.where(status == CANCELLED, 0.5, 0.03)
    tried = orders["created_at"] + 5 * SECOND
    parts = [
        (np.flatnonzero(stumbled & (tried < plan.end)), FAILED, revenue, tried),
        (np.flatnonzero(was_paid), SUCCEEDED, revenue, paid),
        (np.flatnonzero(status == REFUNDED), PAID_BACK, -revenue, refunded),
    ]
    order = np.concatenate([part[0] for part in parts])
    kind = np.concatenate([np.full(len(part[0]), part[1]) for part in parts])
    amount = np.concatenate([part[2][part[0]] for part in parts])
    at = np.concatenate([part[3][part[0]] for part in parts])
    by_time = np.argsort(at, kind="stable")
    order, kind, amount, at = order[by_time], kind[by_time], amount[by_time], at[by_time]
    high, low = uuids_v7(random, at)
    return {
        "id_high": high, "id_low": low, "order_id": orders["order_id"][order], "user_id": orders["user_id"][order],
        "amount": amount, "method": orders["order_id"][order] % 7, "status": kind,
        "paid_at": np.where(kind == FAILED, NONE, at), "created_at": at,
    }  # fmt: skip


def _events(
    plan: Plan,
    random: np.random.Generator,
    orders: Columns,
    all_users: Columns,
    items: Columns,
    day: int,
    days: int,
) -> Columns:
    """Visits that ended in an order (of those who accepted tracking), visits that did not, sign-ups."""
    import numpy as np

    count = len(orders["order_id"])
    tracked = np.flatnonzero(random.random(count) < 0.2)
    begin, end = plan.start + day * DAY, plan.start + (day + days) * DAY
    visits = int(count * 0.25)
    visit_at = begin + (random.random(visits) * (end - begin)).astype(np.int64)
    known = np.maximum(np.searchsorted(all_users["created_at"], visit_at), 1)
    visitor = np.where(
        random.random(visits) < 0.4,
        all_users["user_id"][(known * random.random(visits)).astype(np.int64)],
        -1,
    )
    joined = np.flatnonzero((all_users["created_at"] >= begin) & (all_users["created_at"] < end))

    bought, buyer, none = orders["created_at"][tracked], orders["user_id"][tracked], np.full(len(tracked), -1)
    first_item = np.searchsorted(items["order"], tracked)
    product = items["product_id"][first_item] if count else none
    session = random.integers(0, 2**62, len(tracked))
    idle = random.integers(0, 2**62, visits)
    looked_at = (PRODUCTS * random.random(visits) ** 2.2).astype(np.int64) + 1
    again, carts = random.random(visits) < 0.5, random.random(visits) < 0.25
    more = random.random(len(tracked)) < 0.6
    minutes = random.uniform(2, 9, len(tracked)) * MINUTE
    parts = [
        (PAGE_VIEW, bought - minutes.astype(np.int64), buyer, session, product, none),
        (PAGE_VIEW, (bought - minutes * 0.8)[more].astype(np.int64), buyer[more], session[more], product[more] % PRODUCTS + 1, none[more]),
        (ADD_TO_CART, bought - (minutes * 0.6).astype(np.int64), buyer, session, product, none),
        (CHECKOUT, bought - (minutes * 0.2).astype(np.int64), buyer, session, none, none),
        (PURCHASE, bought, buyer, session, none, orders["order_id"][tracked]),
        (PAGE_VIEW, visit_at, visitor, idle, looked_at, np.full(visits, -1)),
        (PAGE_VIEW, visit_at[again] + 40 * SECOND, visitor[again], idle[again], looked_at[again] % PRODUCTS + 1, np.full(again.sum(), -1)),
        (ADD_TO_CART, visit_at[carts] + 90 * SECOND, visitor[carts], idle[carts], looked_at[carts], np.full(carts.sum(), -1)),
        (SIGNUP, all_users["created_at"][joined], all_users["user_id"][joined], random.integers(0, 2**62, len(joined)),
         np.full(len(joined), -1), np.full(len(joined), -1)),
    ]  # fmt: skip
    kind = np.concatenate([np.full(len(part[1]), part[0]) for part in parts])
    at, user, session_, product_, order = (np.concatenate([part[n] for part in parts]) for n in range(1, 6))
    at = np.clip(at, begin, end - 1)
    by_time = np.argsort(at, kind="stable")
    kind, at, user, session_, product_, order = (
        a[by_time] for a in (kind, at, user, session_, product_, order)
    )
    high, low = uuids_v7(random, at)
    session_high, session_low = uuids_v4(session_)
    return {
        "id_high": high, "id_low": low, "user_id": user, "event_type": kind,
        "session_high": session_high, "session_low": session_low, "product": product_, "order_id": order,
        "device": session_ % 5, "occurred_at": at,
    }  # fmt: skip


def uuids_v7(
    random: np.random.Generator, at: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Time-ordered UUIDs (RFC 9562, version 7) as two halves of 64 bits."""
    import numpy as np

    high = (
        ((at // 1000).astype(np.uint64) << np.uint64(16))
        | np.uint64(0x7000)
        | random.integers(0, 4096, len(at)).astype(np.uint64)
    )
    low = random.integers(0, 2**62, len(at)).astype(np.uint64) | np.uint64(1 << 63)
    return high, low


def uuids_v4(numbers: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The UUID (version 4 in form) that stands for each random number of 62 bits, as two halves."""
    import numpy as np

    high = (
        (numbers.astype(np.uint64) & np.uint64(0x7FFFFFFFFFFF0FFF)) | np.uint64(1 << 63) | np.uint64(0x4000)
    )
    low = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(2)) | np.uint64(1 << 63)
    return high, low
