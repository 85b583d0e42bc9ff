"""The export to Iceberg as an asset with a schedule, downstream of the tables it takes."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.defs import shown
from data_platform.defs.names import pool, table_of
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.errors import ExportFailed
from data_platform.iceberg.config import IcebergConfig
from data_platform.sync.iceberg import export, withheld
from data_platform.warehouses import WarehouseConfig

TABLES = dg.AssetKey(["iceberg", "tables"])
FRESH = timedelta(hours=26)


def iceberg_definitions(
    config: IcebergConfig, warehouse: WarehouseConfig, assets: Iterable[dg.AssetKey], *, running: bool
) -> dg.Definitions:
    """``assets`` are those whose tables are in the warehouse."""
    taken = sorted(key for key in assets if config.exports(*_relation(key)))

    @dg.asset(
        key=TABLES,
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in taken],
        pool=pool(warehouse),
        group_name="iceberg",
        kinds={"iceberg"},
        description="Chosen tables of the warehouse as Iceberg tables, for the engines of others: those that have changed,"
        " each in one commit, each read back.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=FRESH),
    )
    def tables(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        found = list(export(opened))
        done = [one for one in found if not isinstance(one, ExportFailed)]
        failed = [one for one in found if isinstance(one, ExportFailed)]
        yield dg.MaterializeResult(
            metadata={
                "tables": len(done),
                "withheld": ", ".join(withheld(opened)) or "nothing",
                "changed": sum(one.changed for one in done),
                "rows": sum(one.rows for one in done),
                "seconds": round(sum(one.seconds for one in done), 3),
                "snapshots": dg.MetadataValue.json(
                    {f"{one.schema}.{one.table}": str(one.snapshot) for one in done}
                ),
                **({"failed": shown.lines("table", [str(error) for error in failed])} if failed else {}),
            }
        )
        if failed:
            raise dg.Failure(
                f"{len(failed)} of {len(found)} tables were not exported to Iceberg: {failed[0]}",
                metadata={"failed": len(failed)},
            )

    regularly = scheduled(
        "iceberg_export",
        dg.AssetSelection.assets(TABLES),
        config.schedule,
        "Exports what has changed to Iceberg.",
        running=running,
    )

    return dg.Definitions(assets=[tables], schedules=[regularly])


def _relation(key: dg.AssetKey) -> tuple[str, str]:
    """The schema and the table that an asset is in the warehouse."""
    table = table_of(key)
    return (
        (table.raw_schema, table.table)
        if table
        else (key.path[-2] if len(key.path) > 1 else "", key.path[-1])
    )
