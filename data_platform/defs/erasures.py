"""Requests to erase somebody as an asset: how many there are, whether one stopped, and whether the erased have stayed away."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.derived_models import derived_models
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import ERASURES, pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.defs.shown import table
from data_platform.privacy.erasure.requests import Request
from data_platform.sync import Platform
from data_platform.sync.erasing.certificate import certificates
from data_platform.sync.erasing.models import settle_built
from data_platform.sync.erasing.watch import Watched, watch
from data_platform.sync.health import recorded
from data_platform.warehouses import WarehouseConfig
from data_platform.words import plural

DAILY = "40 4 * * *"
CERTIFICATE = ("request", "asked", "kind", "people", "rows", "certificate")
SHOWN = 20
GONE = dg.AssetCheckKey(ERASURES, "erased_stay_erased")
FINISHED = dg.AssetCheckKey(ERASURES, "requests_are_finished")


def erasure_definitions(catalog: Catalog, warehouse: WarehouseConfig, *, running: bool) -> dg.Definitions:
    """The asset `privacy/erasures`, its checks and its schedule, where the catalog says who its people are."""
    tables = {one: None for subject in catalog.subjects.values() for one in subject.tables}
    known = [raw_key(one) for one in tables if one in set(catalog.table_ids())]
    if not known:
        return dg.Definitions()

    @dg.asset(
        key=ERASURES,
        group_name="privacy",
        pool=pool(warehouse),  # it writes the file again once models were built
        deps=known,
        description="The log of erasures: who was taken out of all data, by the number of the request. Raw tables are asked each day for the"
        " keys of everybody in it, and so are models that hold keys.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                GONE: "No raw table and no model has a row of a person who was erased, whatever was read, built or restored since.",
                FINISHED: "No request to erase somebody stopped on the way.",
            }
        ),
    )
    def erasures(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        record = recorded(opened)
        settled = settle_built(opened, {name: one.at for name, one in record.built.items()} if record else {})
        found = watch(opened, lambda: derived_models(opened))
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
                "late_records_removed": found.late,
                "rows_left_hanging_removed": found.hanging,
                "newest_certificates": table(CERTIFICATE, _newest(opened, found.requests)),
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


def _newest(platform: Platform, requests: Sequence[Request]) -> Iterator[Sequence[str]]:
    for one in reversed(certificates(platform, requests[-SHOWN:])):
        request = one.request
        yield (
            request.id,
            f"{request.asked_at:%Y-%m-%d %H:%M}",
            request.subject,
            f"{request.people:,}",
            f"{sum(request.rows.values()):,}",
            f"open: {one.waits_for}" if one.open else "closed",
        )


def _results(found: Watched) -> Iterator[dg.AssetCheckResult]:
    back = ", ".join(f"{plural(rows, 'row')} in {name}" for name, rows in found.back.items())
    yield judged(
        GONE,
        not found.back,
        f"{back} are of people who were erased. Find out what brought rows into a raw table, and erase them again by their key; build"
        " a model again in full (dbt build --full-refresh --select NAME)."
        if back
        else f"None of {plural(found.searched, 'table')} has a row of a person who was erased.",
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
