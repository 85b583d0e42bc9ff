"""Customers, products and prices."""

from __future__ import annotations

from typing import Any

from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Row, Source, seconds, spell
from data_platform.sandbox.services.stripe.payments import address, full_name

FLAG = "boolean"


def customer(row: Row) -> Object:
    """``deleted`` in the row leaves what Stripe leaves of a customer."""
    id_ = f"cus_{spell(row['user_id'])}"
    if row["deleted"]:
        return {"id": id_, "object": "customer", "deleted": True}
    return {
        "id": id_, "object": "customer", "address": address(row), "balance": 0, "created": seconds(row["created_at"]),
        "currency": "usd", "customer_account": None, "default_source": None, "delinquent": False, "description": None,
        "discount": None, "email": row["email"], "invoice_prefix": f"S{row['user_id']:07d}",
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": f"pm_{spell(row['user_id'])}", "footer": None,
            "rendering_options": None,
        },
        "livemode": False, "metadata": {"user_id": str(row["user_id"]), "segment": row["segment"] or ""},
        "name": full_name(row), "next_invoice_sequence": 1, "phone": row["phone"], "preferred_locales": [], "shipping": None,
        "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip


def product(row: Row) -> Object:
    return {
        "id": f"prod_{spell(row['product_id'])}", "object": "product", "active": bool(row["is_active"]),
        "created": seconds(row["created_at"]),
        "default_price": f"price_{spell(row['price_id'])}" if row["price_id"] else None, "description": row["category"],
        "images": [], "livemode": False, "marketing_features": [], "metadata": {"sku": row["sku"] or ""},
        "name": row["product_name"], "package_dimensions": None, "shippable": True, "statement_descriptor": None,
        "tax_code": None, "type": "good", "unit_label": None, "updated": seconds(row["updated_at"]), "url": None,
    }  # fmt: skip


def price(row: Row) -> Object:
    recurring = {
        "interval": "month",
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "metered",
    }
    return {
        "id": f"price_{spell(row['price_id'])}", "object": "price", "active": not row["retired"],
        "billing_scheme": "per_unit", "created": seconds(row["created_at"]), "currency": "usd", "custom_unit_amount": None,
        "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None,
        "product": f"prod_{spell(row['product_id'])}", "recurring": recurring if row["recurring"] else None,
        "tax_behavior": "unspecified", "tiers_mode": None, "transform_quantity": None,
        "type": "recurring" if row["recurring"] else "one_time", "unit_amount": row["cents"],
        "unit_amount_decimal": str(row["cents"]),
    }  # fmt: skip


def plan(row: Row) -> Object:
    """The older form of a recurring price, which subscription items still show."""
    return {
        "id": f"price_{spell(row['price_id'])}", "object": "plan", "active": not row["retired"], "amount": row["cents"],
        "amount_decimal": str(row["cents"]), "billing_scheme": "per_unit", "created": seconds(row["created_at"]),
        "currency": "usd", "interval": "month", "interval_count": 1, "livemode": False, "metadata": {}, "meter": None,
        "nickname": None, "product": f"prod_{spell(row['product_id'])}", "tiers_mode": None, "transform_usage": None,
        "trial_period_days": None, "usage_type": "metered",
    }  # fmt: skip


def from_event(now_row: dict[str, Any]) -> dict[str, Any]:
    """A row that an event kept as JSON, as a query gives it."""
    from datetime import datetime

    times = {
        name: datetime.fromisoformat(now_row[name])
        for name in ("created_at", "updated_at")
        if name in now_row
    }
    return {**now_row, **times}


CUSTOMER = Kind(
    name="customer", path="/v1/customers", prefix="cus_", permission="rak_customer_read", render=customer,
    sources=(Source("(SELECT *, user_id AS key FROM public.users)", "bigint"),),
    filters={"email": Filter("email")},
    shown="NOT EXISTS (SELECT FROM services_stripe.deleted_customers d WHERE d.user_id = key)",
    # What the shop deleted outright is only known as deleted.
    detail="""SELECT w.n, w.key::bigint AS user_id, u.email, u.phone, u.first_name, u.last_name, u.country, u.segment,
            u.created_at, coalesce(d.at <= w.as_of, false) AS deleted
        FROM wanted w LEFT JOIN public.users u ON u.user_id = w.key::bigint
        LEFT JOIN services_stripe.deleted_customers d ON d.user_id = w.key::bigint
        WHERE u.user_id IS NOT NULL OR d.user_id IS NOT NULL""",
)  # fmt: skip
PRODUCT = Kind(
    name="product", path="/v1/products", prefix="prod_", permission="rak_product_read", render=product,
    sources=(Source("(SELECT *, product_id AS key, is_active AS active FROM public.products)", "bigint"),),
    filters={"active": Filter("active", type_=FLAG)},
    detail="""SELECT w.n, p.*, (SELECT max(price_id) FROM services_stripe.prices x
            WHERE x.product_id = p.product_id AND NOT x.recurring AND x.created_at <= w.as_of) AS price_id
        FROM wanted w JOIN public.products p ON p.product_id = w.key::bigint""",
)  # fmt: skip
PRICE = Kind(
    name="price", path="/v1/prices", prefix="price_", permission="rak_plan_read", render=price,
    sources=(Source("(SELECT *, price_id AS key, retired_at IS NULL AS active FROM services_stripe.prices)", "bigint"),),
    filters={"active": Filter("active", type_=FLAG), "product": Filter("product_id", "prod_", "bigint")},
    detail="""SELECT w.n, p.*, coalesce(p.retired_at <= w.as_of, false) AS retired
        FROM wanted w JOIN services_stripe.prices p ON p.price_id = w.key::bigint""",
)  # fmt: skip
