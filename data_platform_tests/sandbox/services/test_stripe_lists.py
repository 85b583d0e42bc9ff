"""Lists and objects of the stand-in for Stripe, as Stripe's own client reads them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.sandbox.services.conftest import World

pytestmark = pytest.mark.slow
LISTS = (
    "charges", "payment_intents", "refunds", "disputes", "balance_transactions", "payouts", "customers", "products", "prices",
    "invoices", "credit_notes", "subscriptions", "events",
)  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_auto_paging_meets_each_once_newest_first(stripe_read: World, name: str) -> None:
    service = getattr(stripe_read.client.v1, name)
    params = {"limit": 100, **({"status": "all"} if name == "subscriptions" else {})}
    found = list(service.list(params).auto_paging_iter())
    assert len({one.id for one in found}) == len(found) > 0
    times = [one.created for one in found]
    assert times == sorted(times, reverse=True)
    last = min(len(found) - 1, 120)
    backwards = list(
        service.list({**params, "limit": 37, "ending_before": found[last].id}).auto_paging_iter()
    )
    assert [one.id for one in backwards] == [one.id for one in found[:last]][::-1]
    for comparison, holds in (("gte", lambda at: at >= times[last]), ("gt", lambda at: at > times[last])):
        asked = service.list({**params, "created": {comparison: times[last]}}).auto_paging_iter()
        assert [one.id for one in asked] == [one.id for one in found if holds(one.created)]
    for comparison, holds in (("lte", lambda at: at <= times[last]), ("lt", lambda at: at < times[last])):
        page = service.list({**params, "created": {comparison: times[last]}})
        expected = [one.id for one in found if holds(one.created)]
        assert [one.id for one in page.data] == expected[:100] and page.has_more == (len(expected) > 100)


@pytest.mark.parametrize("name", LISTS)
def test_one_object_is_what_the_list_shows(stripe_read: World, name: str) -> None:
    service = getattr(stripe_read.client.v1, name)
    for one in service.list({"limit": 5}).data:
        assert service.retrieve(one.id).to_dict() == one.to_dict()


def test_what_stripe_took_is_what_the_shop_was_paid_by_card(stripe_read: World) -> None:
    v1 = stripe_read.client.v1
    charges = list(v1.charges.list({"limit": 100}).auto_paging_iter())
    refunds = list(v1.refunds.list({"limit": 100}).auto_paging_iter())
    paid = sum(one.amount for one in charges if one.status == "succeeded")
    ((by_shop, back),) = stripe_read.sql(
        "SELECT sum(amount) FILTER (WHERE status = 'succeeded') * 100, sum(amount) FILTER (WHERE status = 'refunded') * 100"
        " FROM payments WHERE method IN ('card', 'apple_pay')"
    )
    assert (paid, -sum(one.amount for one in refunds)) == (by_shop, back)
    assert sum(one.amount_refunded for one in charges) == -back
    orders = {one.metadata["order_id"]: one.payment_intent for one in charges}
    intents = {one.id: one for one in v1.payment_intents.list({"limit": 100}).auto_paging_iter()}
    assert set(orders.values()) == intents.keys() and len(orders) == len(intents)
    assert sum(one.amount_received for one in intents.values()) == paid


def test_the_balance_adds_up(stripe_read: World) -> None:
    v1 = stripe_read.client.v1
    moves = [one.to_dict() for one in v1.balance_transactions.list({"limit": 100}).auto_paging_iter()]
    assert {one["type"] for one in moves} == {"charge", "refund", "adjustment", "payout"}
    assert all(one["net"] == one["amount"] - one["fee"] for one in moves)
    assert {one["status"] for one in moves} <= {"available", "pending"}
    for payout in v1.payouts.list({"limit": 30}).data:
        inside = list(v1.balance_transactions.list({"payout": payout.id, "limit": 100}).auto_paging_iter())
        assert sum(one.net for one in inside) == payout.amount and inside
        assert v1.balance_transactions.retrieve(payout.balance_transaction).amount == -payout.amount
    charge = v1.charges.list({"limit": 1, "expand": ["data.balance_transaction", "data.customer"]}).data[0]
    assert charge.balance_transaction.source == charge.id
    assert charge.customer.object == "customer"


def test_lists_inside_objects_are_cut_and_go_on_elsewhere(stripe_read: World) -> None:
    v1 = stripe_read.client.v1
    plans = list(v1.subscriptions.list({"status": "all", "limit": 100}).auto_paging_iter())
    assert {one.status for one in plans} == {"active", "canceled"}
    assert {one.status for one in v1.subscriptions.list({"limit": 100}).data} == {"active"}
    long = next(one for one in plans if one["items"].has_more)
    assert len(long["items"].data) == 10
    items = list(v1.subscription_items.list({"subscription": long.id, "limit": 3}).auto_paging_iter())
    assert len(items) > 10 and [one.id for one in items[:10]] == [one.id for one in long["items"].data]
    assert v1.subscription_items.retrieve(items[-1].id).price.id == items[-1].price.id
    assert v1.prices.retrieve(items[0].price.id).recurring.usage_type == "metered"


def test_invoices_add_up_and_their_lines_are_listed(stripe_own: World) -> None:
    invoices = stripe_own.all("/v1/invoices")
    for one in invoices:
        discount = sum(part["amount"] for part in one["total_discount_amounts"])
        assert (
            sum(line["amount"] for line in one["lines"]["data"]) == one["subtotal"] == one["total"] + discount
        )
    stripe_own.control("POST", "settings", {"sublist_limit": 1})
    cut = next(one for one in stripe_own.all("/v1/invoices") if one["lines"]["has_more"])
    whole = next(one for one in invoices if one["id"] == cut["id"])["lines"]["data"]
    assert cut["lines"]["data"] == whole[:1]
    assert stripe_own.all(cut["lines"]["url"], limit=1) == whole
    note = next(one for one in stripe_own.all("/v1/credit_notes") if one["lines"]["has_more"])
    assert len(stripe_own.all(note["lines"]["url"])) > 1
    assert (
        stripe_own.client.v1.invoices.retrieve(note["invoice"]).post_payment_credit_notes_amount
        == note["amount"]
    )


def test_ties_of_a_second_are_neither_lost_nor_repeated(stripe_own: World) -> None:
    stripe_own.sql(
        "INSERT INTO payments (payment_id, order_id, user_id, amount, method, status, created_at) SELECT uuidv7(), o.order_id,"
        " o.user_id, 5, 'card', 'failed', date_trunc('second', now()) + (n % 3) * interval '1 microsecond'"
        " FROM generate_series(1, 250) AS n, (SELECT * FROM orders LIMIT 1) AS o"
    )
    found = stripe_own.all("/v1/charges", limit=33)
    assert len({one["id"] for one in found}) == len(found)
    tied = [one for one in found if one["created"] == found[0]["created"]]
    assert len(tied) == 250
    since = tied[0]["created"]
    assert len(stripe_own.all("/v1/charges", **{"created[gte]": since})) == 250
    assert stripe_own.all("/v1/charges", **{"created[gt]": since}) == []


def test_what_is_made_during_a_walk_comes_before_its_first_page(stripe_own: World) -> None:
    first = stripe_own.get("/v1/charges?limit=10").json()["data"]
    stripe_own.sql(
        "INSERT INTO payments (order_id, user_id, amount, method, status) SELECT order_id, user_id, 1, 'card', 'failed' FROM orders LIMIT 5"
    )
    rest = stripe_own.all("/v1/charges", starting_after=first[-1]["id"])
    whole = stripe_own.all("/v1/charges")
    assert [one["id"] for one in whole[5:]] == [one["id"] for one in [*first, *rest]]
    stripe_own.control("POST", "settings", {"lag_seconds": 3600})
    lagging = stripe_own.get("/v1/charges?limit=1").json()["data"][0]
    assert lagging["id"] != whole[0]["id"]
    assert stripe_own.get(f"/v1/charges/{whole[0]['id']}").status_code == 200


def test_a_version_shapes_what_is_fetched(stripe_read: World) -> None:
    new = stripe_read.client.v1.invoices.list({"limit": 100}).data
    of_plan = next(one for one in new if one.parent is not None)
    old = stripe_read.get(f"/v1/invoices/{of_plan.id}", **{"Stripe-Version": "2024-06-20"}).json()
    assert "parent" not in old and old["subscription"] == of_plan.parent.subscription_details.subscription
    assert old["lines"]["data"][0]["type"] == "invoiceitem" and old["charge"].startswith("ch_")
    assert "_charge" not in of_plan.to_dict() and "subscription" not in of_plan.to_dict()
    unnamed = stripe_read.get(f"/v1/invoices/{of_plan.id}")
    assert unnamed.json() == old and unnamed.headers["Stripe-Version"] == "2024-06-20"
    plan = stripe_read.get(f"/v1/subscriptions/{old['subscription']}").json()
    assert plan["current_period_end"] > plan["current_period_start"]
    assert "current_period_end" not in stripe_read.client.v1.subscriptions.retrieve(plan["id"]).to_dict()
    assert stripe_read.get("/v1/charges", **{"Stripe-Version": "yesterday"}).status_code == 400


@pytest.mark.skipif(
    "STRIPE_FIXTURES" not in os.environ, reason="STRIPE_FIXTURES names no fixtures3.json of stripe/openapi"
)
@pytest.mark.parametrize("name", (*LISTS, "subscription_items", "line_items"))
def test_objects_have_the_keys_of_stripes_own_fixtures(stripe_read: World, name: str) -> None:
    kind = name.removesuffix("s")
    fixture = json.loads(Path(os.environ["STRIPE_FIXTURES"]).read_text())["resources"][kind]
    one: dict[str, Any]
    if name == "subscription_items":
        one = stripe_read.client.v1.subscriptions.list({"limit": 1}).data[0].to_dict()["items"]["data"][0]
    elif name == "line_items":
        one = stripe_read.client.v1.invoices.list({"limit": 1}).data[0].to_dict()["lines"]["data"][0]
    else:
        one = getattr(stripe_read.client.v1, name).list({"limit": 1}).data[0].to_dict()
    only_expanded_or_old = {"refunds", "source", "subscription"}
    newer = {"customer_account", "presentment_details", "radar_options"}
    assert fixture.keys() - one.keys() <= only_expanded_or_old
    assert one.keys() - fixture.keys() <= newer


def test_times_are_seconds_of_utc(stripe_read: World) -> None:
    now = datetime.now(UTC).timestamp()
    charge = stripe_read.client.v1.charges.list({"limit": 1}).data[0]
    ((at,),) = stripe_read.sql(
        "SELECT created_at FROM payments WHERE payment_id = %s::uuid", charge.metadata["payment_id"]
    )
    assert charge.created == int(at.timestamp()) <= now
