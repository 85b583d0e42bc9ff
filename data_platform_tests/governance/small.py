"""A catalog of one table, for tests of what is made of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_platform.catalog import Catalog, load_catalog


def catalog_with(columns: Sequence[str], personal: Mapping[str, str]) -> Catalog:
    """The source `shop` with the table `users`."""
    lines = [
        "source: shop",
        "kind: postgres",
        "connection: {url_env: SHOP_URL}",
        "start: 2026-01-01",
        "tables:",
    ]
    lines += ["  users:", "    key: id", "    columns:", *(f"      {name}: A column." for name in columns)]
    if personal:
        lines += ["    personal:", *(f"      {name}: {treatment}" for name, treatment in personal.items())]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "catalog/sources").mkdir(parents=True)
        (Path(folder) / "catalog/sources/shop.yaml").write_text("\n".join(lines) + "\n")
        (Path(folder) / "catalog/platform.yaml").write_text(
            "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
            "    warehouse: {kind: duckdb, path: w.duckdb}\n"
        )
        return load_catalog(Path(folder))
