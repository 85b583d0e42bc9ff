"""The repository's own catalog, as far as a test is about it: the shop's database alone, unless it is about the company."""

from __future__ import annotations

import shutil
from pathlib import Path

from data_platform.catalog import Catalog, load_catalog

ROOT = Path(__file__).resolve().parents[1]
SHOP = "shop"
PEOPLE = "subjects.yaml"
"""Names tables of several sources: where one of them is not there, the catalog refuses it."""


WITHOUT_MODELS = shutil.ignore_patterns("models")
"""For a folder without dbt's project, where the catalog must say nothing of its models."""


def copy_catalog(root: Path, *, models: bool = True) -> Path:
    """The catalog into ``root/catalog``, with no source but the shop, and so without the people of several sources."""
    target = root / "catalog"
    shutil.copytree(ROOT / "catalog", target, ignore=None if models else WITHOUT_MODELS)
    for file in (target / "sources").iterdir():
        if file.name != f"{SHOP}.yaml":
            file.unlink()
    (target / PEOPLE).unlink()
    return target


def shop_alone() -> Catalog:
    """The catalog of a company that has set no variable of any other source."""
    catalog = load_catalog(ROOT)
    return catalog.without({name: () for name in catalog.sources if name != SHOP})
