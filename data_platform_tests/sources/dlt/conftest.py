"""A project over dlt sources."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.landing import quarantine
from data_platform.sync import Platform, TableReport, check_sources, open_platform, sync_changes
from data_platform.tables import TableId
from data_platform_tests.sources.http.server import Asked, Reply

KEY = "a test's key, long enough to be taken"
MODULE = "data_platform_tests.sources.dlt.company"


@dataclass
class Orders:
    """Three orders a page, those changed since ``since``, in the order of their changes."""

    records: dict[int, int] = field(default_factory=dict)
    broken_at: int | None = None
    reverse: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        since, page = int(asked.query["since"]), int(asked.query["page"])
        self.asked.append(f"{since}, page {page}")
        if asked.headers.get("Authorization") != "Bearer s3cr3t-token":
            return Reply(status=401)
        if self.broken_at == page:
            return Reply(status=500)
        found = sorted(
            ((changed, id_) for id_, changed in self.records.items() if changed >= since),
            reverse=self.reverse,
        )
        records = [{"id": id_, "changed": changed} for changed, id_ in found[page * 3 : page * 3 + 3]]
        return Reply({"records": records, "next": page + 1 if page * 3 + 3 < len(found) else None})


@dataclass
class Project:
    root: Path

    def write(self, function: str, tables: Mapping[str, Any], **connection: Any) -> Project:
        (self.root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
        }
        (self.root / "catalog" / "platform.yaml").write_text(
            yaml.safe_dump({"environments": {"local": local}})
        )
        reached = {"function": f"{MODULE}:{function}" if ":" not in function else function, **connection}
        file = {"source": "shop", "kind": "dlt", "connection": reached, "tables": dict(tables)}
        (self.root / "catalog" / "sources" / "shop.yaml").write_text(yaml.safe_dump(file))
        return self

    def shop(self, url: str, tables: Mapping[str, Any]) -> Project:
        return self.write("shop", tables, arguments={"url": url, "token_env": "SHOP_TOKEN"})

    def platform(self) -> Platform:
        return open_platform(
            self.root, "local", {**os.environ, "DATA_PLATFORM_HASH_KEY": KEY, "SHOP_TOKEN": "s3cr3t-token"}
        )

    def sync(self, **options: Any) -> dict[str, TableReport]:
        return {report.table.table: report for report in sync_changes(self.platform(), "shop", **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        assert not [str(report.error) for report in reports.values() if report.error]
        return reports

    def failure(self, table: str, **options: Any) -> str:
        error = self.sync(**options)[table].error
        assert error is not None
        return f"{type(error).__name__}: {error}"

    def mistakes(self) -> list[str]:
        return check_sources(self.platform()).mistakes

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(query).rows]

    def types(self, table: str) -> dict[str, str]:
        return dict(self.rows(f"SELECT column_name, column_type FROM (DESCRIBE raw_shop.{table})"))  # type: ignore[arg-type]

    def batches(self, table: str) -> list[Any]:
        return self.platform().ledger.since(TableId("shop", table), 0)

    def quarantined(self, table: str) -> list[bytes]:
        ledger = self.platform().ledger
        batches = quarantine.unresolved(ledger, TableId("shop", table))
        kept = [one for batch in batches for one in quarantine.records(ledger, batch.manifest, None)]
        return [one.record.bytes for one in kept]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
