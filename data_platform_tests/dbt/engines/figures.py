"""The marts' rows in one spelling, whichever engine they come from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

MARTS = {
    "order_facts": "order_id, line_number",
    "order_totals": "order_id",
    "user_dim": "user_id",
    "user_metrics_fact": "user_id, activity_date",
    "daily_revenue": "date",
    "customer_lifetime_value": "user_id",
    "stripe_payments": "charge_id",
    "stripe_reconciliation": "reconciliation_id",
    "support_tickets_fact": "ticket_id",
    "web_traffic_daily": "date, channel, source, medium, campaign",
    "marketing_funnel_daily": "date",
    "consents": "subject_kind, subject_key, purpose",
    "marketing_audience": "user_id",
}
"""Each with its key."""
BOOKKEEPING = ("_orders_sequence", "_payments_sequence")

Row = tuple[Any, ...]


def of_mart(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Mapping[str, Any]]:
    """Rows by column in lower case, in an order that no engine's collation changes."""
    lower = [name.lower() for name in names]
    made = [
        {name: _value(value) for name, value in zip(lower, row, strict=True) if name not in BOOKKEEPING}
        for row in rows
    ]
    return sorted(made, key=lambda row: [(value is not None, str(value)) for value in row.values()])


def _value(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case int() | float() | Decimal():
            return str(Decimal(str(value)).normalize() + 0)
        case datetime():
            return (
                value.astimezone(UTC).isoformat() if value.tzinfo else value.replace(tzinfo=UTC).isoformat()
            )
        case date() | uuid.UUID():
            return str(value)
        case _:
            return value
