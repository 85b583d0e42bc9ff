"""A project with one source, which a test reads into a warehouse of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from data_platform.sync import Platform, TableReport, open_platform, sync_changes

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
HASH_KEY = "a test's key, long enough to be taken"
PLAIN: Mapping[str, str] = {"DATA_PLATFORM_HASH_KEY": HASH_KEY}


class OneSource:
    """``root`` is the project's folder, ``source`` the source's name, ``environ`` what the environment has."""

    source: ClassVar[str]
    root: Path
    environ: Mapping[str, str] = PLAIN

    def put(self, file: Mapping[str, Any] | str) -> None:
        """The source's file, as text or as what it says, beside the file of the platform."""
        folder = self.root / "catalog"
        (folder / "sources").mkdir(parents=True, exist_ok=True)
        (folder / "platform.yaml").write_text(PLATFORM)
        text = (
            file
            if isinstance(file, str)
            else yaml.safe_dump({"source": self.source, **file}, sort_keys=False)
        )
        (folder / "sources" / f"{self.source}.yaml").write_text(text)

    @property
    def platform(self) -> Platform:
        return open_platform(self.root, "local", self.environ)

    def sync(self, tables: Sequence[str] | None = None, **options: Any) -> dict[str, TableReport]:
        found = sync_changes(self.platform, self.source, tables, **options)
        return {report.table.table: report for report in found}

    def good(self, tables: Sequence[str] | None = None, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(tables, **options)
        assert not [str(report.error) for report in reports.values() if report.error]
        return reports

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform.warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(sql).rows]
