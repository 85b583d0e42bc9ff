"""A real server that can be backed up, and a company whose catalog says so."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import QUIET_BACKED_UP
from data_platform.sync import Platform, open_platform

SETTINGS = {
    **QUIET_BACKED_UP,
    "wal_level": "replica",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
}
CATALOG = """\
environments:
  local:
    landing: {{kind: local, path: landing}}
    warehouse: {{kind: duckdb, path: warehouse.duckdb}}
    backups:
      store: {{kind: local, path: backups}}
      copies: {copies}
      start: 2026-11-01
"""
SOURCE = """\
source: shop
kind: postgres
connection: {{url_env: SHOP_URL}}
backups: {{database: {block}}}
tables:
  orders: {{key: id, personal: {{note: keep}}}}
"""


@pytest.fixture(scope="session")
def kept_server(server_folder: Path) -> PostgresServer:
    """A server with WAL summaries, and the role ``keeper`` with REPLICATION."""
    server = PostgresServer(server_folder / "kept", settings=SETTINGS).start()
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET summarize_wal = on")
        connection.execute("SELECT pg_reload_conf()")
        if (
            connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'keeper'").fetchone() is None
        ):  # of another folder's tests
            connection.execute("CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'of-the-keeper'")
    return server


def keeper_url(server: PostgresServer, database: str = "postgres") -> str:
    return re.sub("//.*@", "//keeper:of-the-keeper@", server.url(database))


@dataclass
class Company:
    """``platform`` reads the catalog at ``root``; the source ``shop`` is ``database`` of ``server``."""

    root: Path
    server: PostgresServer
    database: str

    def platform(self, block: str = "{engine: native, url_env: KEEPER_URL}", copies: str = "{}") -> Platform:
        folder = self.root / "catalog" / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        (self.root / "catalog/platform.yaml").write_text(CATALOG.format(copies=copies))
        (folder / "shop.yaml").write_text(SOURCE.format(block=block))
        environ = {
            "SHOP_URL": self.server.url(self.database),
            "KEEPER_URL": keeper_url(self.server, self.database),
        }
        return open_platform(self.root, "local", environ)

    def execute(self, *statements: str) -> None:
        with self.server.connect(self.database) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def row(self, statement: str) -> tuple[Any, ...]:
        with self.server.connect(self.database) as connection:
            found = connection.execute(statement).fetchone()  # type: ignore[arg-type]
        assert found is not None
        return found


@pytest.fixture
def company(kept_server: PostgresServer, tmp_path: Path) -> Iterator[Company]:
    """With a table of 20,000 orders."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    kept_server.create_database(name)
    made = Company(tmp_path, kept_server, name)
    made.execute(
        "create table orders (id bigint primary key, note text)",
        "insert into orders select n, 'note ' || n from generate_series(1, 20000) n",
    )
    yield made
    kept_server.drop_database(name)


def connect(conninfo: str) -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo, autocommit=True)
