"""The kinds of transactions in the shop: someone orders, pays, returns, moves, changes a price.

Each kind is a function of an ``Act`` (a connection inside a transaction, a source
of random numbers, a count of rows). They keep the shop's books consistent: an order's
revenue is always the sum of its items less its discount. ``traffic.py`` schedules them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.words import (
    CALLING_CODES,
    COUNTRIES,
    COUPONS,
    CURRENCY,
    DEVICES,
    FIRST_NAMES,
    LAST_NAMES,
    METHODS,
)

if TYPE_CHECKING:
    import psycopg

NEXT_STATUS = {"pending": "paid", "paid": "shipped", "shipped": "delivered"}


class Act:
    """Statements of one transaction, counted by what they do."""

    def __init__(self, session: psycopg.Connection[tuple[Any, ...]], random: Random) -> None:
        self.session = session
        self.random = random
        self.counts: Counter[str] = Counter()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run it and count its rows as inserted, updated or deleted; they are returned if it returns any."""
        cursor = self.session.execute(statement.encode(), values)
        verb = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}.get(
            statement.split(None, 1)[0]
        )
        if verb is not None:
            self.counts[verb] += cursor.rowcount
        return cursor.fetchall() if cursor.description is not None else []

    def first(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        found = self.rows(statement, *values)
        return found[0] if found else None


# ---------------------------------------------------------------- helpers


def _someone(act: Act) -> tuple[int, str]:
    """A user's number and country. Numbers have gaps, so the next one up is taken."""
    guess = act.random.random()
    found = act.first(
        "SELECT user_id, country FROM users WHERE user_id >= (SELECT max(user_id) FROM users) * %s::float8 "
        "ORDER BY user_id LIMIT 1",
        guess,
    )
    assert found is not None  # the greatest is always there: users are never deleted
    return int(found[0]), str(found[1])


def _some_order(
    act: Act, *, recent: bool = False, statuses: Sequence[str] = ()
) -> tuple[int, int, str] | None:
    """Number, user and status of a locked order; None if the chosen one is locked by others or has another status."""
    if recent:
        found = act.rows(
            "SELECT order_id, user_id, status FROM orders WHERE updated_at > now() - interval '14 days' "
            "AND status = ANY(%s) ORDER BY updated_at DESC LIMIT 40",
            list(statuses),
        )
        if not found:
            return None
        number = act.random.choice(found)[0]
    else:
        guess = act.random.random()
        met = act.first(
            "SELECT order_id FROM orders WHERE order_id >= (SELECT max(order_id) FROM orders) * %s::float8 "
            "ORDER BY order_id LIMIT 1",
            guess,
        )
        if met is None:
            return None
        number = met[0]
    # Locked, and skipped if someone else holds it: two acts never wait for each other's orders.
    locked = act.first(
        "SELECT order_id, user_id, status FROM orders WHERE order_id = %s FOR UPDATE SKIP LOCKED", number
    )
    if locked is None or (statuses and locked[2] not in statuses):
        return None
    return int(locked[0]), int(locked[1]), str(locked[2])


def _settle(act: Act, order: int) -> None:
    """Bring the order's revenue in line with its items; a discount is never more than they cost."""
    act.rows(
        # LEAST would turn a NULL discount into the sum.
        "UPDATE orders SET revenue = total - coalesce(least_discount, 0), discount = least_discount FROM ("
        "SELECT total, CASE WHEN discount > total THEN total ELSE discount END AS least_discount FROM orders, "
        "LATERAL (SELECT coalesce(sum(quantity * unit_price), 0) AS total FROM order_items WHERE order_id = orders.order_id) "
        "WHERE order_id = %s) AS settled WHERE order_id = %s",
        order, order,
    )  # fmt: skip


def _event(act: Act, user: int | None, kind: str, session: str, properties: dict[str, Any] | None) -> None:
    act.rows(
        "INSERT INTO events (user_id, event_type, session_id, properties, occurred_at) "
        "VALUES (%s, %s, %s, %s::jsonb, clock_timestamp())",
        user, kind, session, None if properties is None else json.dumps(properties),
    )  # fmt: skip


def _visit(act: Act) -> str:
    return f"{act.random.getrandbits(128):032x}"


def _pay(act: Act, order: int, user: int, status: str) -> None:
    """What the order costs as it says now. A refund gives back what was paid, the way it was paid."""
    refunds = status == "refunded"
    act.rows(
        "INSERT INTO payments (order_id, user_id, amount, method, status, paid_at) "
        "SELECT o.order_id, %s, CASE WHEN %s THEN -coalesce(p.amount, o.revenue) ELSE o.revenue END, "
        "CASE WHEN %s THEN coalesce(p.method, %s) ELSE %s END, %s, CASE WHEN %s THEN now() END FROM orders o "
        "LEFT JOIN LATERAL (SELECT amount, method FROM payments WHERE order_id = o.order_id AND status = 'succeeded' "
        "ORDER BY created_at DESC LIMIT 1) p ON true WHERE o.order_id = %s",
        user, refunds, refunds, method := act.random.choice(METHODS), method, status, status != "failed", order,
    )  # fmt: skip


# ---------------------------------------------------------------- the kinds


def sign_up(act: Act) -> None:
    random = act.random
    first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
    country = random.randrange(len(COUNTRIES))
    mailbox = f"{first}.{last}.{random.getrandbits(40):010x}".lower()
    phone = (
        None
        if random.random() < 0.03
        else f"+{CALLING_CODES[country]}{random.randint(2 * 10**9, 10**10 - 1)}"
    )
    ssn = (
        f"{random.randint(100, 899)}-{random.randint(10, 99)}-{random.randint(1000, 9999)}"
        if country == 0
        else None
    )
    age = None if random.random() < 0.04 else random.randint(18, 80)
    number = act.rows(
        "INSERT INTO users (email, phone, ssn, first_name, last_name, age, country, segment, marketing_opt_in) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING user_id",
        f"{mailbox}@example.com", phone, ssn, first, last, age, COUNTRIES[country],
        "business" if random.random() < 0.12 else "consumer", random.random() < 0.45,
    )[0][0]  # fmt: skip
    _event(act, number, "signup", _visit(act), None)


def order(act: Act) -> None:
    """An order with its items; the payment runs in a savepoint, and some fail there."""
    from psycopg import Rollback

    random = act.random
    user, _ = _someone(act)
    coupon = random.choice(COUPONS) if random.random() < 0.18 else None
    products = act.rows(
        "SELECT product_id, price FROM products WHERE is_active AND product_id = ANY(%s) ORDER BY product_id",
        [random.randint(1, 240) for _ in range(random.choice((1, 1, 1, 2, 2, 3)))],
    )
    if not products:  # all those wanted are off the shelves
        return
    lines = [(product, random.choice((1, 1, 1, 2, 3)), price) for product, price in products]
    total = sum(quantity * price for _, quantity, price in lines)
    discount = None if coupon is None else round(total / 10, 2)
    number = act.rows(
        "INSERT INTO orders (user_id, status, order_date, revenue, discount, CURRENCY, coupon_code) "
        "VALUES (%s, 'pending', current_date, %s, %s, %s, %s) RETURNING order_id",
        user, total - (discount or 0), discount, CURRENCY, coupon,
    )[0][0]  # fmt: skip
    for line in lines:
        act.rows(
            "INSERT INTO order_items (order_id, product_id, quantity, unit_price) VALUES (%s, %s, %s, %s)",
            number,
            *line,
        )
    fails = random.random() < 0.15
    act.counts["savepoints"] += 1
    before = Counter(act.counts)
    with act.session.transaction():
        _pay(act, number, user, "succeeded")
        act.rows("UPDATE orders SET status = 'paid' WHERE order_id = %s", number)
        if fails:
            raise Rollback
    if fails:
        act.counts = before
        _pay(act, number, user, "failed")
    visit = _visit(act)
    _event(act, user, "checkout", visit, None)
    _event(act, user, "purchase", visit, {"order_id": number})


def advance(act: Act) -> None:
    """Some orders go one step on: paid, shipped, delivered."""
    for _ in range(act.random.choice((1, 2, 4))):
        found = _some_order(act, recent=True, statuses=tuple(NEXT_STATUS))
        if found is None:
            continue
        number, user, status = found
        if status == "pending":
            _pay(act, number, user, "succeeded")
        act.rows("UPDATE orders SET status = %s WHERE order_id = %s", NEXT_STATUS[status], number)


def cancel(act: Act) -> None:
    found = _some_order(act, recent=True, statuses=("pending", "paid"))
    if found is not None:
        number, user, status = found
        if status == "paid":
            _pay(act, number, user, "refunded")
        act.rows("UPDATE orders SET status = 'cancelled' WHERE order_id = %s", number)


def refund(act: Act) -> None:
    found = _some_order(act, statuses=("delivered",))
    if found is not None:
        _pay(act, found[0], found[1], "refunded")
        act.rows("UPDATE orders SET status = 'refunded' WHERE order_id = %s", found[0])


def correct_order(act: Act) -> None:
    """An old order is put right: one more of an item."""
    found = _some_order(act)
    if found is not None:
        act.rows(
            "UPDATE order_items SET quantity = quantity + 1 WHERE order_item_id = "
            "(SELECT min(order_item_id) FROM order_items WHERE order_id = %s)",
            found[0],
        )
        _settle(act, found[0])


def move_order(act: Act) -> None:
    """An order was booked on the wrong day: its partition changes."""
    found = _some_order(act)
    if found is not None:
        days = act.random.randint(1, 3)
        act.rows(
            "UPDATE orders SET created_at = created_at - make_interval(days => %s), order_date = order_date - %s::int "
            "WHERE order_id = %s",
            days, days, found[0],
        )  # fmt: skip


def delete_order(act: Act) -> None:
    """Test orders and requests to forget: items and payments go with it."""
    found = (
        _some_order(act)
        if act.random.random() < 0.5
        else _some_order(act, recent=True, statuses=("pending", "paid"))
    )
    if found is not None:
        act.rows("DELETE FROM orders WHERE order_id = %s", found[0])


def delete_item(act: Act) -> None:
    """One line of an order is taken out, unless it is the only one."""
    found = _some_order(act)
    if found is not None:
        act.rows(
            "DELETE FROM order_items WHERE order_item_id = (SELECT max(order_item_id) FROM order_items WHERE order_id = %s "
            "HAVING count(*) > 1)",
            found[0],
        )
        _settle(act, found[0])


def change_user(act: Act) -> None:
    user, country = _someone(act)
    random = act.random
    match random.randrange(4):
        case 0:
            act.rows(
                "UPDATE users SET segment = %s WHERE user_id = %s",
                random.choice(("consumer", "business", "vip")),
                user,
            )
        case 1:
            code = CALLING_CODES[COUNTRIES.index(country)] if country in COUNTRIES else "1"
            act.rows(
                "UPDATE users SET phone = %s WHERE user_id = %s",
                f"+{code} {random.randint(10**9, 10**10 - 1)}",
                user,
            )
        case 2:
            act.rows("UPDATE users SET country = %s WHERE user_id = %s", random.choice(COUNTRIES), user)
        case _:
            act.rows(
                "UPDATE users SET marketing_opt_in = NOT coalesce(marketing_opt_in, false) WHERE user_id = %s",
                user,
            )


def change_prices(act: Act) -> None:
    """A few products get dearer or cheaper, in the order of their numbers so that two acts cannot deadlock."""
    for product in sorted(act.random.sample(range(1, 241), act.random.randint(1, 3))):
        act.rows(
            "UPDATE products SET price = round(price * %s::numeric, 2) WHERE product_id = %s",
            act.random.choice(("0.95", "0.98", "1.02", "1.05")), product,
        )  # fmt: skip


def browse(act: Act) -> None:
    user = _someone(act)[0] if act.random.random() < 0.4 else None
    visit, device = _visit(act), act.random.choice(DEVICES)
    for _ in range(act.random.randint(1, 5)):
        kind = "add_to_cart" if act.random.random() < 0.2 else "page_view"
        _event(act, user, kind, visit, {"product_id": act.random.randint(1, 240), "device": device})


KINDS: tuple[tuple[Callable[[Act], None], int], ...] = (
    (order, 30), (advance, 22), (browse, 14), (change_user, 9), (sign_up, 6), (refund, 4), (delete_order, 4),
    (cancel, 3), (change_prices, 3), (correct_order, 2), (delete_item, 2), (move_order, 1),
)  # fmt: skip
"""Every kind with its share in 100."""


def choose(random: Random) -> tuple[str, Callable[[Act], None]]:
    act = random.choices([kind for kind, _ in KINDS], [share for _, share in KINDS])[0]
    return act.__name__, act
