"""New columns that flow are reported once, as a warning, without an end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.alerts.changes import NOTES, Change, Notes, appeared, note
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.problem import Problem
from data_platform.alerts.state import BookState, from_cursor, to_cursor
from data_platform.errors import StoreUnreachable
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores.local import LocalStore
from data_platform.tables import RULE_PREFIX, Column, TableId
from data_platform_tests.alerts.ticks import NOON, Recorder, Ticker, problem

ORDERS = TableId("shop", "orders")
CHANGE = Change(ORDERS, 12, ("coupon", "channel"), NOON)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "landing")


def new(change: Change = CHANGE) -> Problem:
    return change.problem("/assets/raw/shop/orders")


def test_what_a_batch_is_the_first_to_have() -> None:
    before = [Column("id", "BIGINT", "int8")]
    now = [*before, Column("coupon", "VARCHAR", "text"), Column(f"{RULE_PREFIX}x", "BOOLEAN", "")]
    assert appeared(before, now) == ("coupon",)
    assert appeared(now, before) == (), "a column that went"


def test_a_note_is_read_once_reported_for_a_day_and_gone_after_a_week(store: LocalStore) -> None:
    notes = Notes()
    assert notes.current(store, NOT_SIGNED, NOON) == []
    note(store, NOT_SIGNED, CHANGE)
    note(store, NOT_SIGNED, CHANGE)  # a commit that is made again
    assert notes.current(store, NOT_SIGNED, NOON + timedelta(hours=23)) == [CHANGE]
    assert notes.current(store, NOT_SIGNED, NOON + timedelta(hours=25)) == [] and store.list(NOTES)
    assert Notes().current(store, NOT_SIGNED, NOON + timedelta(days=8)) == [] and not store.list(NOTES)


def test_what_no_sync_wrote_is_no_note(store: LocalStore) -> None:
    ours, others = Signer("KEY", (b"k" * 32,)), Signer("KEY", (b"l" * 32,))
    note(store, others, CHANGE)
    store.put_hint(f"{NOTES}/x.json", b"{")
    assert Notes().current(store, ours, NOON) == []
    note(store, ours, CHANGE)
    assert Notes().current(store, ours, NOON) == [CHANGE]


def test_a_store_that_refuses_a_note_keeps_nothing_from_being_synced(store: LocalStore) -> None:
    class Refusing(LocalStore):
        def put_hint(self, key: str, data: bytes) -> None:
            raise StoreUnreachable("no")

    note(Refusing(store.folder), NOT_SIGNED, CHANGE)
    assert not store.list(NOTES)


def test_it_is_reported_once_and_has_no_end() -> None:
    slack = Recorder()
    ticker = Ticker({"slack": slack})
    ticker.tick(new())
    [post] = slack.posts
    [notice] = post.notices
    assert (notice.title, notice.severity, notice.kind) == ("Schema changed", "warn", "schema")
    assert "New columns appeared at the source and are synced from now on: coupon, channel." in notice.summary
    assert ("new columns", "2") in notice.pairs
    slack.posts.clear()
    ticker.tick(new())
    ticker.tick()
    assert slack.heard() == [] and from_cursor(ticker.cursor).incidents == {}
    ticker.tick(new(Change(ORDERS, 15, ("shop",), NOON)))
    assert slack.heard() == ["opened: shop/orders: new columns in batch 15"], "another batch is another one"


def test_a_channel_that_was_down_says_it_later_in_the_same_words() -> None:
    slack = Recorder(up=False)
    ticker = Ticker({"slack": slack})
    ticker.tick(new())
    ticker.tick()
    slack.up = True
    ticker.tick()
    [post] = slack.posts
    assert post.notices[0].title == "Schema changed" and "coupon" in post.notices[0].summary
    assert not [name for name, _ in post.notices[0].pairs if name == "until"]
    ticker.tick()
    assert len(slack.posts) == 1 and from_cursor(ticker.cursor).incidents == {}


def test_it_survives_the_cursor() -> None:
    ticker = Ticker({"slack": Recorder()})
    ticker.tick(new())
    state = from_cursor(ticker.cursor)
    assert [one.problem.once for one in state.incidents.values()] == [True]
    assert from_cursor(to_cursor(BookState(state.incidents))).incidents == state.incidents


def test_by_default_it_pages_nobody_but_a_table_that_stops_does() -> None:
    routes = AlertsConfig().routes

    def first(one: Problem) -> tuple[str, ...]:
        return next(route.to for route in routes if route.takes(one, NOON))

    assert first(new()) == ("slack",)
    assert first(problem("shop/orders", "schema")) == first(problem("shop/orders", "run")) == ("pager",)
