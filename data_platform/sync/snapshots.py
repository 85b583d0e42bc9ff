"""Snapshots of the warehouse's own engine: the fast way back beside the verified backups, never instead of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.sync.auditing import audited_deletion
from data_platform.sync.backup import settings
from data_platform.sync.platform import Platform
from data_platform.warehouses.snapshots import (
    NativeSnapshot,
    Snapshots,
    SnapshotsConfig,
    expired,
    snapshotting,
    take,
    taken,
)


@dataclass(frozen=True)
class SnapshotReport:
    """``removed`` are the names of old ones; ``left`` are old ones that could not be removed, and why."""

    made: NativeSnapshot
    removed: tuple[str, ...]
    left: Mapping[str, DataPlatformError]


@dataclass(frozen=True)
class Survey:
    """``expired`` are those of ``there`` that the next snapshot would remove."""

    there: tuple[NativeSnapshot, ...]
    expired: tuple[NativeSnapshot, ...]


def make_snapshot(platform: Platform) -> SnapshotReport:
    """A snapshot of every table as of one instant; then those go that are too old. ``ConfigurationError`` where none are
    configured or the engine has none, ``WarehouseError`` where it was not made: then nothing of it stays."""
    config, keep = _configured(platform)
    with config.snapshots() as engine, audited_deletion(platform, "snapshots") as going:
        made = take(engine, keep)
        removed, left = [], {}
        for one in _survey(engine, platform, keep).expired:
            try:
                going("warehouse", [one.name])
                engine.drop(one.name)
                removed.append(one.name)
            except DataPlatformError as error:
                left[one.name] = error
    return SnapshotReport(made, tuple(removed), left)


def survey(platform: Platform) -> Survey:
    """What there is, the newest first. Changes nothing."""
    config, keep = _configured(platform)
    with config.snapshots() as engine:
        return _survey(engine, platform, keep)


def _survey(engine: Snapshots, platform: Platform, keep: timedelta) -> Survey:
    there = taken(engine)
    return Survey(tuple(there), tuple(expired(there, platform.clock(), keep)))


def _configured(platform: Platform) -> tuple[SnapshotsConfig, timedelta]:
    wanted = settings(platform).snapshots
    if wanted is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} has no `snapshots:` in its `backups:` in catalog/platform.yaml."
            " Add `snapshots: {keep_days: 7}`, or make a verified backup: data-platform backup run."
        )
    return snapshotting(platform.environment.warehouse), timedelta(days=wanted.keep_days)
