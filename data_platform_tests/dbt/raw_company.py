"""What syncs of the systems beside the shop would have left of ``raw_shop.shop()``: Stripe, Zendesk, reports, costs.

Pure data and the statements that write it. Stripe's amounts are minor units and its order numbers texts in metadata;
columns that no record had are not there.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from data_platform_tests.dbt import raw_shop
from data_platform_tests.dbt.raw_shop import LOADED_AT, RawShop, Row

DDL = {
    "stripe.customers": "id VARCHAR, email VARCHAR, metadata JSON, created TIMESTAMPTZ",
    "stripe.charges": """id VARCHAR, customer VARCHAR, status VARCHAR, captured BOOLEAN, currency VARCHAR, amount BIGINT,
        amount_captured BIGINT, metadata JSON, created TIMESTAMPTZ""",  # no charge failed with a code
    "stripe.refunds": """id VARCHAR, charge VARCHAR, status VARCHAR, currency VARCHAR, amount BIGINT, metadata JSON,
        created TIMESTAMPTZ""",
    "stripe.disputes": """id VARCHAR, charge VARCHAR, status VARCHAR, reason VARCHAR, currency VARCHAR, amount BIGINT,
        created TIMESTAMPTZ""",
    "stripe.balance_transactions": """id VARCHAR, type VARCHAR, source VARCHAR, currency VARCHAR, amount BIGINT, fee BIGINT,
        net BIGINT, created TIMESTAMPTZ""",
    "zendesk.users": "id BIGINT, external_id VARCHAR, email VARCHAR, role VARCHAR, active BOOLEAN, created_at TIMESTAMPTZ",
    "zendesk.tickets": """id BIGINT, requester_id BIGINT, status VARCHAR, via JSON, satisfaction_rating JSON,
        external_id VARCHAR, created_at TIMESTAMPTZ""",
    "zendesk.metric_sets": "ticket_id BIGINT, replies BIGINT, reopens BIGINT, reply_time_in_minutes JSON",
    "web.traffic": """date DATE, "sessionDefaultChannelGroup" VARCHAR, "sessionSource" VARCHAR, "sessionMedium" VARCHAR,
        "sessionCampaignName" VARCHAR, sessions BIGINT, "engagedSessions" BIGINT, "totalRevenue" DECIMAL(38, 18), _partial BOOLEAN""",
    "web.conversions": """date DATE, "eventName" VARCHAR, "sessionDefaultChannelGroup" VARCHAR, "sessionSource" VARCHAR,
        "sessionMedium" VARCHAR, "keyEvents" DOUBLE, _partial BOOLEAN""",
    "files.marketing_spend": """_file VARCHAR, _row BIGINT, "Datum" DATE, "Kanal" VARCHAR, "Kampagne" VARCHAR, "Währung" VARCHAR,
        "Impressionen" BIGINT, "Klicks" BIGINT, "Kosten" DECIMAL(12, 2)""",
}
"""By source and table."""
DIRECT, PAID = ("Direct", "(direct)", "(none)", "(direct)"), ("Paid Search", "google", "cpc", "brand")
OTHER_CURRENCIES = (("jpy", 500), ("kwd", 5120))
"""With amounts in their smallest unit: 500 yen, which has none, and 5.120 dinars, which have thousandths."""
DAYS = [raw_shop.START.date() + timedelta(days=n) for n in range(5)]


@dataclass
class RawCompany:
    """The rows of each table of ``DDL``; ``write`` stores them as a sync would have."""

    tables: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        with duckdb.connect(str(path)) as connection:
            for name, columns in DDL.items():
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS raw_{name.split('.')[0]}")
                connection.execute(f"CREATE OR REPLACE TABLE raw_{name} ({columns}, _loaded_at TIMESTAMPTZ)")
                raw_shop.insert(
                    connection, f"raw_{name}", [[*row.values(), LOADED_AT] for row in self.tables[name]]
                )

    def __getitem__(self, name: str) -> list[Row]:
        return self.tables[name]


def minor(amount: Decimal) -> int:
    return int(amount * 100)


def metadata(payment: Row) -> str:
    return json.dumps({"order_id": str(payment["order_id"]), "payment_id": str(payment["payment_id"])})


def company(shop: RawShop) -> RawCompany:
    made = RawCompany({name: [] for name in DDL})
    _stripe(made, shop)
    _zendesk(made, shop)
    _web(made)
    return made


def _stripe(made: RawCompany, shop: RawShop) -> None:
    """The card payments of the shop. Beside them: a deleted order that Stripe gave back in two parts, charges in other
    currencies that failed, a dispute that was lost and one that was won."""
    for user in list(shop.users.values())[:-3]:  # three are deleted at Stripe
        reference = json.dumps({"user_id": str(user["user_id"])})
        made["stripe.customers"].append(
            {
                "id": f"cus_{user['user_id']}",
                "email": user["email"],
                "metadata": reference,
                "created": user["created_at"],
            }
        )
    charge_of: dict[int, str] = {}
    for payment in shop.payments.values():
        amount, id_ = payment["amount"], payment["payment_id"].hex
        told = {"currency": "usd", "amount": abs(minor(amount))}
        at = {"metadata": metadata(payment), "created": payment["created_at"].replace(microsecond=0)}
        if amount >= 0:
            succeeded = payment["status"] == "succeeded"
            made["stripe.charges"].append(
                {
                    "id": f"ch_{id_}", "customer": f"cus_{payment['user_id']}", "status": payment["status"],
                    "captured": succeeded, **told, "amount_captured": told["amount"] if succeeded else 0, **at,
                }
            )  # fmt: skip
            if succeeded:
                charge_of[payment["order_id"]] = f"ch_{id_}"
                fee = {"amount": told["amount"], "fee": 30, "net": told["amount"] - 30}
                made["stripe.balance_transactions"].append(
                    {"id": f"txn_{id_}", "type": "charge", "source": f"ch_{id_}", "currency": "usd", **fee, "created": at["created"]}
                )  # fmt: skip
        elif payment["status"] == "refunded":
            _refund(made, charge_of[payment["order_id"]], told, at, id_)
        else:
            _refund(made, charge_of.get(payment["order_id"]), told, at, id_, status="failed")
    at = raw_shop.START + timedelta(days=3)
    gone = {"metadata": json.dumps({"order_id": "999999"}), "created": at}
    told = {"currency": "usd", "amount": 1234}
    made["stripe.charges"].append(
        {"id": "ch_gone", "customer": "cus_1", "status": "succeeded", "captured": True, **told, "amount_captured": 1234, **gone}
    )  # fmt: skip
    _refund(made, "ch_gone", {**told, "amount": 1000}, gone, "gone_1")
    _refund(made, "ch_gone", {**told, "amount": 234}, gone, "gone_2")
    for currency, amount in OTHER_CURRENCIES:
        made["stripe.charges"].append(
            {
                "id": f"ch_{currency}", "customer": "cus_1", "status": "failed", "captured": False, "currency": currency,
                "amount": amount, "amount_captured": 0, "metadata": "{}", "created": at,
            }
        )  # fmt: skip
    disputed = list(charge_of.values())[:2]
    for number, (charge, status) in enumerate(zip(disputed, ("lost", "won"), strict=True)):
        made["stripe.disputes"].append(
            {"id": f"du_{number}", "charge": charge, "status": status, "reason": "general", "currency": "usd", "amount": 500, "created": at}
        )  # fmt: skip


def _refund(
    made: RawCompany, charge: str | None, told: Row, at: Row, id_: str, status: str = "succeeded"
) -> None:
    made["stripe.refunds"].append({"id": f"re_{id_}", "charge": charge, "status": status, **told, **at})


def _zendesk(made: RawCompany, shop: RawShop) -> None:
    """Users known by number, by e-mail address alone, and not at all; a deleted ticket, and one of a deleted order."""
    users = [
        (101, "1", None),
        (102, None, shop.users[2]["email"]),
        (103, None, f"{12345:064x}"),
        (104, "777777", None),
    ]
    for id_, external, email in users:
        made["zendesk.users"].append(
            {"id": id_, "external_id": external, "email": email, "role": "end-user", "active": True, "created_at": raw_shop.START}
        )  # fmt: skip
    late = datetime(2025, 1, 1, 23, 59, 59, tzinfo=UTC)
    tickets = [
        (1, 101, "closed", "good", "order-1", late),
        (2, 101, "deleted", "unoffered", None, late),
        (3, 102, "open", "offered", "order-999999", late + timedelta(seconds=1)),
        (4, 103, "new", "unoffered", "order-x", late),
        (5, 104, "solved", "bad", "order-2", late),
    ]
    for id_, user, status, score, order, at in tickets:
        made["zendesk.tickets"].append(
            {
                "id": id_, "requester_id": user, "status": status, "via": '{"channel": "email"}',
                "satisfaction_rating": json.dumps({"score": score}), "external_id": order, "created_at": at,
            }
        )  # fmt: skip
    answered = '{"calendar": 15, "business": 5}'
    made["zendesk.metric_sets"].append(
        {"ticket_id": 1, "replies": 2, "reopens": 1, "reply_time_in_minutes": answered}
    )


def _web(made: RawCompany) -> None:
    for number, day in enumerate(DAYS):
        partial = day == DAYS[-1]
        for words, sessions in ((DIRECT, 10 + number), (PAID, 3)):
            made["web.traffic"].append(
                {
                    "date": day, "channel": words[0], "source": words[1], "medium": words[2], "campaign": words[3],
                    "sessions": sessions, "engaged": sessions - 1, "revenue": Decimal("19.999999"), "partial": partial,
                }
            )  # fmt: skip
        for event, count in (("purchase", 2.0), ("sign_up", 1.0)):
            made["web.conversions"].append(
                {"date": day, "event": event, "channel": DIRECT[0], "source": DIRECT[1], "medium": DIRECT[2], "count": count, "partial": partial}
            )  # fmt: skip
    costs = [(DAYS[0], "brand", "1.05"), (DAYS[0], "kitchen", "2.10"), (DAYS[2], "brand", "7.77")]
    for number, (day, campaign, cost) in enumerate(costs):
        made["files.marketing_spend"].append(
            {
                "file": f"marketing/spend_{day}.csv", "row": number, "day": day, "channel": "Paid Search", "campaign": campaign,
                "currency": "USD", "seen": 100, "clicks": 7, "cost": Decimal(cost),
            }
        )  # fmt: skip


def planted(made: RawCompany, shop: RawShop) -> dict[str, Any]:
    """Changes Stripe's rows of three orders; what is to be found, by the order's number."""
    paid = [p for p in shop.payments.values() if p["status"] == "succeeded" and p["amount"] > 1]
    alone = [
        p
        for p in paid
        if not any(q["amount"] < 0 for q in shop.payments.values() if q["order_id"] == p["order_id"])
    ]
    lacking, wrong, double = alone[3], alone[5], alone[8]
    charges = {row["id"]: row for row in made["stripe.charges"]}
    made["stripe.charges"].remove(charges[f"ch_{lacking['payment_id'].hex}"])
    charges[f"ch_{wrong['payment_id'].hex}"]["amount_captured"] += 1
    again = {**charges[f"ch_{double['payment_id'].hex}"], "id": f"ch_{uuid.UUID(int=5).hex}"}
    made["stripe.charges"].append(again)
    return {
        str(lacking["order_id"]): ("missing_in_stripe", -lacking["amount"]),
        str(wrong["order_id"]): ("amount_differs", Decimal("0.01")),
        str(double["order_id"]): ("charged_more_often", double["amount"]),
    }


def property_day(at: datetime) -> date:
    """The day in New York, five hours behind UTC in the months of the data."""
    return (at.astimezone(UTC) - timedelta(hours=5)).date()
