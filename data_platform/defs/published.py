"""The publication as an asset: a read-only copy of chosen schemas, made after the models were built."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs import shown
from data_platform.defs.automation import follow_raw_changes
from data_platform.defs.names import PUBLISHED, pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.sync import publish as publishing
from data_platform.warehouses import WarehouseConfig
from data_platform.warehouses.publishing import Publication, PublishConfig

READABLE = "readable"
RELATIONS_SHOWN = 200
LOADS_SHOWN = 200


def published_definitions(
    config: PublishConfig, catalog: Catalog, warehouse: WarehouseConfig, models: Iterable[dg.AssetKey]
) -> dg.Definitions:
    """``models`` are the assets that dbt makes: a key is its schema and its name."""
    hours = publishing.stale_after_hours(config, catalog)
    deps = sorted(set(_sources_of(config, catalog, models)))

    @dg.asset(
        key=PUBLISHED,
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in deps],
        pool=pool(warehouse),
        group_name="published",
        kinds={warehouse.kind},
        description=f"A read-only copy of {', '.join(config.schemas)} in {config.path}, for readers who never wait for a load. The"
        " rows are those of the warehouse at one instant; views are tables there.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours)),
        automation_condition=follow_raw_changes(()),
    )
    def published(platform: PlatformResource) -> Any:
        opened = platform.open()
        began = datetime.now(UTC)
        made = publishing.publish(opened)
        return dg.MaterializeResult(
            metadata={
                **publication_metadata(made),
                "path": str(publishing.place(opened)),
                "withheld": ", ".join(publishing.withheld(opened)) or "nothing",
                "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
            }
        )

    @dg.asset_check(
        asset=PUBLISHED,
        name=READABLE,
        description="A reader can open the publication, and every table in it has the rows that it says.",
    )
    def readable(platform: PlatformResource) -> dg.AssetCheckResult:
        opened = platform.open()
        mismatches = publishing.mismatches(opened)
        return dg.AssetCheckResult(
            passed=not mismatches,
            description=shown.description("; ".join(mismatches) or "Every table has its rows."),
        )

    return dg.Definitions(assets=[published], asset_checks=[readable])


def publication_metadata(made: Publication) -> dict[str, Any]:
    """How old it is, what is in it, and from which loads."""
    relations = sorted(made.relations, key=lambda one: (one.schema, one.name))[:RELATIONS_SHOWN]
    loads = sorted(made.loads, key=lambda one: one.loaded_at, reverse=True)[:LOADS_SHOWN]
    return {
        "publication": made.id,
        "made_at": dg.MetadataValue.timestamp(datetime.fromisoformat(made.made_at)),
        "rows": made.rows,
        "bytes": made.bytes,
        "relations": len(made.relations),
        "copied": made.copied,
        "content": shown.table(
            ("relation", "rows", "copied", "left out"),
            [
                (
                    f"{one.schema}.{one.name}",
                    one.rows,
                    "now" if one.changed_at == made.made_at else one.changed_at,
                    ", ".join(one.left_out),
                )
                for one in relations
            ],
        ),
        "loads": shown.table(
            ("table", "sequence", "batch", "loaded"),
            [(str(one.table), one.sequence, one.batch_id, one.loaded_at) for one in loads],
        ),
    }


def _sources_of(
    config: PublishConfig, catalog: Catalog, models: Iterable[dg.AssetKey]
) -> Iterable[dg.AssetKey]:
    """The assets whose relations are published."""
    wanted = set(config.schemas)
    for key in models:
        if wanted & {key.path[0], ".".join(key.path)}:
            yield key
    for table in catalog.table_ids():
        if wanted & {table.raw_schema, table.raw_name}:
            yield raw_key(table)
