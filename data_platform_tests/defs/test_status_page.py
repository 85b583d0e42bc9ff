"""The status page as an asset over a real shop: what the graph's records say of checks and models, kept and written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest

from data_platform.defs.latest_checks import results
from data_platform.defs.names import NOT_EVALUATED, STATUS_PAGE, raw_key
from data_platform.defs.status_page import look, refresh
from data_platform.observability.trust import Health, Trust
from data_platform.sync import health as examining
from data_platform.tables import TableId

from .conftest import Project

pytestmark = pytest.mark.slow
ORDERS = raw_key(TableId("shop", "orders"))


def examined(project: Project) -> Health:
    return refresh(project.instance, project.platform(), [project.definitions])[0]


def own(found: Health, label: str) -> Trust:
    (one,) = [one for one in found.judged if one.thing.label == label]
    return one.own


def report(instance: dg.DagsterInstance, key: dg.AssetCheckKey, *results: bool, **rest: Any) -> None:
    """Evaluations of ``key``, in this order."""
    for passed in results:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=passed, **rest)
        )


def a_page_on_which_nothing_is_unknown(project: Project, result: dg.ExecuteInProcessResult) -> None:
    """At the end of a run of the whole graph: see ``test_runs.py``. It leaves one more load of the orders."""
    (made,) = result.asset_materializations_for_node("observability__status_page")
    ended = [event.step_key for event in result.all_events if event.event_type_value == "STEP_SUCCESS"]
    assert ended[-1] == "observability__status_page", "after the checks, whose results it shows"
    path = project.root / ".data/status/index.html"
    assert made.metadata["path"].value == str(path)
    assert made.metadata["not_known"].value == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.S)[1])  # type: ignore[index]
    assert [len(figure["points"]) > 30 for figure in data["figures"]] == [True, True, True]

    platform = project.platform()
    record = examining.recorded(platform)
    assert record is not None
    revenue = next(one for one in record.models if one.relation == "marts.daily_revenue")
    assert (revenue.domain, revenue.owner, revenue.view) == ("sales", "data@company.example", False)
    assert "staging.stg_shop__orders" in revenue.upstream
    assert revenue.tests
    found = examining.examine(platform, record)
    trust = {one.thing.label: one.trust for one in found.judged}
    revenue_trust = trust["marts.daily_revenue"]
    assert (revenue_trust.fresh.state, revenue_trust.complete.state) == ("ok", "ok")
    assert {aspect.state for one in trust.values() for aspect in one.aspects[:3]} <= {"ok", "warn", "none"}
    assert record.built["marts.daily_revenue"].seconds
    assert found.judged[0].thing.history[-1].seconds is not None
    assert {one.own.fresh.state for one in found.judged} == {"ok"}

    project.execute(
        "UPDATE orders SET updated_at = now() WHERE order_id = (SELECT min(order_id) FROM orders)"
    )
    assert project.sync("orders").success
    behind = own(examined(project), "marts.daily_revenue").fresh
    assert (behind.state, "shop/orders" in behind.text) == ("warn", True), "it does not hold that load yet"


def test_the_last_result_counts_and_a_failure_lasts_since_it_first_came(instance: dg.DagsterInstance) -> None:
    key, other = dg.AssetCheckKey(ORDERS, "one"), dg.AssetCheckKey(ORDERS, "other")
    report(instance, key, False, True, False, False, False)
    report(instance, other, False, True)
    found = results(instance, {key, other, dg.AssetCheckKey(ORDERS, "never")})
    assert set(found) == {key, other}
    assert (found[key].passed, found[other].passed) == (False, True)
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    times = [one.event.timestamp for one in history if one.event]
    assert found[key].at == pytest.approx(times[0], abs=0.001)
    assert found[key].since == pytest.approx(times[2], abs=0.001)
    assert found[key].evaluation is not None


@pytest.mark.parametrize(
    ("metadata", "state"),
    [
        ({}, "bad"),
        ({NOT_EVALUATED: True}, "unknown"),
        ({"status": "error"}, "unknown"),
        ({"status": "fail"}, "bad"),
    ],
)
def test_a_check_that_could_not_be_evaluated_is_unknown(
    project: Project, metadata: dict[str, Any], state: str
) -> None:
    assert project.sync("orders").success
    name = next(key.name for key in checks_of(project) if key.name not in ("complete", "quarantine"))
    report(
        project.instance,
        dg.AssetCheckKey(ORDERS, name),
        False,
        metadata=metadata,
        description="It \\[failed\\].",
    )
    checked = own(examined(project), "shop/orders").checked
    assert checked.state == state
    assert "It [failed]" in checked.text, "without the escapes of the UI"


def checks_of(project: Project) -> Sequence[dg.AssetCheckKey]:
    return [key for key in sorted(project.repository.asset_graph.asset_check_keys) if key.asset_key == ORDERS]


def test_what_was_never_evaluated_or_built_is_not_ok(project: Project) -> None:
    assert project.sync("orders", checks=False).success
    found = examined(project)
    assert own(found, "shop/orders").fresh.state == "ok"
    assert own(found, "shop/orders").checked.state == "unknown"
    assert own(found, "shop/orders").complete.state == "unknown"
    assert own(found, "marts.daily_revenue").fresh.state == "bad"
    assert found.state == "bad"


def test_it_is_written_each_hour_and_after_the_backup(project: Project) -> None:
    node = project.repository.asset_graph.get(STATUS_PAGE)
    assert {"raw/shop/orders", "marts/daily_revenue", "published/warehouse", "backup/warehouse"} <= {
        key.to_user_string() for key in node.parent_keys
    }
    assert node.automation_condition is not None
    assert "0 * * * *" in str(node.automation_condition)


def test_the_history_of_a_table_has_a_point_for_each_load(project: Project) -> None:
    for _ in range(2):
        assert project.sync("orders", checks=False).success
        examined(project)
        project.execute(
            "UPDATE orders SET updated_at = now() WHERE order_id = (SELECT min(order_id) FROM orders)"
        )
    record = look(project.instance, project.platform(), [project.definitions])
    assert len(record.history["raw_shop.orders"]) == 2
