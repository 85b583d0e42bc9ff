"""Snapshots that an engine makes of its own tables without a copy of their rows, where its ``Traits.snapshots``.

They are the fast way back beside the verified backups, never instead of them: they lie in the same account, and nothing
proves them. Each has a name made of its instant. What is decided about them is here; an engine brings ``Snapshots``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol, cast

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.warehouses import WarehouseConfig

CUT_SHORT = timedelta(days=1)
"""A snapshot this old that is not whole was interrupted."""
_NAME = "%Y%m%dt%H%M%S%fz"


@dataclass(frozen=True, slots=True)
class NativeSnapshot:
    """``objects`` are what it holds, in the catalog's words: tables (``raw_shop.orders``) or whole schemas (``raw_shop``).
    ``whole``: none is missing, because the one that is made last is there."""

    name: str
    objects: tuple[str, ...]
    whole: bool

    @property
    def taken_at(self) -> datetime:
        return instant_of(self.name)


class Snapshots(Protocol):
    """What an engine does for snapshots. Connected while its block lasts."""

    last: ClassVar[str]
    """The object that is made last: it holds the record of what is loaded, so every warehouse has it."""

    def sources(self) -> Sequence[str]:
        """All that a snapshot holds, tables or schemas; never stages, views' texts alone or other snapshots."""

    def instant(self) -> datetime:
        """Now, by the engine's clock."""

    def make(self, name: str, at: datetime, expires: datetime, sources: Sequence[str]) -> None:
        """The snapshot ``name`` of ``sources``, in their order, each as it was ``at`` that instant. An engine whose snapshots
        expire by themselves removes them when it ``expires``."""

    def held(self) -> Sequence[tuple[str, str]]:
        """The name and an object of all snapshots of this warehouse, in any order."""

    def drop(self, name: str) -> None:
        """The snapshot, however much of it there is."""


class SnapshotsConfig(WarehouseConfig, Protocol):
    """A configured warehouse whose ``Traits.snapshots`` is true."""

    @property
    def snapshots_problem(self) -> str:
        """Why this one cannot make any, as its settings are, and what to do; empty where it can."""

    def snapshots(self) -> AbstractContextManager[Snapshots]: ...


def problem(config: WarehouseConfig) -> str:
    """Why a warehouse has no snapshots, and what to do; empty where it has them."""
    if not config.traits.snapshots:
        return (
            f"a warehouse of the kind {config.kind} makes no snapshots of its tables: take `snapshots` out. The daily backup"
            " does not need them, and docs/backups.md names what the engine's service has instead"
        )
    return cast("SnapshotsConfig", config).snapshots_problem


def snapshotting(config: WarehouseConfig) -> SnapshotsConfig:
    """``config`` as what makes snapshots; ``ConfigurationError`` where it cannot."""
    if found := problem(config):
        raise ConfigurationError(f"{found[0].upper()}{found[1:]}.")
    return cast("SnapshotsConfig", config)


def name_of(instant: datetime) -> str:
    """Such as ``20261122t023000123456z``: names sort by time, and no engine reads one in another way in other letters."""
    return instant.astimezone(UTC).strftime(_NAME)


def instant_of(name: str) -> datetime:
    """When a snapshot was taken, from its name; ValueError if it is the name of none."""
    return datetime.strptime(name, _NAME).replace(tzinfo=UTC)


def take(engine: Snapshots, keep: timedelta) -> NativeSnapshot:
    """All of the warehouse as of one instant, or nothing: what was made of a snapshot that fails is dropped again."""
    sources = engine.sources()
    if engine.last not in sources:
        raise WarehouseError(
            "There is no warehouse to make a snapshot of yet. Run `data-platform sync` first."
        )
    ordered = (*sorted(one for one in sources if one != engine.last), engine.last)
    at = engine.instant()
    name = name_of(at)
    try:
        engine.make(name, at, at + keep, ordered)
    except BaseException:
        with suppress(Exception):  # `expired` finds what is left of it
            engine.drop(name)
        raise
    return NativeSnapshot(name, ordered, True)


def taken(engine: Snapshots) -> list[NativeSnapshot]:
    """Every snapshot there is, the newest first. What has another name is somebody's, and is left alone."""
    found: dict[str, list[str]] = {}
    for name, one in engine.held():
        with suppress(ValueError):
            instant_of(name)
            found.setdefault(name, []).append(one)
    return [
        NativeSnapshot(name, tuple(sorted(found[name])), engine.last in found[name])
        for name in sorted(found, reverse=True)
    ]


def expired(snapshots: Sequence[NativeSnapshot], now: datetime, keep: timedelta) -> list[NativeSnapshot]:
    """Those that are older than ``keep``, and the remains of interrupted ones."""
    return [one for one in snapshots if now - one.taken_at > (keep if one.whole else min(keep, CUT_SHORT))]
