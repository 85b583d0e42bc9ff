"""Charges, payment intents, refunds and disputes, of the shop's card payments."""

from __future__ import annotations

from typing import Any

from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Row, Source, seconds, spell

BRANDS = ("visa", "mastercard", "visa", "amex")
REASONS = ("fraudulent", "product_not_received", "general")
DECLINE = "Your card was declined."
CUSTOMER = Filter("user_id", "cus_", "bigint")


def metadata(row: Row) -> Object:
    """What the shop told Stripe: texts only, as Stripe keeps them."""
    return {"order_id": str(row["order_id"]), "payment_id": str(row["payment_id"])}


def address(row: Row) -> Object:
    empty = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {**empty, "country": row["country"]}


def full_name(row: Row) -> str | None:
    return " ".join(filter(None, (row["first_name"], row["last_name"]))) or None


def card(row: Row) -> Object:
    """The card that a user pays with: always the same one."""
    user = row["user_id"]
    checks = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}
    wallet = {"apple_pay": {"type": "apple_pay"}, "dynamic_last4": None, "type": "apple_pay"}
    secure = dict.fromkeys((
        "authentication_flow", "electronic_commerce_indicator", "exemption_indicator", "result", "result_reason",
        "transaction_id", "version",
    ))  # fmt: skip
    return {
        "amount_authorized": row["cents"], "authorization_code": None, "brand": BRANDS[user % len(BRANDS)], "checks": checks,
        "country": row["country"], "exp_month": 1 + user % 12, "exp_year": 2028 + user % 4,
        "extended_authorization": {"status": "disabled"}, "fingerprint": f"fp{user:014d}", "funding": "credit",
        "incremental_authorization": {"status": "unavailable"}, "installments": None, "last4": f"{user * 7919 % 10000:04d}",
        "mandate": None, "multicapture": {"status": "unavailable"}, "network": BRANDS[user % len(BRANDS)],
        "network_token": {"used": False}, "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": row["cents"], "status": "unavailable"}, "regulated_status": "unregulated",
        "three_d_secure": secure, "transaction_link_id": None, "wallet": wallet if row["method"] == "apple_pay" else None,
    }  # fmt: skip


def outcome(row: Row) -> Object:
    failed = row["status"] == "failed"
    return {
        "advice_code": "try_again_later" if failed else None, "network_advice_code": None,
        "network_decline_code": "05" if failed else None,
        "network_status": "declined_by_network" if failed else "approved_by_network",
        "reason": "generic_decline" if failed else None,
        "seller_message": "The bank declined the payment." if failed else "Payment complete.",
        "type": "issuer_declined" if failed else "authorized",
    }  # fmt: skip


def charge(row: Row) -> Object:
    succeeded, amount = row["status"] == "succeeded", row["cents"]
    refunded = row["refunded_cents"] or 0
    return {
        "id": f"ch_{spell(row['payment_id'])}", "object": "charge", "amount": amount,
        "amount_captured": amount if succeeded else 0, "amount_refunded": refunded, "application": None,
        "application_fee": None, "application_fee_amount": None,
        "balance_transaction": f"txn_c{spell(row['payment_id'])}" if succeeded else None,
        "billing_details": {
            "address": address(row), "email": row["email"], "name": full_name(row), "phone": row["phone"], "tax_id": None,
        },
        "calculated_statement_descriptor": "SHOP", "captured": succeeded, "created": seconds(row["created_at"]),
        "currency": "usd", "customer": f"cus_{spell(row['user_id'])}", "description": f"Order {row['order_id']}",
        "disputed": row["disputed"], "failure_balance_transaction": None,
        "failure_code": None if succeeded else "card_declined", "failure_message": None if succeeded else DECLINE,
        "fraud_details": {}, "livemode": False, "metadata": metadata(row), "on_behalf_of": None, "outcome": outcome(row),
        "paid": succeeded, "payment_intent": f"pi_{spell(row['intent'])}",
        "payment_method": f"pm_{spell(row['user_id'])}", "payment_method_details": {"card": card(row), "type": "card"},
        "presentment_details": None, "radar_options": {}, "receipt_email": None, "receipt_number": None, "receipt_url": None,
        "refunded": succeeded and refunded >= amount, "review": None, "shipping": None, "source_transfer": None,
        "statement_descriptor": None, "statement_descriptor_suffix": None, "status": row["status"], "transfer_data": None,
        "transfer_group": None,
    }  # fmt: skip


def intent(row: Row) -> Object:
    last = {**row, "status": row["last_status"], "payment_id": row["last_payment"]}
    succeeded, amount = row["last_status"] == "succeeded", row["last_cents"]
    error = {
        "advice_code": "try_again_later", "charge": f"ch_{spell(row['last_payment'])}", "code": "card_declined",
        "decline_code": "generic_decline", "message": DECLINE, "type": "card_error",
    }  # fmt: skip
    return {
        "id": f"pi_{spell(row['payment_id'])}", "object": "payment_intent", "amount": amount, "amount_capturable": 0,
        "amount_details": {"tip": {}}, "amount_received": amount if succeeded else 0, "application": None,
        "application_fee_amount": None, "automatic_payment_methods": None, "canceled_at": None, "cancellation_reason": None,
        "capture_method": "automatic", "client_secret": None, "confirmation_method": "automatic",
        "created": seconds(row["created_at"]), "currency": "usd", "customer": f"cus_{spell(row['user_id'])}",
        "customer_account": None, "description": f"Order {row['order_id']}", "excluded_payment_method_types": None,
        "last_payment_error": None if succeeded else error, "latest_charge": f"ch_{spell(row['last_payment'])}",
        "livemode": False, "managed_payments": {"enabled": False}, "metadata": metadata(last), "next_action": None,
        "on_behalf_of": None, "payment_method": f"pm_{spell(row['user_id'])}" if succeeded else None,
        "payment_method_configuration_details": None, "payment_method_options": {}, "payment_method_types": ["card"],
        "processing": None, "receipt_email": None, "review": None, "setup_future_usage": None, "shipping": None,
        "statement_descriptor": None, "statement_descriptor_suffix": None,
        "status": "succeeded" if succeeded else "requires_payment_method", "transfer_data": None, "transfer_group": None,
    }  # fmt: skip


def refund(row: Row) -> Object:
    key = spell(row["payment_id"])
    return {
        "id": f"re_{key}", "object": "refund", "amount": -row["cents"], "balance_transaction": f"txn_r{key}",
        "charge": f"ch_{spell(row['charge'])}" if row["charge"] else None, "created": seconds(row["created_at"]),
        "currency": "usd", "customer": f"cus_{spell(row['user_id'])}", "customer_account": None,
        "destination_details": {
            "card": {"reference": key[-12:], "reference_status": "available", "reference_type": "acquirer_reference_number",
                     "type": "refund"},
            "type": "card",
        },
        "metadata": metadata(row), "payment_intent": f"pi_{spell(row['intent'])}" if row["intent"] else None,
        "payment_method": f"pm_{spell(row['user_id'])}", "reason": "requested_by_customer", "receipt_number": None,
        "source_transfer_reversal": None, "status": "succeeded", "transfer_reversal": None,
    }  # fmt: skip


EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
).split()


def dispute(row: Row) -> Object:
    key, user = spell(row["payment_id"]), row["user_id"]
    closed = row["closed_at"] <= row["as_of"]
    answered = (row["as_of"] - row["created_at"]).days >= 5
    status = ("won" if row["won"] else "lost") if closed else "under_review" if answered else "needs_response"
    moves = [f"txn_d{key}", *([f"txn_w{key}"] if closed and row["won"] else [])]
    brand = BRANDS[user % len(BRANDS)]
    evidence: dict[str, Any] = {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}}
    return {
        "id": f"du_{key}", "object": "dispute", "amount": row["cents"], "balance_transactions": moves,
        "charge": f"ch_{key}", "created": seconds(row["created_at"]), "currency": "usd", "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": (seconds(row["created_at"]) or 0) + 20 * 86_400, "enhanced_eligibility": {}, "has_evidence": answered,
            "past_due": False, "submission_count": int(answered),
        },
        "is_charge_refundable": False, "livemode": False, "metadata": metadata(row),
        "payment_intent": f"pi_{spell(row['intent'])}",
        "payment_method_details": {
            "card": {"brand": brand, "case_type": "chargeback", "network": brand, "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": REASONS[user % len(REASONS)], "status": status,
    }  # fmt: skip


USER = "LEFT JOIN public.users u ON u.user_id = c.user_id"
PERSON = "u.email, u.phone, u.first_name, u.last_name, u.country"
FIRST = "services_stripe.first_attempt(c.order_id) AS intent"

CHARGE = Kind(
    name="charge", path="/v1/charges", prefix="ch_", permission="rak_charge_read", render=charge,
    sources=(Source("(SELECT *, payment_id AS key FROM services_stripe.charges)", "uuid"),),
    filters={"customer": CUSTOMER, "payment_intent": Filter(
        "order_id = (SELECT order_id FROM services_stripe.charges WHERE payment_id = {})", "pi_", "uuid")},
    detail=f"""SELECT w.n, c.*, {PERSON}, {FIRST},
        EXISTS (SELECT FROM services_stripe.disputes d WHERE d.payment_id = c.payment_id AND d.created_at <= w.as_of) AS disputed,
        CASE WHEN c.status = 'succeeded' THEN (SELECT -sum(r.cents) FROM services_stripe.refunds r
            WHERE r.order_id = c.order_id AND r.created_at <= w.as_of)::bigint END AS refunded_cents
        FROM wanted w JOIN services_stripe.charges c ON c.payment_id = w.key::uuid {USER}""",
)  # fmt: skip
INTENT = Kind(
    name="payment_intent", path="/v1/payment_intents", prefix="pi_", permission="rak_payment_intent_read", render=intent,
    sources=(Source("(SELECT *, payment_id AS key FROM services_stripe.intents)", "uuid"),),
    filters={"customer": CUSTOMER},
    detail="""SELECT w.n, c.*, l.payment_id AS last_payment, l.status AS last_status, l.cents AS last_cents
        FROM wanted w JOIN services_stripe.intents c ON c.payment_id = w.key::uuid,
        LATERAL (SELECT * FROM services_stripe.charges a WHERE a.order_id = c.order_id AND a.created_at <= w.as_of
            ORDER BY a.status = 'succeeded' DESC, a.created_at DESC, a.payment_id DESC LIMIT 1) l""",
)  # fmt: skip
REFUND = Kind(
    name="refund", path="/v1/refunds", prefix="re_", permission="rak_charge_read", render=refund,
    sources=(Source("(SELECT *, payment_id AS key FROM services_stripe.refunds)", "uuid"),),
    filters={"charge": Filter(
        "order_id = (SELECT order_id FROM services_stripe.charges WHERE payment_id = {} AND status = 'succeeded')", "ch_", "uuid")},
    detail=f"""SELECT w.n, c.*, {FIRST}, (SELECT payment_id FROM services_stripe.charges p
            WHERE p.order_id = c.order_id AND p.status = 'succeeded' LIMIT 1) AS charge
        FROM wanted w JOIN services_stripe.refunds c ON c.payment_id = w.key::uuid""",
)  # fmt: skip
DISPUTE = Kind(
    name="dispute", path="/v1/disputes", prefix="du_", permission="rak_dispute_read", render=dispute,
    sources=(Source("(SELECT *, payment_id AS key FROM services_stripe.disputes)", "uuid"),),
    filters={"charge": Filter("key", "ch_", "uuid")},
    detail=f"""SELECT w.n, w.as_of, c.*, {FIRST} FROM wanted w
        JOIN services_stripe.disputes c ON c.payment_id = w.key::uuid""",
)  # fmt: skip
