"""The sign of life: regular, and a problem of its own where it does not get through."""

from __future__ import annotations

from datetime import timedelta

import pytest

from data_platform.alerts.heartbeat import Heart, HeartbeatConfig
from data_platform_tests.alerts.servers import SECRET, Answer, receiver
from data_platform_tests.alerts.ticks import NOON


def test_it_comes_every_few_minutes_and_tells_when_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    config, heart = HeartbeatConfig(every_minutes=5), Heart()
    with receiver() as state:
        environ = {"ALERTS_HEARTBEAT_URL": state.url}
        ticks = [NOON + timedelta(seconds=30 * number) for number in range(41)]
        beats = [number for number, now in enumerate(ticks) if heart.beat(config, environ, now)]
        assert beats == [0, 10, 20, 30, 40] and state.asked == 5
        state.answers = [Answer(404), Answer(404)]
        later = ticks[-1] + timedelta(minutes=5)
        assert not heart.beat(config, environ, later)
        assert heart.problem is not None and heart.problem.key == "heartbeat:ALERTS_HEARTBEAT_URL"
        assert SECRET not in heart.problem.summary and "ALERTS_HEARTBEAT_URL" in heart.problem.summary
        since = heart.problem.since
        assert not heart.beat(config, environ, later + timedelta(seconds=30))
        assert heart.problem is not None and heart.problem.since == since
        assert heart.beat(config, environ, later + timedelta(seconds=60))
        assert heart.problem is None


def test_without_its_variable_there_is_none() -> None:
    assert not Heart().beat(HeartbeatConfig(), {}, NOON)
