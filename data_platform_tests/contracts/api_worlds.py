"""The table ``items`` at the APIs of other companies, as far as the contract asks: a server of their answers, three a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.contracts.worlds import World
from data_platform_tests.sources.http.server import Asked, Reply, Server, serving

PAGE = 3


def text_of(values: Mapping[str, Any]) -> str:
    """The JSON of a record; ``profile`` is JSON already."""
    fields = {name: value if name == "profile" else json.dumps(value) for name, value in values.items()}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


@dataclass
class RestApi:
    """An API that gives three records a page, those from ``since`` on, and says nothing of what is gone."""

    kind: str = "rest"
    environ: Mapping[str, str] = field(default_factory=lambda: {"SHOP_TOKEN": "s3cr3t"})
    found_by_reading: bool = True
    moves_by_reading: bool = True
    rereads: bool = False
    documents: bool = True
    records: dict[int, tuple[int, str]] = field(default_factory=dict)
    url: str = ""
    changes: int = 0
    overlap: int = 0
    """How many records of a page come once more with the next one."""

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"base_url": self.url, "auth": {"type": "bearer", "token_env": "SHOP_TOKEN"}}

    @property
    def block(self) -> Mapping[str, Any]:
        incremental = {"cursor_path": "change", "start_param": "since"}
        return {"endpoint": {"paginator": "cursor", "incremental": incremental}}

    def answer(self, asked: Asked) -> Reply:
        """In the order of ids, so that what changed last is anywhere."""
        if asked.path != "/items" or asked.headers.get("Authorization") != "Bearer s3cr3t":
            return Reply(status=404 if asked.path != "/items" else 401)
        since, at = int(asked.query.get("since", 0)), int(asked.query.get("cursor", 0))
        found = [text for _, (change, text) in sorted(self.records.items()) if change >= since]
        after = str(at + PAGE) if at + PAGE < len(found) else None
        page = ", ".join(found[max(at - self.overlap, 0) : at + PAGE])
        return Reply(f'{{"items": [{page}], "cursors": {{"next": {json.dumps(after)}}}}}'.encode())

    def make(self) -> None:
        """Its server is started by ``serving``."""

    def put(self, id_: int, note: Any, **personal: str) -> None:
        self.changes += 1
        self.records[id_] = (
            self.changes,
            text_of({"id": id_, "status": note, "change": self.changes, **personal}),
        )

    def delete(self, id_: int) -> None:
        del self.records[id_]

    def add_column(self, name: str) -> None:
        """It is there with the first record that has it."""

    def drop_column(self, name: str) -> None:
        raise AssertionError("a field that no record has any more is no change")

    def make_anew(self) -> None:
        pytest.skip("an API does not say that its endpoint gives another table's records")


@dataclass
class HelpDesk(RestApi):
    """Zendesk's export of tickets; a ticket that is deleted comes once more and says so."""

    kind: str = "zendesk"
    environ: dict[str, str] = field(default_factory=lambda: {"SHOP_TOKEN": "s3cr3t"})

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"url_env": "SHOP_URL", "oauth_token_env": "SHOP_TOKEN", "exports_per_minute": 1_000}

    @property
    def block(self) -> Mapping[str, Any]:
        return {"object": "tickets", "deleted": "remove"}

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.endswith("/incremental/tickets/cursor.json"):
            return Reply(status=404)
        after = int(asked.query.get("cursor", 0))
        listed = sorted(self.records.values())
        found = [(change, text) for change, text in listed if change > after]
        again = [one for one in listed if one[0] <= after][-self.overlap :] if self.overlap else []
        page = ", ".join(text for _, text in (*again, *found[:PAGE]))
        last = json.dumps(str(found[:PAGE][-1][0]) if found else asked.query.get("cursor"))
        end = json.dumps(len(found) <= PAGE)
        return Reply(f'{{"tickets": [{page}], "after_cursor": {last}, "end_of_stream": {end}}}'.encode())

    def delete(self, id_: int) -> None:
        self.put(id_, "deleted")


@dataclass
class Payments(RestApi):
    """Customers of a Stripe account, newest first, and the events that tell of them. Its clock moves with what happens:
    a second for an object, another for its event."""

    kind: str = "stripe"
    environ: dict[str, str] = field(default_factory=lambda: {"SHOP_KEY": "rk_test_s3cr3t"})
    now: int = 1_800_000_000
    events: list[dict[str, Any]] = field(default_factory=list)
    made: dict[int, int] = field(default_factory=dict)

    @property
    def connection(self) -> Mapping[str, Any]:
        return {
            "api_key_env": "SHOP_KEY",
            "api_base_env": "SHOP_URL",
            "requests_per_second": 1_000,
            "look_back_seconds": 0,
        }

    @property
    def block(self) -> Mapping[str, Any]:
        return {"object": "customers"}

    def _happens(self, id_: int, what: str) -> None:
        named = {"id": f"cus_{id_}", "object": "customer", "email": "an event shows it as it was"}
        self.events.append(
            {
                "id": f"evt_{len(self.events)}",
                "object": "event",
                "type": f"customer.{what}",
                "created": self.now,
                "data": {"object": named},
            }
        )
        self.now += 10

    def put(self, id_: int, note: Any, **personal: str) -> None:
        created = self.made.setdefault(id_, self.now)
        head = {"id": f"cus_{id_}", "object": "customer", "created": created}
        self.records[id_] = (created, text_of({**head, "status": note, **personal}))
        self._happens(id_, "updated" if created < self.now else "created")

    def delete(self, id_: int) -> None:
        del self.records[id_], self.made[id_]
        self._happens(id_, "deleted")

    def answer(self, asked: Asked) -> Reply:
        date = {"Date": format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True)}
        if asked.headers.get("Authorization") != "Bearer rk_test_s3cr3t":
            return Reply({"error": {"type": "invalid_request_error"}}, 401, date)
        return Reply(self._found(asked.path, asked.query), 404 if self._gone(asked.path) else 200, date)

    def _gone(self, path: str) -> bool:
        return path.startswith("/v1/customers/") and int(path.rpartition("_")[2]) not in self.made

    def _found(self, path: str, query: Mapping[str, str]) -> Any:
        if path == "/v1/account":
            return {"id": "acct_1"}
        if self._gone(path):
            return {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "id"}}
        if path.startswith("/v1/customers/"):
            return self.records[int(path.rpartition("_")[2])][1].encode()
        if path == "/v1/events":
            listed = [(one["created"], one["id"], json.dumps(one)) for one in reversed(self.events)]
        else:
            listed = [(at, f"cus_{id_}", text) for id_, (at, text) in self.records.items()]
            listed.sort(key=lambda one: (one[0], one[1]), reverse=True)
        listed = [one for one in listed if one[0] >= int(query.get("created[gte]", 0))]
        after = query.get("starting_after")
        first = next((n for n, one in enumerate(listed, 1) if one[1] == after), 0)
        page = ", ".join(text for *_, text in listed[max(first - self.overlap, 0) : first + PAGE])
        more = json.dumps(first + PAGE < len(listed))
        return f'{{"object": "list", "data": [{page}], "has_more": {more}, "url": "{path}"}}'.encode()


@dataclass
class Analytics(RestApi):
    """A report of Google Analytics: a row is of the day that its number falls on, and each read rereads the days."""

    kind: str = "ga4"
    environ: dict[str, str] = field(default_factory=dict)
    found_by_reading: bool = False
    rereads: bool = True
    documents: bool = False
    dimensions: list[str] = field(default_factory=lambda: ["id", "status", "email", "phone", "iban"])
    rows: dict[int, dict[str, str]] = field(default_factory=dict)

    source: Mapping[str, Any] = field(default_factory=lambda: {"reread_days": 10, "wide_reread_days": 0})

    NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)

    @property
    def connection(self) -> Mapping[str, Any]:
        return {"property": "1", "url": self.url, "timeout_seconds": 2}

    @property
    def block(self) -> Mapping[str, Any]:
        return {"dimensions": self.dimensions, "metrics": ["eventCount"], "types": {"id": "bigint"}}

    def put(self, id_: int, note: Any, **personal: str) -> None:
        self.rows[id_] = {"id": str(id_), "status": str(note), **personal}

    def delete(self, id_: int) -> None:
        del self.rows[id_]

    def make_anew(self) -> None:
        self.rows.clear()
        self.dimensions = self.dimensions[::-1]

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/metadata"):
            dimensions = [{"apiName": name} for name in ("date", *self.dimensions)]
            return Reply(
                {"dimensions": dimensions, "metrics": [{"apiName": "eventCount", "type": "TYPE_INTEGER"}]}
            )
        if asked.path.endswith(":checkCompatibility"):
            return Reply({})
        if asked.path != "/v1beta/properties/1:runReport":
            return Reply({"error": {"code": 404, "message": "no such method"}}, 404)
        return Reply(self._report(json.loads(asked.body)))

    def _report(self, body: Mapping[str, Any]) -> Any:
        day, first = body["dateRanges"][0]["startDate"], int(body.get("offset", 0))
        of_day = [row for id_, row in sorted(self.rows.items()) if f"2026-01-{1 + id_ % 5:02}" == day]
        rows = [
            {
                "dimensionValues": [
                    {
                        "value": day.replace("-", "")
                        if one["name"] == "date"
                        else row.get(one["name"], "(not set)")
                    }
                    for one in body.get("dimensions", ())
                ],
                "metricValues": [{"value": "1"}],
            }
            for row in of_day
        ]
        told = {"timeZone": "UTC", "currencyCode": "EUR"}
        return {"rows": rows[first : first + PAGE], "rowCount": len(rows), "metadata": told}


APIS: Mapping[str, type[RestApi]] = {
    "rest": RestApi,
    "zendesk": HelpDesk,
    "stripe": Payments,
    "ga4": Analytics,
}
API_PARAMS = [
    pytest.param(kind, marks=[pytest.mark.slow] * (items is not RestApi)) for kind, items in APIS.items()
]
"""All of them; `make test-fast` asks the general kind alone."""


@contextmanager
def serving_world(root: Path, kind: str) -> Iterator[tuple[World, Server]]:
    """A project over an API of the kind, and the server of its answers."""
    items: Any = APIS[kind]()
    with serving(items.answer) as server:
        items.url = server.url
        if isinstance(items.environ, dict):
            items.environ["SHOP_URL"] = server.url
        yield World(root, items).catalog(), server
