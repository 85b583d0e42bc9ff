"""A warehouse that must be looked after by whoever runs it, where its ``Traits.maintained``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pydantic import BaseModel, Field

from data_platform.errors import ConfigurationError
from data_platform.warehouses import Warehouse, WarehouseConfig

NIGHTLY = "50 3 * * *"


class Maintained(BaseModel):
    """What is configured of a warehouse behind a connection, whose records about itself are shortened."""

    maintenance_schedule: str = Field(
        default=NIGHTLY,
        description="When the platform's records in the warehouse are shortened, a cron line in UTC.",
    )


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done: the number of things by what was done to them, in order; ``left`` are tables that somebody else
    worked in, for the next time."""

    done: Mapping[str, int]
    left: tuple[str, ...] = ()


class Maintainable(Warehouse, Protocol):
    def maintain(self) -> Upkeep:
        """Everything that keeps it small and fast. It changes no row that a reader sees. Loads may go on meanwhile,
        and a kill at any point leaves a whole warehouse."""


class MaintainableConfig(WarehouseConfig, Protocol):
    """A configured warehouse whose ``Traits.maintained`` is true."""

    @property
    def maintenance_schedule(self) -> str:
        """A cron line in UTC."""

    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Maintainable]: ...


def maintainable(config: WarehouseConfig) -> MaintainableConfig:
    """``config`` as what can be maintained; ``ConfigurationError`` where there is nothing to do."""
    if not config.traits.maintained:
        raise ConfigurationError(
            f"A warehouse of the kind {config.kind} looks after itself: there is nothing to maintain."
        )
    return cast("MaintainableConfig", config)
