"""How fast exports are asked for: as Zendesk says, or as the catalog does. The clock only moves when somebody waits."""

from __future__ import annotations

import pytest

from data_platform.sources.zendesk.api import Api
from data_platform.sources.zendesk.config import ZendeskConnection
from data_platform_tests.sources.http.server import Asked, Reply, serving
from data_platform_tests.sources.http.test_client import FakeClock

PATH = "incremental/tickets/cursor.json"


def waits(requests: int, told: bool, **connection: int) -> list[float]:
    """What is waited for while so many exports are asked for, of a server that allows 10 in 6 seconds."""
    clock = FakeClock()
    sent: list[float] = []

    def answer(_: Asked) -> Reply:
        sent.append(clock.at)
        left = 10 - sum(at > clock.at - 6 for at in sent)
        headers = {"Zendesk-RateLimit-incremental-exports": f"total=10; remaining={left}; resets=6"}
        return Reply({"tickets": []}, headers=headers if told else {})

    environ = {"URL": "", "TOKEN": "secret"}
    with serving(answer) as server:
        environ["URL"] = server.url
        given = ZendeskConnection(url_env="URL", oauth_token_env="TOKEN", **connection)
        api = Api("desk", given, environ, clock=clock)
        for _ in range(requests):
            api.get(PATH, {})
        api.close()
    return clock.waited


@pytest.mark.parametrize(
    ("told", "connection", "waited"),
    [
        (True, {}, [6, 6]),
        (False, {}, [60, 60]),
        (True, {"exports_per_minute": 20}, [60]),
    ],
)
def test_an_answer_says_how_many_exports_are_left_unless_the_catalog_does(
    told: bool, connection: dict[str, int], waited: list[float]
) -> None:
    assert waits(25, told, **connection) == waited
