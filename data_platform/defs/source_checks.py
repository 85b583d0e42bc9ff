"""The rules that a source evaluates itself, as checks of its tables: one op a source, in the runs that sync it."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Iterator

import dagster as dg

from data_platform.catalog import Source, Table
from data_platform.catalog.runs import RunResources, RunsConfig
from data_platform.defs.check_results import rule_result, rule_specs
from data_platform.defs.names import pool, source_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags
from data_platform.sync.source_rules import evaluate_at_source, keep_found_at_source, source_label
from data_platform.tables import TableId
from data_platform.warehouses import WarehouseConfig


def source_check_keys(tables: Iterable[Table]) -> list[dg.AssetCheckKey]:
    return [
        dg.AssetCheckKey(source_key(table.id), rule.name) for table in tables for rule in table.source_rules
    ]


def source_checks(
    source: Source, warehouse: WarehouseConfig, runs: RunsConfig
) -> list[dg.AssetChecksDefinition]:
    """None if no table of the source has such rules."""
    ruled = {source_key(table.id): table for table in source.tables.values() if table.source_rules}
    specs = [
        spec for key, table in ruled.items() for spec in rule_specs(key, table.source_rules, table.owner)
    ]
    if not specs:
        return []

    @dg.multi_asset_check(
        name=f"source_rules_{source.name}",
        specs=specs,
        can_subset=True,
        pool=pool(warehouse),
        op_tags=step_tags(runs, runs.sync.get(source.name, RunResources())),
    )
    def evaluate(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected: dict[TableId, set[str]] = {}
        for check in context.selected_asset_check_keys:
            selected.setdefault(ruled[check.asset_key].id, set()).add(check.name)
        opened = platform.open()
        found = evaluate_at_source(opened, source, list(ruled.values()), selected)
        found = keep_found_at_source(opened, source, found)
        for table, evaluated in found.items():
            for result in evaluated.rules:
                yield rule_result(source_key(table), source_label(table), result)
            if evaluated.not_kept:
                context.log.warning(f"The failing rows of {table} could not be kept: {evaluated.not_kept}")

    return [evaluate]
