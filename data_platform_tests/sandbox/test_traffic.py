"""Live business: bounded, countable, and leaving the shop's books right."""

from __future__ import annotations

import threading
import time
from random import Random

import psycopg
import pytest

from data_platform.errors import SandboxError
from data_platform.sandbox import traffic
from data_platform.sandbox.business import KINDS, Act

BOOKS = (
    "SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items "
    "GROUP BY 1) i USING (order_id) WHERE total IS NULL OR revenue <> total - coalesce(discount, 0)"
)


def test_counts_add_up_and_the_books_are_right(shop_copy: str) -> None:
    ticks: list[float] = []
    summary = traffic(
        shop_copy, seconds=60, rate=1e6, seed=3, on_progress=ticks.append, count=400, hold_seconds_max=0.05
    )
    assert summary.transactions == 400
    assert summary.committed + summary.rolled_back + summary.conflicts == 400
    assert sum(summary.kinds.values()) == summary.committed
    assert set(summary.kinds) == {act.__name__ for act, _ in KINDS}
    assert (
        min(
            summary.inserted,
            summary.updated,
            summary.deleted,
            summary.late,
            summary.savepoints,
            summary.rolled_back,
        )
        > 0
    )
    assert ticks == sorted(ticks)
    with psycopg.connect(shop_copy) as connection:
        assert connection.execute(BOOKS).fetchone() == (0,)
        open_ones = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sandbox traffic' AND datname = current_database()"
        ).fetchone()
        assert open_ones == (0,)


@pytest.mark.parametrize("kind", [act for act, _ in KINDS], ids=lambda act: act.__name__)
def test_each_kind_keeps_the_books_right(shop_copy: str, kind: object) -> None:
    assert callable(kind)
    with psycopg.connect(shop_copy, autocommit=True) as connection:
        connection.execute(
            "UPDATE orders SET status = 'paid' WHERE order_id % 2 = 0 AND status = 'delivered'"
        )
        counts = 0
        for seed in range(12):
            act = Act(connection, Random(seed))
            with connection.transaction():
                kind(act)
            counts += act.counts.total()
        assert counts > 0
        assert connection.execute(BOOKS).fetchone() == (0,)


def test_late_transactions_commit_after_younger_ones(shop_copy: str) -> None:
    """The reason for all of it: a row's updated_at is older than rows that were visible before it."""
    seen: dict[int, object] = {}
    inversions = 0
    done = threading.Event()

    def play() -> None:
        try:
            traffic(shop_copy, seconds=30, rate=80, seed=5, count=240, hold_seconds_max=1.0)
        finally:
            done.set()

    thread = threading.Thread(target=play)
    thread.start()
    newest = None
    with psycopg.connect(shop_copy, autocommit=True) as connection:
        while not done.is_set():
            rows = connection.execute(
                "SELECT order_id, updated_at FROM orders WHERE updated_at > now() - interval '1 minute'"
            ).fetchall()
            fresh = [at for number, at in rows if seen.get(number) != at]
            inversions += sum(newest is not None and at < newest for at in fresh)
            seen.update(dict(rows))
            newest = max([at for _, at in rows], default=newest)
            time.sleep(0.02)
    thread.join()
    assert inversions > 0


def test_the_time_given_is_kept(shop_copy: str) -> None:
    summary = traffic(shop_copy, seconds=0.5, rate=10, seed=1)
    assert summary.transactions <= 5
    assert traffic(shop_copy, seconds=0, rate=10, seed=1).transactions == 0


def test_other_databases_are_refused(database: str) -> None:
    with pytest.raises(SandboxError, match="no tables of the sandbox's shop"):
        traffic(database, seconds=1)
    with pytest.raises(SandboxError, match="cannot be reached") as error:
        traffic("postgresql://postgres:secret@127.0.0.1:1/shop", seconds=1)
    assert "secret" not in str(error.value)


def test_a_shop_that_was_changed_is_refused_in_words(shop_copy: str) -> None:
    with psycopg.connect(shop_copy, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders DROP COLUMN status CASCADE")
    with pytest.raises(
        SandboxError, match=r"differ from those that the sandbox made.*status.*sandbox up --fresh"
    ):
        traffic(shop_copy, seconds=5, rate=50, seed=1)
