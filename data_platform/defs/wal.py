"""The WAL of a source's database as an asset, and the checks of its gaps, its age and what the server holds back."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from data_platform.backups.database.config import DatabaseBackups
from data_platform.catalog import Source
from data_platform.defs import shown
from data_platform.defs.backup import GROUP
from data_platform.defs.names import source_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.errors import DataPlatformError
from data_platform.sync import wal
from data_platform.sync.wal import WalState

PASS_CRON, CHECKS_CRON = "*/10 * * * *", "5-59/10 * * * *"
HELD_WARNING = 0.5
"""The part of ``slot_max_mb`` from which on the check of the slot fails: the rest is the time to do something."""
_MB = 1 << 20


def wal_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["backup", "wal", source])


def wal_definitions(sources: Iterable[Source], *, running: bool) -> dg.Definitions:
    """For the sources whose ``backups.database`` uses WAL."""
    return dg.Definitions.merge(
        *(
            _of_source(source, source.backups.database, running=running)
            for source in sources
            if source.backups and source.backups.database and source.backups.database.engine == "native"
        )
    )


def _of_source(source: Source, config: DatabaseBackups, *, running: bool) -> dg.Definitions:
    key = wal_key(source.name)
    complete, backlog = _wal_complete(source.name, config), _slot_backlog(source.name, config)

    passes = scheduled(
        f"wal_{source.name}",
        dg.AssetSelection.assets(key).without_checks(),
        PASS_CRON,
        "Records how far the WAL is; receives it, if no service does.",
        running=running,
    )

    checks = scheduled(
        f"wal_{source.name}_checks",
        dg.AssetSelection.checks(*complete.check_keys, *backlog.check_keys),
        CHECKS_CRON,
        "Checks that no WAL is missing, how old the newest is and what the server holds back.",
        running=running,
    )

    return dg.Definitions(
        assets=[_wal_asset(source)], asset_checks=[complete, backlog], schedules=[passes, checks]
    )


def _wal_asset(source: Source) -> dg.AssetsDefinition:
    name = source.name

    @dg.asset(
        key=wal_key(name),
        deps=[source_key(table.id) for table in source.tables.values()],
        group_name=GROUP,
        kinds={source.kind},
        description="Every change of the database since its backups, in every backup store. The service `data-platform wal receive`"
        " ships it without end; where none runs, one pass of this asset does.",
    )
    def shipped(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        began = datetime.now(UTC)
        sent = wal.receiver(opened, name, context.log.warning).once()
        states = wal.states(opened, name)
        now = datetime.now(UTC)
        ages = [state.rpo_seconds(now) for state in states]
        yield dg.MaterializeResult(
            metadata={
                "received_by": "a service" if sent is None else "this run",
                "seconds": round((now - began).total_seconds(), 3),
                "rpo_seconds": max((age for age in ages if age is not None), default="not known"),
                "bytes": max((state.coverage.bytes for state in states if state.coverage), default=0),
                "segments": max((state.coverage.segments for state in states if state.coverage), default=0),
                "stores": shown.lines("store", [_line(state, now) for state in states]),
            }
        )
        if failed := {one.archive: one.problem for one in sent or () if one.problem}:
            raise dg.Failure(
                f"WAL was shipped, but these stores did not get it: {', '.join(failed)}.", metadata=failed
            )

    return shipped


def _wal_complete(name: str, config: DatabaseBackups) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=wal_key(name),
        name="wal_complete",
        description="In every store no segment of WAL is missing, and what it recovers is at most"
        f" {config.rpo_max_minutes:g} minutes old.",
    )
    def wal_complete(platform: PlatformResource) -> dg.AssetCheckResult:
        opened = platform.open()
        states, now = wal.states(opened, name), datetime.now(UTC)
        ages = [state.rpo_seconds(now) for state in states]
        return dg.AssetCheckResult(
            passed=all(
                not state.trouble and age is not None and age <= config.rpo_max_minutes * 60
                for state, age in zip(states, ages, strict=True)
            ),
            description=shown.description("; ".join(_line(state, now) for state in states)),
            metadata={
                f"{state.archive}_rpo_seconds": "none" if age is None else round(age, 1)
                for state, age in zip(states, ages, strict=True)
            },
        )

    return wal_complete


def _slot_backlog(name: str, config: DatabaseBackups) -> dg.AssetChecksDefinition:
    most = config.slot_max_mb * HELD_WARNING

    @dg.asset_check(
        asset=wal_key(name),
        name="slot_backlog",
        description=f"The server's slot keeps WAL for the receiver, and no more than {most:,.0f} MB of it.",
    )
    def slot_backlog(platform: PlatformResource) -> dg.AssetCheckResult:
        try:
            slot = wal.slot(platform.open(), name)
        except DataPlatformError as error:
            return dg.AssetCheckResult(passed=False, description=shown.description(str(error)))
        if slot is None:
            return dg.AssetCheckResult(passed=False, description="There is no slot: no WAL was received yet.")
        held = slot.holds_bytes / _MB
        return dg.AssetCheckResult(
            passed=not slot.lost and held <= most,
            description=f"The slot {slot.name} "
            + (f"keeps nothing: {slot.lost}." if slot.lost else f"holds back {held:,.1f} MB."),
            metadata={"held_mb": round(held, 1)},
        )

    return slot_backlog


def _line(state: WalState, now: datetime) -> str:
    if state.problem:
        return f"{state.archive}: {state.problem}"
    if state.coverage is None:
        return f"{state.archive}: no WAL yet"
    age = state.rpo_seconds(now)
    words = (
        f"{state.archive}: complete up to {state.coverage.end} on timeline {state.coverage.timeline}, "
        + (f"every commit until {age:,.1f} s ago" if age is not None else "no heartbeat yet")
    )
    return words + (f"; the segment {state.coverage.gap} is missing" if state.coverage.gap else "")
