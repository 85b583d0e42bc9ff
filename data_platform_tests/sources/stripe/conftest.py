"""The sandbox's Stripe over a shop of today, and a project that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.sync import Platform, TableReport, open_platform, sync_changes
from data_platform_tests.sandbox.services.conftest import (
    World,
    shop_of_today,  # noqa: F401
    stripe_own,  # noqa: F401
    stripe_read,  # noqa: F401
)

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
HASH_KEY = "a test's key, long enough to be taken"
PERSONAL: dict[str, dict[str, str]] = {}


@dataclass
class Project:
    root: Path
    base: str
    key: str
    webhook_secret: str = ""

    def write(self, tables: dict[str, Any], **connection: Any) -> Project:
        (self.root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(PLATFORM)
        reached = {
            "api_key_env": "STRIPE_API_KEY",
            "api_base_env": "STRIPE_API_BASE",
            "requests_per_second": 1000,
            **connection,
        }
        file = {"source": "pay", "kind": "stripe", "connection": reached, "tables": tables}
        (self.root / "catalog" / "sources" / "pay.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
        return self

    @property
    def platform(self) -> Platform:
        environ = {
            "DATA_PLATFORM_HASH_KEY": HASH_KEY,
            "STRIPE_API_KEY": self.key,
            "STRIPE_API_BASE": self.base,
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
        }
        return open_platform(self.root, "local", environ)

    def sync(self, **options: Any) -> dict[str, TableReport]:
        return {report.table.table: report for report in sync_changes(self.platform, "pay", **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        assert not [str(report.error) for report in reports.values() if report.error]
        return reports

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform.warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(sql).rows]


@pytest.fixture
def project(tmp_path: Path) -> Callable[[World], Project]:
    """A project over one world."""
    return lambda world: Project(
        tmp_path / "project",
        world.place.url,
        world.place.secrets["api_key"],
        world.place.secrets["webhook_secret"],
    )
