"""Invoices, credit notes, subscriptions and what they hold.

Every fourth order that is paid by card gets an invoice, whose lines are the order's items as they were then; its refund gets a
credit note. The best customers (and some businesses, once) have a subscription for the products they buy. It is
metered: what it bills are those orders, so there is no revenue but the shop's.
"""

from __future__ import annotations

from typing import Any

from data_platform.sandbox.services.stripe.catalog import plan, price
from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Row, Source, seconds, spell
from data_platform.sandbox.services.stripe.payments import CUSTOMER, address, full_name

MONTH_SECONDS = 30 * 86_400


def listed(data: list[Object], url: str) -> Object:
    """A list inside an object, whole; it is cut when it is answered with."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def line(item: dict[str, Any], invoice: str, created: int) -> Object:
    amount = item["quantity"] * item["cents"]
    return {
        "id": f"il_{spell(item['order_item_id'])}", "object": "line_item", "amount": amount, "currency": "usd",
        "description": item["product_name"], "discount_amounts": [], "discountable": True, "discounts": [],
        "invoice": invoice, "livemode": False, "metadata": {"order_item_id": str(item["order_item_id"])},
        "parent": {
            "invoice_item_details": {
                "invoice_item": f"ii_{spell(item['order_item_id'])}", "proration": False,
                "proration_details": {"credited_items": None}, "subscription": None,
            },
            "subscription_item_details": None, "type": "invoice_item_details",
        },
        "period": {"end": created, "start": created}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": f"price_{spell(item['price_id'])}", "product": f"prod_{spell(item['product_id'])}"},
            "type": "price_details", "unit_amount_decimal": str(item["cents"]),
        },
        "quantity": item["quantity"], "quantity_decimal": str(item["quantity"]), "subscription": None, "subtotal": amount,
        "taxes": [],
    }  # fmt: skip


def invoice(row: Row) -> Object:
    id_, created = f"in_{spell(row['payment_id'])}", seconds(row["created_at"]) or 0
    paid, total = row["last_status"] == "succeeded", row["last_cents"]
    lines = [line(item, id_, created) for item in row["items"] or []]
    subtotal = sum(one["amount"] for one in lines) if lines else total
    discount = max(0, subtotal - total)
    credited = row["refunded_cents"] or 0
    paid_at = seconds(row["last_at"]) if paid else None
    subscription = {"subscription_details": {
        "metadata": {}, "subscription": f"sub_{spell(row['subscription_id'])}",
    }, "quote_details": None, "type": "subscription_details"} if row["subscription_id"] else None  # fmt: skip
    return {
        "id": id_, "object": "invoice", "account_country": "US", "account_name": "Shop", "account_tax_ids": None,
        "amount_due": total, "amount_overpaid": 0, "amount_paid": total if paid else 0,
        "amount_remaining": 0 if paid else total, "amount_shipping": 0, "application": None,
        "attempt_count": row["attempts"], "attempted": True, "auto_advance": not paid,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None},
        "automatically_finalizes_at": None,
        "billing_reason": "subscription_threshold" if subscription else "manual",
        "collection_method": "charge_automatically", "created": created, "currency": "usd", "custom_fields": None,
        "customer": f"cus_{spell(row['user_id'])}", "customer_account": None, "customer_address": address(row),
        "customer_email": row["email"], "customer_name": full_name(row), "customer_phone": row["phone"],
        "customer_shipping": None, "customer_tax_exempt": "none", "customer_tax_ids": [], "default_payment_method": None,
        "default_source": None, "default_tax_rates": [], "description": f"Order {row['order_id']}", "discounts": [],
        "due_date": None, "effective_at": created, "ending_balance": 0, "footer": None, "from_invoice": None,
        "hosted_invoice_url": None, "invoice_pdf": None, "issuer": {"type": "self"}, "last_finalization_error": None,
        "latest_revision": None, "lines": listed(lines, f"/v1/invoices/{id_}/lines"), "livemode": False,
        "metadata": {"order_id": str(row["order_id"])}, "next_payment_attempt": None,
        "number": f"S{row['user_id']:07d}-{row['order_id']:07d}", "on_behalf_of": None, "parent": subscription,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": created, "period_start": created, "post_payment_credit_notes_amount": credited,
        "pre_payment_credit_notes_amount": 0, "receipt_number": None, "rendering": None, "shipping_cost": None,
        "shipping_details": None, "starting_balance": 0, "statement_descriptor": None,
        "status": "paid" if paid else "open",
        "status_transitions": {
            "finalized_at": created, "marked_uncollectible_at": None, "paid_at": paid_at, "voided_at": None,
        },
        "subtotal": subtotal, "subtotal_excluding_tax": subtotal, "test_clock": None, "total": total,
        "total_discount_amounts": [{"amount": discount, "discount": f"di_{spell(row['order_id'])}"}] if discount else [],
        "total_excluding_tax": total, "total_pretax_credit_amounts": [], "total_taxes": [],
        "webhooks_delivered_at": created, "_charge": f"ch_{spell(row['last_payment'])}",
    }  # fmt: skip


def credit_note(row: Row) -> Object:
    id_, amount, created = f"cn_{spell(row['payment_id'])}", -row["cents"], seconds(row["created_at"])
    lines = [{
        "id": f"cnli_{spell(row['payment_id'])}{item['order_item_id']:014d}", "object": "credit_note_line_item",
        "amount": item["quantity"] * item["cents"], "description": item["product_name"], "discount_amount": 0,
        "discount_amounts": [], "invoice_line_item": f"il_{spell(item['order_item_id'])}", "livemode": False, "metadata": {},
        "pretax_credit_amounts": [], "quantity": item["quantity"], "tax_rates": [], "taxes": [],
        "type": "invoice_line_item", "unit_amount": item["cents"], "unit_amount_decimal": str(item["cents"]),
    } for item in row["items"] or []]  # fmt: skip
    subtotal = sum(one["amount"] for one in lines) if lines else amount
    refund = f"re_{spell(row['payment_id'])}"
    return {
        "id": id_, "object": "credit_note", "amount": amount, "amount_shipping": 0, "created": created, "currency": "usd",
        "customer": f"cus_{spell(row['user_id'])}", "customer_account": None, "customer_balance_transaction": None,
        "discount_amount": max(0, subtotal - amount), "discount_amounts": [], "effective_at": created,
        "invoice": f"in_{spell(row['intent'])}", "lines": listed(lines, f"/v1/credit_notes/{id_}/lines"),
        "livemode": False, "memo": None, "metadata": {}, "number": f"S{row['user_id']:07d}-{row['order_id']:07d}-CN-01",
        "out_of_band_amount": None, "pdf": None, "post_payment_amount": amount, "pre_payment_amount": 0,
        "pretax_credit_amounts": [], "reason": "order_change",
        "refunds": [{"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}],
        "shipping_cost": None, "status": "issued", "subtotal": subtotal, "subtotal_excluding_tax": subtotal,
        "total": amount, "total_excluding_tax": amount, "total_taxes": [], "type": "post_payment", "voided_at": None,
    }  # fmt: skip


def item(row: Row) -> Object:
    """``row`` is of a price; ``nth`` counts the subscription's items."""
    from datetime import datetime

    of_price = {**row, "created_at": datetime.fromisoformat(row["created_at"])}
    start = row["period_start"]
    return {
        "id": f"si_{row['subscription_id']:07d}{row['product_id']:07d}", "object": "subscription_item",
        "billing_thresholds": None, "created": row["subscribed"], "current_period_end": start + MONTH_SECONDS,
        "current_period_start": start, "discounts": [], "metadata": {}, "plan": plan(of_price), "price": price(of_price),
        "quantity": None, "subscription": f"sub_{spell(row['subscription_id'])}", "tax_rates": [],
    }  # fmt: skip


def subscription(row: Row) -> Object:
    id_, created = f"sub_{spell(row['subscription_id'])}", seconds(row["created_at"]) or 0
    ended = seconds(row["canceled_at"]) if row["canceled_at"] and row["canceled_at"] <= row["as_of"] else None
    until = ended or seconds(row["as_of"]) or 0
    start = created + max(0, until - created) // MONTH_SECONDS * MONTH_SECONDS
    common = {"subscription_id": row["subscription_id"], "subscribed": created, "period_start": start}
    items = [item({**one, **common}) for one in row["items"] or []]
    return {
        "id": id_, "object": "subscription", "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None}, "billing_cycle_anchor": created,
        "billing_cycle_anchor_config": None, "billing_mode": {"flexible": None, "type": "classic"}, "billing_schedules": [],
        "billing_thresholds": None, "cancel_at": None, "cancel_at_period_end": False, "canceled_at": ended,
        "cancellation_details": {
            "comment": None, "feedback": None, "reason": "cancellation_requested" if ended else None,
        },
        "collection_method": "charge_automatically", "created": created, "currency": "usd",
        "customer": f"cus_{spell(row['user_id'])}", "customer_account": None, "days_until_due": None,
        "default_payment_method": None, "default_source": None, "default_tax_rates": [], "description": None,
        "discounts": [], "ended_at": ended,
        "invoice_settings": {
            "account_tax_ids": None, "custom_fields": None, "description": None, "footer": None, "issuer": {"type": "self"},
        },
        "items": listed(items, f"/v1/subscription_items?subscription={id_}"),
        "latest_invoice": f"in_{spell(row['latest'])}" if row["latest"] else None, "livemode": False,
        "managed_payments": {"enabled": False}, "metadata": {}, "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None, "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None, "pending_setup_intent": None, "pending_update": None, "schedule": None,
        "start_date": created, "status": "canceled" if ended else "active", "test_clock": None, "transfer_data": None,
        "trial_end": None, "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    }  # fmt: skip


ITEMS = """(SELECT jsonb_agg(jsonb_build_object('order_item_id', i.order_item_id, 'product_id', i.product_id,
    'product_name', p.product_name, 'quantity', i.quantity, 'cents', round(i.unit_price * 100)::bigint,
    'price_id', (SELECT min(x.price_id) FROM services_stripe.prices x WHERE x.product_id = i.product_id))
    ORDER BY i.order_item_id)
    FROM services_stripe.invoice_items i JOIN public.products p USING (product_id)
    WHERE i.order_id = c.order_id AND i.created_at <= b.created_at) AS items"""
BOUGHT = """(SELECT jsonb_agg(to_jsonb(x) || jsonb_build_object('retired', x.retired_at IS NOT NULL) ORDER BY x.product_id)
    FROM (SELECT DISTINCT i.product_id FROM public.orders o JOIN public.order_items i USING (order_id)
        WHERE o.user_id = c.user_id AND o.created_at <= coalesce(c.canceled_at, w.as_of) ORDER BY 1 LIMIT 20) b
    JOIN LATERAL (SELECT * FROM services_stripe.prices y WHERE y.product_id = b.product_id AND y.recurring
        ORDER BY y.price_id LIMIT 1) x ON true) AS items"""

INVOICE = Kind(
    name="invoice", path="/v1/invoices", prefix="in_", permission="rak_invoice_read", render=invoice,
    sources=(Source("(SELECT *, payment_id AS key FROM services_stripe.intents WHERE order_id % 4 = 0)", "uuid"),),
    filters={"customer": CUSTOMER},
    detail=f"""SELECT w.n, c.payment_id, c.order_id, c.user_id, c.created_at, l.status AS last_status, l.cents AS last_cents,
            l.payment_id AS last_payment, l.created_at AS last_at, u.email, u.phone, u.first_name, u.last_name, u.country, {ITEMS},
            (SELECT count(*) FROM services_stripe.charges a WHERE a.order_id = c.order_id AND a.created_at <= w.as_of) AS attempts,
            (SELECT -sum(r.cents) FROM services_stripe.refunds r WHERE r.order_id = c.order_id
                AND r.created_at <= w.as_of)::bigint AS refunded_cents,
            (SELECT min(s.subscription_id) FROM services_stripe.subscriptions s WHERE s.user_id = c.user_id
                AND s.created_at <= c.created_at AND coalesce(s.canceled_at > c.created_at, true)) AS subscription_id
        FROM wanted w JOIN services_stripe.intents c ON c.payment_id = w.key::uuid AND c.order_id % 4 = 0
        LEFT JOIN public.users u ON u.user_id = c.user_id,
        LATERAL (SELECT * FROM services_stripe.charges a WHERE a.order_id = c.order_id AND a.created_at <= w.as_of
            ORDER BY a.status = 'succeeded' DESC, a.created_at DESC, a.payment_id DESC LIMIT 1) l,
        LATERAL (SELECT c.created_at) b""",
)  # fmt: skip
CREDIT_NOTE = Kind(
    name="credit_note", path="/v1/credit_notes", prefix="cn_", permission="rak_credit_note_read", render=credit_note,
    sources=(Source(
        "(SELECT *, payment_id AS key FROM services_stripe.refunds r WHERE order_id % 4 = 0"
        " AND EXISTS (SELECT FROM services_stripe.charges c WHERE c.order_id = r.order_id))", "uuid"),),
    filters={"customer": CUSTOMER, "invoice": Filter(
        "order_id = (SELECT order_id FROM services_stripe.charges WHERE payment_id = {})", "in_", "uuid")},
    detail=f"""SELECT w.n, c.*, b.payment_id AS intent, {ITEMS} FROM wanted w
        JOIN services_stripe.refunds c ON c.payment_id = w.key::uuid AND c.order_id % 4 = 0
        JOIN services_stripe.intents b ON b.order_id = c.order_id""",
)  # fmt: skip
SUBSCRIPTION = Kind(
    name="subscription", path="/v1/subscriptions", prefix="sub_", permission="rak_subscription_read", render=subscription,
    sources=(Source(
        "(SELECT *, subscription_id AS key, CASE WHEN canceled_at IS NULL THEN 'active' ELSE 'canceled' END AS status"
        " FROM services_stripe.subscriptions)", "bigint"),),
    filters={"customer": CUSTOMER, "status": Filter("status = replace({}, 'ended', 'canceled')")},
    shown="status <> 'canceled'", unless="status",
    detail=f"""SELECT w.n, w.as_of, c.*, {BOUGHT}, (SELECT i.payment_id FROM services_stripe.intents i
            WHERE i.user_id = c.user_id AND i.order_id % 4 = 0 AND i.created_at BETWEEN c.created_at AND w.as_of
            ORDER BY i.created_at DESC LIMIT 1) AS latest
        FROM wanted w JOIN services_stripe.subscriptions c ON c.subscription_id = w.key::bigint""",
)  # fmt: skip
