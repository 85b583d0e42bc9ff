"""The copies of the landing store, brought up to date each hour, as an asset."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.backups.config import BackupsConfig
from data_platform.catalog import Catalog
from data_platform.defs import shown
from data_platform.defs.backup import GROUP
from data_platform.defs.names import LANDING_COPIES, source_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.backup import copy_landing


def landing_definitions(config: BackupsConfig, catalog: Catalog, *, running: bool) -> dg.Definitions:
    """The asset `backup/landing` and its schedule."""

    @dg.asset(
        key=LANDING_COPIES,
        deps=[
            dg.AssetDep(source_key(table), partition_mapping=dg.AllPartitionMapping())
            for table in catalog.table_ids()
        ],
        group_name=GROUP,
        kinds={"parquet"},
        description="What has landed since the last time and the deliveries of webhooks that wait, copied into the backup store and its"
        " copies; each part was hashed when it was read and when it was read back.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1)),
    )
    def landing(platform: PlatformResource) -> Iterator[Any]:
        began = datetime.now(UTC)
        copied, failed = copy_landing(platform.open(whole=True))
        damaged = [f"{name}: {line}" for name, one in copied.items() for line in one.damaged]
        yield dg.MaterializeResult(
            metadata={
                "parts": sum(one.parts for one in copied.values()),
                "deliveries": sum(one.deliveries for one in copied.values()),
                "bytes": sum(one.bytes for one in copied.values()),
                "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
                "stored": ", ".join(copied),
                **({"damage": shown.lines("damage", damaged)} if damaged else {}),
            }
        )
        if failed:
            raise dg.Failure(
                f"These archives did not get what landed: {', '.join(failed)}.",
                metadata={name: str(error) for name, error in failed.items()},
                allow_retries=any(error.retryable for error in failed.values()),
            )
        if damaged:
            raise dg.Failure(
                f"The landing store is damaged: {damaged[0]} `data-platform verify --heal` puts back what an archive holds.",
                metadata={"damage": len(damaged)},
                allow_retries=False,
            )

    hourly = scheduled(
        "landing_copies",
        dg.AssetSelection.assets(LANDING_COPIES),
        config.landing_schedule,
        "Copies what has landed into every backup store.",
        running=running,
    )

    return dg.Definitions(assets=[landing], schedules=[hourly])
