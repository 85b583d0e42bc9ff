"""The objects of Stripe's that can be read, in one table: where they are listed, what tells of their changes, their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def _types(epochs: str, amounts: str = "") -> Mapping[str, str]:
    return {**dict.fromkeys(epochs.split(), "epoch"), **dict.fromkeys(amounts.split(), "bigint")}


@dataclass(frozen=True, slots=True)
class StripeObject:
    """``name`` is the block's, ``object`` what Stripe writes into the field of that name.

    ``events`` are types of events that name a changed one: one group that ends in a star, or up to 20 types. An object
    without them is found by when it was created; those of the last ``reread_days`` are read again once a day.
    ``kept_days``: older ones are no longer listed.
    """

    name: str
    object: str
    types: Mapping[str, str]
    events: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    reread_days: int = 0
    kept_days: int | None = None

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"


@dataclass(frozen=True, slots=True)
class ChildObject:
    """Objects that only their parent's list holds."""

    of: str
    path: str
    types: Mapping[str, str]


EVENTS_DAYS = 30
"""Events are kept so long."""

OBJECTS: Mapping[str, StripeObject] = {
    one.name: one
    for one in (
        StripeObject("customers", "customer", _types("created", "balance"), ("customer.*",)),
        StripeObject(
            "charges", "charge", _types("created", "amount amount_captured amount_refunded"), ("charge.*",)
        ),
        StripeObject(
            "payment_intents",
            "payment_intent",
            _types("created canceled_at", "amount amount_capturable amount_received"),
            ("payment_intent.*",),
        ),
        StripeObject(
            "invoices",
            "invoice",
            _types(
                "created due_date effective_at period_start period_end next_payment_attempt",
                "amount_due amount_paid amount_remaining subtotal total",
            ),
            ("invoice.*",),
        ),
        StripeObject(
            "subscriptions",
            "subscription",
            _types(
                "created start_date billing_cycle_anchor cancel_at canceled_at ended_at trial_start trial_end"
            ),
            ("customer.subscription.*",),
            {"status": "all"},
        ),
        StripeObject(
            "refunds",
            "refund",
            _types("created", "amount"),
            ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
        ),
        StripeObject("disputes", "dispute", _types("created", "amount"), ("charge.dispute.*",)),
        StripeObject("payouts", "payout", _types("created arrival_date", "amount"), ("payout.*",)),
        StripeObject("products", "product", _types("created updated"), ("product.*",)),
        StripeObject("prices", "price", _types("created", "unit_amount"), ("price.*",)),
        StripeObject(
            "credit_notes",
            "credit_note",
            _types("created effective_at voided_at", "amount subtotal total"),
            ("credit_note.*",),
        ),
        StripeObject(
            "balance_transactions",
            "balance_transaction",
            _types("created available_on", "amount fee net"),
            reread_days=31,
        ),
        StripeObject("events", "event", _types("created", "pending_webhooks"), kept_days=EVENTS_DAYS),
    )
}

DELIVERIES = StripeObject(
    "deliveries",
    "",
    {
        **dict.fromkeys(("id", "event_id", "type", "object_id", "object_type", "api_version", "via"), "text"),
        **dict.fromkeys(("created", "received_at"), "timestamp"),
        **dict.fromkeys(("livemode", "thin", "failed"), "bool"),
    },
)
"""No objects of the API's: what Stripe delivers to us, and what of it is missing."""

CHILDREN: Mapping[str, ChildObject] = {
    "invoice_lines": ChildObject("invoices", "lines.data", _types("", "amount quantity")),
    "credit_note_lines": ChildObject("credit_notes", "lines.data", _types("", "amount quantity unit_amount")),
    "subscription_items": ChildObject(
        "subscriptions",
        "items.data",
        _types("created current_period_start current_period_end", "quantity"),
    ),
}
