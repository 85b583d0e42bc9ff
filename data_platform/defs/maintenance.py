"""The maintenance of a warehouse that needs it, as an asset with a schedule."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import dagster as dg

from data_platform.defs import shown
from data_platform.defs.names import pool
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.maintenance import maintain
from data_platform.warehouses.maintenance import MaintainableConfig

MAINTENANCE = dg.AssetKey(["maintenance", "warehouse"])


def maintenance_definitions(config: MaintainableConfig, *, running: bool) -> dg.Definitions:
    @dg.asset(
        key=MAINTENANCE,
        pool=pool(config),
        group_name="maintenance",
        kinds={config.kind},
        description="The warehouse's small files merged, its deletes applied and what is old removed. No row changes.",
    )
    def warehouse(platform: PlatformResource) -> dg.MaterializeResult[None]:
        upkeep = maintain(platform.open())
        left = {"left": shown.lines("table", upkeep.left)} if upkeep.left else {}
        return dg.MaterializeResult(metadata={**upkeep.done, **left})

    maintenance = scheduled(
        "maintenance",
        dg.AssetSelection.assets(MAINTENANCE),
        config.maintenance_schedule,
        "Looks after the warehouse's files.",
        running=running,
    )

    return dg.Definitions(assets=[warehouse], schedules=[maintenance])
