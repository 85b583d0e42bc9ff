"""The sandbox's Zendesk: exports, side-loads, lists, limits and refusals, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.service import Place
from data_platform.sandbox.services.zendesk import desk as desks
from data_platform.sandbox.services.zendesk.exports import decode, encode
from data_platform.sandbox.services.zendesk.lifecycle import ORDER_FIELD, USERS_FROM
from data_platform.sandbox.services.zendesk.service import EMAIL, SERVICE, HelpDesk, application
from data_platform_tests.conftest import SHOP_TODAY
from data_platform_tests.sandbox.services.serving import own_shop, served

MIDNIGHT = datetime(SHOP_TODAY.year, SHOP_TODAY.month, SHOP_TODAY.day, tzinfo=UTC).timestamp()
Record = dict[str, Any]


class Zendesk:
    def __init__(self, place: Place, desk: HelpDesk, shop: str) -> None:
        self.place, self.desk, self.shop = place, desk, shop

    def at(self, seconds: float) -> None:
        """Set the clock to so many seconds after the shop's history ends."""
        self.desk.behaviour.clock_offset_seconds = MIDNIGHT + seconds - time.time()

    def get(self, path: str, **query: Any) -> requests.Response:
        address = path if path.startswith("http") else f"{self.place.url}/api/v2/{path}"
        token = self.place.secrets["token"]
        return requests.get(address, params=query, auth=(f"{EMAIL}/token", token), timeout=30)

    def read(self, path: str, **query: Any) -> Record:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        found: Record = answer.json()
        return found

    def by_cursor(self, kind: str, cursor: str | None = None, **query: Any) -> tuple[list[Record], str]:
        """All records from the cursor (or the beginning) on, and the cursor at the end."""
        found: list[Record] = []
        start = {"cursor": cursor} if cursor else {"start_time": 0}
        while True:
            page = self.read(f"incremental/{kind}/cursor.json", **start, **query)
            found += page[kind]
            start = {"cursor": page["after_cursor"]}
            if page["end_of_stream"]:
                return found, page["after_cursor"]

    def play(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.shop) as connection:
            connection.execute(statement.encode(), values)


@contextmanager
def zendesk(url: str, folder: Path) -> Iterator[Zendesk]:
    made: list[HelpDesk] = []

    def app(place: Place, connections: Any) -> Any:
        made.append(HelpDesk(place, connections))
        return application(made[0])

    with psycopg.connect(url) as connection:  # the desk's past ends where the shop's does
        desks.install(connection, MIDNIGHT)
    with served(SERVICE, folder, url, app) as place:
        made[0].behave({"exports": 10_000, "requests": 100_000})
        service = Zendesk(place, made[0], url)
        service.at(3600)
        yield service


@pytest.fixture
def desk(shop_copy: str, tmp_path: Path) -> Iterator[Zendesk]:
    with zendesk(shop_copy, tmp_path) as service:
        yield service


def distinct(records: list[Record]) -> set[int]:
    return {record["id"] for record in records}


# ---------------------------------------------------------------- the same business


def test_tickets_belong_to_users_and_orders_of_the_shop(desk: Zendesk) -> None:
    tickets, _ = desk.by_cursor("tickets")
    users, _ = desk.by_cursor("users")
    assert len(tickets) > 100
    assert len(distinct(tickets)) == len(tickets)
    with psycopg.connect(desk.shop) as connection:
        orders = dict(connection.execute("SELECT order_id, user_id FROM orders").fetchall())
        emails = dict(connection.execute("SELECT user_id, email FROM users").fetchall())
    known = {user["id"]: user for user in users}
    for ticket in tickets:
        if ticket["subject"] == "SCRUBBED":
            continue
        order = {field["id"]: field["value"] for field in ticket["custom_fields"]}[ORDER_FIELD]
        assert ticket["requester_id"] == USERS_FROM + orders[int(order)]
        assert ticket["external_id"] == f"order-{order}"
        requester = known[ticket["requester_id"]]
        if requester["email"] is not None:
            assert requester["email"] == emails[int(requester["external_id"])]
    assert {"closed", "solved", "deleted"} <= {ticket["status"] for ticket in tickets}
    assert any(ticket["satisfaction_rating"]["score"] == "bad" for ticket in tickets)


def test_the_same_shop_leads_to_the_same_desk(shop_copy: str) -> None:
    def made() -> list[tuple[Any, ...]]:
        with psycopg.connect(shop_copy) as connection:
            connection.execute("DROP SCHEMA IF EXISTS services CASCADE")
            desks.install(connection, MIDNIGHT)
            return connection.execute("SELECT * FROM services.zendesk_records ORDER BY kind, id").fetchall()

    assert made() == made()


def test_a_ticket_outlives_its_order_and_follows_new_ones(desk: Zendesk) -> None:
    tickets, cursor = desk.by_cursor("tickets")
    orders = [int(t["external_id"].removeprefix("order-")) for t in tickets if t["external_id"]]
    desk.play("DELETE FROM orders WHERE order_id = ANY(%s)", orders[:5])
    assert distinct(desk.by_cursor("tickets")[0]) == distinct(tickets)
    desk.at(4000)
    desk.play(
        "INSERT INTO orders (user_id, status, order_date, revenue, created_at) SELECT user_id, 'pending', current_date, 1, "
        "to_timestamp(%s) FROM users, generate_series(1, 4)", MIDNIGHT + 3990,
    )  # fmt: skip
    desk.read("macros.json")
    desk.at(4100)
    later, _ = desk.by_cursor("tickets", cursor)
    new = distinct(later) - distinct(tickets)
    assert len(new) > 5
    assert any(ticket["id"] not in new for ticket in later)  # older ones went a step further too
    # An export that was read to its end before never misses what came later.
    assert distinct(desk.by_cursor("tickets")[0]) == distinct(tickets) | new


# ---------------------------------------------------------------- cursors


def test_cursor_pages_make_up_the_whole_once(desk: Zendesk) -> None:
    whole, _ = desk.by_cursor("tickets")
    paged, cursor = desk.by_cursor("tickets", per_page=7)
    assert [t["id"] for t in paged] == [t["id"] for t in whole]
    assert [t["generated_timestamp"] for t in paged] == sorted(t["generated_timestamp"] for t in paged)
    again = desk.read("incremental/tickets/cursor.json", cursor=cursor)
    assert (again["tickets"], again["end_of_stream"], again["after_cursor"]) == ([], True, cursor)
    users, _ = desk.by_cursor("users", per_page=50)
    assert {"agent", "end-user"} == {user["role"] for user in users}


def test_pages_hold_a_thousand_at_most(desk: Zendesk) -> None:
    events = desk.read("incremental/ticket_events.json", start_time=0, per_page=5000)
    assert len(events["ticket_events"]) == events["count"] == 1000
    assert events["end_of_stream"] is False


def test_a_cursor_that_begins_after_everything_is_null(desk: Zendesk) -> None:
    desk.at(86400 * 900)
    desk.read("macros.json")
    page = desk.read("incremental/tickets/cursor.json", start_time=int(desk.desk.now()) - 61)
    assert (page["tickets"], page["end_of_stream"], page["after_cursor"], page["after_url"]) == ([], True, None, None)  # fmt: skip


def test_a_page_may_be_empty_and_not_the_last(desk: Zendesk) -> None:
    tickets, _ = desk.by_cursor("tickets")
    deleted = next(n for n, t in enumerate(tickets) if t["status"] == "deleted")
    assert deleted < len(tickets) - 1
    before = {
        "cursor": desk.read("incremental/tickets/cursor.json", start_time=0, per_page=deleted)["after_cursor"]
    }
    page = desk.read("incremental/tickets/cursor.json", **before, per_page=1, exclude_deleted="true")
    assert (page["tickets"], page["end_of_stream"]) == ([], False)
    kept, _ = desk.by_cursor("tickets", per_page=10, exclude_deleted="true")
    assert [t["id"] for t in kept] == [t["id"] for t in tickets if t["status"] != "deleted"]


def test_the_last_minute_is_withheld(desk: Zendesk) -> None:
    _, cursor = desk.by_cursor("tickets")
    moved = requests.post(f"{desk.place.url}/_sandbox/bulk", json={"tickets": 3}, headers={"Sandbox-Control": "1"}, timeout=30)  # fmt: skip
    assert moved.json() == {"tickets": 3}
    assert desk.by_cursor("tickets", cursor)[0] == []
    desk.at(3600 + 61)
    changed, _ = desk.by_cursor("tickets", cursor)
    assert len(changed) >= 3


def test_system_updates_move_generated_timestamp_and_not_updated_at(desk: Zendesk) -> None:
    before = {t["id"]: t for t in desk.by_cursor("tickets")[0]}
    drifted = [t for t in before.values() if datetime.fromisoformat(t["updated_at"]).timestamp() < t["generated_timestamp"]]  # fmt: skip
    assert drifted  # some of the past's own
    requests.post(f"{desk.place.url}/_sandbox/bulk", json={"tickets": 5}, headers={"Sandbox-Control": "1"}, timeout=30)  # fmt: skip
    desk.at(3700)
    changed = [t for t in desk.by_cursor("tickets")[0] if t["generated_timestamp"] > MIDNIGHT + 3599]
    for ticket in changed[:5]:
        assert ticket["updated_at"] == before[ticket["id"]]["updated_at"]
        assert ticket["generated_timestamp"] > before[ticket["id"]]["generated_timestamp"]


# ---------------------------------------------------------------- by time


@pytest.mark.parametrize("kind", ["tickets", "users", "organizations", "ticket_events", "ticket_metric_events"])  # fmt: skip
def test_time_based_pages_repeat_their_boundary(desk: Zendesk, kind: str) -> None:
    found: list[Record] = []
    page = desk.read(f"incremental/{kind}.json", start_time=0, per_page=30)
    while page["count"] == 30:
        found += page[kind]
        following = desk.read(page["next_page"])
        assert f"start_time={page['end_time']}" in page["next_page"]
        assert following[kind][0]["id"] in distinct(page[kind])
        assert following["end_time"] > page["end_time"]
        page = following
        if len(found) > 300:
            return
    assert len(found) + len(page[kind]) > len(distinct(found + page[kind])) or kind == "organizations"
    assert ("end_of_stream" in page) is (kind != "ticket_metric_events")


def test_a_full_page_of_one_timestamp_never_advances(desk: Zendesk) -> None:
    requests.post(f"{desk.place.url}/_sandbox/bulk", json={"tickets": 20}, headers={"Sandbox-Control": "1"}, timeout=30)  # fmt: skip
    desk.at(3700)
    start = int(MIDNIGHT) + 3599
    pages = [desk.read("incremental/tickets.json", start_time=start, per_page=10)]
    for _ in range(2):
        pages.append(desk.read(pages[-1]["next_page"]))
    assert pages[1]["tickets"] == pages[2]["tickets"]
    assert pages[2]["end_time"] == pages[1]["end_time"]
    assert pages[2]["end_of_stream"] is False
    by_cursor = desk.read("incremental/tickets/cursor.json", start_time=start, per_page=10)
    following = desk.read("incremental/tickets/cursor.json", cursor=by_cursor["after_cursor"], per_page=10)
    assert distinct(by_cursor["tickets"]).isdisjoint(distinct(following["tickets"]))


def test_comments_are_told_only_as_a_side_load(desk: Zendesk) -> None:
    bare = desk.read("incremental/ticket_events.json", start_time=0)["ticket_events"]
    loaded = desk.read("incremental/ticket_events.json", start_time=0, include="comment_events")["ticket_events"]  # fmt: skip
    comments = [child for event in bare for child in event["child_events"] if child["event_type"] == "Comment"]  # fmt: skip
    assert comments
    assert all("body" not in child and child["comment_present"] for child in comments)
    told = [child for event in loaded for child in event["child_events"] if child["event_type"] == "Comment"]
    assert len(told) == len(comments)
    assert all(child["body"] for child in told)


# ---------------------------------------------------------------- side-loads, deletions, lists


def test_side_loads_belong_to_their_page(desk: Zendesk) -> None:
    page = desk.read("incremental/tickets/cursor.json", start_time=0, per_page=20, include="users,metric_sets,organizations,last_audits")  # fmt: skip
    assert {m["ticket_id"] for m in page["metric_sets"]} == distinct(page["tickets"])
    wanted = {t[key] for t in page["tickets"] for key in ("requester_id", "assignee_id") if t[key]}
    assert distinct(page["users"]) == wanted
    assert "last_audits" not in page
    assert any(
        m["solved_at"] and m["full_resolution_time_in_minutes"]["calendar"] > 0 for m in page["metric_sets"]
    )


def test_deleted_tickets_and_users_are_told_and_later_scrubbed(desk: Zendesk) -> None:
    deleted = {t["id"]: t for t in desk.by_cursor("tickets")[0] if t["status"] == "deleted"}
    assert deleted
    scrubbed = [t for t in deleted.values() if t["subject"] == "SCRUBBED"]
    assert all(t["description"] == "SCRUBBED" and t["custom_fields"] == [] for t in scrubbed)
    desk.at(86400 * 60)
    later = {t["id"]: t for t in desk.by_cursor("tickets")[0]}
    assert all(later[id_]["subject"] == "SCRUBBED" for id_ in deleted)
    desk.at(86400 * 700)
    users, _ = desk.by_cursor("users")
    gone = [user for user in users if not user["active"]]
    assert gone
    assert all(user["email"] is None and user["phone"] is None for user in gone)
    assert distinct(desk.read("deleted_users.json")["deleted_users"]) == distinct(gone)


def test_a_user_who_changes_in_the_shop_changes_here(desk: Zendesk) -> None:
    users, cursor = desk.by_cursor("users")
    someone = next(user for user in users if user["external_id"] and user["active"])
    with psycopg.connect(desk.shop) as connection:  # the shop's clock is the real one, after the desk's
        connection.execute("UPDATE users SET phone = '+1 555 0100' WHERE user_id = %s", (someone["external_id"],))  # fmt: skip
    desk.at(3700)
    desk.read("macros.json")
    desk.at(3800)
    changed, _ = desk.by_cursor("users", cursor)
    assert {user["id"]: user["phone"] for user in changed}[someone["id"]] == "+1 555 0100"


@pytest.mark.parametrize("kind", ["satisfaction_ratings", "macros", "views"])
def test_lists_by_cursor_and_by_number(desk: Zendesk, kind: str) -> None:
    cursor_paged: list[Record] = []
    page = desk.read(f"{kind}.json", **{"page[size]": 4})
    while True:
        cursor_paged += page[kind]
        if not page["meta"]["has_more"]:
            break
        page = desk.read(page["links"]["next"])
    numbered: list[Record] = []
    page = desk.read(f"{kind}.json", per_page=3)
    while True:
        numbered += page[kind]
        if page["next_page"] is None:
            break
        page = desk.read(page["next_page"])
    assert numbered == cursor_paged
    assert page["count"] == len(numbered) == len(distinct(numbered)) >= 5
    assert desk.read(f"{kind}/{numbered[0]['id']}.json") == {kind[:-1]: numbered[0]}


# ---------------------------------------------------------------- limits and refusals


def test_exports_are_limited_and_say_when_to_come_again(desk: Zendesk) -> None:
    desk.desk.behave({"exports": 3, "export_seconds": 30})
    answers = [desk.get("incremental/tickets/cursor.json", start_time=0, per_page=1) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 30
    assert answers[3].json()["error"] == "APIRateLimitExceeded"
    assert (
        answers[2]
        .headers["zendesk-ratelimit-incremental-exports"]
        .startswith("total=3; remaining=0; resets=")
    )
    assert int(answers[0].headers["x-rate-limit-remaining"]) < int(answers[0].headers["x-rate-limit"])
    assert desk.get("macros.json").status_code == 200
    desk.desk.behave({"requests": 1})
    assert desk.get("macros.json").status_code == 429


@pytest.mark.parametrize(
    ("path", "query", "status", "error"),
    [
        ("incremental/tickets/cursor.json", {}, 400, "You did not pass a start_time"),
        ("incremental/tickets/cursor.json", {"start_time": "yesterday"}, 400, "must be an integer"),
        ("incremental/tickets/cursor.json", {"cursor": "nonsense"}, 400, "invalid value for the cursor"),
        ("incremental/tickets.json", {"start_time": 4102444800}, 422, "Too recent start_time."),
        ("incremental/organizations/cursor.json", {"start_time": 0}, 404, "Not found"),
        ("incremental/nothing.json", {"start_time": 0}, 404, "Not found"),
        ("tickets.html/x/y", {}, 404, "Not found"),
        ("macros/1.json", {}, 404, "RecordNotFound"),
        ("macros.json", {"page[size]": 101}, 400, "between 1 and 100"),
        ("macros.json", {"page": 200}, 400, "Pagination limit reached"),
    ],
)
def test_wrong_requests_are_refused(shared: Zendesk, path: str, query: Record, status: int, error: str) -> None:  # fmt: skip
    answer = shared.get(path, **query)
    assert answer.status_code == status
    assert error in answer.text


def test_who_may_not_read_is_refused(shared: Zendesk) -> None:
    address, token = f"{shared.place.url}/api/v2/macros.json", shared.place.secrets["token"]
    bearer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert bearer.status_code == 200
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic !"}, {"Authorization": "Basic bm86bm8="}):  # fmt: skip
        refused = requests.get(address, headers=headers, timeout=30)
        assert (refused.status_code, refused.json()["error"]) == (401, "Couldn't authenticate you")
    shared.desk.behave({"read_only_role": True})
    try:
        assert shared.get("incremental/tickets.json", start_time=0).status_code == 403
        assert shared.get("macros.json").status_code == 200
    finally:
        shared.desk.behave({"read_only_role": False})


def test_faults_have_zendesks_form(shared: Zendesk) -> None:
    answer = requests.get(f"{shared.place.url}/api/v2/macros.json", headers={"Sandbox-Fault": '{"status": 500}'}, timeout=30)  # fmt: skip
    assert (answer.status_code, answer.json()["error"]) == (500, "InternalError")


@pytest.fixture(scope="module")
def shared(
    postgres: PostgresServer, shop: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Zendesk]:
    with (
        own_shop(postgres, "zendesk_shared") as url,
        zendesk(url, tmp_path_factory.mktemp("zendesk")) as service,
    ):
        yield service


def test_nothing_is_recorded_in_a_past_that_was_told(shop_copy: str) -> None:
    """However often and whenever the desk looks, what it records comes after what it recorded before."""
    begun = MIDNIGHT - 30 * 86400
    select = "SELECT kind, id, generated FROM services.zendesk_records"
    with psycopg.connect(shop_copy) as connection:
        desks.install(connection, begun)
        told = {(kind, id_): generated for kind, id_, generated in connection.execute(select).fetchall()}
        before, taken = begun, 0
        for hours in (1, 1.5, 40, 41, 200, 700):
            now = begun + hours * 3600
            taken += desks.Desk(connection).advance(now)
            rows = connection.execute(select).fetchall()
            changed = [generated for kind, id_, generated in rows if told.get((kind, id_)) != generated]
            assert all(int(before) <= generated <= now for generated in changed)
            told, before = {(kind, id_): generated for kind, id_, generated in rows}, now
        assert taken > 50


def test_cursors_have_zendesks_own_form() -> None:
    assert decode("MTU3NjYxMzUzOS4wfHw0Njc=") == (1576613539, 467)
    assert decode(encode(1576613539, 467)) == (1576613539, 467)
