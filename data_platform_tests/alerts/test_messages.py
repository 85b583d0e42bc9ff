"""A message says what, where, since when, the numbers and a link, and nothing personal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from data_platform.alerts.channels import Post
from data_platform.alerts.incidents import Incident
from data_platform.alerts.messages import error_summary, link, number, post, strike_out
from data_platform.alerts.outbox import Entry, Event, Parcel
from data_platform.alerts.problem import Problem
from data_platform.alerts.slack import payload
from data_platform_tests.alerts.servers import slack_refuses

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
UI = "https://dagster.example.test/"


def problem(**changes: object) -> Problem:
    fields: dict[str, object] = {
        "kind": "check",
        "object": "raw/shop/orders: revenue_gte_0",
        "where": "raw_shop.orders",
        "summary": "Rows break the rule revenue >= 0",
        "numbers": {"failing rows": 1234, "share": 0.01234, "snapshot": "2026-11-22T11:58:00Z"},
        "since": NOON,
        "link": "/assets/raw/shop/orders?view=checks",
    }
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


def incident(one: Problem, over: datetime | None = None) -> Incident:
    return Incident(one.key, one, NOON, recovered_at=over)


def made(event: Event, *entries: Entry, now: datetime = NOON) -> Post:
    return post(Parcel("x", "t", "", event, entries), environment="prod", ui_url=UI, now=now)


def render(entry: Entry, now: datetime = NOON) -> tuple[str, str]:
    one = made(entry.event, entry, now=now)
    return one.text, json.dumps(payload(one), ensure_ascii=False)


def opened(**changes: object) -> Entry:
    return Entry("opened", incident(problem(**changes)), unheard=True)


def recovered(at: datetime, unheard: bool = False, **changes: object) -> Entry:
    return Entry("recovered", incident(problem(**changes), at), unheard=unheard)


def test_plain_text_says_everything() -> None:
    text, _ = render(opened())
    assert text == "\n".join(
        [
            "[prod] Check failed: raw/shop/orders: revenue_gte_0",
            "  Rows break the rule revenue >= 0",
            "  where: raw_shop.orders",
            "  since: 2026-11-22 12:00 UTC",
            "  failing rows: 1,234",
            "  share: 0.01234",
            "  snapshot: 2026-11-22T11:58:00Z",
            "  https://dagster.example.test/assets/raw/shop/orders?view=checks",
        ]
    )


def test_slack_says_the_same() -> None:
    _, slack = render(opened())
    for part in (
        "Check failed",
        "raw/shop/orders: revenue_gte_0",
        "revenue &gt;= 0",
        "raw_shop.orders",
        "2026-11-22 12:00 UTC",
        "*failing rows*\\n1,234",
        "<https://dagster.example.test/assets/raw/shop/orders?view=checks|Open in Dagster>",
        "prod",
    ):
        assert part in slack


def test_recovery_says_how_long_it_lasted() -> None:
    over = NOON + timedelta(days=1, hours=2, minutes=5)
    text, slack = render(recovered(over, kind="freshness", object="marts/order_facts"))
    assert "Fresh again: marts/order_facts" in text
    assert "until: 2026-11-23 14:05 UTC (after 1 d 2 h 5 min)" in text
    assert "large_green_circle" in slack
    assert "failing rows" not in text


def test_recovery_of_what_nobody_heard_of_tells_the_problem_too() -> None:
    text, _ = render(recovered(NOON + timedelta(seconds=30), unheard=True))
    assert "It could not be reported earlier: Rows break the rule" in text
    assert "failing rows: 1,234" in text
    assert "(after 30 s)" in text


@pytest.mark.parametrize("field", ["object", "where", "summary"])
def test_nothing_can_ping_or_link_out_of_a_text(field: str) -> None:
    _, slack = render(opened(**{field: "<!channel> <https://evil.test|click> & <@U1>"}))
    assert "<!channel>" not in slack
    assert "<https://evil" not in slack
    assert "<@U1>" not in slack
    assert "&lt;!channel&gt;" in slack


def test_a_link_cannot_be_ended_early() -> None:
    assert link("http://ui/", "/a b|c>d<e?x=1&y=2") == "http://ui/a%20b%7Cc%3Ed%3Ce?x=1&y=2"


@pytest.mark.parametrize("count", [1, 10, 11, 25, 1_000])
def test_slacks_limits_hold_whatever_comes_in(count: int) -> None:
    monsters = [
        opened(
            object=f"{n}" + "&" * 5000,
            where="<" * 5000,
            summary=">" * 9000,
            numbers={f"{k}" * 200: "&" * 900 for k in range(40)},
            link="/" + "x" * 9000,
            owner="&" * 500,
        )
        for n in range(count)
    ]
    listed = replace(monsters[0], listed=tuple("&" * 500 for _ in range(50)), instead_of=("a" * 40, "b" * 40))
    rendered = payload(made("opened", listed, *monsters[1:]))
    assert slack_refuses(rendered) is None and len(rendered["text"]) <= 4000


def test_each_event_says_what_it_is() -> None:
    hour = NOON + timedelta(hours=1)
    one = replace(incident(problem()), snoozed_until=hour, by="ada")
    said = {
        event: render(Entry(event, one), hour)[0]
        for event in ("escalated", "reminded", "snoozed", "resolved")
    }
    assert "Check failed, escalated" in said["escalated"] and "open for: 1 h" in said["escalated"]
    assert "Check failed, still so" in said["reminded"]
    assert "snoozed until: 2026-11-22 13:00 UTC" in said["snoozed"] and "by: ada" in said["snoozed"]
    assert "marked as resolved" in said["resolved"] and "by: ada" in said["resolved"]


@pytest.mark.parametrize(
    "value",
    [
        "ada@example.com",
        "+44 20 7946 0958",
        "0044 20 79460958",
        "078-05-1120",
        "postgresql://me:hunter2@db/shop",
    ],
)
def test_what_looks_personal_or_secret_is_struck_out(value: str) -> None:
    secret = "hunter2" if "hunter2" in value else value
    text, slack = render(
        opened(object=f"x {value}", where=value, summary=f"broken by {value}.", numbers={"first": value})
    )
    assert secret not in text
    assert secret not in slack


@pytest.mark.parametrize(
    "value",
    ["2026-11-22T11:58:00+00:00", "00000012-ab12cd34", "raw_shop.orders", "1,234,567 rows", "xmin 123456789"],
)
def test_ordinary_numbers_stay(value: str) -> None:
    assert strike_out(value) == value


def test_numbers_read_well() -> None:
    assert [number(value) for value in (1234567, 0.05, 1234.5, True, "x")] == [
        "1,234,567",
        "0.05",
        "1,234",
        "yes",
        "x",
    ]


def test_only_our_own_errors_speak() -> None:
    ours = error_summary(
        "data_platform.errors.SourceUnreachable",
        "data_platform.errors.SourceUnreachable: No connection\nto shop. Check SHOP_DATABASE_URL.\n",
    )
    assert ours == "No connection to shop. Check SHOP_DATABASE_URL."
    foreign = error_summary("ConversionException", 'Could not convert string "Ada Lovelace" to INT32')
    assert foreign == "ConversionException; the run's log has the details."


def test_an_unknown_kind_has_a_title() -> None:
    assert "Problem: x" in render(opened(kind="comet", object="x"))[0]
