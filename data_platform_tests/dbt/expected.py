"""What the marts should hold, computed from the rows in Python, without SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from data_platform_tests.dbt.raw_shop import RawShop, Row, utc_day

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


def is_refund(payment: Row) -> bool:
    return payment["status"] != "failed" and payment["amount"] < 0


def is_paid(payment: Row) -> bool:
    return payment["status"] != "failed" and payment["amount"] >= 0


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def counted_refunds(shop: RawShop) -> list[Row]:
    """Refunds of orders that are there and not cancelled."""
    orders = shop.orders
    return [
        p
        for p in shop.payments.values()
        if is_refund(p) and p["order_id"] in orders and orders[p["order_id"]]["status"] != "cancelled"
    ]


def expected_revenue(shop: RawShop) -> dict[date, Row]:
    days: dict[date, Row] = defaultdict(lambda: {"orders": [], "cancelled": 0, "refunds": []})
    for order in shop.orders.values():
        day = days[utc_day(order["created_at"])]
        if order["status"] == "cancelled":
            day["cancelled"] += 1
        else:
            day["orders"].append(order)
    for payment in counted_refunds(shop):
        days[utc_day(payment["created_at"])]["refunds"].append(-payment["amount"])
    figures = {}
    for date_, found in days.items():
        gross = sum((order["revenue"] for order in found["orders"]), Decimal(0))
        refunded = sum(found["refunds"], Decimal(0))
        figures[date_] = {
            "order_count": len(found["orders"]),
            "cancelled_order_count": found["cancelled"],
            "customer_count": len({order["user_id"] for order in found["orders"]}),
            "gross_revenue": gross,
            "total_revenue": gross,
            "refund_count": len(found["refunds"]),
            "refunded_amount": refunded,
            "net_revenue": gross - refunded,
        }
    return figures


def refunded_by_order(shop: RawShop) -> Counter[int]:
    refunds: Counter[int] = Counter()
    for payment in counted_refunds(shop):
        refunds[payment["order_id"]] += -payment["amount"]
    return refunds


def expected_lines(shop: RawShop) -> list[Row]:
    """The rows of ``order_facts`` by order and line, save what they merely carry along."""
    items: dict[int, list[Row]] = defaultdict(list)
    for item in sorted(shop.order_items.values(), key=lambda item: item["order_item_id"]):
        items[item["order_id"]].append(item)
    refunds, rows = refunded_by_order(shop), []
    for order in sorted(shop.orders.values(), key=lambda order: order["order_id"]):
        lines = items[order["order_id"]] or [{"quantity": 0, "unit_price": ZERO, "order_item_id": None}]
        cancelled, discount = order["status"] == "cancelled", order["discount"] or ZERO
        amounts = [cents((line["quantity"] or 0) * line["unit_price"]) for line in lines]
        positive = [max(amount, ZERO) for amount in amounts]
        weights = positive if sum(positive) else [CENT] * len(lines)
        adjustment = ZERO if cancelled else order["revenue"] - (sum(amounts, ZERO) - discount)
        discounts, adjustments = shares(discount, weights), shares(adjustment, weights)
        revenues = [
            ZERO if cancelled else amount - off + more
            for amount, off, more in zip(amounts, discounts, adjustments, strict=True)
        ]
        earned = [max(revenue, ZERO) for revenue in revenues]
        refunded = shares(refunds[order["order_id"]] * CENT / CENT, earned if sum(earned) else weights)
        for number, line in enumerate(lines):
            product = line.get("product_id")
            rows.append(
                {
                    "order_id": order["order_id"],
                    "line_number": number + (line["order_item_id"] is not None),
                    "order_item_id": line["order_item_id"],
                    "user_id": order["user_id"],
                    "product_id": product,
                    "order_date": order["order_date"],
                    "created_at": order["created_at"],
                    "quantity": line["quantity"],
                    "line_amount": amounts[number],
                    "discount_amount": discounts[number],
                    "adjustment_amount": adjustments[number],
                    "revenue": revenues[number],
                    "refunded_amount": refunded[number],
                    "net_revenue": revenues[number] - refunded[number],
                    "cost_amount": line["quantity"] * shop.products[product]["cost"] if product else ZERO,
                }
            )
    return rows


def shares(amount: Decimal, weights: list[Decimal]) -> list[Decimal]:
    """Of what falls on the lines so far, cut to cents, what the lines before do not have."""
    parts, so_far, weight = [], ZERO, Decimal(0)
    for each in weights:
        weight += each
        upto = int(Fraction(amount / CENT) * Fraction(weight) / Fraction(sum(weights))) * CENT
        parts.append(upto - so_far)
        so_far = upto
    return parts
