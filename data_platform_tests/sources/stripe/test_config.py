"""Where Stripe is asked, and what a source of this kind must be told."""

from __future__ import annotations

import pytest

from data_platform.errors import ConfigurationError
from data_platform.sources.stripe.config import STRIPE, StripeConnection, base_of

CONNECTION = StripeConnection(api_key_env="KEY", api_base_env="BASE")


@pytest.mark.parametrize(
    ("environ", "base"),
    [({}, STRIPE), ({"BASE": " "}, STRIPE), ({"BASE": "http://127.0.0.1:1/"}, "http://127.0.0.1:1")],
)
def test_stripe_itself_is_asked_where_no_other_address_is_set(environ: dict[str, str], base: str) -> None:
    assert base_of("stripe", CONNECTION, environ) == base


def test_only_the_key_must_be_set() -> None:
    assert CONNECTION.variables({}) == {"api_key_env": True, "api_base_env": False}


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="stripe: the URL in BASE does not begin with https://"):
        base_of("stripe", CONNECTION, {"BASE": "api.stripe.com"})
