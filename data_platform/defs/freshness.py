"""The assets with a freshness policy, and their deadlines."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.names import table_of

DEFAULT_HOURS = 6


def with_freshness(definitions: dg.Definitions, catalog: Catalog) -> dg.Definitions:
    """A freshness policy on every synced table and mart that does not bring its own.

    A sync without changes counts: it is reported as a materialization. The check
    ``newest_data`` tests the age of the newest row.
    """

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        hours = hours_of(spec.key, catalog)
        if hours is None:
            return spec
        return dg.apply_freshness_policy(
            spec, dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours)), overwrite_existing=False
        )

    return definitions.map_resolved_asset_specs(func=policy)


def mart_policy(hours: Collection[float]) -> dg.FreshnessPolicy:
    """Of a mart that is made of raw tables with these ``freshness_hours``: it follows the one that changes most often,
    and nothing rebuilds it before that does."""
    window = timedelta(hours=max(DEFAULT_HOURS, min(hours, default=DEFAULT_HOURS)))
    return dg.FreshnessPolicy.time_window(fail_window=window)


def hours_of(key: dg.AssetKey, catalog: Catalog) -> float | None:
    """Hours after which ``key`` is stale; None if it has no deadline."""
    table = table_of(key)
    if table is not None:
        return catalog.table(table).freshness_hours
    return DEFAULT_HOURS if key.path[0] == "marts" else None
