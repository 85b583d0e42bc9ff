"""What the feed asks for, against a Stripe of a few customers that a test changes at any moment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError, ConfigurationError, SourceError
from data_platform.sources.reading import Ask, Opening
from data_platform.sources.records.feed import Page, Wanted
from data_platform.sources.stripe import events
from data_platform.sources.stripe.feed import StripeFeed
from data_platform_tests.sources.http.server import Asked, Reply, serving
from data_platform_tests.sources.one_source import PLATFORM
from data_platform_tests.sources.stripe.conftest import Project

NOW = 1_790_000_000
DAY = 86_400


@dataclass
class Tiny:
    """``objects`` are newest first. ``before`` is called with each request's path before it is answered."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    now: int = NOW
    before: Callable[[Asked], Any] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)
    name: str = "customers"

    def put(self, id_: str, created: int, **more: Any) -> None:
        self.objects.insert(0, {"id": id_, "object": "customer", "created": created, **more})
        self.objects.sort(key=lambda one: -one["created"])

    def tell(self, id_: str, type_: str, created: int) -> None:
        """An event; its object is as of another version."""
        shown = {"id": id_, "object": "customer", "moved": "long ago"}
        number = len(self.events)
        self.events.insert(
            0, {"id": f"evt_{number}", "created": created, "type": type_, "data": {"object": shown}}
        )

    def answer(self, asked: Asked) -> Reply:
        replaced = self.before(asked)
        self.asked.append(asked)
        if isinstance(replaced, Reply):
            return replaced
        headers = {
            "Date": format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True),
            "Content-Type": "application/json",
        }
        status, body = self._answer(asked)
        return Reply(body, status, headers)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.path == "/v1/account":
            return 200, {"id": "acct_1"}
        if asked.path in (f"/v1/{self.name}", "/v1/events"):
            return self._list(self.events if asked.path == "/v1/events" else self.objects, asked)
        id_ = asked.path.rpartition("/")[2]
        if id_ in self.gone:
            return 200, {"id": id_, "object": "customer", "deleted": True}
        found = [one for one in self.objects if one["id"] == id_]
        return (200, found[0]) if found else _missing("id")

    def _list(self, items: list[dict[str, Any]], asked: Asked) -> tuple[int, Any]:
        lower, upper = int(asked.query.get("created[gte]", 0)), int(asked.query.get("created[lte]", 1 << 40))
        items = [one for one in items if lower <= one["created"] <= upper]
        if after := asked.query.get("starting_after"):
            ids = [one["id"] for one in items]
            if after not in ids:
                return _missing("starting_after")
            items = items[ids.index(after) + 1 :]
        limit = int(asked.query["limit"])
        return 200, {"object": "list", "data": items[:limit], "has_more": len(items) > limit}


def _missing(param: str) -> tuple[int, Any]:
    error = {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "param": param,
        "message": "No such customer",
    }
    return 404, {"error": error}


@dataclass
class Read:
    """A feed over ``tiny``; each read goes on from the last state."""

    feed: StripeFeed
    table: Any
    state: Any = None
    rows: dict[str, Any] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)

    def read(self, most: int | None = None) -> list[Any]:
        """The records of the next read, of its first ``most`` pages."""
        self.pages = []
        wanted = Wanted("customers", (self.table,), self.state, Ask("changes"))
        for page in self.feed.pages(wanted):
            self.pages.append(page)
            self.state = json.loads(json.dumps(page.state))
            for n, record in enumerate(page.records):
                one = json.loads(record)
                self.rows.pop(one["id"], None)
                if n not in page.gone:
                    self.rows[one["id"]] = one
            if len(self.pages) == most:
                break
        return [json.loads(record) for page in self.pages for record in page.records]


def catalog(folder: Path, tables: dict[str, Any], **connection: Any) -> Any:
    (folder / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "catalog" / "platform.yaml").write_text(PLATFORM)
    reached = {"api_key_env": "KEY", "api_base_env": "BASE", "requests_per_second": 1000, **connection}
    text = yaml.safe_dump({"source": "pay", "kind": "stripe", "connection": reached, "tables": tables})
    (folder / "catalog" / "sources" / "pay.yaml").write_text(text)
    return load_catalog(folder).source("pay")


@contextmanager
def reading(folder: Path, tiny: Tiny, table: str = "customers", **connection: Any) -> Iterator[Read]:
    source = catalog(folder, {table: {}}, **connection)
    with serving(tiny.answer) as server:
        environ = {"KEY": "sk_test_abcdefghijkl", "BASE": server.url}
        chosen = source.table(table)
        with StripeFeed(Opening("pay", source.connection, environ, (chosen,))) as feed:
            yield Read(feed, chosen)


def many(count: int, same_second: bool = False) -> Tiny:
    tiny = Tiny()
    for n in range(count):
        tiny.put(f"cus_{n:03}", NOW - 10 * DAY + (0 if same_second else n))
    return tiny


def test_each_request_names_the_pinned_version_and_the_account(tmp_path: Path) -> None:
    tiny = many(1)
    with reading(tmp_path, tiny, api_version="2025-03-31.basil", account="acct_9") as read:
        read.read()
        assert read.feed.system == "acct_9 (test mode)"
    assert {one.headers["Stripe-Version"] for one in tiny.asked} == {"2025-03-31.basil"}
    assert {one.headers["Stripe-Account"] for one in tiny.asked} == {"acct_9"}


def test_what_is_made_or_changed_during_the_walk_is_found_by_its_event(tmp_path: Path) -> None:
    tiny = many(250)

    def change(asked: Asked) -> None:
        if "starting_after" in asked.query and not tiny.events:
            tiny.put("cus_new", NOW + 1)
            tiny.tell("cus_new", "customer.created", NOW + 1)
            next(one for one in tiny.objects if one["id"] == "cus_240")["balance"] = 7
            tiny.tell("cus_240", "customer.updated", NOW + 2)

    tiny.before = change
    with reading(tmp_path, tiny) as read:
        read.read()
        assert len(read.rows) == 251 and read.rows["cus_240"]["balance"] == 7
        assert read.rows["cus_new"] == {"id": "cus_new", "object": "customer", "created": NOW + 1}


def test_ties_of_a_second_are_all_read(tmp_path: Path) -> None:
    with reading(tmp_path, many(250, same_second=True)) as read:
        read.read(most=1)
        read.read()
        assert len(read.rows) == 250


def test_a_cut_goes_on_though_the_object_it_stopped_at_is_gone(tmp_path: Path) -> None:
    tiny = many(250)
    with reading(tmp_path, tiny) as read:
        read.read(most=1)
        last = read.state["walk"]["after"]
        tiny.objects = [one for one in tiny.objects if one["id"] != last]
        tiny.gone.add(last)
        tiny.tell(last, "customer.deleted", NOW)
        read.read()
        assert sorted(read.rows) == sorted(one["id"] for one in tiny.objects)


def test_a_page_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    tiny = many(250)
    tiny.before = lambda asked: Reply(
        {"object": "list", "data": tiny.objects[:100], "has_more": True},
        headers={"Content-Type": "application/json"},
    )
    with reading(tmp_path, tiny) as read, pytest.raises(SourceError, match="the same page again"):
        read.read()


def test_an_object_is_fetched_once_however_many_events_name_it(tmp_path: Path) -> None:
    tiny = many(3)
    with reading(tmp_path, tiny) as read:
        read.read()
        for n in range(5):
            tiny.tell("cus_001", "customer.updated", NOW + n)
        tiny.asked.clear()
        assert [one["id"] for one in read.read()] == ["cus_001"]
        assert [one.path for one in tiny.asked].count("/v1/customers/cus_001") == 1
        assert read.read() == []  # the look-back finds the same events
        tiny.tell("cus_002", "customer.updated", NOW - 200)  # shown late
        assert [one["id"] for one in read.read()] == ["cus_002"]


def test_changes_that_are_cut_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "AT_ONCE", 10)
    tiny = many(25)
    with reading(tmp_path, tiny, look_back_seconds=0) as read:
        read.read()
        tiny.now = NOW + 1_000
        for n in range(25):
            tiny.tell(f"cus_{n:03}", "customer.updated", NOW + n)
        read.read(most=1)
        assert read.state == {"since": NOW + 10}
        assert [one["id"] for one in read.read()] == [f"cus_{n:03}" for n in range(10, 25)]
        assert read.state["since"] == NOW + 1_000


def test_deleted_objects_go_and_canceled_ones_stay(tmp_path: Path) -> None:
    tiny = many(4)
    with reading(tmp_path, tiny) as read:
        read.read()
        tiny.gone.add("cus_001")
        tiny.tell("cus_001", "customer.deleted", NOW + 1)
        tiny.objects = [one for one in tiny.objects if one["id"] != "cus_002"]
        tiny.tell("cus_002", "customer.deleted", NOW + 2)  # 404 when it is fetched
        tiny.tell("cus_003", "customer.deleted", NOW + 3)  # it is there again
        read.read()
        assert sorted(read.rows) == ["cus_000", "cus_003"]


def test_an_object_that_is_not_shown_yet_is_asked_for_again(tmp_path: Path) -> None:
    tiny = many(1)
    with reading(tmp_path, tiny) as read:
        read.read()
        tiny.tell("cus_late", "customer.created", NOW + 1)
        assert read.read() == [] and any(page.notes for page in read.pages)
        tiny.put("cus_late", NOW + 1)
        assert [one["id"] for one in read.read()] == ["cus_late"]


def test_events_of_thirty_days_ago_are_lost_by_the_clock_of_stripe(tmp_path: Path) -> None:
    with reading(tmp_path, many(1), account="acct_9") as read:
        said = read.feed.lost(read.table, {"since": NOW - 31 * DAY})
        assert said is not None and "30 days" in said
        assert read.feed.lost(read.table, {"walk": {"began": NOW - 31 * DAY}})
        assert read.feed.lost(read.table, {"since": NOW - 29 * DAY}) is None
        assert not read.feed.must_advance({"since": NOW - 60}, {"since": NOW})
        assert read.feed.must_advance({"since": NOW - 3 * DAY}, {"since": NOW})


def test_a_sync_after_thirty_days_reads_all(tmp_path: Path) -> None:
    tiny = many(3)
    with serving(tiny.answer) as server:
        pay = Project(tmp_path, server.url, "sk_test_abcdefghijkl").write({"customers": {}})
        pay.good()
        tiny.now = NOW + 29 * DAY
        assert pay.good()["customers"].operation == "changes"
        tiny.objects.pop()  # gone, and no event tells of it any more
        tiny.now = NOW + 60 * DAY
        report = pay.good()["customers"]
        assert report.operation == "refresh" and any("more than 30 days ago" in note for note in report.notes)
        assert [id_ for (id_,) in pay.rows("SELECT id FROM raw_pay.customers ORDER BY id")] == [
            "cus_001",
            "cus_002",
        ]


def test_what_was_created_before_the_start_is_not_read(tmp_path: Path) -> None:
    tiny = many(3)
    start = datetime.fromtimestamp(NOW - 5 * DAY, UTC).date()
    tiny.put("cus_young", NOW - DAY)
    with reading(tmp_path, tiny, start=start) as read:
        tiny.tell("cus_000", "customer.updated", NOW)
        read.read()
        assert sorted(read.rows) == ["cus_young"]


def test_objects_without_events_are_reread_once_a_day(tmp_path: Path) -> None:
    tiny = many(3)
    tiny.name = "balance_transactions"
    with reading(tmp_path, tiny, "balance_transactions") as read:
        read.read()
        tiny.objects[0]["status"] = "available"
        tiny.put("cus_new", NOW + 1)
        assert [one["id"] for one in read.read()] == ["cus_new"]
        assert read.read() == []
        tiny.now = NOW + DAY
        read.read()
        assert read.rows["cus_002"]["status"] == "available"
        assert read.read() == []


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"chargs": {}}, "pay.yaml:8: tables.chargs: names no objects of Stripe's. Did you mean charges?"),
        ({"a": {"object": "b"}}, "tables.a.object: names no objects of Stripe's."),
        ({"invoice_lines": {}}, "tables.invoice_lines: are parts of `invoices`: add the table `invoices`"),
        ({"charges": {"cursor": "created"}}, "tables.charges.cursor: is not used by Stripe"),
    ],
)
def test_a_table_that_is_none_of_stripes_is_a_mistake(
    tmp_path: Path, tables: dict[str, Any], said: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog(tmp_path, tables)
    assert len(caught.value.mistakes) == 1 and said in caught.value.mistakes[0]


def test_another_name_for_a_table(tmp_path: Path) -> None:
    source = catalog(tmp_path, {"payments": {"object": "charges"}, "invoices": {}, "invoice_lines": {}})
    assert source.table("payments").key == ("id",)
    assert source.table("payments").settings.place == "/v1/charges"
    assert source.table("invoice_lines").key == ("_parent_id", "_index")


def test_without_the_official_client_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stripe", None)
    with (
        pytest.raises(ConfigurationError, match=r"pip install 'data-platform\[stripe\]'"),
        reading(tmp_path, many(1)),
    ):
        pass
