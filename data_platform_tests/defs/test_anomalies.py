"""The check `anomalies` in real runs of the graph: what came with a load is recorded from the ledger."""

from __future__ import annotations

from datetime import datetime

import dagster as dg
import pytest
import yaml

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.quality.verdicts import METRICS
from data_platform.tables import TableId
from data_platform.warehouses.journal import read
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
PRODUCTS = TableId("shop", "products")
KEY = dg.AssetKey(["raw", "shop", "products"])


def test_a_run_records_the_batch_that_it_landed(project: Project) -> None:
    path = project.root / "catalog" / "sources" / "shop.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["tables"]["products"]["anomalies"] = {"columns": ["price"], "quantiles": [1], "batches": True}
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    made = Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))
    job = made.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={KEY})
    for _ in range(2):  # the second one finds nothing new, so that it is the same load
        result = job.execute_in_process(instance=made.instance)
        assert result.success
        (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "anomalies"]
        assert found.passed and str(found.description).startswith("Learning")
    head = made.platform().ledger.head(PRODUCTS)
    assert head is not None
    with made.platform().warehouse(read_only=True) as warehouse:
        rows = read(warehouse, METRICS, {"table_name": PRODUCTS.raw_name})
        largest = warehouse.query("SELECT max(price) FROM raw_shop.products").rows[0][0]
    figures = {(str(row["metric"]), row["column_name"]): row["figure"] for row in rows}
    assert len(figures) == len(rows) and {row["batch_id"] for row in rows} == {head.batch_id}
    assert (figures["reread_rows", ""], figures["reread_bytes", ""]) == (head.rows, head.bytes)
    taken = datetime.fromisoformat(head.snapshot.taken_at)
    assert figures["arrival", ""] == pytest.approx(taken.hour * 60 + taken.minute + taken.second / 60)
    assert figures["largest", "price"] == pytest.approx(float(largest))
