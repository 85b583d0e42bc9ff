"""When dbt runs by itself, as Dagster's own evaluation decides."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from data_platform.defs.build import build
from data_platform.defs.day_checks import DayChecks, Load
from data_platform.defs.last_records import carry_checks, last_materializations
from data_platform.quality.evaluate import RuleResult
from data_platform.quality.rules import parse_rule
from data_platform_tests.repository import shop_alone

pytestmark = pytest.mark.slow
ORDERS_CHECK = dg.AssetCheckKey(dg.AssetKey(["raw", "shop", "orders"]), "order_id_not_null")


class Daemon:
    """Evaluates the conditions tick by tick; ``tick`` names the models asked for."""

    def __init__(self, definitions: dg.Definitions) -> None:
        self.definitions, self.instance = definitions, dg.DagsterInstance.ephemeral()
        self.keys = definitions.get_repository_def().asset_graph.get_all_asset_keys()
        self.cursor = None
        self.tick()

    def tick(self) -> set[str]:
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=dg.AssetSelection.all(), cursor=self.cursor
        )
        self.cursor = result.cursor
        return {key.to_user_string() for key in self.keys if result.get_num_requested(key)}

    def materialize(self, table: str, version: str, *days: str) -> None:
        for day in (*days, None):
            tags = {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}
            event = dg.AssetMaterialization(["raw", "shop", table], partition=day, tags=tags)
            self.instance.report_runless_asset_event(event)

    def check(self, key: dg.AssetCheckKey, *, passed: bool, day: str | None = "2026-11-01") -> None:
        """As a sync of the command line is reported, of which ``day`` fails; None: nobody knows which."""
        rule = parse_rule({"rule": "order_id not null", "blocking": True})
        assert rule.name == key.name
        days = {} if passed else {day: 1} if day else None
        found = RuleResult(rule, passed, 1, int(not passed), 0.0, days=days)
        node = self.definitions.resolve_asset_graph().get(key)
        assert node.partitions_def is not None, "Dagster's condition looks at the days of such a check"
        DayChecks(self.instance, key.asset_key, node.partitions_def, Load()).keep([found])
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(key.asset_key, key.name, passed, {}, blocking=True)
        )
        carry_checks(self.instance, last_materializations(self.instance, [key.asset_key]))


@pytest.fixture(scope="module")
def definitions(manifest: Path) -> dg.Definitions:
    return build(shop_alone(), "local")


def test_it_follows_a_change_of_an_old_day_once(definitions: dg.Definitions) -> None:
    daemon = Daemon(definitions)
    daemon.materialize("orders", "1", "2025-03-03")
    asked = daemon.tick()
    assert {"staging/stg_shop__orders", "marts/order_facts", "marts/daily_revenue"} <= asked
    assert "staging/stg_shop__users" not in asked
    assert daemon.tick() == set()


def test_a_look_that_found_nothing_starts_nothing(definitions: dg.Definitions) -> None:
    daemon = Daemon(definitions)
    daemon.materialize("users", "1")
    assert "marts/user_dim" in daemon.tick()
    daemon.materialize("users", "1")
    assert daemon.tick() == set()
    daemon.materialize("users", "2")
    assert "marts/user_dim" in daemon.tick()


def test_a_failed_blocking_check_stops_what_follows_however_far_and_nothing_else(
    definitions: dg.Definitions,
) -> None:
    daemon = Daemon(definitions)
    daemon.materialize("orders", "1", "2026-11-01")
    daemon.check(ORDERS_CHECK, passed=False)
    daemon.materialize("products", "1")
    asked = daemon.tick()
    assert "staging/stg_shop__products" in asked
    assert not asked & {"staging/stg_shop__orders", "marts/order_facts", "marts/daily_revenue"}
    daemon.check(ORDERS_CHECK, passed=True)
    assert {"staging/stg_shop__orders", "marts/order_facts"} <= daemon.tick()


def test_it_stops_too_if_nobody_knows_which_day_fails(definitions: dg.Definitions) -> None:
    daemon = Daemon(definitions)
    daemon.materialize("orders", "1", "2026-11-01")
    daemon.check(ORDERS_CHECK, passed=False, day=None)
    assert "staging/stg_shop__orders" not in daemon.tick()
    daemon.check(ORDERS_CHECK, passed=True)
    assert "staging/stg_shop__orders" in daemon.tick()
