"""Asks a running stand-in to send webhooks, and waits until it has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_platform.errors import SandboxError

if TYPE_CHECKING:
    from data_platform.sandbox.services.service import Place

CONTROL = {"Sandbox-Control": "1"}


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What became of an endpoint's events: ``waiting`` for their next attempt, delivered, given up."""

    delivered: int
    given_up: int
    waiting: int
    attempts: int


def register(place: Place, url: str) -> None:
    """Let everything that happens from now on be sent to ``url``; once is enough."""
    if not any(one["url"] == url for one in _ask(place, "GET")):
        _ask(place, "POST", {"url": url})


def wait(place: Place, url: str, seconds_max: float = 60.0) -> Deliveries:
    """Until every event was delivered or given up, or the time is over."""
    deadline = time.monotonic() + seconds_max
    while True:
        (found,) = (one for one in _ask(place, "GET") if one["url"] == url)
        if (found["waiting"] == 0 and found["unsent"] == 0) or time.monotonic() > deadline:
            return Deliveries(found["delivered"], found["given_up"], found["waiting"], found["attempts"])
        time.sleep(0.1)


def _ask(place: Place, method: str, body: dict[str, Any] | None = None) -> Any:
    import requests

    try:
        answer = requests.request(
            method, f"{place.url}/_sandbox/webhooks", json=body, headers=CONTROL, timeout=30
        )
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise SandboxError(
            f"The sandbox's Stripe does not answer at {place.url} ({error}). Bring it up: `data-platform sandbox up`."
        ) from error
