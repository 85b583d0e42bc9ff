"""The count of verified copies as an asset, and the checks of it."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.backups.config import BackupsConfig
from data_platform.backups.copies import Report
from data_platform.backups.renewal import Renewal
from data_platform.defs import shown
from data_platform.defs.backup import GROUP
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import BACKUP, COPIES
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.landing.signing import DEMANDED_IN
from data_platform.sync.copies import count_copies
from data_platform.sync.healing import REPORTED_FOR, healed_since, newest_healing
from data_platform.sync.renewal import renew_locks

VERIFIED = dg.AssetCheckKey(COPIES, "verified")
RULE = dg.AssetCheckKey(COPIES, "three_two_one")
LOCKED = dg.AssetCheckKey(COPIES, "locked")
HEALED = dg.AssetCheckKey(COPIES, "nothing_healed")
HEALED_SECONDS = 60
COLUMNS = ("class", "archive", "holds", "objects", "read again", "locked until", "problems")


def copies_definitions(config: BackupsConfig, environment: str, *, running: bool) -> dg.Definitions:
    """The asset `backup/copies`, a day."""
    demanded = environment == DEMANDED_IN if config.demand_copies is None else config.demand_copies

    @dg.asset(
        key=COPIES,
        deps=[BACKUP],
        group_name=GROUP,
        kinds={"verification"},
        description="How many verified copies there are of the warehouse's backups, the landing store, its ledger, the archive, databases and"
        " their WAL,"
        " and where: from manifests, and by reading a sample again.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                VERIFIED: "Every copy that should be there is, and is as it was written.",
                RULE: "Three copies, on two media, one offsite, one immutable."
                + (
                    ""
                    if demanded
                    else " Not demanded of this environment: the check only says what is missing."
                ),
                LOCKED: "In every store with `lock_days`, each object that is still needed is locked.",
                HEALED: "The landing store has lost nothing in the last seven days that `verify --heal` had to put back.",
            }
        ),
    )
    def copies(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        report = count_copies(opened, secrets.randbelow(10**6))
        renewals = renew_locks(opened)
        yield dg.MaterializeResult(metadata={**_metadata(report), **_locks(renewals)})
        yield _result(
            VERIFIED, report.problems, "Every copy is there, and every object read was as it was written."
        )
        unmet = report.unmet
        yield _result(
            RULE,
            unmet,
            "Three copies, two media, one offsite, one immutable.",
            passed=not (demanded and unmet),
        )
        yield _result(
            LOCKED,
            [line for one in renewals for line in one.problems],
            "Every object that is still needed is locked." if renewals else "No store has `lock_days`.",
        )
        yield _result(HEALED, list(report.healed), "Nothing had to be put back.", warn=True)

    daily = scheduled(
        "copies_daily",
        dg.AssetSelection.assets(COPIES),
        config.copies_schedule,
        "Counts the verified copies of everything.",
        running=running,
    )

    return dg.Definitions(assets=[copies], schedules=[daily], sensors=[_healed_sensor()])


def _healed_sensor() -> dg.SensorDefinition:
    @dg.sensor(
        name="report_healed",
        minimum_interval_seconds=HEALED_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails `backup/copies: nothing_healed` as soon as `verify --heal` has put something back, by the names of the"
        " objects. It starts nothing.",
    )
    def report_healed(
        context: dg.SensorEvaluationContext, platform: PlatformResource
    ) -> dg.SensorResult | dg.SkipReason:
        opened = platform.open()
        newest = newest_healing(opened)
        if newest is None or newest <= (context.cursor or ""):
            return dg.SkipReason("nothing was put back since the last look")
        lines = list(healed_since(opened, opened.clock() - REPORTED_FOR))
        if not lines:
            return dg.SensorResult(cursor=newest)
        found = _result(HEALED, lines, "", warn=True)
        event = dg.AssetCheckEvaluation(
            asset_key=COPIES,
            check_name=HEALED.name,
            passed=False,
            metadata=found.metadata,
            severity=found.severity,
            description=found.description,
        )
        return dg.SensorResult(asset_events=[event], cursor=newest)

    return report_healed


def _metadata(report: Report) -> dict[str, Any]:
    rows = [
        (
            one.name,
            copy.place,
            copy.holds,
            copy.objects,
            copy.read,
            f"{copy.locked_until:%Y-%m-%d}" if copy.locked_until else "",
            len(copy.problems),
        )
        for one in report.classes
        for copy in one.copies
    ]
    copies = [copy for one in report.classes for copy in one.copies]
    return {
        "copies": shown.table(COLUMNS, rows),
        "verified_copies": dg.MetadataValue.json(
            {one.name: [copy.place for copy in one.copies if copy.good] for one in report.classes}
        ),
        "read_again": sum(copy.read for copy in copies),
        "bytes_read": sum(copy.bytes for copy in copies),
        "errors": len(report.problems),
        "seed": report.seed,
        "seconds": round(report.seconds, 3),
    }


def _locks(renewals: Sequence[Renewal]) -> dict[str, Any]:
    """What the newest rounds found; `locks_extended` counts those that were held just now."""
    if not renewals:
        return {}
    return {
        "needed_locks": sum(one.objects for one in renewals),
        "locks_extended": sum(one.extended for one in renewals if one.now),
        "unlocked": sum(one.unlocked for one in renewals),
    }


def _result(
    check: dg.AssetCheckKey,
    lines: list[str],
    otherwise: str,
    *,
    passed: bool | None = None,
    warn: bool = False,
) -> dg.AssetCheckResult:
    text = "; ".join(lines) if lines else otherwise
    return judged(check, not lines if passed is None else passed, text, warn=warn, count=len(lines))
