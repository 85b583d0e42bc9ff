"""A running stand-in for Stripe on a shop of today, for reading by many tests and for a test's own."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import stripe
import uvicorn

from data_platform.sandbox.generate import generate
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.database import Connections
from data_platform.sandbox.services.faults import Faults
from data_platform.sandbox.services.serve import ByPort
from data_platform.sandbox.services.service import Place
from data_platform.sandbox.services.stripe import SERVICE
from data_platform.sandbox.services.stripe.install import install
from data_platform_tests.sandbox.services.property import ga4_shared, ga4_shop, property_

__all__ = ["ga4_shared", "ga4_shop", "property_"]

CONTROL = {"Sandbox-Control": "1"}
ORDERS = 3_000


@dataclass
class World:
    """``url`` is the shop's database, ``client`` Stripe's own library on the stand-in."""

    url: str
    place: Place
    client: stripe.StripeClient

    def get(self, path: str, **headers: str) -> requests.Response:
        key = {"Authorization": f"Bearer {self.place.secrets['api_key']}"}
        return requests.get(self.place.url + path, headers={**key, **headers}, timeout=30)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.request(
            method, f"{self.place.url}/_sandbox/{path}", json=body, headers=CONTROL, timeout=30
        )
        answer.raise_for_status()
        return answer.json()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Everything a list holds, page by page, by the raw API."""
        found: list[dict[str, Any]] = []
        told = {"limit": 100, **params}
        while True:
            query = "&".join(f"{name}={value}" for name, value in told.items())
            page = self.get(f"{path}?{query}").json()
            found += page["data"]
            if not page["has_more"]:
                return found
            told["starting_after"] = page["data"][-1]["id"]


def serve(url: str, folder: Path) -> Iterator[World]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    place = Place("stripe", folder, listening.getsockname()[1], SERVICE.secrets())
    connections = Connections(lambda: url)
    assert SERVICE.background is not None
    app = ByPort(
        {place.port: Faults(SERVICE.app(place, connections), SERVICE.failure)},
        [SERVICE.background(place, connections)],
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    client = stripe.StripeClient(place.secrets["api_key"], base_addresses={"api": place.url})
    try:
        yield World(url, place, client)
    finally:
        server.should_exit = True
        thread.join()
        connections.close()


@pytest.fixture(scope="session")
def shop_of_today(postgres: PostgresServer) -> str:
    # named anew each time: another folder may take the fixture too
    url = postgres.create_database(f"today_{uuid.uuid4().hex[:12]}")
    generate(url, orders=ORDERS, seed=2, today=datetime.now(UTC).date())
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        install(Place("stripe", Path(), 0, {}), connection)
    return url


@pytest.fixture(scope="session")
def stripe_read(shop_of_today: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For reading only. It is a copy, so that ``shop_of_today`` has no connection and may be copied again."""
    yield from serve(_copy(shop_of_today, f"read_{uuid.uuid4().hex[:12]}"), tmp_path_factory.mktemp("stripe"))


@pytest.fixture
def stripe_own(shop_of_today: str, tmp_path: Path) -> Iterator[World]:
    """To change at will."""
    yield from serve(_copy(shop_of_today, f"shop_{uuid.uuid4().hex[:12]}"), tmp_path)


def _copy(url: str, name: str) -> str:
    base, _, template = url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return f"{base}/{name}"


@dataclass
class Receiver:
    """Takes webhooks. ``answer`` says what each is answered with, by how many came before."""

    url: str
    answer: Callable[[int], int] = lambda nth: 200
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, signature: str) -> int:
        with self.lock:
            status = self.answer(len(self.bodies))
            self.bodies.append(body)
            self.signatures.append(signature)
            if status == 200:
                self.accepted.append(json.loads(body)["id"])
            return status


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(taken.take(body, self.headers["Stripe-Signature"]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken = Receiver(f"http://127.0.0.1:{server.server_address[1]}/stripe")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield taken
    server.shutdown()
    thread.join()
    server.server_close()
