"""Conditions under which dbt models run automatically. The daemon evaluates them.

A model follows every change of a raw table, including changes of old days. dbt runs separately
from the syncs, so that a broken table does not prevent unrelated marts from being built.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from typing import Any

import dagster as dg

from data_platform.catalog.runs import RunsConfig
from data_platform.defs.run_resources import run_tags

RAW = dg.AssetSelection.key_prefixes(["raw"])


def follow_raw_changes(gates: Iterable[dg.AssetKey]) -> dg.AutomationCondition[Any]:
    """Run after a dependency changed and while none is being materialized, unless one of ``gates`` (raw
    tables upstream, at any distance) failed a blocking check.

    A raw table has changed if its data version changed: a sync without changes triggers nothing.
    Other models have changed if they were built. ``in_latest_time_window`` and ``any_deps_missing``
    of ``eager()`` are left out on purpose: they would ignore changes of past days, and
    wait for ever for a day without rows.
    """
    condition = dg.AutomationCondition
    apart = ~condition.executed_with_root_target()
    raw_changed = condition.any_deps_match(condition.data_version_changed() & apart).allow(RAW)
    model_built = condition.any_deps_match(
        (condition.newly_updated() & apart) | condition.will_be_requested()
    ).ignore(RAW)
    trigger = (condition.newly_missing() | raw_changed | model_built).since_last_handled()
    gate_failed = condition.any_checks_match(condition.check_failed(), blocking_only=True)
    return reduce(
        operator.and_,
        (~condition.asset_matches(gate, gate_failed) for gate in sorted(gates)),
        trigger & ~condition.any_deps_in_progress() & ~condition.in_progress(),
    )


def automation_sensor(runs: RunsConfig, *, running: bool) -> dg.AutomationConditionSensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        "dbt_follows_raw",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description="Builds the dbt models that a changed raw table feeds.",
        run_tags={"data_platform/operation": "dbt", **run_tags(runs, runs.dbt)},
    )
