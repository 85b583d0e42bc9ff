"""A small catalog that tests write, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb}
"""
SOURCE = """\
source: shop
kind: postgres
connection: {url_env: SHOP_DATABASE_URL}
start: 2024-11-01
"""


def write(root: Path, tables: str = "", *, source: str | None = None, platform: str = PLATFORM) -> Path:
    folder = root / "catalog" / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "catalog" / "platform.yaml").write_text(platform)
    body = "tables:\n" + tables if tables else ""
    (folder / "shop.yaml").write_text((SOURCE if source is None else source) + body)
    return root


def mistakes(root: Path) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    return list(caught.value.mistakes)


def only(root: Path) -> str:
    (mistake,) = mistakes(root)
    return mistake
