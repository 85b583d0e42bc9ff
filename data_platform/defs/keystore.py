"""The keystore's own copies as an asset: made each day, none kept too long, opened; and rows sealed under the key of nobody."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import KEYSTORE, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.errors import DataPlatformError
from data_platform.keystore.config import KeystoreSettings
from data_platform.keystore.copies import YOUNG
from data_platform.sync.keys_kept import NO_FOLDER, Kept, copy, kept, of_nobody
from data_platform.tables import TableId
from data_platform.words import plural

DAILY = "10 3 * * *"
COPIED = dg.AssetCheckKey(KEYSTORE, "copied")
EXPIRED = dg.AssetCheckKey(KEYSTORE, "copies_expire")
OPENS = dg.AssetCheckKey(KEYSTORE, "copy_opens")
NAMED = dg.AssetCheckKey(KEYSTORE, "sealed_for_somebody")
_CHECKS = {
    COPIED: f"There is a copy of the keystore that is at most {plural(YOUNG.days, 'day')} old.",
    EXPIRED: "No copy of the keystore is older than `keep_days`, at most 7: a key that was destroyed lives on in older ones.",
    OPENS: "The newest copy opens under the master key.",
    NAMED: "No row of a raw table is sealed under the key of nobody, which no erasure destroys.",
}


def keystore_definitions(catalog: Catalog, config: KeystoreSettings, *, running: bool) -> dg.Definitions:
    """The asset `privacy/keystore`, its checks and its schedule."""
    rule = config.backups

    @dg.asset(
        key=KEYSTORE,
        group_name="privacy",
        deps=[raw_key(id) for id in catalog.table_ids() if catalog.table(id).seals],
        description="The keys of sealed values, copied each day into a folder of their own. Without keystore or copy nothing that is sealed"
        " can be read.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=YOUNG),
        check_specs=specs(_CHECKS),
    )
    def keystore(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        status = opened.keystore().status()
        failure: DataPlatformError | None = None
        removed = 0
        try:
            if rule is not None and status.number:
                removed = len(copy(opened).removed)
        except DataPlatformError as error:  # what copies there are is worth knowing all the more
            failure = error
        found, nobody, now = kept(opened), of_nobody(opened), opened.clock()
        if failure is None:
            yield dg.MaterializeResult(
                metadata={
                    "subjects": status.subjects,
                    "destroyed": status.destroyed,
                    "master": status.master,
                    "copies": len(found.copies),
                    "removed": removed,
                    "keys_opened": found.opened,
                    "rows_of_nobody": sum(nobody.values()),
                }
            )
        used = bool(status.number)
        if rule is None:
            yield _result(COPIED, NO_FOLDER.format(opened.environment.name), warn=True)
            yield _result(EXPIRED, None, "There is no copy.")
            yield _result(OPENS, None, "There is no copy.")
        else:
            yield _copied(found, used, now)
            yield _expired(found, now, rule.keep_days)
            yield _opens(found)
        yield _named(nobody)
        if failure is not None:
            raise failure

    daily = scheduled(
        "keystore",
        dg.AssetSelection.assets(KEYSTORE),
        DAILY,
        "Copies the keystore, removes copies that are too old and opens the newest.",
        running=running,
    )
    return dg.Definitions(assets=[keystore], schedules=[daily])


def _copied(found: Kept, used: bool, now: datetime) -> dg.AssetCheckResult:
    if not used:
        return _result(COPIED, None, "Nothing was sealed yet.")
    young = bool(found.copies) and now - found.copies[-1].made_at <= YOUNG
    what = (
        f"The newest copy was made at {found.copies[-1].made_at:%Y-%m-%d %H:%M} UTC."
        if found.copies
        else "There is no copy of the keystore."
    )
    todo = "If the keystore is lost, nothing that is sealed can be read: run `data-platform keystore backup`."
    return _result(COPIED, None if young else f"{what} {todo}", what)


def _expired(found: Kept, now: datetime, keep_days: int) -> dg.AssetCheckResult:
    old = [one for one in found.copies if now - one.made_at > timedelta(days=keep_days)]
    return _result(
        EXPIRED,
        f"{plural(len(old), 'copy')} older than {plural(keep_days, 'day')}, the oldest {old[0].path.name}: keys that were destroyed since"
        " are still in there. `data-platform keystore backup` removes them."
        if old
        else None,
        f"{plural(len(found.copies), 'copy')}, none older than {plural(keep_days, 'day')}.",
        count=len(old),
    )


def _opens(found: Kept) -> dg.AssetCheckResult:
    if not found.copies:
        return _result(OPENS, None, "There is no copy.")
    name = found.copies[-1].path.name
    return _result(
        OPENS,
        f"{name} does not open: {found.problem}" if found.problem else None,
        f"{plural(found.opened, 'key')} of {name} opened.",
    )


def _named(nobody: Mapping[TableId, int]) -> dg.AssetCheckResult:
    rows = {table: count for table, count in nobody.items() if count}
    listed = ", ".join(f"{table.raw_name}: {plural(count, 'row')}" for table, count in rows.items())
    return _result(
        NAMED,
        f"The subject column is NULL in rows that hold sealed values ({listed}). They have one key together, so no erasure reaches them: see"
        " that the column always names somebody."
        if rows
        else None,
        f"Each sealed value of {plural(len(nobody), 'raw table')} is under somebody's own key.",
        count=sum(rows.values()),
        warn=True,
    )


def _result(
    check: dg.AssetCheckKey,
    problem: str | None,
    good: str = "",
    *,
    count: int | None = None,
    warn: bool = False,
) -> dg.AssetCheckResult:
    number = count if count is not None else int(problem is not None)
    return judged(check, problem is None, problem or good, warn=warn, count=number)
