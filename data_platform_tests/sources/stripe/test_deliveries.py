"""Stripe's webhooks: what is delivered wakes the tables that it names, and what is not delivered is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError
from data_platform.quality.checking import Subject
from data_platform.quality.delivered import Delivered
from data_platform.sandbox.services.stripe.deliveries import register, wait
from data_platform.sources.stripe import deliveries
from data_platform.sync import probe
from data_platform.sync.opening import inbox_of
from data_platform.sync.quarantine import shown
from data_platform.tables import TableId
from data_platform_tests.receive.conftest import Receiver, receiving
from data_platform_tests.receive.test_hook import signed
from data_platform_tests.sandbox.services.conftest import World
from data_platform_tests.sources.stripe.conftest import Project

pytestmark = pytest.mark.slow
Over = Callable[[World], Project]
HOOK = {"webhook_secret_env": "STRIPE_WEBHOOK_SECRET"}
CUSTOMERS = {"personal": {"address": "redact", "email": "hash", "name": "redact", "phone": "mask"}}
RENAMED = "UPDATE products SET price = price + 1 WHERE product_id = 5"


def moved(pay: Project) -> dict[str, bool | None]:
    return {one.table.table: one.moved for one in probe(pay.platform, "pay")}


def waits(pay: Project) -> int:
    platform = pay.platform
    return len(inbox_of(platform, platform.catalog.source("pay")).places())


def checked(pay: Project, hours: float = 0) -> Any:
    platform = pay.platform
    table = platform.catalog.table(TableId("pay", "deliveries"))
    now = datetime.now(UTC) + timedelta(hours=hours)
    with platform.warehouse(read_only=True) as warehouse:
        return Delivered().evaluate(warehouse, Subject.raw(table.id), table.checks["delivered"], now)


def url(receiver: Receiver) -> str:
    return f"{receiver.url}/webhooks/pay"


def test_a_payment_wakes_its_tables_and_every_delivery_is_told_of(stripe_own: World, project: Over) -> None:
    stripe_own.control("POST", "settings", {"duplicate_share": 0.5})
    pay = project(stripe_own).write({"products": {}, "prices": {}, "payouts": {}, "deliveries": {}}, **HOOK)
    pay.good()
    assert moved(pay) == {"products": None, "prices": None, "payouts": None, "deliveries": False}
    before = stripe_own.get("/v1/events").json()["data"][0]["id"]
    with receiving(pay.platform) as receiver:
        register(stripe_own.place, url(receiver))
        stripe_own.sql(RENAMED)
        assert wait(stripe_own.place, url(receiver)).waiting == 0
    assert moved(pay) == {"products": True, "prices": True, "payouts": None, "deliveries": True}
    pay.good(tables=["products", "prices", "deliveries"])
    assert waits(pay) == 0 and moved(pay)["prices"] is None
    events = stripe_own.all("/v1/events", ending_before=before)
    found = pay.rows(
        "SELECT event_id, min(type), min(object_id), min(api_version), epoch(min(created))::BIGINT, min(received_at) IS NULL"
        " FROM raw_pay.deliveries GROUP BY event_id ORDER BY event_id"
    )
    assert found == sorted(
        (one["id"], one["type"], one["data"]["object"]["id"], one["api_version"], one["created"], False)
        for one in events
    )
    ((text,),) = pay.rows("SELECT _record FROM raw_pay.prices WHERE id = " + f"'{found[0][2]}'")
    changed = stripe_own.get(f"/v1/prices/{found[0][2]}", **{"Stripe-Version": "2026-10-28.endive"}).json()
    assert json.loads(text) == changed  # in the pinned version, not as it was delivered


def test_what_is_not_delivered_is_read_all_the_same_and_named(
    stripe_own: World, project: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe_own.control("POST", "settings", {"duplicate_share": 0, "retry_seconds": [0.01]})
    pay = project(stripe_own).write({"customers": CUSTOMERS, "deliveries": {}}, look_back_seconds=0, **HOOK)
    pay.good()
    with receiving(pay.platform) as receiver:
        register(stripe_own.place, url(receiver))
        stripe_own.sql("UPDATE users SET phone = '+1 555 0100' WHERE user_id = 3")
        wait(stripe_own.place, url(receiver))
    stripe_own.sql("UPDATE users SET phone = '+1 555 0287' WHERE user_id = 4")  # nobody listens
    assert wait(stripe_own.place, url(receiver)).given_up == 1
    assert not deliveries.due({"listed": 1_000}, 4_599) and deliveries.due({"listed": 1_000}, 4_600)
    monkeypatch.setattr(deliveries, "RECONCILE_SECONDS", 0)
    assert moved(pay)["deliveries"] is True
    phones = dict(pay.rows("SELECT id, phone FROM raw_pay.customers"))
    pay.good()
    missed, delivered = stripe_own.get("/v1/events?limit=2").json()["data"]
    found = checked(pay, hours=2)
    assert not found.passed and found.facts["newest_missed"] == missed["id"]
    assert (found.facts["delivered"], found.facts["missed"]) == (1, 1)
    assert checked(pay).passed  # it may still come
    rows = pay.rows(
        "SELECT event_id, via, failed FROM raw_pay.deliveries WHERE via = 'listed' ORDER BY event_id"
    )
    assert (missed["id"], "listed", True) in rows and (delivered["id"], "listed", False) in rows
    now = dict(pay.rows("SELECT id, phone FROM raw_pay.customers"))
    assert now[missed["data"]["object"]["id"]] != phones[missed["data"]["object"]["id"]]
    with receiving(pay.platform) as receiver:  # it is sent again by hand, late
        body = json.dumps(missed).encode()
        secret = stripe_own.place.secrets["webhook_secret"]
        late = receiver.post(
            body, signed("stripe", secret, int(datetime.now().timestamp()), body), source="pay"
        )
        assert late.status_code == 204
    pay.good()
    assert checked(pay, hours=2).passed


def test_thin_events_and_what_is_no_event(stripe_own: World, project: Over) -> None:
    pay = project(stripe_own).write({"deliveries": {}}, **HOOK)
    pay.good()
    with receiving(pay.platform) as receiver:
        stripe_own.control("POST", "webhooks", {"url": url(receiver), "thin": True})
        stripe_own.sql(RENAMED)
        wait(stripe_own.place, url(receiver))
        secret = stripe_own.place.secrets["webhook_secret"]
        body = b'{"object": "ping"}'
        answer = receiver.post(
            body, signed("stripe", secret, int(datetime.now().timestamp()), body), source="pay"
        )
        assert answer.status_code == 204
    pay.good()
    event = stripe_own.get("/v1/events").json()["data"][0]
    rows = set(pay.rows("SELECT event_id, type, object_id, object_type, thin FROM raw_pay.deliveries"))
    about = event["data"]["object"]
    assert (event["id"], event["type"], about["id"], about["object"], True) in rows
    (kept,) = [one.record for _, one in shown(pay.platform, TableId("pay", "deliveries"), None, 10)]
    assert kept.bytes == b'[{"object": "ping"}]' and "no event" in kept.reason
    assert "not delivered again" in str(pay.sync(refresh=["deliveries"])["deliveries"].error)


@pytest.mark.parametrize(
    ("tables", "connection", "said"),
    [
        ({"deliveries": {}}, {}, "add `connection.webhook_secret_env`"),
        ({"products": {}}, HOOK, "add `deliveries: {}`"),
    ],
)
def test_mistakes_are_named(
    project: Over, stripe_read: World, tables: Any, connection: Any, said: str
) -> None:
    pay = project(stripe_read).write(tables, **connection)
    with pytest.raises(CatalogError, match=said.replace("{", r"\{")):
        load_catalog(pay.root)
