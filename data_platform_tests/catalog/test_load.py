"""What is read from a catalog that is right."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from data_platform.catalog import Catalog, load_catalog, project_root
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.sources.postgres.config import settings_of
from data_platform.tables import TableId
from data_platform_tests.catalog.documents import PLATFORM, SOURCE, write

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_catalog_is_valid(catalog: Catalog) -> None:
    assert list(catalog.source("shop").tables) == [
        *("users", "products", "orders", "order_items", "payments", "events"),
    ]
    assert {source.name: source.optional for source in catalog.sources.values()} == {
        **dict.fromkeys(("files", "spark", "stripe", "web", "zendesk"), True),
        "shop": False,
    }
    assert not catalog.questions
    assert set(catalog.environments) == {"local", "prod"}
    assert catalog.environments["local"].automation == "stopped"
    assert catalog.environments["prod"].automation == "running"
    users = catalog.table(TableId("shop", "users"))
    assert users.treatment("email") == "hash"
    assert users.treatment("age") == "keep"
    assert users.treated == ("email", "phone", "ssn", "first_name", "last_name")


def test_a_table_has_what_it_inherits(tmp_path: Path) -> None:
    source = SOURCE + "owner: team:data\nschema: sales\ntimezone: Europe/Berlin\nfreshness_hours: 12\n"
    tables = """\
  orders: {key: id, partition: created_at}
  daily: {strategy: replace, relation: 'mart."daily.orders"', owner: a@b.example, freshness_hours: 1.5}
  lines: {key: [order_id, line], relation: Order Lines}
"""
    shop = load_catalog(write(tmp_path, tables, source=source)).source("shop")
    orders, daily, lines = (shop.table(name) for name in ("orders", "daily", "lines"))
    assert settings_of(orders).relation == ("sales", "orders")
    assert (orders.owner, orders.freshness_hours, orders.timezone) == ("team:data", 12, "Europe/Berlin")
    assert orders.start == date(2024, 11, 1)
    assert (orders.strategy, settings_of(orders).cursor_clock, orders.key) == (
        "merge",
        "application",
        ("id",),
    )
    assert settings_of(daily).relation == ("mart", "daily.orders")
    assert (daily.owner, daily.freshness_hours) == ("a@b.example", 1.5)
    assert settings_of(lines).relation == ("sales", "Order Lines")
    assert lines.key == ("order_id", "line")


def test_the_catalog_is_frozen_and_still_copies(catalog: Catalog) -> None:
    users = catalog.source("shop").tables["users"]
    with pytest.raises(TypeError, match="frozen"):
        users.personal["email"] = "keep"  # type: ignore[index]
    with pytest.raises(TypeError, match="frozen"):
        catalog.sources.clear()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="frozen"):
        users.key = ()  # type: ignore[misc]
    assert copy.deepcopy(catalog) == catalog
    assert pickle.loads(pickle.dumps(catalog)) == catalog


def test_what_is_not_there_is_named_with_what_is_near(catalog: Catalog) -> None:
    with pytest.raises(ConfigurationError, match=r"no table 'order'\. Did you mean 'orders'"):
        catalog.table(TableId("shop", "order"))
    with pytest.raises(ConfigurationError, match=r"no source 'shpo'\. Did you mean 'shop'"):
        catalog.source("shpo")
    with pytest.raises(ConfigurationError, match="no environment 'production'"):
        catalog.environment("production")


def test_a_catalog_without_sources_is_one(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    assert load_catalog(tmp_path).table_ids() == ()


def test_keys_are_text_as_written(tmp_path: Path) -> None:
    columns = "{on: x, no: y, 1: z}"
    table = load_catalog(write(tmp_path, f"  t: {{key: id, columns: {columns}}}\n")).source("shop").table("t")
    assert list(table.columns) == ["on", "no", "1"]


def test_project_root(tmp_path: Path) -> None:
    write(tmp_path, "  t: {key: id}\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert project_root(inner, {}) == tmp_path.resolve()
    assert project_root(inner, {"DATA_PLATFORM_HOME": str(ROOT)}) == ROOT
    with pytest.raises(
        ConfigurationError, match=r"DATA_PLATFORM_HOME is .*, which holds no catalog/platform.yaml"
    ):
        project_root(inner, {"DATA_PLATFORM_HOME": str(inner)})
    assert project_root(Path("/"), {}) == ROOT


def test_loading_needs_no_heavy_import() -> None:
    script = (
        "import sys; from data_platform.catalog import load_catalog, project_root; load_catalog(project_root());"
        "print(*{'dagster', 'dbt', 'pandas', 'duckdb', 'psycopg', 'pyarrow', 'requests', 'ruamel'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_it_is_read_again_when_a_byte_of_it_is_another(tmp_path: Path) -> None:
    root = write(tmp_path, "  orders: {key: id}\n")
    first = load_catalog(root)
    assert load_catalog(root) is first
    assert load_catalog(root, whole=False) is not first
    write(tmp_path, "  orders: {key: nr}\n")
    second = load_catalog(root)
    assert second.table(TableId("shop", "orders")).key == ("nr",)
    write(tmp_path, "  orders: {key: [}\n")
    with pytest.raises(CatalogError):
        load_catalog(root)
    write(tmp_path, "  orders: {key: id}\n")
    assert load_catalog(root) == first
    (root / "catalog/sources/late.yml").write_text("")
    with pytest.raises(CatalogError, match="rename it"):
        load_catalog(root)
