"""Events: which object changed and when, kept for thirty days, in the full form and in the thin one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.stripe.balance import PAYOUT
from data_platform.sandbox.services.stripe.billing import CREDIT_NOTE, INVOICE, SUBSCRIPTION
from data_platform.sandbox.services.stripe.catalog import CUSTOMER, PRICE, PRODUCT, from_event
from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Row, Source, seconds, spell
from data_platform.sandbox.services.stripe.payments import CHARGE, DISPUTE, INTENT, REFUND
from data_platform.sandbox.services.stripe.store import Wanted, details
from data_platform.sandbox.services.stripe.versions import ACCOUNT_VERSION, shaped

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connection

KINDS = {
    kind.name: kind
    for kind in (
        CHARGE, INTENT, REFUND, DISPUTE, PAYOUT, CUSTOMER, PRODUCT, PRICE, INVOICE, CREDIT_NOTE, SUBSCRIPTION,
    )
}  # fmt: skip
"""The kinds that events tell of."""
DELIVERED = """NOT EXISTS (SELECT FROM services_stripe.deliveries d
    WHERE d.seq = key AND d.delivered_at IS NULL) = {}"""


def unrendered(row: Row) -> Object:
    """Events need the rows of their objects too: see ``render``."""
    return dict(row)


EVENT = Kind(
    name="event", path="/v1/events", prefix="evt_", permission="rak_event_read", render=unrendered,
    sources=(Source(
        "(SELECT seq AS key, created_at, type, kind || ' ' || key AS about FROM services_stripe.events WHERE created_at > now() - interval '30 days')", "bigint"),),
    filters={
        "type": Filter("type LIKE replace({}, '*', '%')"), "types": Filter("type = ANY ({})", type_="text[]"),
        "delivery_success": Filter(DELIVERED, type_="boolean"), "object_id": Filter("about"),
    },
    detail="""SELECT w.n, e.*, (SELECT count(*) FROM services_stripe.deliveries d
            WHERE d.seq = e.seq AND d.delivered_at IS NULL) AS pending
        FROM wanted w JOIN services_stripe.events e ON e.seq = w.key::bigint AND e.created_at > now() - interval '30 days'""",
)  # fmt: skip


def find(id_: str) -> tuple[Kind, str] | None:
    """The kind and the key that an id names."""
    for kind in KINDS.values():
        known = kind.key(id_)
        if known is not None:
            return kind, known[1]
    return None


def rows_of(connection: Connection, seqs: Sequence[int]) -> list[Row]:
    """Rows of events that are still to be had, in the order asked for."""
    now = datetime.now(UTC)
    found = details(connection, EVENT, [Wanted("", str(seq), now) for seq in seqs])
    return [row for row in found if row is not None]


def render(connection: Connection, rows: Sequence[Row], version: str | None = None) -> list[Object]:
    """Whole events. An object is shown as it was, and in the account's version whatever the client asked for."""
    shown: dict[int, Object] = {}
    for name, kind in KINDS.items():
        of_kind = [row for row in rows if row["kind"] == name]
        now = details(connection, kind, [Wanted("", row["key"], row["created_at"]) for row in of_kind])
        for row, current in zip(of_kind, now, strict=True):
            shown[row["seq"]] = _data(kind, row, current, version or ACCOUNT_VERSION)
    return [_event(row, shown[row["seq"]], version or ACCOUNT_VERSION) for row in rows]


def _data(kind: Kind, row: Row, current: Mapping[str, Any] | None, version: str) -> Object:
    def shape(kept: Mapping[str, Any] | None) -> Object | None:
        parts = {**(current or {}), **(from_event(dict(kept)) if kept else {})}
        if not parts:
            return None
        return shaped(kind.render({"price_id": None, **parts, "deleted": False}), version)

    here = shape(row["now_row"])
    if here is None:
        return {"object": {"id": kind.id_of(row["key"]), "object": kind.name, "deleted": True}}
    if not row["old_row"]:
        return {"object": here}
    before = shape(row["old_row"]) or {}
    return {
        "object": here,
        "previous_attributes": {name: value for name, value in before.items() if here[name] != value},
    }


def _event(row: Row, data: Object, version: str) -> Object:
    return {
        "id": f"evt_{spell(row['seq'])}", "object": "event", "api_version": version, "created": seconds(row["created_at"]),
        "data": data, "livemode": False, "pending_webhooks": row["pending"],
        "request": {"id": None, "idempotency_key": None}, "type": row["type"],
    }  # fmt: skip


def thin(row: Row) -> Object:
    """The same event without its object: what changed is to be fetched."""
    kind = KINDS[row["kind"]]
    id_ = kind.id_of(row["key"])
    return {
        "id": f"evt_t{spell(row['seq'])}", "object": "v2.core.event", "changes": None, "context": None,
        "created": row["created_at"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "livemode": False, "reason": None,
        "related_object": {"id": id_, "type": kind.name, "url": f"{kind.path}/{id_}"},
        "snapshot_event": f"evt_{spell(row['seq'])}", "type": f"v1.{row['type']}",
    }  # fmt: skip
