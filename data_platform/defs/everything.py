"""The drill that recovers databases, landing store and warehouse together, to one instant, as an asset with its check."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from data_platform.backups.config import EverythingSettings
from data_platform.catalog import Source
from data_platform.defs import shown
from data_platform.defs.backup import GROUP, drill_check
from data_platform.defs.database_backup import backup_key
from data_platform.defs.names import BACKUP
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.everything import drill_everything

WHOLE_DRILL = dg.AssetKey(["restore_drill", "everything"])
LAST_GOOD_DRILL = dg.AssetCheckKey(WHOLE_DRILL, "last_good_drill")


def everything_definitions(
    sources: Iterable[Source], settings: EverythingSettings, *, running: bool
) -> dg.Definitions:
    """Empty where no source has `backups.database`."""
    backed_up = [source.name for source in sources if source.backups and source.backups.database]
    if not backed_up:
        return dg.Definitions()
    deps = [BACKUP, *map(backup_key, backed_up)]

    @dg.asset(
        key=WHOLE_DRILL,
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in deps],
        group_name=GROUP,
        description="One random second of databases, landing store, warehouse and Dagster's records, recovered from every backup"
        " store, every table compared, and deleted.",
    )
    def everything(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        seed = int.from_bytes(hashlib.sha256(context.run_id.encode()).digest()[:4])
        drills = drill_everything(platform.open(whole=True), seed)
        problems = [f"{one.archive}: {line}" for one in drills for line in one.problems]
        good = [one.found for one in drills if one.found]
        yield dg.MaterializeResult(
            metadata={
                "mismatches": len(problems),
                "seed": seed,
                "seconds": round(sum(one.seconds for one in drills), 3),
                "recovered_to": dg.MetadataValue.json({one.archive: one.at.isoformat() for one in good}),
                "tables_equal": sum(one.equal for found in good for one in found.agreed),
                "rows": sum(one.rows for one in good),
                "bytes": sum(one.landing.bytes for one in good),
                "evidence_sha256": dg.MetadataValue.json(
                    {one.archive: one.evidence()["seal"] for one in good}
                ),
                **({"damage": shown.lines("damage", problems)} if problems else {}),
            }
        )
        if problems:
            raise dg.Failure(
                f"The drill of everything failed: {problems[0]}",
                metadata={"damage": len(problems)},
                allow_retries=False,
            )

    drills = scheduled(
        "restore_drill_everything",
        dg.AssetSelection.assets(WHOLE_DRILL).without_checks(),
        settings.drill_schedule,
        "Recovers one random second of everything, compares it and deletes it.",
        running=running,
    )

    return dg.Definitions(
        assets=[everything],
        asset_checks=[drill_check(LAST_GOOD_DRILL, settings.drill_max_age_days, settings.drill_schedule)],
        schedules=[drills],
    )
