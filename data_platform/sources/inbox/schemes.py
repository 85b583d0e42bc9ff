"""The signatures of senders whose names one may write instead of a block, with where their ids and types are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_platform.sources.inbox.hook import Signature


@dataclass(frozen=True, slots=True)
class Scheme:
    """``id`` and ``type`` are paths in the body, ``id_header`` and ``type_header`` headers; one of each pair is None."""

    signature: Signature
    id: str | None = "id"
    id_header: str | None = None
    type: str | None = "type"
    type_header: str | None = None


STRIPE = Signature(
    "Stripe-Signature",
    prefix="v1=",
    signed="{timestamp}.{body}",
    timestamp_header="Stripe-Signature",
    timestamp_prefix="t=",
)

SCHEMES: Mapping[str, Scheme] = {
    # standardwebhooks.com: Svix, Clerk, Resend, OpenAI and others
    "standard": Scheme(
        Signature(
            "webhook-signature",
            encoding="base64",
            prefix="v1,",
            signed="{webhook-id}.{timestamp}.{body}",
            timestamp_header="webhook-timestamp",
            secret_prefix="whsec_",
            secret_encoding="base64",
        ),
        id=None,
        id_header="webhook-id",
    ),
    "github": Scheme(
        Signature("X-Hub-Signature-256", prefix="sha256="),
        id=None,
        id_header="X-GitHub-Delivery",
        type=None,
        type_header="X-GitHub-Event",
    ),
    "shopify": Scheme(
        Signature("X-Shopify-Hmac-SHA256", encoding="base64"),
        id=None,
        id_header="X-Shopify-Webhook-Id",
        type=None,
        type_header="X-Shopify-Topic",
    ),
    "stripe": Scheme(STRIPE),
}
