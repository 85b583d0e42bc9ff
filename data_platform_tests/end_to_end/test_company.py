"""The whole company of the sandbox through the repository's own catalog: what one system says, the others say too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from data_platform.sandbox import down, up
from data_platform.sync import open_platform, sync_changes
from data_platform_tests.repository import ROOT, WITHOUT_MODELS

pytestmark = pytest.mark.slow
Query = Callable[[str], list[tuple[Any, ...]]]
SOURCES = ("shop", "stripe", "web", "zendesk", "files")


@pytest.fixture(scope="module")
def query(server_folder: Path) -> Iterator[Query]:
    """Asks the warehouse after one sync of everything."""
    root = server_folder / "company"
    root.mkdir()
    try:
        up(root, orders=2_000)  # with fewer nobody calls
        shutil.copytree(ROOT / "catalog", root / "catalog", ignore=WITHOUT_MODELS)
        shutil.copytree(ROOT / "spark", root / "spark")
        environ = {name: value or "" for name, value in dotenv_values(root / ".env").items()}
        platform = open_platform(root, "local", environ)
        assert set(platform.catalog.sources) == set(SOURCES)
        for source in SOURCES:
            failed = {
                str(report.table): report.error
                for report in sync_changes(platform, source)
                if report.error is not None
            }
            assert failed == {}

        def ask(sql: str) -> list[tuple[Any, ...]]:
            with platform.warehouse(read_only=True) as warehouse:
                return warehouse.query(sql).rows

        yield ask
    finally:
        down(root, destroy=True)


def test_stripe_took_what_the_shop_booked(query: Query) -> None:
    [(stripe, shop)] = query("""
        select
            (select sum(amount) from raw_stripe.charges where status = 'succeeded')
                - (select coalesce(sum(amount), 0) from raw_stripe.refunds where status = 'succeeded'),
            (select sum(amount) * 100 from raw_shop.payments
                where method in ('card', 'apple_pay') and status in ('succeeded', 'refunded'))
    """)
    assert stripe == shop > 0


def test_the_balance_at_stripe_is_what_moved_it(query: Query) -> None:
    [(charged, refunded, moved)] = query("""
        select
            (select sum(amount) from raw_stripe.charges where status = 'succeeded'),
            (select coalesce(sum(amount), 0) from raw_stripe.refunds where status = 'succeeded'),
            (select sum(amount) from raw_stripe.balance_transactions where type in ('charge', 'refund'))
    """)
    assert charged - refunded == moved > 0


def test_a_ticket_belongs_to_a_user_and_an_order_of_the_shop(query: Query) -> None:
    [(tickets, theirs)] = query("""
        select count(*), count(orders.order_id)
        from raw_zendesk.tickets as tickets
        left join raw_zendesk.users as askers on askers.id = tickets.requester_id
        left join raw_shop.orders as orders
            on 'order-' || orders.order_id = tickets.external_id
            and orders.user_id::varchar = askers.external_id
        where tickets.status <> 'deleted'
    """)
    assert tickets == theirs > 0


def test_a_day_that_is_settled_has_the_views_of_the_shops_own_events(query: Query) -> None:
    [(google, shop)] = query("""
        select
            (select sum("eventCount") from raw_web.events
                where "eventName" = 'page_view' and date < current_date - 5),
            (select count(*) from raw_shop.events
                where event_type = 'page_view'
                and (occurred_at at time zone 'America/New_York')::date >= date '2026-09-01'
                and (occurred_at at time zone 'America/New_York')::date < current_date - 5)
    """)
    assert google == shop > 0


def test_the_files_speak_of_the_shops_orders_products_and_campaigns(query: Query) -> None:
    [(calls, of_orders)] = query("""
        select count(*), count(orders.order_id) from raw_files.calls as calls
        left join raw_shop.orders as orders using (order_id)
    """)
    assert calls == of_orders > 0
    for column, table in (("sku", "stock"), ("id", "product_feed"), ('"SKU"', "supplier_prices")):
        unknown = query(f"select {column} from raw_files.{table} except select sku from raw_shop.products")
        assert (table, unknown) == (table, [])
    spent = query("""
        select "Kampagne" from raw_files.marketing_spend
        except select "sessionCampaignName" from raw_web.traffic
    """)
    assert spent == []
