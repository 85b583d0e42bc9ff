"""A stand-in for Stripe: its API over the shop's card payments, and its webhooks.

Charges, refunds and customers are the shop's own rows under Stripe's names, so what Stripe says was paid is what
the shop says was paid by card (``card`` and ``apple_pay``). What Stripe has by itself is in the schema ``services_stripe``
of the shop's database (``install.sql``).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from data_platform.sandbox.services.service import Place, Service
from data_platform.sandbox.services.stripe.errors import failure
from data_platform.sandbox.services.stripe.install import install

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from data_platform.sandbox.services.database import Connections


def _app(place: Place, connections: Connections) -> ASGIApp:
    from data_platform.sandbox.services.stripe.api import app

    return app(place, connections)


async def _background(place: Place, connections: Connections) -> None:
    from data_platform.sandbox.services.stripe.server import server_of
    from data_platform.sandbox.services.stripe.webhooks import send_for_ever

    await send_for_ever(server_of(place, connections))


def _variables(place: Place) -> dict[str, str]:
    return {
        "STRIPE_API_BASE": place.url,
        "STRIPE_API_KEY": place.secrets["api_key"],
        "STRIPE_RESTRICTED_KEY": place.secrets["restricted_key"],
        "STRIPE_WEBHOOK_SECRET": place.secrets["webhook_secret"],
    }


def _secrets() -> dict[str, str]:
    return {
        "api_key": f"sk_test_sandbox{secrets.token_hex(12)}",
        "restricted_key": f"rk_test_sandbox{secrets.token_hex(12)}",
        "webhook_secret": f"whsec_{secrets.token_hex(16)}",
    }


SERVICE = Service(
    name="stripe",
    app=_app,
    variables=_variables,
    base="STRIPE_API_BASE",
    secrets=_secrets,
    install=install,
    background=_background,
    failure=failure,
)
