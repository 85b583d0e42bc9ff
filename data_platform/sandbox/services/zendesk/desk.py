"""The help desk's own memory: tickets, users, companies and events, kept in the schema ``services``.

A ticket comes of an order of the shop and outlives it. What is due is done when
somebody asks (``advance``): a step that came due since the last time is recorded at
its own time, one that is found later (an order committed late) at the present, so that
nothing appears in a past that an export has already told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.zendesk import records
from data_platform.sandbox.services.zendesk.lifecycle import (
    AGENTS,
    COMPANIES,
    DAY,
    USERS_FROM,
    Order,
    Step,
    steps,
)

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

TABLES = """
CREATE SCHEMA IF NOT EXISTS services;
CREATE TABLE IF NOT EXISTS services.zendesk_records (
    kind text, id bigint, generated bigint NOT NULL, body jsonb NOT NULL, PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS zendesk_records_generated ON services.zendesk_records (kind, generated, id);
CREATE TABLE IF NOT EXISTS services.zendesk_steps (
    ticket_id bigint, number int, due double precision NOT NULL, kind text NOT NULL, detail jsonb NOT NULL,
    PRIMARY KEY (ticket_id, number)
);
CREATE INDEX IF NOT EXISTS zendesk_steps_due ON services.zendesk_steps (due);
CREATE TABLE IF NOT EXISTS services.zendesk_clock (one boolean PRIMARY KEY DEFAULT true CHECK (one), advanced double precision NOT NULL, share double precision NOT NULL);
"""
SHARE, REFUND_SHARE = 0.07, 0.35
"""Orders that somebody asks about, and refunded or cancelled ones; fewer where the shop has more than ``FULL_ORDERS``."""
FULL_ORDERS = 100_000
LATE_SECONDS = 900
"""How long after its order_id was given an order may still be committed."""

_LUCK = "(hashint8extended(o.order_id, {stream}) & 1048575) / 1048576.0"
_ORDERS = """
SELECT o.order_id, o.user_id, extract(epoch FROM {at})::float8, u.segment = 'business', extract(epoch FROM u.created_at)::float8
FROM orders o JOIN users u USING (user_id) WHERE {luck} < {share} * %s AND {at} >= to_timestamp(%s) {more} ORDER BY o.order_id
"""
_QUESTIONS = _ORDERS.format(at="o.created_at", luck=_LUCK.format(stream=11), share=SHARE, more="")
_REFUNDS = _ORDERS.format(
    at="o.updated_at", luck=_LUCK.format(stream=12), share=REFUND_SHARE, more="AND o.status IN ('refunded', 'cancelled')"
)  # fmt: skip
_USERS = (
    "SELECT user_id, email, phone, first_name, last_name, country, segment, extract(epoch FROM created_at)::float8 "
    "FROM users WHERE user_id = ANY(%s)"
)
_USER_KEYS = ("user_id", "email", "phone", "first_name", "last_name", "country", "segment", "since")


def install(connection: Connection, now: float) -> None:
    """The tables, and the whole past if there is none yet. Inside a transaction of the caller."""
    connection.execute(TABLES)
    known = connection.execute("SELECT FROM services.zendesk_clock").fetchone()
    if known is None:
        Desk(connection).begin(now)


class Desk:
    """The desk inside one transaction of ``connection``."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.held: dict[tuple[str, int], records.Record | None] = {}
        self.written: dict[tuple[str, int], int] = {}

    def begin(self, now: float) -> None:
        row = self.connection.execute(
            "SELECT coalesce(extract(epoch FROM min(created_at)), %s)::float8 FROM users", (now,)
        ).fetchone()
        assert row is not None
        opened = float(row[0])
        self.connection.execute(
            "INSERT INTO services.zendesk_clock (advanced, share) SELECT %s, least(1, %s / greatest(count(*), 1)) FROM orders",
            (opened, float(FULL_ORDERS)),
        )
        for number in range(AGENTS):
            self._put("users", records.agent(number, opened), opened)
        for number in range(COMPANIES):
            self._put("organizations", records.company(number, opened + number * DAY), opened + number * DAY)
        for kind, titles in (("macros", records.MACROS), ("views", records.VIEWS)):
            for record in records.fixed(kind, titles, opened):
                self._put(kind, record, opened)
        self.advance(now, whole=True)

    def advance(self, now: float, *, whole: bool = False) -> int:
        """Take every step that is due by ``now``; how many were taken."""
        row = self.connection.execute(
            "SELECT advanced, share FROM services.zendesk_clock FOR UPDATE"
        ).fetchone()
        assert row is not None
        before, self.share = float(row[0]), float(row[1])
        if now <= before:
            return 0
        planned = self._plan(0.0 if whole else before - LATE_SECONDS, skip_known=not whole)
        if not whole:
            planned = self._hurry(planned, now)
        stored = [] if whole else self._stored(now)
        due = sorted(
            (s for s in [*planned, *stored] if s.due <= now), key=lambda s: (s.due, s.ticket_id, s.number)
        )
        self._load(due)
        for step in due:
            self._take(step, step.due if step.due > before else now)
        self._changed_users(before, now)
        self._save()
        self._keep([step for step in planned if step.due > now])
        self.connection.execute("UPDATE services.zendesk_clock SET advanced = %s", (now,))
        return len(due)

    def touch(self, count: int, now: float) -> int:
        """A system update of ``count`` tickets at once: all get one ``generated_timestamp``, none a new ``updated_at``."""
        return self.connection.execute(
            "UPDATE services.zendesk_records SET generated = %s, body = jsonb_set(body, '{generated_timestamp}', to_jsonb(%s::bigint)) "
            "WHERE kind = 'tickets' AND id IN (SELECT id FROM services.zendesk_records WHERE kind = 'tickets' ORDER BY id LIMIT %s)",
            (int(now), int(now), count),
        ).rowcount

    # ------------------------------------------------------------ steps

    def _plan(self, since: float, skip_known: bool) -> list[Step]:
        """The steps of tickets that orders since then lead to, of those that have no ticket yet."""
        orders = [
            Order(order, user, at, business, user_since, refund)
            for query, refund in ((_QUESTIONS, False), (_REFUNDS, True))
            for order, user, at, business, user_since in self._rows(query, self.share, since)
        ]
        if skip_known:
            known = self.connection.execute(
                "SELECT id FROM services.zendesk_records WHERE kind = 'tickets' AND id = ANY(%s) "
                "UNION SELECT ticket_id FROM services.zendesk_steps WHERE ticket_id = ANY(%s)",
                ([o.ticket_id for o in orders], [o.ticket_id for o in orders]),
            ).fetchall()
            orders = [o for o in orders if (o.ticket_id,) not in known]
        return [step for order in orders for step in steps(order)]

    def _hurry(self, planned: list[Step], now: float) -> list[Step]:
        """While the shop is busy the desk is too: half of the new tickets come at once, and for each of
        them two older ones go a step further today instead of later."""
        at_once = {
            step.ticket_id: step.due - now for step in planned if step.number == 0 and step.ticket_id % 4 < 2
        }
        self.connection.execute(
            "UPDATE services.zendesk_steps AS s SET due = s.due - (first.due - %s) FROM (SELECT ticket_id, min(due) AS due "
            "FROM services.zendesk_steps GROUP BY 1 ORDER BY hashint8extended(ticket_id, %s) LIMIT %s) AS first "
            "WHERE s.ticket_id = first.ticket_id AND first.due > %s",
            (now, int(now), 2 * len(at_once), now),
        )
        return [replace(step, due=step.due - at_once.get(step.ticket_id, 0.0)) for step in planned]

    def _stored(self, now: float) -> list[Step]:
        rows = self.connection.execute(
            "DELETE FROM services.zendesk_steps WHERE due <= %s RETURNING ticket_id, number, due, kind, detail",
            (now,),
        ).fetchall()
        return [Step(*row) for row in rows]

    def _keep(self, later: Iterable[Step]) -> None:
        with (
            self.connection.cursor() as cursor,
            cursor.copy(
                "COPY services.zendesk_steps (ticket_id, number, due, kind, detail) FROM STDIN"
            ) as copy,
        ):
            for step in later:
                copy.write_row((step.ticket_id, step.number, step.due, step.kind, json.dumps(step.detail)))

    def _load(self, due: Sequence[Step]) -> None:
        """Hold the records that the steps change, and the shop's users that come in with them."""
        tickets = list({step.ticket_id for step in due})
        rows = self.connection.execute(
            "SELECT kind, id, body FROM services.zendesk_records WHERE kind IN ('tickets', 'ticket_metrics') AND id = ANY(%s)",
            (tickets,),
        ).fetchall()
        self.held.update({(kind, id_): body for kind, id_, body in rows})
        users = {step.detail["user"] for step in due if "user" in step.detail}
        users |= {body["requester_id"] - USERS_FROM for kind, _, body in rows if kind == "tickets"}
        known = self.connection.execute(
            "SELECT id, body FROM services.zendesk_records WHERE kind = 'users' AND id = ANY(%s)",
            ([USERS_FROM + user for user in users],),
        ).fetchall()
        self.held.update({("users", id_): body for id_, body in known})
        missing = [user for user in users if ("users", USERS_FROM + user) not in self.held]
        self.shop_users = {
            row[0]: dict(zip(_USER_KEYS, row, strict=True))
            for row in self.connection.execute(_USERS.encode(), (missing,)).fetchall()
        }

    def _take(self, step: Step, at: float) -> None:
        ticket = self.held.get(("tickets", step.ticket_id))
        if step.kind == "create":
            if ticket is not None:
                return
            self._bring_user(step.detail["user"], at)
        elif step.kind.startswith("user_") and ticket is not None:
            self._user_goes(ticket["requester_id"], step.kind, at)
        change = records.take(step, ticket, self.held.get(("ticket_metrics", step.ticket_id)), at)
        if change.ticket is None or change.metric_set is None:
            return
        change.ticket["generated_timestamp"] = int(at)
        self._put("tickets", change.ticket, at)
        self._put("ticket_metrics", change.metric_set, at)
        for kind, record in (("ticket_events", change.event), ("satisfaction_ratings", change.rating)):
            if record is not None:
                self._put(kind, record, at)
        for record in change.metrics:
            self._put("ticket_metric_events", record, at)

    def _bring_user(self, user: int, at: float) -> None:
        row = self.shop_users.get(user)
        if row is not None and ("users", USERS_FROM + user) not in self.held:
            self._put("users", records.user(row, at), at)

    def _user_goes(self, id_: int, kind: str, at: float) -> None:
        user = self.held.get(("users", id_))
        if user is None or user["active"] is (kind == "user_erased"):
            return
        erased: records.Record = {"name": "Permanently Deleted User", "email": None, "phone": None, "external_id": None, "user_fields": {}}  # fmt: skip
        changed: records.Record = {"active": False} if kind == "user_left" else erased
        if changed.items() <= user.items():
            return
        self._put("users", {**user, **changed, "updated_at": records.moment(at)}, at)

    def _changed_users(self, before: float, now: float) -> None:
        """Who changed in the shop since then, of those that the desk knows."""
        rows = self.connection.execute(
            "SELECT user_id FROM users JOIN services.zendesk_records ON kind = 'users' AND id = %s + user_id "
            "WHERE updated_at >= to_timestamp(%s) AND (body ->> 'active')::boolean",
            (USERS_FROM, before - LATE_SECONDS),
        ).fetchall()
        for row in self.connection.execute(_USERS.encode(), ([user for (user,) in rows],)).fetchall():
            shop = records.user(dict(zip(_USER_KEYS, row, strict=True)), now)
            held = self.held.get(("users", shop["id"])) or self._read("users", shop["id"])
            same = ("name", "email", "phone", "organization_id", "user_fields")
            if held is not None and held["active"] and any(held[key] != shop[key] for key in same):
                self._put(
                    "users",
                    {**held, **{key: shop[key] for key in same}, "updated_at": records.moment(now)},
                    now,
                )

    # ------------------------------------------------------------ records

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def _read(self, kind: str, id_: int) -> records.Record | None:
        row = self.connection.execute(
            "SELECT body FROM services.zendesk_records WHERE kind = %s AND id = %s", (kind, id_)
        ).fetchone()
        return None if row is None else row[0]

    def _put(self, kind: str, record: Mapping[str, Any], at: float) -> None:
        key = (kind, int(record["id"]))
        self.held[key] = dict(record)
        self.written[key] = int(at)

    def _save(self) -> None:
        if not self.written:
            return
        self.connection.execute(
            "CREATE TEMPORARY TABLE incoming (kind text, id bigint, generated bigint, body jsonb) ON COMMIT DROP"
        )
        with (
            self.connection.cursor() as cursor,
            cursor.copy("COPY incoming (kind, id, generated, body) FROM STDIN") as copy,
        ):
            for (kind, id_), generated in self.written.items():
                copy.write_row((kind, id_, generated, json.dumps(self.held[kind, id_])))
        self.connection.execute(
            "INSERT INTO services.zendesk_records SELECT * FROM incoming ON CONFLICT (kind, id) "
            "DO UPDATE SET generated = excluded.generated, body = excluded.body; DROP TABLE incoming"
        )
        self.written.clear()
