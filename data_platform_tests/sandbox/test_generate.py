"""The generated history: deterministic, consistent, plausible, with the dirt that was asked for and no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import SandboxError
from data_platform.sandbox import history
from data_platform.sandbox.generate import TABLES, generate
from data_platform_tests.conftest import SHOP_ORDERS, SHOP_TODAY

DIGEST = "SELECT count(*), md5(string_agg(t::text, '\n' ORDER BY ctid)) FROM {} t"


@pytest.fixture(scope="module")
def reader(shop: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(shop, autocommit=True, options="-c timezone=UTC") as connection:
        yield connection


Reader = psycopg.Connection[tuple[object, ...]]


def one(reader: Reader, query: str) -> object:
    row = reader.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def digests(url: str) -> dict[str, object]:
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        return {table: connection.execute(DIGEST.format(table).encode()).fetchone() for table in TABLES}


def test_same_seed_same_rows_other_seed_others(shop: str, database: str) -> None:
    made = generate(database, orders=SHOP_ORDERS, seed=1, today=SHOP_TODAY)
    here = digests(database)
    assert here == digests(shop)
    assert {table: row[0] for table, row in here.items() if isinstance(row, tuple)} == made.rows
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    generate(database, orders=SHOP_ORDERS, seed=2, today=SHOP_TODAY)
    others = digests(database)
    assert all(others[table] != here[table] for table in TABLES)


def test_counts(reader: Reader) -> None:
    assert one(reader, "SELECT count(*) FROM orders") == SHOP_ORDERS
    assert one(reader, "SELECT count(*) FROM users") == SHOP_ORDERS // history.ORDERS_PER_USER
    assert one(reader, "SELECT count(*) FROM products") == history.PRODUCTS


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        (
            "revenue is the sum of the items less the discount",
            "SELECT count(*) FROM orders o JOIN (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items "
            "GROUP BY 1) i USING (order_id) WHERE revenue <> total - coalesce(discount, 0)",
        ),
        ("every order has items", "SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.order_id = o.order_id)"),
        ("revenue is not negative", "SELECT count(*) FROM orders WHERE revenue < 0"),
        ("the order's date is its day", "SELECT count(*) FROM orders WHERE order_date <> created_at::date"),
        ("users exist before they order", "SELECT count(*) FROM orders o JOIN users u USING (user_id) WHERE o.created_at < u.created_at"),
        ("a coupon gives a discount, nothing else does", "SELECT count(*) FROM orders WHERE (coupon_code IS NULL) <> (discount IS NULL)"),
        (
            "what was paid is what is due",
            "SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, sum(amount) AS paid FROM payments "
            "WHERE status <> 'failed' GROUP BY 1) p USING (order_id) WHERE coalesce(paid, 0) <> "
            "CASE WHEN status IN ('paid', 'shipped', 'delivered') THEN revenue ELSE 0 END",
        ),
        ("refunds are negative", "SELECT count(*) FROM payments WHERE (amount < 0) <> (status = 'refunded') AND amount <> 0"),
        ("nothing was paid where it failed", "SELECT count(*) FROM payments WHERE (paid_at IS NULL) <> (status = 'failed')"),
        ("changes follow creation", "SELECT count(*) FROM orders WHERE updated_at < created_at"),
        ("events are in time", "SELECT count(*) FROM events WHERE event_type = 'purchase' AND properties ->> 'order_id' IS NULL"),
        ("phones are there", "SELECT count(*) FROM (SELECT avg((phone IS NULL)::int) AS share FROM users) s WHERE share > 0.08"),
    ],
)  # fmt: skip
def test_no_row_breaks(reader: Reader, what: str, wrong: str) -> None:
    assert one(reader, wrong) == 0, what


def test_history_is_the_two_years_before_today(reader: Reader) -> None:
    first = date.fromordinal(SHOP_TODAY.toordinal() - history.DAYS)
    for table, column in (("users", "created_at"), ("orders", "created_at"), ("payments", "created_at"),
                          ("events", "occurred_at"), ("orders", "updated_at"), ("users", "updated_at")):  # fmt: skip
        span = reader.execute(
            f"SELECT min({column})::date, max({column})::date FROM {table}".encode()
        ).fetchone()
        assert span is not None
        assert first <= span[0], (table, column)  # type: ignore[operator]
        assert span[1] < SHOP_TODAY, (table, column)  # type: ignore[operator]


def test_dirt_is_a_few_ages_and_emails_and_they_are_in_every_size(reader: Reader) -> None:
    users = SHOP_ORDERS // history.ORDERS_PER_USER
    for broken in ("age NOT BETWEEN 0 AND 150", "email NOT LIKE '%@%'"):
        count = one(reader, f"SELECT count(*) FROM users WHERE {broken}")
        assert isinstance(count, int)
        assert 1 <= count <= users * 0.01
    assert one(reader, "SELECT count(*) FROM users WHERE phone ~ '[a-z(]'") != 0


def test_every_status_and_kind_occurs(reader: Reader) -> None:
    for table, column, words in (
        ("orders", "status", history.STATUSES), ("events", "event_type", history.EVENT_TYPES),
        ("payments", "status", history.PAYMENT_STATUSES), ("users", "segment", ("consumer", "business", "vip")),
    ):  # fmt: skip
        found = {row[0] for row in reader.execute(f"SELECT DISTINCT {column} FROM {table}".encode())}
        assert found <= set(words)
        assert len(found) >= len(words) - 1  # among 2,000 orders perhaps none is pending


def test_keys_triggers_and_sequences_are_ready_for_business(shop_copy: str) -> None:
    with psycopg.connect(shop_copy) as connection:
        with connection.transaction():
            user = connection.execute(
                "INSERT INTO users (email) VALUES ('new@example.com') RETURNING user_id"
            ).fetchone()
            assert user == (SHOP_ORDERS // history.ORDERS_PER_USER + 1,)
        row = connection.execute(
            "UPDATE orders SET status = 'paid', updated_at = '2001-01-01' WHERE order_id = 1 RETURNING updated_at = now()"
        ).fetchone()
        assert row == (True,)
        connection.execute("DELETE FROM orders WHERE order_id = 1")
        left = connection.execute("SELECT count(*) FROM order_items WHERE order_id = 1").fetchone()
        assert left == (0,)
    with psycopg.connect(shop_copy) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM users WHERE user_id = (SELECT user_id FROM orders LIMIT 1)")


def test_faults_break_the_error_rules(database: str) -> None:
    generate(database, orders=1_000, today=SHOP_TODAY, faults=True)
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE revenue < 0), count(*) FILTER (WHERE order_date > %s) FROM orders",
            (SHOP_TODAY,),
        ).fetchone()
    assert found is not None
    assert all(count > 0 for count in found)


def test_a_database_with_the_tables_is_refused(shop_copy: str) -> None:
    with pytest.raises(SandboxError, match="already has some of them"):
        generate(shop_copy, orders=10, today=SHOP_TODAY)
    with pytest.raises(SandboxError, match="at least one order"):
        generate(shop_copy, orders=0, today=SHOP_TODAY)


def test_a_failure_while_loading_is_raised_and_nothing_hangs(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_platform.sandbox import words

    format_users = words._users
    monkeypatch.setitem(words._FORMAT, "users", lambda columns: format_users(columns)[:-1])
    with pytest.raises(psycopg.errors.BadCopyFileFormat):
        generate(database, orders=1_000, today=SHOP_TODAY)


@given(
    orders=st.integers(1, 3_000),
    seed=st.integers(0, 2**31),
    today=st.dates(date(2000, 3, 1), date(2100, 1, 1)),
)
@settings(max_examples=15, deadline=None)
def test_any_plan_keeps_its_counts_and_references(orders: int, seed: int, today: date) -> None:
    plan = history.Plan(orders=orders, today=today, seed=seed)
    users, products = history.users(plan), history.products(plan)
    numbers, items = [], []
    for chunk in history.chunks(plan, users, products):
        order = chunk["orders"]
        numbers += order["order_id"].tolist()
        items += chunk["order_items"]["order_item_id"].tolist()
        assert set(chunk["order_items"]["order_id"].tolist()) == set(order["order_id"].tolist())
        assert ((order["user_id"] >= 1) & (order["user_id"] <= plan.users)).all()
        assert ((order["created_at"] >= plan.start) & (order["updated_at"] < plan.end)).all()
        assert (order["revenue"] >= 0).all()
        assert set(chunk["payments"]["order_id"].tolist()) <= set(order["order_id"].tolist())
        assert (
            (chunk["events"]["occurred_at"] >= plan.start) & (chunk["events"]["occurred_at"] < plan.end)
        ).all()
    assert numbers == list(range(1, orders + 1))
    assert items == list(range(1, len(items) + 1))
