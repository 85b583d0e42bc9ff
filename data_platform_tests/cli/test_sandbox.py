"""``sandbox``: up, looked at, played with and destroyed, with a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_platform.sandbox import down

from .conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def box(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("SHOP_DATABASE_URL", "DATA_PLATFORM_HASH_KEY"):
        monkeypatch.setenv(name, "")  # so that what .env brings in is gone after the test
        monkeypatch.delenv(name)
    yield project
    down(project, destroy=True)


@pytest.mark.slow
def test_from_up_to_destroyed(cli: Cli, box: Path) -> None:
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

    again = cli("sandbox", "up", "--orders", "200")
    assert "its database already existed" in again.out
    assert password not in again.out + again.err

    played = cli("sandbox", "traffic", "--seconds", "0.5", "--rate", "20", "--json")
    assert played.code == 0, played.err
    assert json.loads(played.out)["committed"] > 0
    assert "committed:" in cli("sandbox", "traffic", "--seconds", "0.2").out

    assert "its database kept" in cli("sandbox", "down").out
    assert cli("sandbox", "status").code == 6
    assert "database removed" in cli("sandbox", "down", "--destroy").out
