"""Rules that a source evaluates itself, in real runs: checks of the source's tables, once a sync."""

from __future__ import annotations

import dagster as dg
import psycopg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.defs.jobs import EVERYTHING
from data_platform.defs.names import source_key, sync_job
from data_platform.defs.probe_sensor import run_requests
from data_platform.defs.probing import Wanted
from data_platform.defs.source_checks import source_check_keys
from data_platform.defs.status_page import look
from data_platform.quality.failures import TABLE
from data_platform.sync.health import examine
from data_platform.tables import TableId
from data_platform.warehouses.journal import read
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
PRODUCTS = source_key(TableId("shop", "products"))
RULES = """
    source_rules:
      - {rule: price < 0, severity: warn, owner: "team:finance", name: odd}
      - sku is unique
"""


@pytest.fixture
def ruled(project: Project) -> Project:
    path = project.root / "catalog" / "sources" / "shop.yaml"
    head, products, tail = path.read_text().partition("  products:\n")
    path.write_text(f"{head}{products.rstrip()}{RULES}{tail}")
    return Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))


def test_a_sync_s_run_evaluates_them_at_the_source(ruled: Project) -> None:
    odd = dg.AssetCheckKey(PRODUCTS, "odd")
    assert ruled.repository.asset_graph.get_check_spec(odd).metadata["owner"] == "team:finance"
    chosen = [dg.AssetKey(["raw", "shop", "products"])]
    job = ruled.definitions.resolve_job_def(sync_job("shop"))
    keys = {dg.AssetCheckKey(PRODUCTS, name) for name in ("odd", "sku_is_unique")}
    assert keys <= job.asset_layer.asset_graph.asset_check_keys
    assert keys <= ruled.definitions.resolve_job_def(EVERYTHING).asset_layer.asset_graph.asset_check_keys
    subset = job.get_subset(asset_selection=set(chosen), asset_check_selection=keys)
    result = subset.execute_in_process(instance=ruled.instance, raise_on_error=False)
    assert result.success
    found = {one.asset_check_key: one for one in result.get_asset_check_evaluations()}
    assert found.keys() == keys
    assert found[dg.AssetCheckKey(PRODUCTS, "sku_is_unique")].passed
    failed = found[odd]
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.WARN)
    with psycopg.connect(ruled.url) as source:
        ((products,),) = source.execute("select count(*) from products").fetchall()
    assert failed.metadata["rows_failing"].value == products
    with ruled.platform().warehouse(read_only=True) as warehouse:
        kept = read(warehouse, TABLE, {"table_name": "source_shop.products"})
    assert len(kept) == min(products, 100)
    assert "table_name = 'source_shop.products'" in str(failed.metadata["failing_rows"].value)
    record = look(ruled.instance, ruled.platform(), [ruled.definitions])
    health = examine(ruled.platform(), record)
    (products_,) = [one.thing for one in health.judged if one.thing.label == "shop/products"]
    shown = {one.name: one.state for one in products_.checks if one.name.endswith("(at the source)")}
    assert shown == {"odd (at the source)": "failed", "sku_is_unique (at the source)": "passed"}


def test_what_the_sensor_and_the_schedules_start_evaluates_them_too(ruled: Project) -> None:
    source = load_catalog(ruled.root).source("shop")
    table = source.table("products")
    keys = set(source_check_keys([table]))
    (request,) = run_requests(source, Wanted(changes=(table.id,)))
    assert keys <= set(request.asset_check_keys or ())
    hidden = [job for job in ruled.repository.get_all_jobs() if job.name.endswith("_shop")]
    assert any(keys <= job.asset_layer.asset_graph.asset_check_keys for job in hidden)


def test_a_source_that_is_down_passes_nothing(ruled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    job = ruled.definitions.resolve_job_def(sync_job("shop"))
    keys = {dg.AssetCheckKey(PRODUCTS, name) for name in ("odd", "sku_is_unique")}
    subset = job.get_subset(asset_selection=set(), asset_check_selection=keys)
    result = subset.execute_in_process(instance=ruled.instance, raise_on_error=False)
    found = list(result.get_asset_check_evaluations())
    assert {one.check_name: one.passed for one in found} == {"odd": False, "sku_is_unique": False}
    assert all("cannot be evaluated at the source" in str(one.description) for one in found)
