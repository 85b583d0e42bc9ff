"""A project of two small sources, and the command line run inside this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_platform.cli.app import run

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb, wait_seconds: 0}
    automation: stopped
    alerts: {ui_url: http://127.0.0.1:3000}
privacy: {hash_key_env: CLI_TEST_HASH_KEY}
"""
SHOP = """\
source: shop
kind: postgres
description: 'A shop: with {{ braces }} and "quotes"'
owner: team:data
connection: {url_env: CLI_TEST_SHOP_URL, connect_timeout_seconds: 3}
start: 2026-01-01
tables:
  orders:
    description: One row per order.
    key: order_id
    cursor: updated_at
    partition: created_at
    columns: {order_id: "The order's number"}
  products: {key: product_id, cursor: updated_at, personal: {supplier_email: hash}}
"""
CRM = """\
source: crm
kind: postgres
owner: team:data
connection: {url_env: CLI_TEST_CRM_URL}
start: 2026-01-01
tables:
  contacts: {key: contact_id}
  orders: {key: order_id}
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, which is also the working folder."""
    sources = tmp_path / "catalog" / "sources"
    sources.mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    (sources / "shop.yaml").write_text(SHOP)
    (sources / "crm.yaml").write_text(CRM)
    monkeypatch.chdir(tmp_path)
    for name in ("DATA_PLATFORM_HOME", "DATA_PLATFORM_ENV", "DATA_PLATFORM_DEBUG", "CLI_TEST_SHOP_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs ``data-platform`` with the given words."""

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
