"""Which channels report what, when, and who is told after a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from data_platform.alerts.announce import outward
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.problem import Problem
from data_platform.alerts.routing import Route, Routing
from data_platform_tests.alerts.ticks import NOON, Recorder, Ticker, problem, routes

EVERYTHING_SET = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.test/x",
    "SMTP_URL": "smtp://127.0.0.1:25",
    "ALERTS_MAIL_TO": "team@example.test",
    "PAGERDUTY_ROUTING_KEY": "key",
}


def goes_to(raw: list[dict[str, Any]], one: Problem, at: datetime = NOON) -> tuple[str, ...]:
    return Routing(routes(*raw)).opening(one, at)


def test_a_new_project_pages_mails_and_writes() -> None:
    """The three defaults, and everything else goes to Slack."""
    routing = outward(AlertsConfig(), EVERYTHING_SET).routing
    went = {
        one.kind: routing.opening(one, NOON)
        for one in (
            problem("the pipeline", kind="run"),
            problem("raw/shop/orders: newest_data", kind="freshness"),
            problem("raw/shop/orders: null_rate_of_email", kind="check"),
            problem("shop_probe", kind="sensor"),
            problem("shop/orders", kind="schema"),
        )
    }
    assert went == {
        "run": ("pager",), "schema": ("pager",), "freshness": ("mail",), "check": ("slack",), "sensor": ("slack",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("without", "went"),
    [
        ("PAGERDUTY_ROUTING_KEY", {"run": ("slack",), "freshness": ("mail",), "check": ("slack",)}),
        ("ALERTS_MAIL_TO", {"run": ("pager",), "freshness": ("slack",), "check": ("slack",)}),
        ("SLACK_WEBHOOK_URL", {"run": ("pager",), "freshness": ("mail",), "check": ("print",)}),
        ("all", {"run": ("print",), "freshness": ("print",), "check": ("print",)}),
    ],
)
def test_a_channel_without_its_variable_leaves_it_to_the_fallback_or_prints(
    without: str, went: dict[str, tuple[str, ...]]
) -> None:
    environ = {name: text for name, text in EVERYTHING_SET.items() if without not in (name, "all")}
    routing = outward(AlertsConfig(), environ).routing
    assert {kind: routing.opening(problem(kind=kind), NOON) for kind in went} == went


def test_without_routes_everything_goes_everywhere() -> None:
    config = AlertsConfig.model_validate({"slack": {}})
    assert outward(config, EVERYTHING_SET).routing.opening(problem(), NOON) == ("slack",)
    config = AlertsConfig.model_validate(
        {"channels": {"a": {"kind": "slack"}, "b": {"kind": "webhook", "url_env": "SMTP_URL"}}}
    )
    assert outward(config, EVERYTHING_SET).routing.opening(problem(), NOON) == ("a", "b")
    assert outward(AlertsConfig(slack=None), EVERYTHING_SET).routing.opening(problem(), NOON) == ("print",)


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        ({}, True),
        ({"kinds": ["check", "run"]}, True),
        ({"kinds": ["freshness"]}, False),
        ({"severity": "warn"}, True),
        ({"severity": "error"}, False),
        ({"owners": ["team:data", "team:shop"]}, True),
        ({"owners": ["team:data"]}, False),
        ({"tags": {"tier": "1"}}, True),
        ({"tags": {"tier": "2"}}, False),
        ({"tags": {"tier": "1", "pii": "yes"}}, False),
        ({"objects": ["marts/*"]}, False),
        ({"objects": ["marts/*", "raw/shop/*"]}, True),
        ({"objects": ["*null_rate*"]}, True),
        ({"kinds": ["check"], "severity": "error"}, False),
    ],
)
def test_each_condition(route: dict[str, Any], taken: bool) -> None:
    one = problem(
        "raw/shop/users: null_rate_email",
        severity="warn",
        owner="team:shop",
        tags={"tier": "1", "kind": "raw"},
    )
    assert bool(goes_to([{"to": ["x"], **route}], one)) is taken


def test_the_first_route_counts_unless_it_goes_on() -> None:
    raw = [{"kinds": ["run"], "to": ["pager"]}, {"to": ["slack"]}]
    assert goes_to(raw, problem(kind="run")) == ("pager",)
    assert goes_to(raw, problem(kind="check")) == ("slack",)
    raw[0]["continue"] = True
    assert goes_to(raw, problem(kind="run")) == ("pager", "slack")


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("route", "at", "taken"),
    [
        ({"hours": "08:00-18:00"}, datetime(2026, 7, 1, 8, 0, tzinfo=BERLIN), True),
        ({"hours": "08:00-18:00"}, datetime(2026, 7, 1, 7, 59, tzinfo=BERLIN), False),
        ({"hours": "08:00-18:00"}, datetime(2026, 7, 1, 18, 0, tzinfo=BERLIN), False),
        ({"hours": "22:00-06:00"}, datetime(2026, 7, 1, 23, 0, tzinfo=BERLIN), True),
        ({"hours": "22:00-06:00"}, datetime(2026, 7, 2, 5, 59, tzinfo=BERLIN), True),
        ({"hours": "22:00-06:00"}, datetime(2026, 7, 2, 6, 0, tzinfo=BERLIN), False),
        ({"days": ["mon", "tue", "wed", "thu", "fri"]}, datetime(2026, 11, 22, 12, tzinfo=BERLIN), False),
        ({"days": ["sun"]}, datetime(2026, 11, 22, 12, tzinfo=BERLIN), True),
        # 23:30 on Saturday in UTC is Sunday in Berlin
        ({"days": ["sun"]}, datetime(2026, 11, 21, 23, 30, tzinfo=UTC), True),
        # the night that began on Friday is Friday's
        ({"days": ["fri"], "hours": "22:00-06:00"}, datetime(2026, 11, 21, 3, tzinfo=BERLIN), True),
        ({"days": ["sat"], "hours": "22:00-06:00"}, datetime(2026, 11, 21, 3, tzinfo=BERLIN), False),
        # 08:30 UTC is 09:30 there in winter and 10:30 in summer
        ({"hours": "09:00-10:00"}, datetime(2026, 1, 15, 8, 30, tzinfo=UTC), True),
        ({"hours": "09:00-10:00"}, datetime(2026, 7, 15, 8, 30, tzinfo=UTC), False),
    ],
)
def test_time_of_day_in_a_time_zone(route: dict[str, Any], at: datetime, taken: bool) -> None:
    raw = {"to": ["x"], "timezone": "Europe/Berlin", **route}
    assert bool(goes_to([raw], problem(), at)) is taken


def test_what_no_route_takes_at_night_is_reported_in_the_morning() -> None:
    mail = Recorder()
    night = datetime(2026, 11, 23, 3, tzinfo=UTC)
    ticker = Ticker({"mail": mail}, routes({"to": ["mail"], "hours": "08:00-18:00"}), now=night)
    ticker.tick(problem())
    assert mail.heard() == []
    ticker.tick(problem(), minutes=6 * 60)
    assert mail.heard() == ["opened: a"]
    ticker.tick(problem(), minutes=12 * 60)  # it went this way, so it keeps it
    ticker.tick()
    assert mail.heard() == ["recovered: a"]


def test_what_is_left_is_reported_further_up() -> None:
    first, boss, top = Recorder(), Recorder(), Recorder()
    raw = {
        "to": ["first"],
        "escalate": [{"after_minutes": 30, "to": ["boss"]}, {"after_minutes": 120, "to": ["top"]}],
    }
    ticker = Ticker({"first": first, "boss": boss, "top": top}, routes(raw))
    ticker.tick(problem())
    assert (first.heard(), boss.heard(), top.heard()) == (["opened: a"], [], [])
    ticker.tick(problem(), minutes=29)
    assert (first.heard(), boss.heard()) == ([], [])
    ticker.tick(problem(), minutes=1)
    thread = first.posts[0].reference
    assert thread and "open for: 31 min" in first.posts[0].text
    assert (first.heard(), boss.heard(), top.heard()) == (["escalated: a"], ["opened: a"], [])
    ticker.tick(problem(), minutes=60)
    assert (first.heard(), boss.heard(), top.heard()) == ([], [], [])
    ticker.tick(problem(), minutes=60)
    assert (first.heard(), boss.heard(), top.heard()) == (["escalated: a"], ["escalated: a"], ["opened: a"])
    ticker.tick()
    assert first.posts[0].reference == thread
    assert first.heard() == boss.heard() == top.heard() == ["recovered: a"]


def test_one_step_may_be_written_without_a_list() -> None:
    (route,) = routes({"to": ["a"], "escalate": {"after_minutes": 5, "to": ["b"]}})
    assert route.escalate[0].to == ("b",) and route.names == ("a", "b")


def test_a_changed_route_tells_the_new_channel_and_the_old_one_of_the_end() -> None:
    old, new = Recorder(), Recorder()
    ticker = Ticker({"old": old, "new": new}, routes({"to": ["old"]}))
    ticker.tick(problem())
    old.heard()
    ticker.routes = routes({"to": ["new"]})
    ticker.tick(problem())
    assert (old.heard(), new.heard()) == ([], ["opened: a"])
    ticker.tick()
    assert old.heard() == new.heard() == ["recovered: a"]


def test_a_channel_that_has_reported_it_hears_of_an_escalation_though_the_route_is_another() -> None:
    old, new, boss = Recorder(), Recorder(), Recorder()
    step = {"escalate": {"after_minutes": 30, "to": ["boss"]}}
    ticker = Ticker({"old": old, "new": new, "boss": boss}, routes({"to": ["old"], **step}))
    ticker.tick(problem())
    ticker.routes = routes({"to": ["new"], **step})
    ticker.tick(problem())
    old.heard(), new.heard()
    ticker.tick(problem(), minutes=40)
    assert (old.heard(), new.heard(), boss.heard()) == (["escalated: a"], ["escalated: a"], ["opened: a"])


def test_a_refusal_goes_to_the_fallback_at_once() -> None:
    pager, slack = Recorder(up=None), Recorder()
    ticker = Ticker({"pager": pager, "slack": slack}, routes({"to": ["pager"]}), fallback=("slack",))
    done = ticker.tick(problem())
    assert "not delivered by: pager" in slack.posts[0].text
    assert slack.heard() == ["opened: a"] and not done.undelivered and done.error is not None
    ticker.tick(problem())
    assert slack.heard() == []
    pager.up = True
    ticker.tick(problem())
    assert (pager.heard(), slack.heard()) == (["opened: a"], [])
    ticker.tick()
    assert pager.heard() == slack.heard() == ["recovered: a"]


def test_one_that_is_down_is_tried_three_times_before_the_fallback() -> None:
    pager, slack = Recorder(up=False), Recorder()
    ticker = Ticker({"pager": pager, "slack": slack}, routes({"to": ["pager"]}), fallback=("slack",))
    for _ in range(3):
        assert ticker.tick(problem()).undelivered
        assert slack.heard() == []
    assert not ticker.tick(problem()).undelivered
    assert slack.heard() == ["opened: a"]
    ticker.tick(minutes=1)
    assert slack.heard() == ["recovered: a"]


def test_a_message_that_is_refused_keeps_no_other_back() -> None:
    class Picky(Recorder):
        def send(self, post: Any) -> str:
            self.up = None if "bad" in post.text else True
            return super().send(post)

    picky = Picky()
    ticker = Ticker({"picky": picky})
    names = [f"bad {n}" for n in range(30)]
    for name in names:  # each in a thread of its own, and more than one check sends
        ticker.tick(*(problem(one) for one in names[: names.index(name) + 1]))
    ticker.tick(*(problem(name) for name in names), problem("good"))
    assert "opened: good" in picky.heard()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (
            {"channels": {"a": {"kind": "slack"}}, "routes": [{"to": ["b"]}]},
            "`routes[0]` names the channel `b`",
        ),
        ({"channels": {"a": {"kind": "slack"}}, "fallback": ["b"]}, "`fallback` names the channel `b`"),
        ({"channels": {"print": {"kind": "slack"}}}, "choose another name"),
        ({"routes": [{"to": ["slack"], "kinds": ["rum"]}]}, "kinds"),
        ({"routes": [{"to": ["slack"], "hours": "8-18"}]}, "hours"),
        ({"routes": [{"to": ["slack"], "days": ["Monday"]}]}, "days"),
        ({"routes": [{"to": ["slack"], "timezone": "Berlin"}]}, "'Berlin' is not a time zone"),
        ({"routes": [{"to": ["slack"], "escalate": {"after_minutes": 5, "to": ["boss"]}}]}, "`boss`"),
        ({"routes": [{"to": ["slack"], "escalate": {"after_minutes": 0, "to": ["slack"]}}]}, "after_minutes"),
    ],
)
def test_what_cannot_be_is_a_mistake(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AlertsConfig.model_validate(raw)
    assert why in str(caught.value)


def test_a_day_has_every_minute_in_one_of_two_routes() -> None:
    day, night = (
        Route(to=(name,), hours=hours) for name, hours in (("d", "06:30-22:15"), ("n", "22:15-06:30"))
    )
    for minute in range(24 * 60):
        at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)
        assert day.takes(problem(), at) is not night.takes(problem(), at)
