"""A Zendesk source through a whole sync, from the sandbox's account to rows of the warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from data_platform.sources.reading import Opening
from data_platform.sources.records import fetch
from data_platform.sources.zendesk import walk
from data_platform.sources.zendesk.api import Api, Body
from data_platform.sources.zendesk.config import ZendeskConnection
from data_platform.sources.zendesk.feed import ZendeskFeed
from data_platform.sources.zendesk.objects import OBJECTS
from data_platform.sync import check_sources
from data_platform.sync.sources import discover
from data_platform.tables import TableId
from data_platform_tests.sources.zendesk.conftest import CONNECTION, TICKETS, USERS, Desk

EVENTS: dict[str, Any] = {"personal": {"child_events.previous_value": "redact"}}


def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The parameters of every request from now on, without the page's size."""
    seen: list[dict[str, str]] = []
    get = Api.get

    def noted(self: Api, path: str, params: Any, *, went_on: bool = False) -> Body:
        seen.append({name: value for name, value in params.items() if name != "per_page"})
        return get(self, path, params, went_on=went_on)

    monkeypatch.setattr(Api, "get", noted)
    return seen


def test_tables_hold_what_the_account_holds(desk: Desk) -> None:
    desk.write(
        {
            "tickets": TICKETS,
            "ticket_custom_fields": {},
            "metric_sets": {},
            "users": USERS,
            "organizations": {"personal": dict(OBJECTS["organizations"].personal)},
            "ticket_events": EVENTS,
            "ticket_metric_events": {},
            "macros": {},
            "ratings": {"object": "satisfaction_ratings", "personal": {"comment": "redact"}},
        }
    ).good()
    tickets, _ = desk.account.by_cursor("tickets")
    held = desk.rows("SELECT id, status, epoch(generated_timestamp), subject FROM raw_help.tickets")
    expected = {(t["id"], t["status"], t["generated_timestamp"], "[redacted]") for t in tickets}
    assert set(held) == expected and len(held) == len(expected)
    fields = desk.rows("SELECT count(*) FROM raw_help.ticket_custom_fields")
    assert fields == [(sum(len(t["custom_fields"]) for t in tickets),)]
    assert desk.rows("SELECT count(DISTINCT ticket_id) FROM raw_help.metric_sets") == [(len(tickets),)]
    users, _ = desk.account.by_cursor("users")
    assert desk.rows("SELECT count(*), count(*) FILTER (WHERE email LIKE '%@%') FROM raw_help.users") == [
        (len({user["id"] for user in users}), 0)
    ]
    assert desk.rows("SELECT count(*) FROM raw_help.macros") == [(5,)]
    for table in ("ticket_events", "ticket_metric_events", "organizations", "ratings"):
        ((count, different),) = desk.rows(f"SELECT count(*), count(DISTINCT id) FROM raw_help.{table}")
        assert count == different > 0


def test_the_cursor_is_kept_and_nothing_new_lands_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {"tickets": TICKETS, "ticket_events": EVENTS}
    seen = asked(monkeypatch)
    desk.write(tables).good()
    assert seen.count({"start_time": "0"}) == 2
    seen.clear()
    again = desk.good()
    assert sorted(map(list, seen)) == [["cursor"], ["start_time"]]
    assert all(one.get("start_time") != "0" for one in seen)
    assert [report.rows for report in again.values()] == [0, 0]
    ((before,),) = desk.rows("SELECT max(generated_timestamp) FROM raw_help.tickets")
    desk.control("bulk", {"tickets": 3})
    desk.account.at(3600 + 300)
    changed = desk.good()
    assert changed["tickets"].rows >= 3  # their updated_at is as it was
    ((after,),) = desk.rows("SELECT max(generated_timestamp) FROM raw_help.tickets")
    assert after > before


def test_a_cut_read_goes_on_from_the_last_step(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 20)
    monkeypatch.setattr(walk, "PER_PAGE", 20)
    seen = asked(monkeypatch)
    get, calls = Api.get, 0

    def cut(self: Api, path: str, params: Any, *, went_on: bool = False) -> Body:
        nonlocal calls
        calls += 1
        if calls == 4:
            desk.control("faults", {"status": 403, "times": 1})
        return get(self, path, params, went_on=went_on)

    monkeypatch.setattr(Api, "get", cut)
    desk.write({"tickets": TICKETS})
    report = desk.sync()["tickets"]
    assert "/api/v2/incremental/tickets/cursor.json" in str(report.error) and "admin" in str(report.error)
    assert sum(batch.rows for batch in desk.platform.ledger.since(TableId("help", "tickets"), 0)) == 60
    failed = dict(seen[-1])
    seen.clear()
    desk.good()
    assert seen[0] == failed
    tickets, _ = desk.account.by_cursor("tickets")
    assert desk.rows("SELECT count(*) FROM raw_help.tickets") == [(len(tickets),)]


def test_items_at_a_pages_boundary_land_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PER_PAGE", 200)
    report = desk.write({"ticket_events": EVENTS}).good()["ticket_events"]
    ((count, different),) = desk.rows("SELECT count(*), count(DISTINCT id) FROM raw_help.ticket_events")
    assert count == different == report.rows > 400


def test_a_page_full_of_one_second_stops_the_table(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PER_PAGE", 50)
    desk.account.play(
        "UPDATE services.zendesk_records SET generated = (SELECT max(generated) FROM services.zendesk_records"
        " WHERE kind = 'ticket_metric_events') - 1000000 WHERE kind = 'ticket_metric_events' AND id IN (SELECT id FROM"
        " services.zendesk_records WHERE kind = 'ticket_metric_events' ORDER BY generated DESC LIMIT 60)"
    )
    error = str(desk.write({"ticket_metric_events": {}}).sync()["ticket_metric_events"].error)
    assert "a full page of 50 records that all carry the time" in error
    assert "incremental/ticket_metric_events.json" in error and "`start`" in error


@pytest.mark.parametrize("rule", ["keep", "remove"])
def test_deleted_tickets_and_users_follow_the_rule(desk: Desk, rule: str) -> None:
    desk.write(
        {
            "tickets": {**TICKETS, "deleted": rule},
            "ticket_custom_fields": {},
            "metric_sets": {"deleted": rule},
            "users": {**USERS, "deleted": rule},
        }
    ).good()
    desk.account.at(86_400 * 200)
    desk.good()
    tickets, _ = desk.account.by_cursor("tickets")
    users, _ = desk.account.by_cursor("users")
    last = {t["id"]: t for t in tickets}
    people = {u["id"]: u for u in users}
    deleted = {id_ for id_, t in last.items() if t["status"] == "deleted"}
    left = {id_ for id_, u in people.items() if not u["active"]}
    assert deleted and left
    gone, lost = (deleted, left) if rule == "remove" else (set[int](), set[int]())
    assert {id_ for (id_,) in desk.rows("SELECT id FROM raw_help.tickets")} == last.keys() - gone
    assert {id_ for (id_,) in desk.rows("SELECT ticket_id FROM raw_help.metric_sets")} == last.keys() - gone
    assert {id_ for (id_,) in desk.rows("SELECT id FROM raw_help.users")} == people.keys() - lost
    of = desk.rows("SELECT DISTINCT _parent_id FROM raw_help.ticket_custom_fields")
    assert {id_ for (id_,) in of} == {id_ for id_, t in last.items() if t["custom_fields"]} - gone


def test_comments_come_where_they_are_asked_for(desk: Desk) -> None:
    child = {"personal": dict.fromkeys(("body", "html_body", "previous_value"), "redact")}
    parent = {f"child_events.{name}": "redact" for name in child["personal"]}
    desk.write(
        {
            "ticket_events": {"personal": parent, "include": ["comment_events"]},
            "ticket_child_events": child,
        }
    ).good()
    bodies = desk.rows("SELECT DISTINCT body FROM raw_help.ticket_child_events WHERE body IS NOT NULL")
    assert bodies == [("[redacted]",)]


def test_limits_are_obeyed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.control("behaviour", {"exports": 2, "export_seconds": 1.0}, "PUT")
    monkeypatch.setattr(walk, "PER_PAGE", 60)
    desk.write({"tickets": TICKETS}).good()  # every third request is answered with a 429 and Retry-After
    desk.control("behaviour", {"exports": 10_000}, "PUT")
    tickets, _ = desk.account.by_cursor("tickets")
    assert desk.rows("SELECT count(*) FROM raw_help.tickets") == [(len(tickets),)]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "API token access"),
        (403, "an admin"),
        (404, "no such endpoint"),
        (422, "`start` under `connection`"),
    ],
)
def test_refusals_name_the_endpoint_and_what_to_check(desk: Desk, status: int, says: str) -> None:
    desk.write({"tickets": TICKETS})
    desk.control("faults", {"status": status, "times": 5})
    error = str(desk.sync()["tickets"].error)
    assert "/api/v2/incremental/tickets/cursor.json at 127.0.0.1" in error and str(status) in error
    assert says in error and desk.environ["ZENDESK_API_TOKEN"] not in error


def test_a_longer_wait_than_allowed_names_the_right_key(desk: Desk) -> None:
    desk.write({"tickets": TICKETS}, wait_seconds_max=5)
    desk.control("faults", {"status": 429, "headers": {"Retry-After": "90"}, "times": 5})
    error = str(desk.sync()["tickets"].error)
    assert "asks to wait 90 s" in error and "`exports_per_minute`" in error


def test_a_server_that_fails_twice_is_asked_again(desk: Desk) -> None:
    desk.write({"macros": {}})
    desk.control("faults", {"status": 500, "times": 2})
    assert desk.good()["macros"].rows == 5


def test_the_draft_loads_and_syncs_once_it_is_confirmed(desk: Desk) -> None:
    desk.write({"tickets": TICKETS})
    given = {"url_env": "ZENDESK_URL", "email_env": "ZENDESK_EMAIL", "api_token_env": "ZENDESK_API_TOKEN", "exports_per_minute": "1000"}  # fmt: skip
    text = discover(desk.environ, source="help", kind="zendesk", **given)
    assert "  # groups is left out" in text and "/api/v2/groups.json" in text  # the sandbox has none
    assert "@" not in text and desk.environ["ZENDESK_API_TOKEN"] not in text
    assert "email: hash" in text and "subject: redact" in text
    reports = desk.write(text.replace("?", "")).good()
    assert set(reports) >= {"tickets", "users", "organizations", "ticket_events", "metric_sets"}


def test_a_start_leaves_out_what_is_older(desk: Desk) -> None:
    tickets, _ = desk.account.by_cursor("tickets")
    times = sorted(t["generated_timestamp"] for t in tickets)
    day = date.fromtimestamp(times[len(times) // 2])
    desk.write({"tickets": TICKETS}, start=day.isoformat()).good()
    ((count, first),) = desk.rows("SELECT count(*), min(generated_timestamp)::DATE FROM raw_help.tickets")
    assert 0 < count < len(tickets) and first >= day


def test_validate_reads_a_first_page_and_names_what_it_meets(desk: Desk) -> None:
    desk.write(
        {
            "tickets": TICKETS,
            "organizations": {"personal": dict(OBJECTS["organizations"].personal)},
            "macros": {},
        }
    )
    assert check_sources(desk.platform).mistakes == []
    desk.control("behaviour", {"read_only_role": True}, "PUT")
    mistakes = check_sources(desk.platform).mistakes
    assert len(mistakes) == 2 and all("403" in one and "must be an admin" in one for one in mistakes)
    desk.write({"tickets": {}, "macros": {}})
    desk.control("behaviour", {"read_only_role": False}, "PUT")
    (mistake,) = check_sources(desk.platform).mistakes
    assert "help/tickets" in mistake and "email_cc_ids" in mistake


def test_doctor_says_whether_the_account_answers(desk: Desk) -> None:
    opening = Opening("help", ZendeskConnection.model_validate(CONNECTION), desk.environ, ())
    desk.write({"tickets": TICKETS})
    tables = (desk.platform.catalog.source("help").table("tickets"),)
    for token, status in ((desk.environ["ZENDESK_API_TOKEN"], "ok"), ("wrong", "fail")):
        environ = {**desk.environ, "ZENDESK_API_TOKEN": token}
        with ZendeskFeed(replace(opening, environ=environ, tables=tables)) as feed:
            (finding,) = feed.findings("help", datetime.now(UTC))
        assert finding.state == status and finding.check == "help: answers"
