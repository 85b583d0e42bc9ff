"""A project of one source: its catalog, its syncs and what they left, for tests of any kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from data_platform.landing import quarantine
from data_platform.sources.rejected import Rejected
from data_platform.sync import Platform, TableReport, check_sources, open_platform, sync_changes
from data_platform.tables import TableId

KEY = "a test's key, long enough to be taken"


@dataclass
class SourceProject:
    root: Path
    source: ClassVar[str] = "shop"
    variables: ClassVar[Mapping[str, str]] = {"SHOP_TOKEN": "s3cr3t-token"}

    def catalog(self, **file: Any) -> None:
        """Write the catalog with the source's file."""
        sources = self.root / "catalog" / "sources"
        sources.mkdir(parents=True, exist_ok=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
        }
        (sources.parent / "platform.yaml").write_text(yaml.safe_dump({"environments": {"local": local}}))
        (sources / f"{self.source}.yaml").write_text(yaml.safe_dump({"source": self.source, **file}))

    def platform(self) -> Platform:
        environ = {**os.environ, "DATA_PLATFORM_HASH_KEY": KEY, **self.variables}
        return open_platform(self.root, "local", environ)

    def sync(self, **options: Any) -> dict[str, TableReport]:
        return {one.table.table: one for one in sync_changes(self.platform(), self.source, **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        errors = [str(one.error) for one in reports.values() if one.error]
        assert not errors, errors
        return reports

    def failure(self, table: str = "items", **options: Any) -> str:
        error = self.sync(**options)[table].error
        assert error is not None
        return f"{type(error).__name__}: {error}"

    def mistakes(self) -> list[str]:
        return check_sources(self.platform()).mistakes

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(query).rows]

    def types(self, table: str = "items") -> dict[str, str]:
        described = f"SELECT column_name, column_type FROM (DESCRIBE raw_{self.source}.{table})"
        return {str(name): str(type_) for name, type_ in self.rows(described)}

    def batches(self, table: str = "items") -> list[Any]:
        return self.platform().ledger.since(TableId(self.source, table), 0)

    def set_aside(self, table: str = "items") -> list[Rejected]:
        """The records in quarantine."""
        ledger = self.platform().ledger
        batches = quarantine.unresolved(ledger, TableId(self.source, table))
        return [one.record for batch in batches for one in quarantine.records(ledger, batch.manifest, None)]
