"""The asset of answers by hand: it writes them for the mart, and its check warns of answers that nobody understands."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest
import yaml

from data_platform.defs.build import build
from data_platform.defs.consents import UNDERSTOOD
from data_platform.defs.names import CONSENT_DECISIONS
from data_platform.sync.consent.book import Book
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata

pytestmark = pytest.mark.slow
ANSWERS = {
    "table": "shop/orders",
    "subject": "user_id",
    "purpose": "status",
    "state": "status",
    "at": "updated_at",
}
SUBJECTS = {
    "subjects": {
        "customer": {
            "lookups": {"user_id": "shop/users.user_id"},
            "links": {"shop/orders.user_id": "shop/users.user_id"},
            "consent": {"key": "shop/users.user_id", "purposes": {"letters": {}}, "from": [ANSWERS]},
        }
    }
}


def test_answers_by_hand_are_written_and_odd_ones_warned_of(project: Project, redaction_key: str) -> None:
    """The states of orders stand for answers to purposes that nobody knows."""
    (project.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    project = replace(project, definitions=build(project.platform().catalog, "local"))
    assert project.sync("users", "orders", checks=False).success
    platform = project.platform()
    customer = platform.catalog.subject("customer")
    Book(platform).decide(customer, ["1"], "letters", "granted", None, "the DPO")
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={CONSENT_DECISIONS}, asset_check_selection={UNDERSTOOD})
    result = subset.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    (judged,) = result.get_asset_check_evaluations()
    assert not judged.passed
    assert judged.severity is dg.AssetCheckSeverity.WARN
    with platform.warehouse(read_only=True) as warehouse:
        ((orders,),) = warehouse.query("select count(*) from raw_shop.orders").rows
        decided = warehouse.query(
            "select subject_key, state from privacy.consent_decisions where purpose is not null"
        ).rows
    assert judged.metadata["unknown_purposes"].value == orders > 0
    assert decided == [("1", "granted")]
    assert metadata(project, CONSENT_DECISIONS)["dagster/row_count"] == 1
    graph = project.definitions.resolve_asset_graph()
    assert dg.AssetKey(["raw", "shop", "orders"]) in graph.get(CONSENT_DECISIONS).parent_keys
