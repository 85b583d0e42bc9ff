"""Checks the copy for readers: whether it is there, how old it is, whether the warehouse went on without it."""

from __future__ import annotations

from datetime import datetime

from data_platform.errors import DataPlatformError, WarehouseBusy
from data_platform.findings import Finding, failed
from data_platform.sync import Platform
from data_platform.sync import publish as publishing
from data_platform.warehouses.publishing import Publication
from data_platform.words import plural

CHECK = "publication"
REMEDY = "Publish: `data-platform publish`. In the graph the asset `published/warehouse` follows the models; look at its last run."


def look_at_publication(platform: Platform) -> Finding:
    """Of an environment that publishes."""
    where = publishing.place(platform)
    try:
        made = publishing.newest(platform)
        if made is None:
            return Finding(
                CHECK, "ok", f"{where} does not exist yet; the first build of the models makes it."
            )
        behind = _behind(platform, made)
    except WarehouseBusy as error:
        return Finding(CHECK, "warn", str(error))
    except DataPlatformError as error:
        return failed(CHECK, error)
    hours = (platform.clock() - datetime.fromisoformat(made.made_at)).total_seconds() / 3600
    limit = publishing.stale_after_hours(publishing.settings(platform), platform.catalog)
    text = f"{where} is {hours:.1f} hours old and holds {plural(len(made.relations), 'relation')} with {made.rows:,} rows"
    if made.left_out:
        text += f", without {', '.join(made.left_out)} (they hold something of a person, or may)"
    if behind and hours > limit:
        return Finding(
            CHECK, "warn", f"{text}. Since then {plural(behind, 'table')} got new batches.", REMEDY
        )
    return Finding(CHECK, "ok", f"{text}.")


def _behind(platform: Platform, made: Publication) -> int:
    """Tables of which the warehouse holds a newer batch."""
    if not platform.environment.warehouse.exists(platform.catalog.root):
        return 0
    then = {load.table: load.sequence for load in made.loads}
    with platform.warehouse(read_only=True) as warehouse:
        return sum(load.sequence > then.get(load.table, 0) for load in warehouse.loaded_all())
