"""Balance transactions and payouts: what of the payments reaches the company, and when."""

from __future__ import annotations

from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Row, Source, seconds, spell

WAITS_SECONDS = 2 * 86_400
SOURCES = {"c": "ch_", "r": "re_", "d": "du_", "w": "du_", "p": "po_"}
TYPES = {"c": "charge", "r": "refund", "d": "adjustment", "w": "adjustment", "p": "payout"}
CATEGORIES = {"c": "charge", "r": "refund", "d": "dispute", "w": "dispute_reversal", "p": "payout"}


def fee_details(row: Row) -> list[Object]:
    if not row["fee"]:
        return []
    of_dispute = row["letter"] in "dw"
    text = "Dispute fee" if of_dispute else "Stripe processing fees"
    return [
        {
            "amount": row["fee"],
            "application": None,
            "currency": "usd",
            "description": text,
            "type": "stripe_fee",
        }
    ]


def transaction(row: Row) -> Object:
    letter, created = row["letter"], seconds(row["created_at"]) or 0
    available = created if letter == "p" else (created // 86_400 * 86_400) + WAITS_SECONDS
    return {
        "id": f"txn_{letter}{spell(row['key'])}", "object": "balance_transaction", "amount": row["cents"],
        "available_on": available, "balance_type": "payments", "created": created, "currency": "usd",
        "description": "STRIPE PAYOUT" if letter == "p" else None, "exchange_rate": None, "fee": row["fee"],
        "fee_details": fee_details(row), "net": row["cents"] - row["fee"], "reporting_category": CATEGORIES[letter],
        "source": SOURCES[letter] + spell(row["key"]),
        "status": "available" if available <= (seconds(row["as_of"]) or 0) else "pending", "type": TYPES[letter],
    }  # fmt: skip


def payout(row: Row) -> Object:
    created = seconds(row["created_at"]) or 0
    arrived = created + 86_400 <= (seconds(row["as_of"]) or 0)
    return {
        "id": f"po_{spell(row['day'])}", "object": "payout", "amount": row["cents"], "application_fee": None,
        "application_fee_amount": None, "arrival_date": (created // 86_400 + 1) * 86_400, "automatic": True,
        "balance_transaction": f"txn_p{spell(row['day'])}", "created": created, "currency": "usd",
        "description": "STRIPE PAYOUT", "destination": "ba_00000000000001", "failure_balance_transaction": None,
        "failure_code": None, "failure_message": None, "livemode": False, "metadata": {}, "method": "standard",
        "original_payout": None, "payout_method": None, "reconciliation_status": "completed", "reversed_by": None,
        "source_type": "card", "statement_descriptor": None, "status": "paid" if arrived else "in_transit",
        "trace_id": {"status": "pending", "value": None}, "type": "bank_account",
    }  # fmt: skip


OF_THE_DAY = """(SELECT coalesce(sum(m.cents - m.fee), 0)::bigint FROM services_stripe.moves m
    WHERE m.created_at >= p.created_at - interval '54 hours' AND m.created_at < p.created_at - interval '30 hours') AS cents"""

TRANSACTION = Kind(
    name="balance_transaction", path="/v1/balance_transactions", prefix="txn_", permission="rak_balance_transaction_source_read",
    render=transaction,
    sources=(
        Source("(SELECT payment_id AS key, created_at, 'charge' AS type FROM services_stripe.charges WHERE status = 'succeeded')",
               "uuid", "c"),
        Source("(SELECT payment_id AS key, created_at, 'adjustment' AS type FROM services_stripe.disputes)", "uuid", "d"),
        Source("(SELECT day AS key, created_at, 'payout' AS type FROM services_stripe.payouts)", "date", "p"),
        Source("(SELECT payment_id AS key, created_at, 'refund' AS type FROM services_stripe.refunds)", "uuid", "r"),
        Source("(SELECT payment_id AS key, closed_at AS created_at, 'adjustment' AS type FROM services_stripe.disputes"
               " WHERE won AND closed_at <= now())", "uuid", "w"),
    ),
    filters={"type": Filter("type"), "payout": Filter(
        "created_at >= {}::date AT TIME ZONE 'UTC' AND created_at < ({}::date + 1) AT TIME ZONE 'UTC' AND type <> 'payout'",
        "po_", "date")},
    detail=f"""SELECT w.n, w.as_of, w.letter, w.key, m.created_at, m.cents, m.fee FROM wanted w
        JOIN services_stripe.moves m ON m.source = w.letter AND m.payment_id = CASE WHEN w.letter <> 'p' THEN w.key::uuid END
        UNION ALL SELECT w.n, w.as_of, w.letter, w.key, p.created_at, -{OF_THE_DAY}, 0 FROM wanted w
        JOIN services_stripe.payouts p ON p.day = CASE WHEN w.letter = 'p' THEN w.key::date END""",
)  # fmt: skip
PAYOUT = Kind(
    name="payout", path="/v1/payouts", prefix="po_", permission="rak_payout_read", render=payout,
    sources=(Source("(SELECT *, day AS key FROM services_stripe.payouts)", "date"),),
    detail=f"""SELECT w.n, w.as_of, p.day, p.created_at, {OF_THE_DAY} FROM wanted w
        JOIN services_stripe.payouts p ON p.day = w.key::date""",
)  # fmt: skip
