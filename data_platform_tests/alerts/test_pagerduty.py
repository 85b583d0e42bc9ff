"""PagerDuty's Events API, against a receiver on loopback that holds what it promises."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from data_platform.alerts.pagerduty import URL, PagerDutyChannel, PagerDutyConfig
from data_platform.alerts.problem import Problem
from data_platform.errors import AlertError, AlertRefused
from data_platform_tests.alerts.servers import Answer, PagerDuty, Receiver, receiver
from data_platform_tests.alerts.test_grouping import changed, snoozed
from data_platform_tests.alerts.ticks import NOON, Ticker, problem


@pytest.fixture
def duty(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Receiver, PagerDuty]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    service = PagerDuty()
    with receiver(service) as state:
        yield state, service


def channel(state: Receiver, key: str = "R0UTINGKEYSECRET") -> PagerDutyChannel:
    config = PagerDutyConfig(kind="pagerduty", url=state.url)
    return config.open({"PAGERDUTY_ROUTING_KEY": key}, sleep=lambda _: None)


def test_an_incident_is_one_alert_until_it_is_over(duty: tuple[Receiver, PagerDuty]) -> None:
    state, service = duty
    ticker = Ticker({"pager": channel(state)})
    one = problem("shop/orders", kind="run", numbers={"run": "abc"}, summary="no connection", link="/runs/1")
    ticker.tick(one)
    [event] = state.received
    [key] = service.alerts
    assert event["payload"] == {
        "summary": "[local] Run failed: shop/orders",
        "source": "local",
        "severity": "error",
        "component": "shop/orders",
        "class": "run",
        "custom_details": {
            "where": "raw", "since": "2026-11-22 12:00 UTC", "run": "abc", "summary": "no connection",
        },
    }  # fmt: skip
    assert event["links"] == [{"href": "http://ui/runs/1", "text": "Open in Dagster"}]
    ticker.tick(one)
    assert len(state.received) == 1
    ticker.tick()
    assert service.alerts == {key: "resolved"}
    ticker.tick(one)
    assert len(service.alerts) == 2, "what fails again later is another alert"


def test_a_warning_is_one(duty: tuple[Receiver, PagerDuty]) -> None:
    state, _ = duty
    Ticker({"pager": channel(state)}).tick(problem(severity="warn"))
    assert state.received[0]["payload"]["severity"] == "warning"


def test_sent_twice_is_one_alert(duty: tuple[Receiver, PagerDuty]) -> None:
    state, service = duty
    for _ in range(2):
        Ticker({"pager": channel(state)}).tick(problem())
    assert len(state.received) == 2 and len(service.alerts) == 1


def test_a_snooze_acknowledges(duty: tuple[Receiver, PagerDuty], tmp_path: object) -> None:
    from data_platform.stores.local import LocalStore

    state, service = duty
    ticker = Ticker({"pager": channel(state)}, store=LocalStore(tmp_path))  # type: ignore[arg-type]
    ticker.tick(problem())
    changed(ticker, "check:a", lambda one: snoozed(one, NOON.replace(hour=18), "ada"))
    ticker.tick(problem())
    assert list(service.alerts.values()) == ["acknowledged"]


def test_a_thousand_are_one_alert_that_is_over_when_all_are(duty: tuple[Receiver, PagerDuty]) -> None:
    state, service = duty
    ticker = Ticker({"pager": channel(state)})
    many = [problem(f"table {n} " + "x" * 100) for n in range(1_000)]
    ticker.tick(*many)
    assert len(state.received) == 1 and list(service.alerts.values()) == ["triggered"]
    assert len(state.received[0]["payload"]["custom_details"]["incidents"]) == 101
    ticker.tick(*many[500:])
    assert list(service.alerts.values()) == ["triggered"] and len(state.received) == 1
    ticker.tick()
    assert list(service.alerts.values()) == ["resolved"] and len(state.received) == 2


def test_what_was_over_before_anybody_was_paged_pages_nobody(duty: tuple[Receiver, PagerDuty]) -> None:
    state, service = duty
    state.answers = [Answer(503)] * 4
    ticker = Ticker({"pager": channel(state)})
    ticker.tick(problem())
    state.received.clear()
    ticker.tick()
    assert state.received == [] and service.alerts == {}


def test_a_wrong_key_is_a_refusal_that_does_not_show_it(duty: tuple[Receiver, PagerDuty]) -> None:
    state, _ = duty
    ticker = Ticker({"pager": channel(state, "SECRET-of-another")})
    done = ticker.tick(problem())
    assert "PAGERDUTY_ROUTING_KEY is the integration key" in str(done.error)
    assert "SECRET" not in str(done.error) and "SECRET" not in repr(ticker.channels["pager"])


def test_an_error_shows_no_key(duty: tuple[Receiver, PagerDuty]) -> None:
    state, _ = duty
    state.answers = [Answer(500)] * 4
    from data_platform_tests.alerts.test_email import post

    with pytest.raises(AlertError, match="HTTP 500, 4 attempts") as caught:
        channel(state).send(post())
    assert not isinstance(caught.value, AlertRefused)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_only_https_but_on_this_machine() -> None:
    assert PagerDutyConfig(kind="pagerduty").url == URL
    with pytest.raises(ValidationError):
        PagerDutyConfig(kind="pagerduty", url="http://events.pagerduty.com/v2/enqueue")
    with pytest.raises(ValidationError):
        PagerDutyConfig(kind="pagerduty", url="http://127.0.0.1.example.com/")


def test_a_long_name_is_cut(duty: tuple[Receiver, PagerDuty]) -> None:
    state, service = duty
    Ticker({"pager": channel(state)}).tick(Problem("check", "x" * 3_000, "w" * 3_000, "s" * 3_000, {}, NOON))
    assert list(service.alerts.values()) == ["triggered"]
