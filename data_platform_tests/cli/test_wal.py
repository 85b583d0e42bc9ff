"""`data-platform wal` over a real server, as a process: one pass, the service that is stopped and killed, the status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.backups.database.wal.live import server

pytestmark = pytest.mark.slow

PLATFORM = """environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb}
    backups: {start: 2026-11-01, store: {kind: local, path: .backups/one}, copies: {offsite: {kind: local, path: .backups/two}}}
"""
SOURCE = """source: shop
kind: postgres
connection: {url_env: SHOP_DATABASE_URL, sslmode: prefer}
backups: {database: {ship_seconds: 0.3, heartbeat_seconds: 0.3}}
tables:
  orders: {key: id}
"""


@dataclass
class Company:
    root: Path
    url: str

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "data_platform.cli", "wal", *words, "--root", str(self.root)]

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, "SHOP_DATABASE_URL": self.url}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=self.variables, capture_output=True, text=True, check=False, timeout=90
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command("receive"), env=self.variables, stderr=subprocess.DEVNULL)

    def status(self) -> dict[str, object]:
        return json.loads(self.run("status", "--json").stdout)  # type: ignore[no-any-return]


@pytest.fixture
def company(server_folder: Path, tmp_path: Path) -> Iterator[Company]:
    running: PostgresServer
    with server(server_folder / f"wal-cli-{tmp_path.name}") as running:
        (tmp_path / "catalog" / "sources").mkdir(parents=True)
        (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
        (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(SOURCE)
        yield Company(tmp_path, running.url("postgres"))


def test_one_pass_then_the_status_knows_how_far(company: Company) -> None:
    before = company.run("status")
    assert before.returncode == 8 and "holds no WAL yet" in before.stderr
    done = company.run("receive", "--once")
    assert done.returncode == 0, done.stderr
    assert "into primary" in done.stderr and "into offsite" in done.stderr
    found = company.status()
    assert found["ok"], found
    (shop,) = found["sources"].values()  # type: ignore[attr-defined]
    assert [store["store"] for store in shop["stores"]] == ["primary", "offsite"]
    assert all(0 < store["rpo_seconds"] < 600 and not store["gap"] for store in shop["stores"])
    assert shop["slot"]["holds_bytes"] < 1 << 20
    shown = company.run("status", "shop")
    assert shown.returncode == 0 and "offsite" in shown.stdout
    with psycopg.connect(company.url, autocommit=True) as connection:
        connection.execute("select pg_drop_replication_slot('data_platform_wal_shop')")
    shown = company.run("status")
    assert shown.returncode == 8 and "has no slot for the receiver" in shown.stderr


def test_the_service_is_killed_again_and_again_and_no_byte_is_missing(company: Company) -> None:
    with psycopg.connect(company.url, autocommit=True) as connection:
        connection.execute("create table t (n int, x text)")
        for number in range(4):
            process = company.start()
            try:
                for _ in range(4):
                    connection.execute(
                        "insert into t select n, md5(n::text || random()) from generate_series(1, 4000) n"
                    )
                    time.sleep(0.4 + 0.3 * number)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        process = company.start()
        # only this process can have received it
        connection.execute("insert into t values (0, 'the last row')")
        row = connection.execute("select pg_current_wal_flush_lsn()").fetchone()
        assert row
        end = time.monotonic() + 60
        while True:
            (shop,) = company.status()["sources"].values()  # type: ignore[attr-defined]
            ends = [store["end"] for store in shop["stores"]]
            if all(ends) and connection.execute(
                "select bool_and(e::pg_lsn >= %s) from unnest(%s::text[]) e", (row[0], ends)
            ).fetchone() == (True,):
                break
            assert time.monotonic() < end, shop
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        orphans = "select count(*) from pg_stat_replication"
        assert connection.execute(orphans).fetchone() == (0,)
    assert not [store["gap"] for store in shop["stores"] if store["gap"]]
    assert not any(store["interrupted_at"] for store in shop["stores"])


def test_a_source_without_the_block_is_refused_with_what_to_do(company: Company) -> None:
    path = company.root / "catalog" / "sources" / "shop.yaml"
    path.write_text(SOURCE.replace("backups:", "#"))
    done = company.run("receive", "--once")
    assert done.returncode == 2 and "backups: {database: {engine: native}}" in done.stderr
    path.write_text(SOURCE.replace("{database: {", "{database: {engine: logical, "))
    done = company.run("receive", "shop", "--once")
    assert done.returncode == 2 and "receives no WAL" in done.stderr
