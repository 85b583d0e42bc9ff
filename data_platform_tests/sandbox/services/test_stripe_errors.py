"""Every error of the stand-in is the exception that Stripe's own client has for it."""

from __future__ import annotations

import base64

import pytest
import requests
import stripe

from data_platform_tests.sandbox.services.conftest import World

pytestmark = pytest.mark.slow


def client(world: World, key: str | None = None) -> stripe.StripeClient:
    return stripe.StripeClient(
        key or world.place.secrets["api_key"], base_addresses={"api": world.place.url}, max_network_retries=0
    )


def test_a_wrong_key_is_an_authentication_error(stripe_read: World) -> None:
    with pytest.raises(
        stripe.AuthenticationError, match=r"Invalid API Key provided: sk_test_\*+9876"
    ) as told:
        client(stripe_read, "sk_test_wrong_and_long_9876").v1.charges.list()
    assert told.value.request_id is not None and told.value.http_status == 401
    assert requests.get(f"{stripe_read.place.url}/v1/charges").status_code == 401
    key = base64.b64encode(f"{stripe_read.place.secrets['api_key']}:".encode()).decode()
    basic = requests.get(f"{stripe_read.place.url}/v1/charges", headers={"Authorization": f"Basic {key}"})
    assert basic.status_code == 200


def test_a_restricted_key_hears_which_permission_it_lacks(stripe_own: World) -> None:
    limited = client(stripe_own, stripe_own.place.secrets["restricted_key"])
    assert limited.v1.charges.list().data
    with pytest.raises(stripe.PermissionError, match="Having the 'rak_payout_read' permission"):
        limited.v1.payouts.list()
    stripe_own.control("POST", "settings", {"denied": ["rak_charge_read"]})
    assert limited.v1.payouts.list().data
    with pytest.raises(stripe.PermissionError, match="rak_charge_read"):
        limited.v1.refunds.list()
    with pytest.raises(stripe.PermissionError, match="rak_customer_write"):
        limited.v1.customers.delete("cus_00000000000001")


@pytest.mark.parametrize("id_", ["ch_nothing", "ch_" + "0" * 32, "cus_00000000000001"])
def test_what_is_not_there_is_a_404(stripe_read: World, id_: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=f"No such charge: '{id_}'") as told:
        stripe_read.client.v1.charges.retrieve(id_)
    assert (told.value.http_status, told.value.code, told.value.param) == (404, "resource_missing", "id")


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ("limit=101", "limit", "less than or equal to 100"),
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=ten", "limit", "Invalid integer"),
        ("colour=red", "colour", "unknown parameter"),
        ("starting_after=ch_1", "starting_after", "No such charge"),
        ("customer=7", "customer", "No such customer"),
        ("expand[]=data.colour", "expand", "cannot be expanded"),
        ("created[since]=1", "created[since]", "unknown parameter"),
        ("starting_after=a&ending_before=b", None, "both"),
    ],
)
def test_bad_parameters_are_named(stripe_read: World, query: str, param: str | None, says: str) -> None:
    answer = stripe_read.get(f"/v1/charges?{query}")
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "invalid_request_error"
    assert error.get("param") == param and says in error["message"]
    assert answer.headers["Request-Id"].startswith("req_")


def test_an_address_that_is_none_says_so(stripe_read: World) -> None:
    answer = stripe_read.get("/v1/charge")
    assert answer.status_code == 404 and "Unrecognized request URL (GET: /v1/charge)" in answer.text
    assert requests.post(f"{stripe_read.place.url}/v1/charges").status_code in (401, 404, 405)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"Retry-After": "1"}}, stripe.RateLimitError),
        ({"status": 429}, stripe.RateLimitError),
        ({"status": 500}, stripe.APIError),
        ({"status": 400}, stripe.InvalidRequestError),
        ({"status": 401}, stripe.AuthenticationError),
        ({"status": 403}, stripe.PermissionError),
        ({"status": 409}, stripe.APIError),
        ({"half": True}, stripe.APIConnectionError),
        ({"drop": True}, stripe.APIConnectionError),
        ({"body": "<html>busy</html>", "status": 200}, stripe.APIError),
    ],
    ids=str,
)
def test_injected_faults_are_the_clients_exceptions(
    stripe_own: World, fault: dict[str, object], error: type[Exception]
) -> None:
    stripe_own.control("POST", "faults", {**fault, "path": "/v1/charges"})
    with pytest.raises(error):
        client(stripe_own).v1.charges.list()
    assert client(stripe_own).v1.charges.list().data


def test_a_client_that_retries_gets_through(stripe_own: World) -> None:
    stripe_own.control("POST", "faults", {"status": 500, "times": 2})
    patient = stripe.StripeClient(
        stripe_own.place.secrets["api_key"],
        base_addresses={"api": stripe_own.place.url},
        max_network_retries=3,
    )
    assert patient.v1.charges.list().data


def test_too_many_requests_in_a_second_are_refused(stripe_own: World) -> None:
    stripe_own.control("POST", "settings", {"requests_per_second": 2})
    statuses = [stripe_own.get("/v1/account").status_code for _ in range(30)]
    assert statuses[:2] == [200, 200] and 429 in statuses
    answer = requests.post(
        f"{stripe_own.place.url}/_sandbox/settings", json={"speed": 1}, headers={"Sandbox-Control": "1"}
    )
    assert answer.status_code == 400 and "keys of" in answer.text
