"""A folder of files and a project that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data_platform.landing.manifest import Manifest
from data_platform.sources.rejected import Rejected
from data_platform.sync import Platform, TableReport, open_platform, probe, sync_changes
from data_platform.sync.quarantine import shown
from data_platform.tables import TableId


@dataclass
class Company:
    root: Path
    settle_seconds: float = 0
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "exports"

    def put(self, path: str, content: str | bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def catalog(self, *, connection: Mapping[str, Any] | None = None, **block: Any) -> Company:
        folder = self.root / "catalog" / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        local = {
            "landing": {"kind": "local", "path": "landing"},
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 20},
        }
        (folder.parent / "platform.yaml").write_text(yaml.safe_dump({"environments": {"local": local}}))
        source = {
            "source": "office",
            "kind": "files",
            "start": "2026-01-01",
            "connection": {
                "settle_seconds": self.settle_seconds,
                **(connection or {"path": str(self.folder)}),
            },
            "tables": {"t": {"files": "**/*", **block}},
        }
        (folder / "office.yaml").write_text(yaml.safe_dump(source))
        return self

    def platform(self) -> Platform:
        return open_platform(self.root, "local", self.environ)

    def sync(self, **options: Any) -> TableReport:
        (report,) = sync_changes(self.platform(), "office", **options)
        return report

    def good(self, **options: Any) -> TableReport:
        report = self.sync(**options)
        assert report.error is None, report.error
        return report

    def refused(self) -> str:
        error = self.sync().error
        assert error is not None
        return str(error)

    def moved(self) -> bool | None:
        (seen,) = probe(self.platform(), "office")
        assert seen.error is None, seen.error
        return seen.moved

    def rows(self, columns: str = "*", order: str = "_file, _row") -> list[tuple[Any, ...]]:
        with self.platform().warehouse(read_only=True) as warehouse:
            return list(warehouse.query(f"SELECT {columns} FROM raw_office.t ORDER BY {order}").rows)

    def batches(self) -> list[Manifest]:
        return self.platform().ledger.since(TableId("office", "t"), 0)

    def kept(self, table: str = "t") -> list[Rejected]:
        """What waits in quarantine."""
        return [one.record for _, one in shown(self.platform(), TableId("office", table), None, 100)]
