"""A project over a pile of pages (``contracts/toy_pages``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.landing import quarantine
from data_platform.sources import kinds
from data_platform.sync import Platform, TableReport, check_sources, open_platform, sync_changes
from data_platform.tables import TableId
from data_platform_tests.contracts.toy_pages import feed
from data_platform_tests.contracts.toy_pages.feed import Pile

KEY = "a test's key, long enough to be taken"


@dataclass
class Piles:
    root: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "system").write_text("toy")
        (self.root / "catalog" / "sources").mkdir(parents=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
        }
        (self.root / "catalog" / "platform.yaml").write_text(
            yaml.safe_dump({"environments": {"local": local}})
        )

    @property
    def folder(self) -> Path:
        return self.root / "piles"

    def pile(self, name: str = "items") -> Pile:
        return Pile(self.folder, name)

    def tables(self, tables: Mapping[str, Mapping[str, Any]], page: int = 3) -> None:
        source = {"source": "api", "kind": "pages", "connection": {"folder": str(self.folder), "page": page}}
        path = self.root / "catalog" / "sources" / "api.yaml"
        path.write_text(yaml.safe_dump({**source, "start": "2026-01-01", "tables": dict(tables)}))

    def platform(self) -> Platform:
        return open_platform(self.root, "local", {**os.environ, "DATA_PLATFORM_HASH_KEY": KEY})

    def sync(self, **options: Any) -> dict[str, TableReport]:
        return {r.table.table: r for r in sync_changes(self.platform(), "api", **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        assert not [r.error for r in reports.values() if r.error], [r.error for r in reports.values()]
        return reports

    def failure(self, table: str = "items", **options: Any) -> str:
        error = self.sync(**options)[table].error
        assert error is not None
        return f"{type(error).__name__}: {error}"

    def mistakes(self) -> list[str]:
        return check_sources(self.platform()).mistakes

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return list(warehouse.query(query).rows)

    def types(self, table: str = "items") -> dict[str, str]:
        with self.platform().warehouse(read_only=True) as warehouse:
            found = warehouse.query(f"SELECT column_name, column_type FROM (DESCRIBE raw_api.{table})").rows
        return {str(name): str(type_) for name, type_ in found}

    def batches(self, table: str = "items") -> list[Any]:
        return self.platform().ledger.since(TableId("api", table), 0)

    def quarantined(self, table: str = "items") -> list[tuple[str, str, bytes]]:
        """Reason, origin and bytes of each record that was set aside."""
        ledger = self.platform().ledger
        batches = quarantine.unresolved(ledger, TableId("api", table))
        kept = [one.record for batch in batches for one in quarantine.records(ledger, batch.manifest, None)]
        return [(record.reason, record.origin, record.bytes) for record in kept]


@pytest.fixture
def piles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Piles:
    monkeypatch.setitem(kinds.MODULES, "pages", "data_platform_tests.contracts.toy_pages.kind")  # type: ignore[arg-type]
    feed.ASKED.clear()
    return Piles(tmp_path)
