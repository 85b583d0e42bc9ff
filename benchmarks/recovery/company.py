"""The company that is measured: a PostgreSQL server that pgbench filled, and a catalog with two environments.

``alone`` backs up into a folder; ``offsite`` into another folder and, where there is one, into a bucket.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from data_platform.local_postgres import environment, free_port
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import KEPT, QUIET_BACKED_UP
from data_platform.sync import Platform, open_platform

SETTINGS = {**QUIET_BACKED_UP, **KEPT, "shared_buffers": "128MB", "max_wal_size": "2GB"}
ENVIRONMENTS = """\
environments:
  alone:
    landing: {{kind: local, path: landing}}
    warehouse: {{kind: duckdb, path: warehouse.duckdb}}
    backups: {{store: {{kind: local, path: alone}}, start: 2026-01-01}}
  offsite:
    landing: {{kind: local, path: landing}}
    warehouse: {{kind: duckdb, path: warehouse.duckdb}}
    backups:
      store: {{kind: local, path: primary}}
      copies: {copies}
      start: 2026-01-01
"""
SOURCE = """\
source: shop
kind: postgres
connection: {{url_env: SHOP_URL}}
backups: {{database: {{ship_seconds: {seconds}, heartbeat_seconds: {seconds}}}}}
tables:
  pgbench_branches: {{key: bid, personal: {{filler: keep}}}}
"""
BUCKET = "offsite"


@dataclass
class Company:
    """``root`` holds the catalog and the stores, ``recovered`` what is recovered, which the server's account can reach."""

    root: Path
    recovered: Path
    server: PostgresServer
    copies: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {"SHOP_URL": self.server.url("postgres"), "DAGSTER_HOME": "", **self.secrets}

    def platform(self, name: str) -> Platform:
        return open_platform(self.root, name, self.environ)

    def ship_every(self, seconds: float) -> None:
        (self.root / "catalog/sources/shop.yaml").write_text(SOURCE.format(seconds=seconds))

    def pgbench(self, *arguments: str) -> None:
        with self.load(*arguments) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"pgbench ended with {process.returncode}: {said[-500:]}")

    @contextmanager
    def load(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [str(self.server.install / "bin/pgbench"), *arguments, self.server.url("postgres")],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def now(self) -> datetime:
        return self._one("select clock_timestamp()")

    def database_bytes(self) -> int:
        return self._one("select sum(pg_database_size(oid))::bigint from pg_database")

    def checkpoint(self) -> None:
        with self.server.connect() as connection:
            connection.execute("checkpoint")

    def _one(self, query: str) -> Any:
        with self.server.connect() as connection:
            row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]


@contextmanager
def company(scale: int, *, bucket: bool) -> Iterator[Company]:
    """One with ``scale`` hundred thousand accounts, about 15 MB each. Everything is removed at the end."""
    with ExitStack() as stack:
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-recovery-", dir="/var/tmp"))
        )
        root.chmod(0o711)  # PostgreSQL does not run as root
        copies, secrets = _bucket(stack, root) if bucket else ({}, {})
        server = stack.enter_context(PostgresServer(root / "server", port=free_port(), settings=SETTINGS))
        made = Company(root / "company", root / "recovered", server, copies, secrets)
        made.recovered.mkdir(mode=0o711)
        (made.root / "catalog/sources").mkdir(parents=True)
        (made.root / "catalog/platform.yaml").write_text(ENVIRONMENTS.format(copies=json.dumps(copies)))
        made.ship_every(10)
        made.pgbench("--initialize", "--quiet", f"--scale={scale}")
        made.checkpoint()
        yield made


def _bucket(stack: ExitStack, root: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A real S3 server of this machine, as the tests start it."""
    from data_platform_tests.servers.objects import ENVIRON, seaweedfs

    server = stack.enter_context(seaweedfs(root / "bucket"))
    return {BUCKET: server.config("recovery", cache=str(root / "cache"))}, dict(ENVIRON)
