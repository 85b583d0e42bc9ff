"""The marts that join the shop with other systems, against a computation in Python over the same rows.

``test_figures.py`` runs these on the warehouse that it builds once.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from data_platform_tests.dbt import raw_company, raw_shop
from data_platform_tests.dbt.expected import CENT, ZERO, cents
from data_platform_tests.dbt.raw_shop import Row, utc_day
from data_platform_tests.dbt.runner import Dbt


class CompanyFigures:
    shop = raw_shop.shop()
    company = raw_company.company(shop)

    def test_stripe_payments(self, dbt: Dbt) -> None:
        refunds: Counter[str] = Counter()
        refunded: Counter[str] = Counter()
        for refund in self.company["stripe.refunds"]:
            if refund["status"] == "succeeded":
                refunds[refund["charge"]] += 1
                refunded[refund["charge"]] += refund["amount"]
        disputed = {row["charge"]: 500 for row in self.company["stripe.disputes"] if row["status"] == "lost"}
        payments = {f"ch_{key.hex}": payment for key, payment in self.shop.payments.items()}
        expected = []
        for charge in sorted(self.company["stripe.charges"], key=lambda row: row["id"]):
            id_, payment = charge["id"], payments.get(charge["id"], {})
            net = charge["amount_captured"] - refunded[id_] - disputed.get(id_, 0)
            expected.append(
                {
                    "charge_id": id_,
                    "order_id": payment.get("order_id"),
                    "payment_id": payment.get("payment_id"),
                    "user_id": payment.get("user_id", 1),
                    "captured_amount": charge["amount_captured"] * CENT,
                    "refund_count": refunds[id_],
                    "refunded_amount": refunded[id_] * CENT,
                    "net_amount": net * CENT,
                    "fee_amount": 30 * CENT if charge["captured"] and payment else ZERO,
                    "created_date": utc_day(charge["created"]),
                }
            )
        names = ", ".join(expected[0])
        assert dbt.rows(f"select {names} from marts.stripe_payments order by charge_id") == expected
        assert max(row["refund_count"] for row in expected) == 2

    def test_each_currency_has_its_own_smallest_unit(self, dbt: Dbt) -> None:
        rows = dbt.rows(
            "select currency, amount from marts.stripe_payments where currency <> 'USD' order by 1"
        )
        assert rows == [
            {"currency": "JPY", "amount": Decimal("500.00")},
            {"currency": "KWD", "amount": Decimal("5.12")},
        ]

    def test_stripe_agrees_with_the_shops_books_where_nothing_is_wrong(self, dbt: Dbt) -> None:
        found = dbt.rows(
            "select status, count(*) as n from marts.stripe_reconciliation group by all order by 1"
        )
        paid = {p["order_id"] for p in self.shop.payments.values() if p["status"] != "failed"}
        assert found == [{"status": "agrees", "n": len(paid)}, {"status": "given_back", "n": 1}]
        books = dbt.rows(
            "select count(*) as n from marts.stripe_reconciliation as r join marts.order_totals as o using (order_id)"
            " where r.revenue <> o.gross_revenue or r.net_revenue <> o.net_revenue or r.paid_amount <> o.paid_amount"
        )
        assert books == [{"n": 0}]

    def test_money_and_tickets_of_users(self, dbt: Dbt) -> None:
        """As the shop's own payments, and beside them the deleted order's, whose charge names a customer alone."""
        rows = dbt.rows("from marts.user_metrics_fact")
        of_gone_order = (1, raw_shop.START.date() + timedelta(days=3))
        assert of_gone_order in {(row["user_id"], row["activity_date"]) for row in rows}
        for row in rows:
            own = {
                "stripe_payment_count": row["payment_count"],
                "stripe_paid_amount": row["paid_amount"],
                "stripe_refund_count": row["return_count"],
                "stripe_refunded_amount": row["returned_amount"],
            }
            if (row["user_id"], row["activity_date"]) == of_gone_order:
                more = {"stripe_payment_count": 1, "stripe_refund_count": 2}
                own = {name: value + more.get(name, Decimal("12.34")) for name, value in own.items()}
            assert {name: row[name] for name in own} == own
        tickets = {
            (row["user_id"], row["activity_date"]): row["ticket_count"] for row in rows if row["ticket_count"]
        }
        assert tickets == {(1, date(2025, 1, 1)): 2, (2, date(2025, 1, 2)): 1}

    def test_support_tickets_fact(self, dbt: Dbt) -> None:
        columns = "ticket_id, user_id, order_id, is_open, is_deleted, satisfaction, reply_count, first_reply_minutes"
        rows = dbt.rows(f"select {columns} from marts.support_tickets_fact order by 1")
        assert [tuple(row.values()) for row in rows] == [
            (1, 1, 1, False, False, "good", 2, 15),
            (2, 1, None, False, True, None, 0, None),
            (3, 2, None, True, False, None, 0, None),
            (4, None, None, True, False, None, 0, None),
            (5, None, 2, False, False, "bad", 0, None),
        ]

    def test_web_traffic_daily(self, dbt: Dbt) -> None:
        expected = [
            (row["date"], row["campaign"], row["sessions"], cents(row["revenue"]), row["partial"])
            for row in self.company["web.traffic"]
        ]
        rows = dbt.rows(
            "select date, campaign, session_count, revenue, is_partial from marts.web_traffic_daily"
        )
        assert sorted(tuple(row.values()) for row in rows) == sorted(expected)

    def test_marketing_funnel_daily(self, dbt: Dbt) -> None:
        rows = dbt.rows("from marts.marketing_funnel_daily order by date")
        firsts: dict[int, Row] = {}
        sold = [order for order in self.shop.orders.values() if order["status"] != "cancelled"]
        for order in sorted(sold, key=lambda order: (order["created_at"], order["order_id"])):
            firsts.setdefault(order["user_id"], order)
        for number, (row, day) in enumerate(zip(rows, raw_company.DAYS, strict=True)):
            orders = [order for order in sold if raw_company.property_day(order["created_at"]) == day]
            cost = sum((r["cost"] for r in self.company["files.marketing_spend"] if r["day"] == day), ZERO)
            assert row["date"] == day
            assert row["session_count"] == 13 + number and row["paid_session_count"] == 3
            assert (row["purchase_count"], row["sign_up_count"]) == (2, 1)
            assert row["cost_amount"] == cost
            assert row["order_count"] == len(orders)
            assert row["order_revenue"] == sum((order["revenue"] for order in orders), ZERO)
            assert row["first_order_count"] == sum(order in firsts.values() for order in orders)
            assert row["cost_per_order"] == (cents(cost / len(orders)) if orders else None)
            assert row["is_partial"] == (day == raw_company.DAYS[-1])

    def test_planted_differences_are_found(self, dbt: Dbt) -> None:
        """A payment that Stripe lacks, an amount a cent too high, a charge made twice: how many, and how much."""
        company = raw_company.company(self.shop)
        expected = raw_company.planted(company, self.shop)
        company.write(dbt.path)
        said = len(dbt.warnings)
        dbt("build", "--select", "stripe_reconciliation", "--exclude", "test_type:unit")
        found = dbt.rows("from marts.stripe_reconciliation where is_difference")
        assert {
            row["reconciliation_id"]: (row["status"], row["difference_amount"]) for row in found
        } == expected
        cents_off = sum(abs(amount) for _, amount in expected.values()) * 100
        warned = " ".join(dbt.warnings[said:])
        assert "stripe_agrees_by_order" in warned and "Got 3 results" in warned
        assert "stripe_agrees_by_amount" in warned and f"Got {int(cents_off)} results" in warned
        del dbt.warnings[said:]
        self.company.write(dbt.path)
