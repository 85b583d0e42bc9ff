"""A project over a pile of pages (``contracts/toy_pages``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from data_platform.sources import kinds
from data_platform_tests.contracts.toy_pages import feed
from data_platform_tests.contracts.toy_pages.feed import Pile
from data_platform_tests.sources.project import SourceProject


class Piles(SourceProject):
    source = "api"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.folder.mkdir()
        (self.folder / "system").write_text("toy")

    @property
    def folder(self) -> Path:
        return self.root / "piles"

    def pile(self, name: str = "items") -> Pile:
        return Pile(self.folder, name)

    def tables(self, tables: Mapping[str, Mapping[str, Any]], page: int = 3) -> None:
        connection = {"folder": str(self.folder), "page": page}
        self.catalog(kind="pages", connection=connection, start="2026-01-01", tables=dict(tables))

    def quarantined(self, table: str = "items") -> list[tuple[str, str, bytes]]:
        """Reason, origin and bytes of each record that was set aside."""
        return [(record.reason, record.origin, record.bytes) for record in self.set_aside(table)]


@pytest.fixture
def piles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Piles:
    monkeypatch.setitem(kinds.MODULES, "pages", "data_platform_tests.contracts.toy_pages.kind")  # type: ignore[arg-type]
    feed.ASKED.clear()
    return Piles(tmp_path)
