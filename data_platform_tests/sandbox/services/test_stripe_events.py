"""What happens in the shop happens in Stripe: events in both forms, deletions, webhooks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import requests
import stripe

from data_platform.sandbox import traffic
from data_platform.sandbox.business import KINDS, Act
from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.stripe.control import register as register_at
from data_platform.sandbox.services.stripe.deliveries import register, wait
from data_platform.sandbox.services.stripe.server import Server
from data_platform.sandbox.services.stripe.webhooks import step
from data_platform_tests.sandbox.services.conftest import Receiver, World

pytestmark = pytest.mark.slow
PAY = (
    "INSERT INTO payments (order_id, user_id, amount, method, status) SELECT order_id, user_id, revenue, 'card', 'succeeded'"
    " FROM orders o WHERE order_id % 4 = 0 AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.order_id"
    " AND status <> 'failed') LIMIT 1 RETURNING order_id, user_id, payment_id"
)


def newest(world: World) -> list[dict[str, Any]]:
    return list(world.get("/v1/events").json()["data"])


def test_history_tells_of_the_last_thirty_days(stripe_read: World) -> None:
    events = stripe_read.all("/v1/events")
    assert events[-1]["created"] > time.time() - 30 * 86_400
    ((charged,),) = stripe_read.sql(
        "SELECT count(*) FROM payments WHERE method IN ('card', 'apple_pay') AND status = 'succeeded'"
        " AND created_at > now() - interval '30 days'"
    )
    assert len([one for one in events if one["type"] == "charge.succeeded"]) == charged
    assert {one["api_version"] for one in events} == {"2024-06-20"}
    some = stripe_read.all("/v1/events", **{"types[]": "charge.refunded"})
    assert some == [one for one in events if one["type"] == "charge.refunded"]
    assert stripe_read.all("/v1/events", type="payout.*") == [
        one for one in events if one["type"].startswith("payout.")
    ]
    # A charge that was refunded later was not refunded when it succeeded.
    for one in events:
        if one["type"] == "charge.succeeded":
            assert one["data"]["object"]["amount_refunded"] == 0


def test_an_event_shows_the_accounts_version_whatever_is_asked_for(stripe_read: World) -> None:
    event = next(
        one
        for one in stripe_read.client.v1.events.list({"limit": 100}).auto_paging_iter()
        if one.type == "invoice.paid"
    )
    assert event.api_version == "2024-06-20"
    inside = event.data.object.to_dict()
    assert "parent" not in inside and "charge" in inside
    assert "parent" in stripe_read.client.v1.invoices.retrieve(inside["id"]).to_dict()


def test_a_payment_makes_its_events_in_the_same_transaction(stripe_own: World) -> None:
    before = newest(stripe_own)[0]["id"]
    with psycopg.connect(stripe_own.url) as connection:
        order, _, _ = connection.execute(PAY).fetchone() or (0, 0, 0)
        assert newest(stripe_own)[0]["id"] == before
        connection.commit()
    made = stripe_own.get(f"/v1/events?ending_before={before}").json()["data"]
    assert {one["type"] for one in made} >= {"charge.succeeded", "payment_intent.succeeded", "invoice.paid"}
    charge = next(one for one in made if one["type"] == "charge.succeeded")["data"]["object"]
    assert charge["metadata"]["order_id"] == str(order)
    assert stripe_own.client.v1.charges.retrieve(charge["id"]).amount == charge["amount"]


def test_a_late_transaction_appears_behind_younger_events(stripe_own: World) -> None:
    """Why a reader must overlap: what is committed late has an earlier time."""
    with psycopg.connect(stripe_own.url) as late:
        late.execute(PAY)
        time.sleep(1.1)
        stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
        seen = newest(stripe_own)
        assert seen[0]["type"] == "customer.updated"
        late.commit()
    after = newest(stripe_own)
    assert after[0]["id"] == seen[0]["id"]
    older = next(one for one in after if one["type"] == "charge.succeeded")
    assert older["created"] < seen[0]["created"] and older not in seen


def test_a_change_says_what_it_was_before(stripe_own: World) -> None:
    ((phone,),) = stripe_own.sql("SELECT phone FROM users WHERE user_id = 3")
    stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
    stripe_own.sql("UPDATE users SET phone = '+1 555 0200' WHERE user_id = 3")
    stripe_own.sql(
        "UPDATE users SET marketing_opt_in = NOT coalesce(marketing_opt_in, false) WHERE user_id = 3"
    )
    second, first = newest(stripe_own)[:2]
    assert first["data"]["previous_attributes"] == {"phone": phone}
    assert first["data"]["object"]["phone"] == "+1 555 0100"
    assert second["data"]["previous_attributes"] == {"phone": "+1 555 0100"}
    stripe_own.sql("UPDATE products SET price = price + 1 WHERE product_id = 5")
    types = [one["type"] for one in newest(stripe_own)[:5]]
    assert types == ["product.updated", "price.created", "price.created", "price.updated", "price.updated"]
    prices = stripe_own.all("/v1/prices", product="prod_00000000000005")
    assert sorted(one["active"] for one in prices) == [False, False, True, True]
    product = stripe_own.client.v1.products.retrieve("prod_00000000000005")
    assert product.default_price in {one["id"] for one in prices if one["active"]}


def test_a_deleted_customer_leaves_lists_and_says_so_when_fetched(stripe_own: World) -> None:
    v1 = stripe_own.client.v1
    plan = next(iter(v1.subscriptions.list().data))
    assert v1.customers.delete(plan.customer).deleted
    assert v1.customers.retrieve(plan.customer).to_dict() == {
        "id": plan.customer, "object": "customer", "deleted": True,
    }  # fmt: skip
    assert plan.customer not in {one["id"] for one in stripe_own.all("/v1/customers")}
    gone, cancelled = newest(stripe_own)[:2]
    assert (gone["type"], gone["data"]["object"]["id"]) == ("customer.deleted", plan.customer)
    assert "email" in gone["data"]["object"]
    assert (cancelled["type"], cancelled["data"]["object"]["status"]) == (
        "customer.subscription.deleted",
        "canceled",
    )
    assert v1.subscriptions.retrieve(plan.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        v1.customers.delete(plan.customer)
    page = stripe_own.get(f"/v1/customers?limit=1&starting_after={plan.customer}")
    assert page.status_code == 200


def test_the_shop_deletes_an_order_and_stripe_gives_the_money_back(stripe_own: World) -> None:
    charge = next(
        one for one in stripe_own.all("/v1/charges")
        if one["status"] == "succeeded" and not one["amount_refunded"] and int(one["metadata"]["order_id"]) % 4 == 0
    )  # fmt: skip
    invoice = stripe_own.get(f"/v1/invoices/{charge['payment_intent'].replace('pi_', 'in_')}").json()
    stripe_own.sql("DELETE FROM orders WHERE order_id = %s", int(charge["metadata"]["order_id"]))
    kept = stripe_own.client.v1.charges.retrieve(charge["id"], {"expand": ["refunds"]})
    assert kept.refunded and kept.amount == charge["amount"] == kept.refunds.data[0].amount
    types = {one["type"] for one in newest(stripe_own)}
    assert types >= {"charge.refunded", "refund.created", "credit_note.created"}
    after = stripe_own.get(f"/v1/invoices/{invoice['id']}").json()
    assert after["lines"] == invoice["lines"] and after["status"] == "paid"


def test_a_finalized_invoice_keeps_its_lines(stripe_own: World) -> None:
    invoice = stripe_own.get("/v1/invoices?limit=1").json()["data"][0]
    order = int(invoice["metadata"]["order_id"])
    stripe_own.sql("UPDATE order_items SET quantity = quantity + 3 WHERE order_id = %s", order)
    stripe_own.sql("UPDATE order_items SET quantity = quantity + 3 WHERE order_id = %s", order)
    assert stripe_own.get(f"/v1/invoices/{invoice['id']}").json() == invoice


def test_after_traffic_both_sides_still_agree(stripe_own: World) -> None:
    before = {one["id"] for one in stripe_own.all("/v1/charges")}
    traffic(stripe_own.url, seconds=60, rate=1e6, seed=3, count=300, hold_seconds_max=0.05)
    with psycopg.connect(stripe_own.url, autocommit=True) as connection:
        for kind, _ in KINDS:
            with connection.transaction():
                kind(Act(connection, Random(4)))
    charges, refunds = stripe_own.all("/v1/charges"), stripe_own.all("/v1/refunds")
    assert before < {one["id"] for one in charges}
    net = sum(one["amount"] for one in charges if one["status"] == "succeeded") - sum(
        one["amount"] for one in refunds
    )
    ((by_shop,),) = stripe_own.sql(
        "SELECT sum(amount) * 100 FROM payments WHERE method IN ('card', 'apple_pay') AND status <> 'failed'"
    )
    assert net == by_shop
    assert all(one["charge"] for one in refunds)
    back: dict[str, int] = {}
    for one in refunds:
        back[one["charge"]] = back.get(one["charge"], 0) + one["amount"]
    assert {one["id"]: one["amount_refunded"] for one in charges if one["amount_refunded"]} == back
    assert all(one["amount_refunded"] <= one["amount"] for one in charges)
    # Whatever the events tell of can be fetched.
    about = {(one["data"]["object"]["object"], one["data"]["object"]["id"]) for one in newest(stripe_own)}
    for kind, id_ in about:
        assert stripe_own.get(f"/v1/{kind}s/{id_}").status_code == 200


def test_thin_events_name_what_to_fetch(stripe_own: World) -> None:
    stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
    core = stripe_own.client.v2.core.events
    thin = core.list({"limit": 1}).data[0]
    assert (thin.type, thin.related_object.id) == ("v1.customer.updated", "cus_00000000000003")
    assert core.retrieve(thin.id).snapshot_event == newest(stripe_own)[0]["id"]
    of_one = core.list({"object_id": "cus_00000000000003", "types": ["v1.customer.updated"]}).data
    assert [one.id for one in of_one if one.created == thin.created] == [thin.id]
    whole = [one.id for one in core.list({"limit": 50}).auto_paging_iter()]
    assert len(set(whole)) == len(whole) == len(stripe_own.all("/v1/events"))
    since = core.list({"created": {"gte": thin.created}, "limit": 10}).data
    assert thin.id in [one.id for one in since]


def test_webhooks_are_signed_and_none_is_lost(stripe_own: World, receiver: Receiver) -> None:
    """The receiver refuses some at first; what it took in the end is what the API lists."""
    stripe_own.control("POST", "settings", {"duplicate_share": 0.2, "retry_seconds": [0.05] * 8})
    receiver.answer = lambda nth: 500 if nth % 5 == 0 else 200
    before = newest(stripe_own)[0]["id"]
    register(stripe_own.place, receiver.url)
    register(stripe_own.place, receiver.url)
    traffic(stripe_own.url, seconds=60, rate=1e6, seed=5, count=80, hold_seconds_max=0.05)
    done = wait(stripe_own.place, receiver.url)
    assert (done.waiting, done.given_up) == (0, 0) and done.attempts > done.delivered > 50
    secret = stripe_own.place.secrets["webhook_secret"]
    for body, signature in zip(receiver.bodies, receiver.signatures, strict=True):
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance=300)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(receiver.bodies[0] + b" ", receiver.signatures[0], secret)
    listed = stripe_own.client.v1.events.list({"ending_before": before, "limit": 100}).auto_paging_iter()
    expected = [one.id for one in listed]
    assert set(receiver.accepted) == set(expected)
    assert len(receiver.accepted) > len(expected)  # at least once: some came twice
    assert list(dict.fromkeys(receiver.accepted)) != sorted(expected)  # in no order


def test_what_could_not_be_delivered_is_found_by_asking(stripe_own: World, receiver: Receiver) -> None:
    stripe_own.control("POST", "settings", {"retry_seconds": [0.01], "duplicate_share": 0})
    receiver.answer = lambda nth: 503
    register(stripe_own.place, receiver.url)
    stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
    assert wait(stripe_own.place, receiver.url).given_up == 1
    lost = stripe_own.get("/v1/events?delivery_success=false").json()["data"]
    assert [(one["type"], one["pending_webhooks"]) for one in lost] == [("customer.updated", 1)]
    assert lost[0]["id"] not in {
        one["id"] for one in stripe_own.get("/v1/events?delivery_success=true").json()["data"]
    }


def test_a_rotated_secret_signs_beside_the_old_one(stripe_own: World, receiver: Receiver) -> None:
    stripe_own.control("POST", "settings", {"in_order": True, "duplicate_share": 0})
    made = stripe_own.control("POST", "webhooks", {"url": receiver.url, "types": ["customer.updated"]})
    fresh = stripe_own.control("POST", f"webhooks/{made['id']}/rotate")["secret"]
    stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
    stripe_own.sql("UPDATE products SET price = price + 1 WHERE product_id = 5")
    wait(stripe_own.place, receiver.url)
    (body,), (signature,) = receiver.bodies, receiver.signatures
    for secret in (made["secret"], fresh):
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance=300)
    stripe_own.control("DELETE", f"webhooks/{made['id']}")
    assert stripe_own.control("GET", "webhooks") == []


def test_who_registers_while_the_sender_looks_is_heard(stripe_own: World, receiver: Receiver) -> None:
    """The sender sleeps while nobody listens: a registration that its look just missed must wake it."""

    class Late(Connections):
        """Somebody registers as soon as the first question was answered."""

        asked = False

        @contextmanager
        def one(self) -> Iterator[Any]:
            with super().one() as connection:
                yield connection if self.asked else SimpleNamespace(execute=partial(ask, connection))

    def ask(connection: psycopg.Connection[Any], question: str) -> Any:
        answered = connection.execute(question.encode())
        server.connections.asked = True  # type: ignore[attr-defined]
        register_at(server, receiver.url)
        return answered

    server = Server(stripe_own.place, Late(lambda: stripe_own.url))
    server.listeners.set()
    with ThreadPoolExecutor(1) as pool, requests.Session() as session:
        assert step(server, pool, session, Random(1)) == 0
    assert server.listeners.is_set()
    server.connections.close()


def test_thin_webhooks_are_understood_by_the_client(stripe_own: World, receiver: Receiver) -> None:
    stripe_own.control("POST", "webhooks", {"url": receiver.url, "thin": True})
    stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
    wait(stripe_own.place, receiver.url)
    secret = stripe_own.place.secrets["webhook_secret"]
    told: Any = stripe_own.client.parse_event_notification(receiver.bodies[0], receiver.signatures[0], secret)
    assert told.type == "v1.customer.updated"
    assert told.fetch_related_object().phone == "+1 555 0100"
