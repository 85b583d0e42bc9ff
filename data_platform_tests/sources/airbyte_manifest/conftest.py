"""A project over a manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.sync import Platform, TableReport, check_sources, open_platform, sync_changes
from data_platform.tables import TableId
from data_platform_tests.sources.http.server import Asked, Reply

KEY = "a test's key, long enough to be taken"
MANIFEST = Path(__file__).parent / "manifest.yaml"
AIRBYTE = Path(__file__).parents[3] / ".airbyte"


@dataclass
class Items:
    """An API of items with the day of their change: two a page by offset, number or cursor."""

    days: dict[int, str] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked.path)
        if asked.headers.get("Authorization") != "Bearer s3cr3t-token":
            return Reply(status=401)
        if self.status != 200:
            return Reply(status=self.status)
        if asked.path.endswith("/subs"):
            return Reply({"data": [{"sub": f"{asked.path.split('/')[2]}-{n}"} for n in range(2)]})
        since, at = asked.query.get("since", ""), int(asked.query.get("at") or 0)
        at = at * 2 if asked.path == "/numbered" else at
        found = [(day, id_) for id_, day in self.days.items() if day >= since]
        page = [
            f'{{"id": {id_}, "updated": "{day}", "price": 1.10, "long": 12345678901234567890}}'
            for day, id_ in sorted(found)[at : at + 2]
        ]
        after = at + 2 if at + 2 < len(found) else "null"
        return Reply(f'{{"data": [{", ".join(page)}], "next": {after}}}'.encode())


@dataclass
class Project:
    root: Path

    def write(self, tables: Mapping[str, Any], manifest: Path = MANIFEST, **connection: Any) -> Project:
        (self.root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
        }
        (self.root / "catalog" / "platform.yaml").write_text(
            yaml.safe_dump({"environments": {"local": local}})
        )
        reached = {"manifest": str(manifest), "environment": str(AIRBYTE), **connection}
        file = {"source": "shop", "kind": "airbyte_manifest", "connection": reached, "tables": dict(tables)}
        (self.root / "catalog" / "sources" / "shop.yaml").write_text(yaml.safe_dump(file))
        return self

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

    def failure(self, table: str = "items") -> str:
        error = self.sync()[table].error
        assert error is not None
        return f"{type(error).__name__}: {error}"

    def mistakes(self) -> list[str]:
        return check_sources(self.platform()).mistakes

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(query).rows]

    def batches(self, table: str = "items") -> list[Any]:
        return self.platform().ledger.since(TableId("shop", table), 0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def airbyte(project: Project) -> Project:
    if not (AIRBYTE / "bin" / "python").exists():
        pytest.skip("Airbyte's program is not installed: make airbyte")
    return project
