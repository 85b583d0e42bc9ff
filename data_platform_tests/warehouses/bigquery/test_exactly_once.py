"""Exactly once into BigQuery, over the emulator: any request fails, a process is killed at it, two loads meet.

Faults that a proxy makes of the wire are in ``test_emulator.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests

from data_platform_tests.warehouses.bigquery.conftest import World, word
from data_platform_tests.warehouses.exactly_once import ExactlyOnce, Fault, Trial, When


class Killed(BaseException):
    """The process is gone: nothing more is sent."""


class Unavailable(BaseException):
    """The service answers 503."""


class Watch:
    """What Google's client sends, a word each. How a job is does not count: it is asked as often as the job takes."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fault: Callable[[str, str], None] | None = None

    def meet(self, call: str, now: str) -> None:
        if self.fault is not None:
            self.fault(call, now)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made, send = Watch(), requests.Session.send

    def watched(session: Any, request: Any, **settings: Any) -> requests.Response:
        call = word(request.method, request.path_url)
        if call == "job":
            return send(session, request, **settings)
        made.seen.append(call)
        try:
            made.meet(call, "before")
        except Unavailable:
            return unavailable(request)
        answer = send(session, request, **settings)
        made.meet(call, "after")
        return answer

    monkeypatch.setattr(requests.Session, "send", watched)
    return made


def unavailable(request: Any) -> requests.Response:
    answer = requests.Response()
    answer.status_code, answer.url, answer.request, answer._content = 503, request.url, request, b""
    return answer


@pytest.fixture
def trial(world: World, watch: Watch) -> Trial:
    faults = {
        "503": Fault("before", Unavailable),
        "answer lost": Fault("after", requests.ConnectionError),
        "cut before it is done": Fault("before", requests.ConnectionError),
    }
    return Trial(world.opened, watch, world.folder, faults, Killed, "script", "script", gone=Killed)


class TestExactlyOnce(ExactlyOnce):
    kind = "bigquery"
    sample = meet = ()
    """A load takes seconds there."""

    def kills(self, trial: Trial, calls: list[str], everything: bool) -> Iterable[tuple[int, When]]:
        return [(at, when) for at in range(len(calls)) for when in ("before", "after")]
