"""``sandbox``: up, looked at, played with and destroyed, with a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stripe

from data_platform.sandbox import down
from data_platform_tests.sandbox.services.conftest import Receiver, receiver

from .conftest import Result

__all__ = ["receiver"]

Cli = Callable[..., Result]


@pytest.fixture
def box(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    of_stripe = ("STRIPE_API_BASE", "STRIPE_API_KEY", "STRIPE_RESTRICTED_KEY", "STRIPE_WEBHOOK_SECRET")
    for name in ("SHOP_DATABASE_URL", "DATA_PLATFORM_HASH_KEY", *of_stripe):
        monkeypatch.setenv(name, "")  # so that what .env brings in is gone after the test
        monkeypatch.delenv(name)
    yield project
    down(project, destroy=True)


@pytest.mark.slow
def test_from_up_to_destroyed(cli: Cli, box: Path, receiver: Receiver) -> None:
    assert cli("sandbox", "status").code == 6
    assert json.loads(cli("sandbox", "status", "--json").out)["running"] is False
    assert cli("sandbox", "traffic", "--seconds", "0.1").code == 6

    up = cli("sandbox", "up", "--orders", "200", "--seed", "3", "--today", "2026-11-20", "--json")
    assert up.code == 0, up.err
    document = json.loads(up.out)
    assert (document["running"], document["orders"], document["seed"], document["today"]) == (
        True,
        200,
        3,
        "2026-11-20",
    )
    env = dict(line.split("=", 1) for line in (box / ".env").read_text().splitlines())
    password = env["SHOP_DATABASE_URL"].partition("://")[2].partition("@")[0].partition(":")[2]
    assert password
    assert password not in up.out + up.err
    assert env["STRIPE_API_KEY"] not in up.out + up.err

    again = cli("sandbox", "up", "--orders", "200")
    assert "its database already existed" in again.out
    assert password not in again.out + again.err

    played = cli("sandbox", "traffic", "--seconds", "0.5", "--rate", "20", "--json")
    assert played.code == 0, played.err
    assert json.loads(played.out)["committed"] > 0
    assert "committed:" in cli("sandbox", "traffic", "--seconds", "0.2").out

    told = json.loads(
        cli("sandbox", "traffic", "--seconds", "1", "--rate", "40", "--webhooks", receiver.url, "--json").out
    )["webhooks"]
    assert told["delivered"] == len(set(receiver.accepted)) > 0 == told["waiting"]
    for body, signature in zip(receiver.bodies, receiver.signatures, strict=True):
        stripe.WebhookSignature.verify_header(body, signature, env["STRIPE_WEBHOOK_SECRET"], tolerance=300)

    assert "its database kept" in cli("sandbox", "down").out
    assert cli("sandbox", "status").code == 6
    assert "database removed" in cli("sandbox", "down", "--destroy").out
