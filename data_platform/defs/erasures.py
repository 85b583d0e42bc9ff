"""Requests to erase somebody as an asset: how many there are, whether one stopped, and whether the erased have stayed away."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import ERASURES, pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.erasing.models import settle_built
from data_platform.sync.erasing.watch import Watched, watch
from data_platform.sync.health import recorded
from data_platform.warehouses import WarehouseConfig
from data_platform.words import plural

DAILY = "40 4 * * *"
GONE = dg.AssetCheckKey(ERASURES, "erased_stay_erased")
FINISHED = dg.AssetCheckKey(ERASURES, "requests_are_finished")


def erasure_definitions(catalog: Catalog, warehouse: WarehouseConfig, *, running: bool) -> dg.Definitions:
    """The asset `privacy/erasures`, its checks and its schedule, where the catalog says who its people are."""
    tables = {table: None for subject in catalog.subjects.values() for table in subject.tables}
    known = [raw_key(table) for table in tables if table in set(catalog.table_ids())]
    if not known:
        return dg.Definitions()

    @dg.asset(
        key=ERASURES,
        group_name="privacy",
        pool=pool(warehouse),  # it writes the file again once models were built
        deps=known,
        description="The log of erasures: who was taken out of all data, by the number of the request. Raw tables are asked each day for the"
        " keys of everybody in it.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                GONE: "No raw table has a row of a person who was erased, whatever was read or restored since.",
                FINISHED: "No request to erase somebody stopped on the way.",
            }
        ),
    )
    def erasures(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        record = recorded(opened)
        settled = settle_built(opened, {name: one.at for name, one in record.built.items()} if record else {})
        found = watch(opened)
        yield dg.MaterializeResult(
            metadata={
                "finished_by_builds": len(settled),
                "wait_for_builds": sum(any(one.unbuilt) for one in found.requests),
                "requests": len(found.requests),
                "stopped": len(found.stopped),
                "holds": len(found.holds),
                "tables_searched": found.searched,
                "rows_back": sum(found.back.values()),
                "strays_removed": found.strays,
            }
        )
        yield from _results(found)

    daily = scheduled(
        "erasures",
        dg.AssetSelection.assets(ERASURES),
        DAILY,
        "Asks the raw tables for everybody who was erased.",
        running=running,
    )
    return dg.Definitions(assets=[erasures], schedules=[daily])


def _results(found: Watched) -> Iterator[dg.AssetCheckResult]:
    back = ", ".join(f"{plural(rows, 'row')} in {table.raw_name}" for table, rows in found.back.items())
    yield judged(
        GONE,
        not found.back,
        f"{back} are of people who were erased. Find out what brought them, then erase them again by their key."
        if back
        else f"None of {plural(found.searched, 'raw table')} has a row of a person who was erased.",
        count=len(found.back),
    )
    stopped = ", ".join(f"{one.id} before {one.next_step}" for one in found.stopped)
    yield judged(
        FINISHED,
        not found.stopped,
        f"Stopped: {stopped}. Go on with `data-platform subject erase --continue ID`."
        if stopped
        else f"{plural(len(found.requests), 'request')}, each done.",
        count=len(found.stopped),
    )
