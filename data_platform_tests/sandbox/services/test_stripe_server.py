"""A stand-in for Stripe that gets the port of a closed one is another one."""

from __future__ import annotations

from pathlib import Path

from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.service import Place
from data_platform.sandbox.services.stripe import SERVICE
from data_platform.sandbox.services.stripe.server import server_of


def _place(folder: Path) -> Place:
    return Place("stripe", folder, 1, SERVICE.secrets())


def test_the_application_and_the_background_share_their_state(tmp_path: Path) -> None:
    place, connections = _place(tmp_path), Connections(lambda: "")
    assert server_of(place, connections) is server_of(place, connections)


def test_the_next_one_at_a_port_has_its_own_keys_and_connections(tmp_path: Path) -> None:
    first, second = _place(tmp_path), _place(tmp_path)
    old, new = Connections(lambda: ""), Connections(lambda: "")
    server_of(first, old)
    assert server_of(second, old).place is second
    assert server_of(second, new).connections is new
