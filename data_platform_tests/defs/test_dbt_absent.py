"""The graph of a company that has not configured a source: none of its models, tests or dbt sources is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs import dbt_absent
from data_platform.defs.build import build
from data_platform.defs.dbt_words import test_sentence as sentence
from data_platform_tests.repository import ROOT, shop_alone

pytestmark = pytest.mark.slow
OTHERS = frozenset({"stripe", "zendesk", "web", "files", "spark"})
NAMES = ("stripe", "zendesk", "web", "files", "support_tickets", "marketing_funnel")


@pytest.fixture(scope="module")
def whole(manifest: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.read_bytes())
    return found


def shown(catalog: Any) -> set[str]:
    graph = build(catalog, "local").get_repository_def().asset_graph
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    checks = {key.to_user_string() for key in graph.asset_check_keys}
    return {name for name in keys | checks if any(word in name.partition(":")[0] for word in NAMES)}


def test_the_graph_has_nothing_of_a_source_that_is_not_configured(manifest: Path) -> None:
    assert shown(shop_alone()) == set()
    everything = shown(load_catalog(ROOT))
    assert {
        "marts/stripe_reconciliation",
        "marts/support_tickets_fact",
        "staging/stg_web__traffic",
    } <= everything
    assert {name.partition(":")[2] for name in everything} >= {
        "stripe_agrees_by_order",
        "stripe_agrees_by_amount",
    }


def test_what_stays_depends_on_nothing_that_is_gone(whole: dict[str, Any]) -> None:
    kept = dbt_absent.without(whole, OTHERS)
    ids = {*kept["nodes"], *kept["sources"]}
    for node in kept["nodes"].values():
        assert set(node["depends_on"]["nodes"]) <= ids
    for parents in (kept["parent_map"], kept["child_map"]):
        assert set(parents) <= ids | set(kept["unit_tests"]) | set(whole["exposures"])
        assert all(one in ids or one in kept["unit_tests"] for those in parents.values() for one in those)
    assert "model.data_platform.int_users__service_days" in ids, "what several sources share stays"


def test_dbt_is_told_to_leave_out_the_same(whole: dict[str, Any]) -> None:
    flag, paths = dbt_absent.excluded(whole, ["stripe", "zendesk"])
    assert flag == "--exclude"
    assert paths.split() == ["path:models/**/stripe", "path:models/**/zendesk", "path:tests/**/stripe"]
    assert dbt_absent.excluded(whole, []) == ()


def test_a_source_whose_file_has_a_mistake_keeps_its_models(whole: dict[str, Any]) -> None:
    """It is left out too, but its tables and their history are there."""
    catalog = shop_alone()
    assert dbt_absent.absent(whole, catalog) == OTHERS
    wrong = catalog.model_copy(
        update={"not_configured": {"web": ()}, "left_out": ("stripe.yaml, line 1: is wrong",)}
    )
    assert dbt_absent.absent(whole, wrong) == {"web"}


def test_the_checks_of_the_reconciliation_say_how_many_orders_and_how_much(whole: dict[str, Any]) -> None:
    relations = {"model.data_platform.stripe_reconciliation": "marts.stripe_reconciliation"}
    said = {
        node["name"]: sentence(node, relations, 1299)
        for node in whole["nodes"].values()
        if node["name"].startswith("stripe_agrees_by_")
    }
    assert "finds 1,299 orders" in said["stripe_agrees_by_order"]
    assert "finds 1,299 cents" in said["stripe_agrees_by_amount"]
    assert all(text.startswith("marts.stripe_reconciliation: ") for text in said.values())


def test_a_mart_of_weekly_or_daily_data_is_not_stale_in_between(manifest: Path) -> None:
    graph = build(load_catalog(ROOT), "local").get_repository_def().asset_graph

    def hours(mart: str) -> float:
        policy = graph.get(dg.AssetKey(["marts", mart])).freshness_policy
        assert isinstance(policy, dg.FreshnessPolicy)
        return policy.fail_window.to_timedelta().total_seconds() / 3600  # type: ignore[attr-defined]

    assert (hours("web_traffic_daily"), hours("order_facts"), hours("support_tickets_fact")) == (30, 6, 6)
