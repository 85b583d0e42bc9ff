"""A Stripe source through a whole sync, against the sandbox's Stripe."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from data_platform.sources.records import fetch
from data_platform.sync import check_sources
from data_platform.tables import TableId
from data_platform_tests.sandbox.services.conftest import World
from data_platform_tests.sandbox.services.test_stripe_events import PAY
from data_platform_tests.sources.stripe.conftest import Project

Over = Callable[[World], Project]
CUSTOMERS = {"personal": {"address": "redact", "email": "hash", "name": "redact", "phone": "mask"}}
INVOICES = {
    "personal": {
        "customer_address": "redact",
        "customer_email": "hash",
        "customer_name": "redact",
        "customer_phone": "mask",
    }
}
SUBSCRIPTIONS = {
    "personal": {
        "cancellation_details": "redact",
        "items.data.plan.nickname": "keep",
        "items.data.price.nickname": "keep",
    }
}
ITEMS = {"personal": {"plan.nickname": "keep", "price.nickname": "keep"}}


def records(project: Project, table: str) -> dict[str, Any]:
    return {id_: json.loads(text) for id_, text in project.rows(f"SELECT id, _record FROM raw_pay.{table}")}


def plain(world: World, path: str, **params: Any) -> dict[str, Any]:
    """What the API's list gives, in the version that the source pins."""
    found: list[dict[str, Any]] = []
    query = {"limit": 100, **params}
    while True:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        page = world.get(f"{path}?{text}", **{"Stripe-Version": "2026-10-28.endive"}).json()
        found += page["data"]
        if not page["has_more"]:
            return {one["id"]: one for one in found}
        query["starting_after"] = page["data"][-1]["id"]


def test_lists_land_as_the_api_gives_them(stripe_read: World, project: Over) -> None:
    pay = project(stripe_read).write({"products": {}, "balance_transactions": {}, "payouts": None or {}})
    pay.good()
    for table in ("products", "balance_transactions", "payouts"):
        assert records(pay, table) == plain(stripe_read, f"/v1/{table}")
    ((wrong,),) = pay.rows("SELECT count(*) FROM raw_pay.balance_transactions WHERE amount - fee <> net")
    assert wrong == 0
    types = dict(
        pay.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'payouts'")
    )
    assert (types["amount"], types["created"]) == ("BIGINT", "TIMESTAMP WITH TIME ZONE")
    reports = pay.good()
    assert {report.operation for report in reports.values()} == {"changes"}
    assert not any(report.manifest for report in reports.values())  # nothing happened since


def test_lists_inside_of_objects_are_whole_and_canceled_subscriptions_are_there(
    stripe_own: World, project: Over
) -> None:
    stripe_own.control("POST", "settings", {"sublist_limit": 1})
    pay = project(stripe_own).write(
        {
            "invoices": INVOICES,
            "invoice_lines": {},
            "subscriptions": SUBSCRIPTIONS,
            "subscription_items": ITEMS,
        }
    )
    pay.good()
    stripe_own.control("POST", "settings", {"sublist_limit": 1000})
    invoices = plain(stripe_own, "/v1/invoices")
    lines = {
        (id_, n): line["id"] for id_, one in invoices.items() for n, line in enumerate(one["lines"]["data"])
    }
    assert max(n for _, n in lines) > 0
    landed = pay.rows("SELECT _parent_id, _index, id FROM raw_pay.invoice_lines")
    assert {(parent, n): id_ for parent, n, id_ in landed} == lines
    for id_, text in pay.rows("SELECT id, lines FROM raw_pay.invoices"):
        assert json.loads(text) == invoices[id_]["lines"]
    subscriptions = plain(stripe_own, "/v1/subscriptions", status="all")
    found = dict(pay.rows("SELECT id, status FROM raw_pay.subscriptions"))
    assert (
        found == {id_: one["status"] for id_, one in subscriptions.items()} and "canceled" in found.values()
    )
    items = {item["id"] for one in subscriptions.values() for item in one["items"]["data"]}
    assert {id_ for (id_,) in pay.rows("SELECT id FROM raw_pay.subscription_items")} == items


def test_an_event_only_says_what_changed(stripe_own: World, project: Over) -> None:
    pay = project(stripe_own).write({"products": {}, "prices": {}})
    pay.good()
    stripe_own.sql("UPDATE products SET price = price + 1, product_name = 'Renamed' WHERE product_id = 5")
    manifest = pay.good()["products"].manifest
    assert manifest is not None and manifest.rows == 1
    changed = plain(stripe_own, "/v1/products")
    assert [one["name"] for one in changed.values()].count("Renamed") == 1
    assert records(pay, "products") == changed
    assert records(pay, "prices") == plain(stripe_own, "/v1/prices")
    assert not any(
        report.manifest for report in pay.good().values()
    )  # nor is an event of the look-back taken twice


def test_what_lands_is_of_the_pinned_version_whatever_the_event_shows(
    stripe_own: World, project: Over
) -> None:
    """Events are in the account's version, of 2024, in which an invoice has a `charge`."""
    pay = project(stripe_own).write({"invoices": INVOICES, "invoice_lines": {}})
    pay.good()
    before = records(pay, "invoices")
    stripe_own.sql(PAY)
    pay.good()
    (new,) = records(pay, "invoices").keys() - before.keys()
    shown = [one["data"]["object"] for one in stripe_own.all("/v1/events", type="invoice.*")]
    assert all("charge" in one for one in shown if one["id"] == new) and new in {one["id"] for one in shown}
    landed = records(pay, "invoices")[new]
    assert "charge" not in landed and "parent" in landed and landed["status"] == "paid"


def test_a_deleted_customer_goes(stripe_own: World, project: Over) -> None:
    pay = project(stripe_own).write({"customers": CUSTOMERS})
    pay.good()
    ids = [id_ for (id_,) in pay.rows("SELECT id FROM raw_pay.customers ORDER BY id")]
    stripe_own.client.v1.customers.delete(ids[0])
    pay.good()
    assert [id_ for (id_,) in pay.rows("SELECT id FROM raw_pay.customers ORDER BY id")] == ids[1:]


def test_a_read_that_is_cut_goes_on(
    stripe_own: World, project: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 300)
    pay = project(stripe_own).write({"balance_transactions": {}})
    fault = {"status": 400, "path": "/v1/balance_transactions", "skip": 10, "times": 1}
    stripe_own.control("POST", "faults", fault)
    report = pay.sync()["balance_transactions"]
    assert report.error is not None and "does not take the request (400" in str(report.error)
    table = TableId("pay", "balance_transactions")
    first = pay.platform.ledger.since(table, 0)
    assert sum(batch.rows for batch in first) == 1_000  # the ten pages before the cut
    position = first[-1].position_after
    assert position is not None and "walk" in position.value["state"]  # type: ignore[operator]
    pay.good()
    everything = plain(stripe_own, "/v1/balance_transactions")
    assert records(pay, "balance_transactions") == everything
    assert sum(batch.rows for batch in pay.platform.ledger.since(table, 0)) == len(everything)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 429},
        {"status": 500},
        {"half": True},
        {"drop": True},
    ],
    ids=["429 with Retry-After", "429", "500", "half a body", "no answer"],
)
def test_what_passes_is_asked_again(stripe_own: World, project: Over, fault: dict[str, Any]) -> None:
    pay = project(stripe_own).write({"products": {}})
    stripe_own.control("POST", "faults", {**fault, "path": "/v1/products", "skip": 1})
    pay.good()
    assert records(pay, "products") == plain(stripe_own, "/v1/products")


def test_a_restricted_key_is_told_which_permission_it_lacks(stripe_read: World, project: Over) -> None:
    pay = project(stripe_read).write({"payouts": {}, "products": {}})
    pay.key = stripe_read.place.secrets["restricted_key"]
    reports = pay.sync()
    assert reports["products"].error is None
    said = str(reports["payouts"].error)
    assert "GET /v1/payouts: the key in STRIPE_API_KEY lacks the permission rak_payout_read (403)" in said
    assert pay.key not in said and pay.key[-4:] not in said


def test_a_wrong_key_is_refused_without_being_shown(stripe_read: World, project: Over) -> None:
    pay = project(stripe_read).write({"products": {}})
    pay.key = "sk_test_notthisone1234567890"
    said = str(pay.sync()["products"].error)
    assert "does not accept the key in STRIPE_API_KEY (401)" in said and "7890" not in said


def test_validate_asks_for_events_too(stripe_own: World, project: Over) -> None:
    stripe_own.control("POST", "settings", {"denied": ["rak_event_read"]})
    pay = project(stripe_own).write({"products": {}})
    pay.key = stripe_own.place.secrets["restricted_key"]
    said = str(check_sources(pay.platform, ["pay"]))
    assert "rak_event_read" in said
