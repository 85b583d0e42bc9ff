"""API versions: what an object looked like before the releases that moved its fields.

Objects are rendered in the newest shape. An account has a version too, and events show it, whatever version
the client names; here it is an old one, so that a client that trusts an event's object meets moved fields.
"""

from __future__ import annotations

import re
from typing import Any

from data_platform.sandbox.services.stripe.kinds import Object

NEWEST = "2026-10-28.endive"
ACCOUNT_VERSION = "2024-06-20"
BASIL = "2025-03-31"
"""Invoices, charges and subscriptions lost fields to their parts."""
DAHLIA = "2026-03-25"
"""Decimal quantities appeared."""
FORM = re.compile(r"20\d\d-\d\d-\d\d(\.[a-z]+)?")


def shaped(found: Object, version: str) -> Object:
    """``found`` as ``version`` shows it; objects inside it too."""
    day = version[:10]
    out = {name: _inside(value, version) for name, value in found.items() if not name.startswith("_")}
    if day < DAHLIA:
        out.pop("quantity_decimal", None)
    change = _BEFORE_BASIL.get(str(found.get("object"))) if day < BASIL else None
    if change is not None:
        change(out, found)
    return out


def _inside(value: Any, version: str) -> Any:
    if isinstance(value, dict) and "object" in value:
        return shaped(value, version)
    if isinstance(value, list):
        return [_inside(one, version) for one in value]
    return value


def _charge(out: Object, found: Object) -> None:
    invoiced = int(found["metadata"]["order_id"]) % 4 == 0
    out["invoice"] = found["payment_intent"].replace("pi_", "in_") if invoiced else None


def _invoice(out: Object, found: Object) -> None:
    parent = out.pop("parent")
    out["subscription"] = parent["subscription_details"]["subscription"] if parent else None
    out["charge"], out["payment_intent"] = found["_charge"], found["id"].replace("in_", "pi_")
    out["paid"], out["tax"] = found["status"] == "paid", None


def _line(out: Object, found: Object) -> None:
    out.pop("parent")
    details = out.pop("pricing")["price_details"]
    out["price"], out["plan"] = (
        {"id": details["price"], "object": "price", "product": details["product"]},
        None,
    )
    out["type"], out["proration"] = "invoiceitem", False


def _subscription(out: Object, found: Object) -> None:
    items = found["items"]["data"]
    start = items[0]["current_period_start"] if items else found["created"]
    end = items[0]["current_period_end"] if items else found["created"]
    out["current_period_start"], out["current_period_end"] = start, end


def _item(out: Object, found: Object) -> None:
    del out["current_period_start"], out["current_period_end"]


_BEFORE_BASIL = {
    "charge": _charge, "invoice": _invoice, "line_item": _line, "subscription": _subscription, "subscription_item": _item,
}  # fmt: skip
