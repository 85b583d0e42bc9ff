"""How long rows of the tables are kept, as an asset: what is beyond its table's rule, and its removal where the environment says so.

``retention.py`` is about Dagster's own records.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs import shown
from data_platform.defs.aged_models import aged_models
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import RETENTION, pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.errors import DataPlatformError
from data_platform.privacy.retention.requests import Application
from data_platform.sync.platform import Platform
from data_platform.sync.retention.apply import Beyond, ask, carry_out, plan, unfinished
from data_platform.sync.retention.kept import still_held
from data_platform.warehouses import WarehouseConfig
from data_platform.words import plural

DAILY = "20 5 * * *"
AUTHORISED_BY = "the catalog"
"""Who is said to have authorised what the asset does: the rules, and ``retention: {apply: true}``."""
APPLICATIONS_SHOWN = 50
KEPT = dg.AssetCheckKey(RETENTION, "kept_no_longer")
FINISHED = dg.AssetCheckKey(RETENTION, "applications_are_finished")


def data_retention_definitions(
    catalog: Catalog, warehouse: WarehouseConfig, *, apply: bool, running: bool
) -> dg.Definitions:
    """The asset `privacy/retention`, its checks and its schedule, where a table has a rule."""
    ruled = [raw_key(table.id) for table in catalog.ruled_by_retention()]
    if not ruled:
        return dg.Definitions()
    does = "They are removed each day." if apply else "Nothing is removed: `retention: apply` is false here."

    @dg.asset(
        key=RETENTION,
        group_name="privacy",
        pool=pool(warehouse),
        deps=ruled,
        description=f"How many rows are older than the `retention` of their table allows, and how old the oldest is. {does}",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                KEPT: "No raw row and no record in quarantine is more than two days older than its table's `retention` allows, but for those of people on hold.",
                FINISHED: "No application of the rules stopped on the way.",
            }
        ),
    )
    def retention(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        applies = opened.environment.retention.apply
        done = _applied(opened) if applies else []
        found = plan(opened)
        yield dg.MaterializeResult(metadata={**_metadata(found, done), **_in_backups(opened)})
        yield from _results(found, unfinished(opened), applies)

    daily = scheduled(
        "retention",
        dg.AssetSelection.assets(RETENTION),
        DAILY,
        "Counts rows that are older than their table's rule, and removes them where the environment says so.",
        running=running,
    )
    return dg.Definitions(assets=[retention], schedules=[daily])


def _applied(platform: Platform) -> list[Application]:
    """What stopped goes on first; then what is beyond the rules today leaves."""
    done = [carry_out(platform, one.id, lambda: aged_models(platform)) for one in unfinished(platform)]
    asked = ask(platform, plan(platform), AUTHORISED_BY)
    if asked is not None:
        done.append(carry_out(platform, asked.id, lambda: aged_models(platform)))
    return done


def _metadata(found: Sequence[Beyond], done: Sequence[Application]) -> dict[str, Any]:
    rules = [one.fields for one in found]
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row.values()] for row in rules]
    refresh = {name for one in done for name in one.done["warehouse"].get("full_refresh", ())}
    return {
        "rules": shown.table(list(rules[0]) if rules else [], rows),
        "rows_older": sum(one.rows for one in found),
        "records_in_quarantine": sum(one.rejected for one in found),
        "rows_removed": sum(rows for one in done for rows in one.rows.values()),
        "rows_on_hold": sum(one.spared for one in found),
        "rows_without_date": sum(one.undated for one in found),
        **({"need_a_full_refresh": shown.lines("model", sorted(refresh))} if refresh else {}),
    }


def _in_backups(platform: Platform) -> dict[str, Any]:
    """Until when backups hold what left; the last day is that of all applications. A store that is away is no reason to fail: the rows
    have left."""
    try:
        found = still_held(platform)
    except DataPlatformError as error:
        return {"in_backups": f"It cannot be found out: {shown.description(str(error))}"}
    columns = ["application", "asked", "tables", "backups", "until"]
    rows = [
        [
            one.application.id,
            f"{one.application.asked_at:%Y-%m-%d %H:%M}",
            ", ".join(map(str, one.application.limits)),
            ", ".join(f"{number} of {name}" for name, number in one.classes.items()),
            f"{one.until:%Y-%m-%d}" if one.until else "no rule removes all of them",
        ]
        for one in found[:APPLICATIONS_SHOWN]
    ]
    days = [one.until for one in found if one.until is not None]
    last = (
        {"in_backups_until": dg.MetadataValue.timestamp(max(days))}
        if len(days) == len(found) and days
        else {}
    )
    return {
        "applications_in_backups": len(found),
        **({"in_backups": shown.table(columns, rows)} if rows else {}),
        **last,
    }


def _results(
    found: Sequence[Beyond], stopped: Sequence[Application], applies: bool
) -> Iterator[dg.AssetCheckResult]:
    late = [
        f"{plural(number, what)} {where}"
        for one in found
        for number, what, where in (
            (one.late, "row", f"of {one.limit.table.raw_name}"),
            (one.rejected_late, "record", f"in quarantine of {one.limit.table}"),
        )
        if number
    ]
    words = ", ".join(late)
    way = (
        "Run `data-platform retention apply`, which says what is in the way."
        if applies
        else "Nothing is removed while `retention: apply` is false: `data-platform retention apply` does it by hand."
    )
    yield judged(
        KEPT,
        not late,
        f"More than two days older than their rule: {words}. {way}"
        if late
        else f"No row of {plural(len(found), 'table')} is more than two days older than its rule allows.",
        warn=not applies,
        count=sum(one.late + one.rejected_late for one in found),
    )
    names = ", ".join(f"{one.id} before {one.next_step}" for one in stopped)
    yield judged(
        FINISHED,
        not stopped,
        f"Stopped: {names}. Go on with `data-platform retention apply --continue ID`."
        if stopped
        else "No application of the rules stopped on the way.",
        count=len(stopped),
    )
